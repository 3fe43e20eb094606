package involvement

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"irthub/internal/audit"
	"irthub/internal/pg"
)

// run is the write pipeline's batch: one transaction and a handful of statements,
// whatever the number of changes. A change that is refused is refused alone.
func (s *Service) run(ctx context.Context, changes []*change) ([]outcome, error) {
	out := make([]outcome, len(changes))
	err := pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.apply(ctx, tx, changes, out); err != nil {
			return err
		}
		return recordAccess(ctx, tx, changes, out)
	})
	if err != nil {
		return nil, fmt.Errorf("involvement: changing %d: %w", len(changes), err)
	}
	return out, nil
}

// rehearse works changes out and writes nothing. The callers' interceptors record the
// access.
func (s *Service) rehearse(ctx context.Context, changes []*change) ([]outcome, error) {
	out := make([]outcome, len(changes))
	if err := pg.Rehearse(ctx, s.pool, func(tx pgx.Tx) error { return s.apply(ctx, tx, changes, out) }); err != nil {
		return nil, fmt.Errorf("involvement: rehearsing: %w", err)
	}
	return out, nil
}

// errStale makes the transaction start again: before its locks were held,
// another one moved an involvement, linked a record anew or merged a child.
var errStale = &pgconn.PgError{Code: "40001", Severity: "ERROR", Message: "an involvement's child changed while it was looked for"}

// apply works changes out and stores them. No involvement stands twice in a
// round, so that the second version of one finds the first one written.
func (s *Service) apply(ctx context.Context, tx pgx.Tx, changes []*change, out []outcome) error {
	locked, err := lock(ctx, tx, changes)
	if err != nil {
		return err
	}
	for _, round := range rounds(changes) {
		w := &write{s: s, tx: tx, locked: locked, today: s.today()}
		for _, i := range round {
			w.changes = append(w.changes, changes[i])
		}
		if err := w.load(ctx); err != nil {
			return err
		}
		for _, i := range round {
			out[i].Value, out[i].Err = w.decide(changes[i])
		}
		if err := w.store(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rounds are the indexes of changes such that no involvement stands twice in one,
// in the order in which they came.
func rounds(changes []*change) [][]int {
	var all [][]int
	nth := make(map[uuid.UUID]int, len(changes))
	for i, c := range changes {
		n := nth[c.id]
		nth[c.id]++
		if n == len(all) {
			all = append(all, nil)
		}
		all[n] = append(all[n], i)
	}
	return all
}

// write is one round of a batch: what is stored, as it was read under the locks,
// and what is to be stored instead.
type write struct {
	s       *Service
	tx      pgx.Tx
	changes []*change
	locked  []uuid.UUID // children
	today   time.Time
	now     time.Time // when the hub comes to know this

	present     map[uuid.UUID]*version // by involvement
	records     map[uuid.UUID]record   // that submissions name
	survivors   map[uuid.UUID]uuid.UUID
	linked      map[uuid.UUID][]record // by child: active records of the batch's agencies
	contacts    map[contactKey]contact
	storedLeads map[uuid.UUID][]*period // by child
	leads       map[uuid.UUID][]*period // as they are to be

	superseded []superseded
	fresh      []*version
}

// record is as much of an agency's record of a child as matters here.
type record struct {
	id      uuid.UUID
	agency  string
	localID string
	child   uuid.UUID
	active  bool
}

type contactKey struct{ agency, practitioner string }

type superseded struct {
	version *version
	knownTo time.Time
}

// recordAccess stores the access entries of the changes that succeeded; for the
// others their callers' interceptors do.
func recordAccess(ctx context.Context, tx pgx.Tx, changes []*change, out []outcome) error {
	entries := make([]*audit.Entry, 0, len(changes))
	for i, c := range changes {
		a := out[i].Value
		if a == nil {
			continue
		}
		c.access.AddChild(a.shown.childID)
		if !c.noted { // by an attempt before
			c.access.AddReturned(a.shown.name())
			c.noted = true
		}
		entries = append(entries, c.access)
	}
	return audit.Insert(ctx, tx, entries)
}
