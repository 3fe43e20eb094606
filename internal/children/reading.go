package children

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"irthub/internal/agencies"
)

// reading is what was found out for one answer that is made of several lists.
type reading struct {
	mu        sync.Mutex
	survivors map[uuid.UUID]uuid.UUID
	standings map[standingOf]*Standing
}

type standingOf struct {
	child  uuid.UUID
	agency string
}

type readingKey struct{}

// OneReading gives a context in which the database is asked once which child answers for
// one, and what policy needs to know of it, so that all parts of one answer are decided
// by the same facts: by GetChild, Survivor or Standings, whichever comes first. It is
// for answers that are made at once, and never for what writes.
func OneReading(ctx context.Context) context.Context {
	return context.WithValue(ctx, readingKey{}, &reading{
		survivors: map[uuid.UUID]uuid.UUID{}, standings: map[standingOf]*Standing{},
	})
}

func readingOf(ctx context.Context) *reading {
	r, _ := ctx.Value(readingKey{}).(*reading)
	return r
}

// note keeps what a point read of a child found.
func (r *reading) note(asked uuid.UUID, asker string, v *view) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.survivors[asked], r.survivors[v.entry.id] = v.entry.id, v.entry.id
	r.standings[standingOf{v.entry.id, asker}] = v.standing
}

// present is what is known by now of the child that answers for one.
func (r *reading) present(asked uuid.UUID, asker string) (child uuid.UUID, standing *Standing) {
	if r == nil {
		return uuid.Nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	child = r.survivors[asked]
	return child, r.standings[standingOf{child, asker}]
}

// survivor is what find finds, or found before.
func (r *reading) survivor(id uuid.UUID, find func() (uuid.UUID, error)) (uuid.UUID, error) {
	if r == nil {
		return find()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.survivors[id]; ok {
		return known, nil
	}
	found, err := find()
	if err == nil {
		r.survivors[id] = found
	}
	return found, err
}

// standing is what find finds of one child, or found before.
func (r *reading) standing(a agencies.Asker, ids []uuid.UUID, find func() (map[uuid.UUID]*Standing, error)) (map[uuid.UUID]*Standing, error) {
	if r == nil || len(ids) != 1 {
		return find()
	}
	of := standingOf{ids[0], a.Agency}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.standings[of]; ok {
		return map[uuid.UUID]*Standing{of.child: known}, nil
	}
	found, err := find()
	if known := found[of.child]; err == nil && known != nil {
		r.standings[of] = known
	}
	return found, err
}
