package sharing

import (
	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// Action is what somebody wants to do.
type Action uint8

// The actions. See and Find are decided for each category of information, the
// others as a whole.
const (
	See               Action = iota + 1 // information about a child
	Find                                // a child, by a criterion of a category
	BeTold                              // by an event, that something about a child has changed
	ReadRecord                          // an agency's record of a child, or involvement, by its own name
	WriteRecord                         // submit, withdraw or end one
	ReadPractitioner                    // read an entry of the directory
	WritePractitioner                   // change one
	SeeAccesses                         // who accessed a child's entry, or what an agency accessed
	AskContact                          // to reach those who work with a child
	TakePart                            // in a contact request: read, answer, write
	Nominate                            // somebody to be a child's lead professional
	WritePlan                           // of social care: submit or end one
	ReadSilently                        // a child on a plan, without the responsible agency being told
)

// Facts are all that policies may know of a question. They hold no ids and no
// text, so that few are distinct and each is decided once. What they mean is said
// in policies/schema.cedarschema.
type Facts struct {
	// Who asks.
	Identified bool
	Role       irtv1.Role
	Kind       irtv1.AgencyKind
	Purpose    irtv1.Purpose
	Reason     bool

	// The caller's agency and the thing or child.
	Own, Involved, HoldsRecord, Leads bool
	// Searching: the answer lists children who may be meant, not one that was named.
	Searching bool
	// Consented are the categories that consent in force lets this agency have.
	Consented Categories

	// The child.
	Shielded, Archived, Deceased bool

	// The thing: its sensitive involvement is recorded on reasonable cause; the
	// practitioner's agency is a sensitive service.
	Cause, Sensitive bool
}

// FactsOf are the facts about a caller. For a mediator, Kind is set to that of the
// agency acted for by whoever knows the directory.
func FactsOf(c identity.Caller) Facts {
	return Facts{
		Identified: c.Identified(), Role: c.Role, Kind: c.Kind, Purpose: c.Purpose, Reason: c.Reason != "",
	}
}

// Categories is a set of categories of information.
type Categories uint32

// SetOf is the set of some categories.
func SetOf(categories ...irtv1.Category) Categories {
	var set Categories
	for _, c := range categories {
		set |= 1 << c
	}
	return set
}

// Has tells whether a category is in the set.
func (s Categories) Has(c irtv1.Category) bool { return s&(1<<c) != 0 }

// List is the set in the schema's order.
func (s Categories) List() []irtv1.Category {
	var list []irtv1.Category
	for _, c := range categories {
		if s.Has(c) {
			list = append(list, c)
		}
	}
	return list
}

// categories are those that are decided on: every one of the schema but "not
// categorised", which is withheld from everyone.
var categories = func() []irtv1.Category {
	var all []irtv1.Category
	values := irtv1.Category(0).Descriptor().Values()
	for i := range values.Len() {
		if n := values.Get(i).Number(); n != 0 {
			all = append(all, irtv1.Category(n))
		}
	}
	return all
}()
