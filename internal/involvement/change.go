package involvement

import (
	"time"

	"github.com/google/uuid"

	"irthub/internal/audit"
	"irthub/internal/batch"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// change is what one caller wants done to an involvement, on its way through the
// write pipeline: checked, and allowed as far as that can be told without the
// stored facts.
type change struct {
	id      uuid.UUID // of the involvement
	agency  string
	localID string
	caller  identity.Caller
	access  *audit.Entry
	bulk    bool // part of a stream or file

	// fits refuses the stored version's etag ("" where there is none) if it is
	// not the one that the caller named.
	fits func(etag string) error

	// What is wanted: exactly one is set.
	submit *submission
	end    *ending
	lead   *leading

	noted bool // the access entry names the involvement
}

// submission is the content of an involvement as its agency states it.
type submission struct {
	child         uuid.UUID // zero where only the record is given
	recordID      uuid.UUID // zero where only the child is given
	recordLocalID string
	role          string
	practitioner  string
	start, end    time.Time
	sensitive     bool
	basis         string
	imported      bool // from a file, perhaps of another hub: a child not known here says nothing beside a record
}

// ending is the last day; today where none was stated.
type ending struct{ day time.Time }

// leading names the involvement's practitioner lead professional of a child.
type leading struct {
	child uuid.UUID
	start time.Time // today where none was stated
}

// answer is what became of a change.
type answer struct {
	shown     shown
	period    *period // of the lead professional, for leading
	unchanged bool    // the hub had exactly this already
}

type outcome = batch.Outcome[*answer]

// decide works out what a change comes to and puts it into the view of the
// batch, from which store writes it.
func (w *write) decide(c *change) (*answer, error) {
	switch {
	case c.submit != nil:
		return w.decideSubmit(c)
	case c.end != nil:
		return w.decideEnd(c)
	default:
		return w.decideLead(c)
	}
}

func (w *write) decideSubmit(c *change) (*answer, error) {
	cur := w.present[c.id]
	if cur != nil && w.hidden(c, cur) {
		return nil, rpc.Denied()
	}
	if err := c.fits(etagOf(cur)); err != nil {
		return nil, err
	}
	next := &version{
		id: c.id, agency: c.agency, localID: c.localID, role: c.submit.role, practitioner: c.submit.practitioner,
		start: c.submit.start, end: c.submit.end, sensitive: c.submit.sensitive, basis: c.submit.basis,
	}
	if err := w.place(next, cur, c.submit); err != nil {
		return nil, err
	}
	if next.practitioner != "" {
		if _, known := w.contacts[contactKey{c.agency, next.practitioner}]; !known {
			return nil, rpc.Invalid([]standard.Fault{practitionerUnknown})
		}
	}
	return w.replace(cur, next), nil
}

// place finds the child of a submission and the record to follow.
func (w *write) place(next, cur *version, sub *submission) error {
	if sub.recordID != uuid.Nil {
		return w.placeByRecord(next, cur, sub)
	}
	child, known := w.survivors[sub.child]
	if !known {
		return rpc.NotFound("child")
	}
	next.childID = child
	// Among several records of the agency the one it is on already, so that
	// sending it again changes nothing; else the first by local id.
	for _, r := range w.linked[child] {
		if r.agency != next.agency {
			continue
		}
		stays := cur != nil && cur.recordID == r.id
		if stays || next.recordID == uuid.Nil || cur == nil || cur.recordID != next.recordID && r.localID < next.recordLocalID {
			next.recordID, next.recordLocalID = r.id, r.localID
		}
		if stays {
			break
		}
	}
	return nil
}

func (w *write) placeByRecord(next, cur *version, sub *submission) error {
	record, known := w.records[sub.recordID]
	// A record that was withdrawn still holds what was on it before.
	if !known || !record.active && (cur == nil || cur.recordID != sub.recordID) {
		return rpc.NotFound("child record")
	}
	next.childID, next.recordID, next.recordLocalID = record.child, sub.recordID, sub.recordLocalID
	if sub.child == uuid.Nil {
		return nil
	}
	if child, known := w.survivors[sub.child]; child != record.child && (known || !sub.imported) {
		return rpc.Invalid([]standard.Fault{subjectConflict})
	}
	return nil
}

func (w *write) decideEnd(c *change) (*answer, error) {
	cur := w.present[c.id]
	if cur == nil || w.hidden(c, cur) {
		return nil, rpc.NotFound("involvement")
	}
	if err := c.fits(cur.etag()); err != nil {
		return nil, err
	}
	next := *cur
	next.end = c.end.day
	if next.end.IsZero() {
		next.end = w.today
		// Asked again on a later day, it must not last longer for it.
		if !cur.end.IsZero() && cur.end.Before(w.today) {
			next.end = cur.end
		}
	}
	if next.end.Before(next.start) {
		return nil, rpc.Invalid([]standard.Fault{ruleFault("PERIOD_ORDER", "end_date")})
	}
	return w.replace(cur, &next), nil
}

// replace puts a new version in the place of the present one, unless it says the
// same.
func (w *write) replace(cur, next *version) *answer {
	if cur != nil && next.says(cur) {
		a := w.answer(cur)
		a.unchanged = true
		return a
	}
	next.created, next.knownFrom, next.revision = w.now, w.now, 1
	if cur != nil {
		next.created, next.knownFrom, next.revision = cur.created, children.After(w.now, cur.knownFrom), cur.revision+1
		w.superseded = append(w.superseded, superseded{cur, next.knownFrom})
		w.adjustLeads(cur, next)
	}
	w.present[next.id] = next
	w.fresh = append(w.fresh, next)
	return w.answer(next)
}

func (w *write) answer(v *version) *answer {
	a := &answer{shown: shown{version: *v, contact: w.contacts[contactKey{v.agency, v.practitioner}]}}
	if p := leadOn(w.leads[v.childID], w.today); p != nil {
		a.shown.lead = p.involvement == v.id
	}
	return a
}

// hidden tells whether a stored involvement is a sensitive one that the caller
// may not know of.
func (w *write) hidden(c *change, v *version) bool {
	return w.s.sensitive(v) && !sharing.SensitiveVisible(c.caller, v.agency)
}

func etagOf(v *version) string {
	if v == nil {
		return ""
	}
	return v.etag()
}

// Faults of what an involvement refers to, which only the stored facts show.
var (
	practitionerUnknown = standard.Fault{
		Field: "involvement.practitioner", RuleID: "PRACTITIONER_UNKNOWN",
		Description: "The agency has no such practitioner.",
		Action:      "Register the practitioner first, or leave the field out.",
	}
	practitionerForeign = standard.Fault{
		Field: "involvement.practitioner", RuleID: "PRACTITIONER_UNKNOWN",
		Description: "The name is not that of a practitioner of the involvement's own agency.",
		Action:      "Send agencies/{agency}/practitioners/{practitioner} with the agency of the involvement, or leave the field out.",
	}
	recordForeign = standard.Fault{
		Field: "involvement.child_record", RuleID: "INVOLVEMENT_SUBJECT",
		Description: "The name is not that of a child record of the involvement's own agency.",
		Action:      "Send agencies/{agency}/childRecords/{local_id} with the agency of the involvement, or name the child.",
	}
	subjectConflict = standard.Fault{
		Field: "involvement.child", RuleID: "INVOLVEMENT_SUBJECT",
		Description: "The child is not the one that child_record belongs to.",
		Action:      "Leave child out: the record says which child it is.",
	}
)

// ruleFault is a fault by a rule of the standard that this package finds broken.
func ruleFault(id, field string) standard.Fault {
	rule, _ := standard.RuleByID(id)
	return standard.Fault{Field: field, RuleID: id, Description: rule.Description, Action: rule.Action}
}
