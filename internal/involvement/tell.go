package involvement

import (
	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
)

// events are what a round tells of: involvements that came or changed, those that
// have got a last day or left a child, and lead professionals. What is sensitive is
// told to its own service and to data managers alone.
func (w *write) events() []events.Event {
	before := make(map[uuid.UUID]*version, len(w.superseded))
	for _, s := range w.superseded {
		before[s.version.id] = s.version
	}
	all := make([]events.Event, 0, len(w.fresh))
	for _, v := range w.fresh {
		old := before[v.id]
		if old != nil && old.childID != v.childID {
			all = append(all, w.event(irtv1.EventKind_EVENT_KIND_INVOLVEMENT_ENDED, old, v))
		}
		kind := irtv1.EventKind_EVENT_KIND_INVOLVEMENT_SUBMITTED
		if !v.end.IsZero() && (old == nil || !old.end.Equal(v.end)) {
			kind = irtv1.EventKind_EVENT_KIND_INVOLVEMENT_ENDED
		}
		all = append(all, w.event(kind, v, old))
	}
	return append(all, w.leadEvents()...)
}

// event tells of one version; beside is the one before or after it, or nil.
func (w *write) event(kind irtv1.EventKind, v, beside *version) events.Event {
	e := events.Event{
		Kind: kind, Child: v.childID, Agency: v.agency, Resource: v.name(),
		Time: later(w.now, v.knownFrom),
	}
	if w.s.sensitive(v) || beside != nil && w.s.sensitive(beside) {
		e.Reveals = v.agency
	}
	return e
}

// leadEvents tell once of each child whose lead professionals changed.
func (w *write) leadEvents() []events.Event {
	acts := map[uuid.UUID]string{}
	for _, c := range w.changes {
		if v := w.present[c.id]; v != nil {
			acts[v.childID] = c.caller.Agency
		}
	}
	gone, fresh, _ := w.leadChanges()
	changed := map[uuid.UUID]bool{}
	var all []events.Event
	for _, p := range append(gone, fresh...) {
		if !changed[p.child] {
			changed[p.child] = true
			all = append(all, events.Event{
				Kind: irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_SET, Child: p.child, Agency: acts[p.child],
				Time: w.now,
			})
		}
	}
	return all
}
