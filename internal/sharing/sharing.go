package sharing

import (
	"sync"
	"sync/atomic"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

var present atomic.Pointer[Policy]

// fallback is the embedded set. A binary whose own policies do not hold to their
// schema allows nothing.
var fallback = sync.OnceValue(func() *Policy {
	p, err := Embedded()
	if err != nil { // a test holds that this is never so
		return compile(nil)
	}
	return p
})

// Default is the set of policies that this process decides by: the embedded one
// until SetDefault.
func Default() *Policy {
	if p := present.Load(); p != nil {
		return p
	}
	return fallback()
}

// SetDefault makes the process decide by a set. It is for its start: a process
// decides by one set.
func SetDefault(p *Policy) { present.Store(p) }

// Decide answers a question by the set of this process.
func Decide(a Action, f Facts) *Decision { return Default().Decide(a, f) }

// about are the facts of a caller and a thing that an agency owns.
func about(c identity.Caller, owner string) Facts {
	f := FactsOf(c)
	f.Identified = f.Identified && owner != ""
	f.Own = f.Identified && c.Agency == owner
	return f
}

// Own decides how a caller sees what an agency has just said itself, which may be
// sent back to it: for answers to writes.
func Own(c identity.Caller, owner string) *Decision { return Decide(See, about(c, owner)) }

// MayWrite says whether the caller may submit, withdraw or end records of the agency.
func MayWrite(c identity.Caller, agencyID string) bool {
	return Decide(WriteRecord, about(c, agencyID)).Allowed()
}

// MayReadRecord says whether the caller may read the agency's own records.
func MayReadRecord(c identity.Caller, ownerAgency string) bool {
	return Decide(ReadRecord, about(c, ownerAgency)).Allowed()
}

// SensitiveVisible says whether the caller may see a sensitive involvement of the
// agency, as far as that can be said without knowing the child: its own only. What
// is withheld is told by Withheld.
func SensitiveVisible(c identity.Caller, ownerAgency string) bool {
	return Decide(See, about(c, ownerAgency)).Shows(irtv1.Category_CATEGORY_SENSITIVE)
}

// MayReadPractitioner says whether the caller may read the directory's entry of a
// practitioner of the agency, which may be a sensitive service.
func MayReadPractitioner(c identity.Caller, ownerAgency string, sensitive bool) bool {
	f := about(c, ownerAgency)
	f.Sensitive = sensitive
	return Decide(ReadPractitioner, f).Allowed()
}

// MayWritePractitioner says whether the caller may register or change
// practitioners of the agency.
func MayWritePractitioner(c identity.Caller, agencyID string) bool {
	return Decide(WritePractitioner, about(c, agencyID)).Allowed()
}

// Withheld is what an answer says of sensitive involvements it leaves out. It does
// not say how many, of whom, or of which kind.
func Withheld() *irtv1.Withheld {
	return Decide(See, Facts{Identified: true}).Withheld(irtv1.Category_CATEGORY_SENSITIVE)
}
