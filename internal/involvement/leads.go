package involvement

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"irthub/internal/children"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// period is one during which a practitioner is a child's lead professional: a
// row of lead_professionals. Those of one child do not overlap.
type period struct {
	child        uuid.UUID
	start, end   time.Time
	involvement  uuid.UUID
	agency       string
	practitioner string
	knownFrom    time.Time
}

const leadColumns = `child_id, start_date, end_date, involvement_id, agency_id, practitioner_id, known_from`

// leadOn is the period that holds on a day, or nil.
func leadOn(periods []*period, day time.Time) *period {
	for _, p := range periods {
		if within(day, p.start, p.end) {
			return p
		}
	}
	return nil
}

// adjustLeads keeps the lead professional true to a new version of an
// involvement. A period does not outlast the involvement. Naming somebody is a
// decision about a person and a child: where the involvement comes to another
// child, or is found to be sensitive, or passes to another practitioner, nobody
// takes the place by itself.
func (w *write) adjustLeads(cur, next *version) {
	for _, p := range w.leads[cur.childID] {
		if p.involvement != cur.id {
			continue
		}
		switch {
		case next.childID != cur.childID:
			w.removeLead(p)
		case next.sensitive && !cur.sensitive, next.practitioner != p.practitioner:
			w.endLead(p, w.today.AddDate(0, 0, -1))
		case !next.end.IsZero():
			w.endLead(p, next.end)
		}
	}
}

// endLead makes a period end on a day at the latest.
func (w *write) endLead(p *period, day time.Time) {
	if !p.end.IsZero() && !p.end.After(day) {
		return
	}
	w.removeLead(p)
	if !p.start.After(day) {
		shorter := *p
		shorter.end = day
		w.addLead(&shorter)
	}
}

func (w *write) removeLead(p *period) {
	w.leads[p.child] = slices.DeleteFunc(slices.Clone(w.leads[p.child]), func(o *period) bool { return o == p })
}

func (w *write) addLead(p *period) {
	w.leads[p.child] = append(slices.Clone(w.leads[p.child]), p)
}

// decideLead names an involvement's practitioner the lead professional. Who may
// not do it learns nothing; who may learns of a sensitive involvement only if it
// is the caller's own.
func (w *write) decideLead(c *change) (*answer, error) {
	child, known := w.survivors[c.lead.child]
	periods := w.leads[child]
	present := leadOn(periods, w.today)
	if !sharing.MayWrite(c.caller, c.agency) && (present == nil || present.agency != c.caller.Agency) {
		return nil, rpc.Denied()
	}
	if !known {
		return nil, rpc.NotFound("child")
	}
	v := w.present[c.id]
	if v == nil || v.childID != child || w.hidden(c, v) {
		return nil, rpc.NotFound("involvement with this child")
	}
	start := c.lead.start
	if start.IsZero() {
		start = w.today
	}
	if err := w.mayLead(v, start, latestBegun(periods, w.today)); err != nil {
		return nil, err
	}
	return w.nameLead(v, start), nil
}

// mayLead says why an involvement cannot give the lead professional from a day on.
func (w *write) mayLead(v *version, start time.Time, before *period) error {
	switch {
	case w.s.sensitive(v):
		return rpc.Precondition("A sensitive involvement cannot give the lead professional, who is shown to all agencies. Name another.")
	case v.practitioner == "":
		return rpc.Precondition("The involvement names no practitioner. Submit it again with its practitioner, or name another involvement.")
	case !v.inForce(start):
		return rpc.Precondition("The involvement is not in force on the first day. Choose a day within its period, or name another involvement.")
	case before != nil && start.Before(before.start):
		return rpc.Precondition("The first day is before that of the lead professional there is. Choose that day or a later one.")
	}
	return nil
}

// latestBegun is the last period that has begun by a day, whether or not it has ended.
func latestBegun(periods []*period, day time.Time) (latest *period) {
	for _, p := range periods {
		if !p.start.After(day) && (latest == nil || p.start.After(latest.start)) {
			latest = p
		}
	}
	return latest
}

// nameLead makes room from a day on and puts the new period there. Who leads
// already goes on leading.
func (w *write) nameLead(v *version, start time.Time) *answer {
	periods := w.leads[v.childID]
	p := leadOn(periods, start)
	if p == nil || p.involvement != v.id || p.practitioner != v.practitioner {
		for _, old := range periods {
			w.endLead(old, start.AddDate(0, 0, -1))
		}
		p = &period{
			child: v.childID, start: start, end: v.end, involvement: v.id,
			agency: v.agency, practitioner: v.practitioner,
		}
		w.addLead(p)
	}
	a := w.answer(v)
	a.period = p
	return a
}

// leadChanges compares the periods of the batch's children with what is stored:
// periods that are no longer so, with the instant until which the hub knew them,
// and those to store instead.
func (w *write) leadChanges() (gone, fresh []*period, knownTo []time.Time) {
	for child, stored := range w.storedLeads {
		known := w.now
		for _, old := range stored {
			if !slices.Contains(w.leads[child], old) {
				known = later(known, children.After(w.now, old.knownFrom))
				gone = append(gone, old)
			}
		}
		for len(knownTo) < len(gone) {
			knownTo = append(knownTo, known)
		}
		for _, p := range w.leads[child] {
			if !slices.Contains(stored, p) {
				p.knownFrom = known
				fresh = append(fresh, p)
			}
		}
	}
	return gone, fresh, knownTo
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
