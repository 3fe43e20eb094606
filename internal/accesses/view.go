package accesses

import (
	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/sharing"
)

// view is how much of a list of accesses its caller sees.
type view struct {
	allowed bool
	caller  identity.Caller
	most    int32
	// recentOnly: the most recent, and no further page.
	recentOnly bool
	// whole: reasons, queries, addresses, children and what was returned; and the
	// names of sensitive services.
	whole bool
	// own: what was returned, of one's own accesses.
	own bool
	// family: in words, and nothing that a family may not be told.
	family bool
}

// keeps says whether the caller is one who keeps watch over the log: an auditor or a
// data manager.
func keeps(c identity.Caller) bool {
	return c.Role == irtv1.Role_ROLE_AUDITOR || c.Role == irtv1.Role_ROLE_DATA_MANAGER
}

// viewOfKeeper is what those see who see everything; for a subject-access answer no
// more than a family may be told.
func viewOfKeeper(c identity.Caller) view {
	family := c.Purpose == irtv1.Purpose_PURPOSE_SUBJECT_ACCESS
	return view{allowed: true, caller: c, most: pageMost, whole: !family, family: family}
}

// viewOfAgency is what a caller sees of the accesses by an agency or practitioner:
// an agency's system those of the agency, a practitioner the practitioner's own.
func viewOfAgency(c identity.Caller, agency, practitioner string) view {
	own := agency != "" && c.Agency == agency &&
		(c.Role != irtv1.Role_ROLE_PRACTITIONER || c.Practitioner != "" && c.Practitioner == practitioner)
	facts := sharing.FactsOf(c)
	facts.Own = own
	switch {
	case !sharing.Decide(sharing.SeeAccesses, facts).Allowed():
		return view{}
	case keeps(c):
		return viewOfKeeper(c)
	}
	return view{allowed: true, caller: c, most: pageMost, own: true}
}

// viewOfChild is what a caller sees of the accesses to a child, if any: an agency
// that works with the child the most recent.
func viewOfChild(c identity.Caller, allowed bool) view {
	switch {
	case !allowed:
		return view{}
	case keeps(c):
		return viewOfKeeper(c)
	}
	return view{allowed: true, caller: c, most: involvedMost, recentOnly: true}
}

// mayName says whether the caller may be told the name of a sensitive service.
func (v view) mayName(agency string) bool {
	return v.whole || !v.family && v.caller.Agency == agency
}
