package children

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// A former child is one that became one with another. When the last of its records in
// force leaves that, it is a child of its own again or, where the record comes to a third
// child, leads there: with its names, and with what hung on it.

// mergeInstant is when the former child c became one with another, the last time it did.
const mergeInstant = `coalesce((
	SELECT min(m.known_from) FROM children_history m WHERE m.child_id = c.child_id AND m.state = 3 AND m.known_from > coalesce((
		SELECT max(b.known_from) FROM children_history b WHERE b.child_id = c.child_id AND b.state <> 3), '-infinity')), c.known_from)`

// formersOf are, by record, the children that records were of last and that lead to a
// child now. A record that had left one before that became one with another was found not
// to be of it, and does not come from there.
func formersOf(ctx context.Context, q Querier, records []uuid.UUID, child uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	//nolint:rowserrcheck // ForEachRow does
	rows, err := q.Query(ctx, `
		SELECT q.id, last.child_id FROM unnest($1::uuid[]) AS q(id)
		CROSS JOIN LATERAL (
			SELECT h.child_id FROM child_records_history h JOIN children c ON c.child_id = h.child_id
			WHERE h.record_id = q.id AND c.merged_into = $2 AND h.known_to >= `+mergeInstant+`
			ORDER BY h.revision DESC LIMIT 1) last`,
		uuids(records), [16]byte(child))
	if err != nil {
		return nil, fmt.Errorf("children: looking for former children: %w", err)
	}
	formers := map[uuid.UUID]uuid.UUID{}
	var record, former [16]byte
	_, err = pgx.ForEachRow(rows, []any{&record, &former}, func() error {
		formers[record] = former
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("children: looking for former children: %w", err)
	}
	return formers, nil
}

// parting is the former child that a record was of last, if none of the others that
// stand with it came from there, and none that did has left in the same write; Nil
// otherwise.
func (w *write) parting(ctx context.Context, leaving *record, others []*record) (uuid.UUID, error) {
	formers, err := formersOf(ctx, w.from, append(idsOf(others), leaving.id), leaving.childID)
	if err != nil {
		return uuid.Nil, err
	}
	former := formers[leaving.id]
	if _, parted := w.formers[former]; parted { // by one that left before it in this write
		return uuid.Nil, nil
	}
	for _, o := range others {
		if formers[o.id] == former {
			return uuid.Nil, nil
		}
	}
	return former, nil
}

// mergedAt is when a former child became one with another.
func mergedAt(ctx context.Context, q rowQuerier, former uuid.UUID) (at time.Time, err error) {
	err = q.QueryRow(ctx, `SELECT `+mergeInstant+` FROM children c WHERE child_id = $1`, [16]byte(former)).Scan(&at)
	if err != nil {
		return at, fmt.Errorf("children: looking for a merge: %w", err)
	}
	return at, nil
}

// partFormers makes the names that led to another child through a former one lead to it
// again, and gives it the pins that it had.
func (w *write) partFormers(ctx context.Context, entries map[uuid.UUID]*entry) error {
	for _, former := range w.sortedFormers() {
		from := w.formers[former]
		if err := w.returnNames(ctx, entries, from, former); err != nil {
			return err
		}
		at, err := mergedAt(ctx, w.tx, former)
		if err != nil {
			return err
		}
		w.mergedAt[former] = at
		if w.actor != "" || w.home(former) != former { // a person who splits it off has done it
			continue
		}
		came := map[uuid.UUID]bool{}
		for _, r := range w.freshUnder(former) {
			came[r.id] = true
		}
		if err := w.returnPins(ctx, from, former, came, at, w.actor); err != nil {
			return err
		}
	}
	return nil
}

// returnNames makes the names that led to a child through a former one lead there again.
func (w *write) returnNames(ctx context.Context, entries map[uuid.UUID]*entry, from, former uuid.UUID) error {
	leading, err := w.leading(ctx, `merged_into = $1 AND child_id <> $2
		AND EXISTS (SELECT 1 FROM children_history h WHERE h.child_id = c.child_id AND h.merged_into = $2)`, [16]byte(from), [16]byte(former))
	for _, e := range leading {
		w.redirect(e, entries, former)
	}
	return err
}

// returnRest gives back what hung on the former children.
func (w *write) returnRest(ctx context.Context) error {
	for _, former := range w.sortedFormers() {
		if err := w.giveBack(ctx, w.home(w.formers[former]), w.home(former), former, w.mergedAt[former]); err != nil {
			return err
		}
	}
	return nil
}

func (w *write) sortedFormers() []uuid.UUID {
	return slices.SortedFunc(maps.Keys(w.formers), compareIDs)
}
