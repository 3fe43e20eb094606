package children

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
)

// tellOfChildren makes the events of the children that a transaction changes. They
// name the agency whose act it was; those who may not know of it are not told.
func (w *write) tellOfChildren(next []*entry, before map[uuid.UUID]*entry) {
	acts := w.acts()
	for _, e := range next {
		kind := w.kindOfChange(e, before[e.id])
		if kind == irtv1.EventKind_EVENT_KIND_UNSPECIFIED {
			continue
		}
		w.events = append(w.events, events.Event{
			Kind: kind, Child: e.id, OtherChild: e.mergedInto.UUID, Agency: acts[e.id],
			Time: e.knownFrom,
		})
	}
	w.tellOfMoves(next, acts)
}

// kindOfChange is what happened to a child. That a name leads elsewhere than it did
// is no news: what it led to tells of that.
func (w *write) kindOfChange(e, before *entry) irtv1.EventKind {
	switch {
	case before == nil:
		return irtv1.EventKind_EVENT_KIND_CHILD_CREATED
	case e.mergedInto.Valid && before.mergedInto.Valid:
		return irtv1.EventKind_EVENT_KIND_UNSPECIFIED
	case e.mergedInto.Valid:
		return irtv1.EventKind_EVENT_KIND_CHILD_MERGED
	case before.mergedInto.Valid: // split off again
		return irtv1.EventKind_EVENT_KIND_CHILD_CREATED
	case e.state == irtv1.ChildState_CHILD_STATE_WITHDRAWN && before.state != e.state:
		return irtv1.EventKind_EVENT_KIND_CHILD_WITHDRAWN
	}
	return irtv1.EventKind_EVENT_KIND_CHILD_UPDATED
}

// acts are whose acts changed the children: of several in a batch, the last.
func (w *write) acts() map[uuid.UUID]string {
	acts := make(map[uuid.UUID]string, len(w.fresh))
	for _, m := range w.moves {
		acts[m.from] = w.agencyOf(m.record)
	}
	for _, r := range w.fresh {
		acts[r.childID] = r.agency
	}
	if w.actor != "" {
		for id := range acts {
			acts[id] = w.actor
		}
	}
	return acts
}

func (w *write) agencyOf(record uuid.UUID) string {
	for _, r := range w.fresh {
		if r.id == record {
			return r.agency
		}
	}
	return ""
}

// tellOfMoves tells of children that records left while others stayed, and each
// agency of where its own records went.
func (w *write) tellOfMoves(next []*entry, acts map[uuid.UUID]string) {
	times := make(map[uuid.UUID]*entry, len(next))
	for _, e := range next {
		times[e.id] = e
	}
	told := map[[2]uuid.UUID]bool{}
	for _, m := range w.moves {
		pair := [2]uuid.UUID{m.from, m.to}
		if left := times[m.from]; left != nil && !m.whole && !told[pair] {
			told[pair] = true
			w.events = append(w.events, events.Event{
				Kind: irtv1.EventKind_EVENT_KIND_CHILD_SPLIT, Child: m.from, OtherChild: m.to, Agency: acts[m.from],
				Time: left.knownFrom,
			})
		}
	}
	for _, r := range w.fresh {
		from, moved := w.movedFrom[r.id]
		if !moved {
			continue
		}
		w.events = append(w.events, events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_CHILD_RECORD_MOVED, Child: r.childID, OtherChild: from, Resource: r.name(),
			Agency: acts[r.childID], Agencies: []string{r.agency}, Time: r.knownFrom,
		})
	}
}

// tellOfReviews tells data managers what waits for them.
func (w *write) tellOfReviews(kind irtv1.EventKind, reviews []review) {
	slices.SortFunc(reviews, func(a, b review) int { return bytes.Compare(a.record.id[:], b.record.id[:]) })
	for i := range reviews {
		r := &reviews[i]
		w.events = append(w.events, events.Event{
			Kind: kind, Child: r.record.childID, OtherChild: r.candidate, Resource: "matchReviews/" + r.id().String(),
			Time: r.record.knownFrom,
		})
	}
}
