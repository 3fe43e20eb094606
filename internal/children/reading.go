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

// OneReading gives a context in which Survivor and Standings ask the database about a
// child once, so that all parts of one answer are decided by the same facts. It is for
// answers that are made at once, and never for what writes.
func OneReading(ctx context.Context) context.Context {
	return context.WithValue(ctx, readingKey{}, &reading{
		survivors: map[uuid.UUID]uuid.UUID{}, standings: map[standingOf]*Standing{},
	})
}

func readingOf(ctx context.Context) *reading {
	r, _ := ctx.Value(readingKey{}).(*reading)
	return r
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
