// Package sharing decides who may see and change what: facts in, a decision and
// its reasons out. It knows no SQL and no transport, and denies what no rule
// allows. Its rules are fixed in code and few; a set of policies that
// information-governance officers can read replaces them later, behind Decide.
package sharing

import (
	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// Action is what a caller wants to do with something that an agency owns.
type Action int

// The actions that there are rules for.
const (
	ReadRecord        Action = iota + 1 // an agency's record of a child, or involvement, by its own name
	WriteRecord                         // submit, withdraw or end one
	SeeInvolvement                      // learn that an agency is involved with a child
	ReadPractitioner                    // read an entry of the directory
	WritePractitioner                   // change one
)

// Question is the facts of one decision.
type Question struct {
	Caller    identity.Caller
	Action    Action
	Owner     string // the id of the agency that owns the thing
	Sensitive bool   // the thing is, or its owner provides, a sensitive service
}

// Decision is an answer, the id of the rule that gave it, and its reason in words,
// which may be shown to the caller.
type Decision struct {
	Allowed bool
	RuleID  string
	Words   string
}

// rule allows or denies; the first that fits decides.
type rule struct {
	id    string
	words string
	allow bool
	fits  func(Question) bool
}

// nothing is the answer where no rule fits.
var nothing = Decision{RuleID: "DEFAULT_DENY", Words: "No rule allows it."}

// sensitiveInvolvement withholds from everybody but the agency itself that it is
// involved: SI 2007/2182, sensitive services.
var sensitiveInvolvement = rule{
	"SENSITIVE_OWN_AGENCY",
	"Only the agency itself sees that a sensitive service (sexual health, mental health, substance misuse) is involved. " +
		"Ask the data manager of the hub for brokered contact.", false,
	func(q Question) bool { return q.Action == SeeInvolvement && q.Sensitive && !own(q) },
}

var rules = []rule{
	{
		"CALLER_UNKNOWN", "The caller or the owner is not known.", false,
		func(q Question) bool { return q.Caller.Agency == "" || q.Owner == "" },
	},
	sensitiveInvolvement,
	{
		"SENSITIVE_DIRECTORY", "Practitioners of a sensitive service are shown to their own agency and to data managers.", false,
		func(q Question) bool {
			return q.Action == ReadPractitioner && q.Sensitive && !own(q) && !is(q, irtv1.Role_ROLE_DATA_MANAGER)
		},
	},
	{
		"INVOLVEMENT_OPEN", "Who works with a child is shown to those who work with children.", true,
		func(q Question) bool {
			return q.Action == SeeInvolvement && is(q, irtv1.Role_ROLE_AGENCY_SYSTEM, irtv1.Role_ROLE_PRACTITIONER,
				irtv1.Role_ROLE_DATA_MANAGER, irtv1.Role_ROLE_MEDIATOR)
		},
	},
	{
		"DIRECTORY_OPEN", "The directory is open to those who work with children and those who run the hub.", true,
		func(q Question) bool {
			return q.Action == ReadPractitioner && is(q, irtv1.Role_ROLE_AGENCY_SYSTEM, irtv1.Role_ROLE_PRACTITIONER,
				irtv1.Role_ROLE_DATA_MANAGER, irtv1.Role_ROLE_MEDIATOR, irtv1.Role_ROLE_HUB_OPERATOR)
		},
	},
	{
		"OWN_RECORDS", "An agency reads and writes its own records.", true,
		func(q Question) bool {
			return (q.Action == ReadRecord || q.Action == WriteRecord) && own(q) &&
				is(q, irtv1.Role_ROLE_AGENCY_SYSTEM, irtv1.Role_ROLE_PRACTITIONER)
		},
	},
	{
		"DATA_MANAGER_RECORDS", "Data managers keep the index correct across agencies.", true,
		func(q Question) bool {
			return (q.Action == ReadRecord || q.Action == WriteRecord) && is(q, irtv1.Role_ROLE_DATA_MANAGER)
		},
	},
	{
		"OWN_PRACTITIONERS", "An agency's system keeps its own practitioners.", true,
		func(q Question) bool {
			return q.Action == WritePractitioner && own(q) && is(q, irtv1.Role_ROLE_AGENCY_SYSTEM)
		},
	},
	{
		"DIRECTORY_KEEPERS", "Data managers and hub operators keep the directory.", true,
		func(q Question) bool {
			return q.Action == WritePractitioner && is(q, irtv1.Role_ROLE_DATA_MANAGER, irtv1.Role_ROLE_HUB_OPERATOR)
		},
	},
}

func own(q Question) bool { return q.Caller.Agency == q.Owner }

func is(q Question, roles ...irtv1.Role) bool {
	for _, r := range roles {
		if q.Caller.Role == r {
			return true
		}
	}
	return false
}

// Decide answers a question by the first rule that fits, and denies where none does.
func Decide(q Question) Decision {
	for _, r := range rules {
		if r.fits(q) {
			return Decision{Allowed: r.allow, RuleID: r.id, Words: r.words}
		}
	}
	return nothing
}

// MayWrite says whether the caller may submit, withdraw or end records of the agency.
func MayWrite(c identity.Caller, agencyID string) bool {
	return Decide(Question{Caller: c, Action: WriteRecord, Owner: agencyID}).Allowed
}

// MayReadRecord says whether the caller may read the agency's own records.
func MayReadRecord(c identity.Caller, ownerAgency string) bool {
	return Decide(Question{Caller: c, Action: ReadRecord, Owner: ownerAgency}).Allowed
}

// SensitiveVisible says whether the caller may see a sensitive involvement of the
// agency: its own only. What is withheld is told by Withheld.
func SensitiveVisible(c identity.Caller, ownerAgency string) bool {
	return Decide(Question{Caller: c, Action: SeeInvolvement, Owner: ownerAgency, Sensitive: true}).Allowed
}

// MayReadPractitioner says whether the caller may read the directory's entry of a
// practitioner of the agency, which may be a sensitive service.
func MayReadPractitioner(c identity.Caller, ownerAgency string, sensitive bool) bool {
	return Decide(Question{Caller: c, Action: ReadPractitioner, Owner: ownerAgency, Sensitive: sensitive}).Allowed
}

// MayWritePractitioner says whether the caller may register or change
// practitioners of the agency.
func MayWritePractitioner(c identity.Caller, agencyID string) bool {
	return Decide(Question{Caller: c, Action: WritePractitioner, Owner: agencyID}).Allowed
}

// Withheld is what an answer says of sensitive involvements it leaves out. It does
// not say how many, of whom, or of which kind.
func Withheld() *irtv1.Withheld {
	r := sensitiveInvolvement
	return Decision{RuleID: r.id, Words: r.words}.Withheld(irtv1.Category_CATEGORY_SENSITIVE)
}

// Withheld is what an answer says of a group of fields that the decision left out.
func (d Decision) Withheld(category irtv1.Category) *irtv1.Withheld {
	return &irtv1.Withheld{Category: category, RuleId: d.RuleID, HowToAsk: d.Words}
}
