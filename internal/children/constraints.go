package children

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
)

const (
	sameChild    = irtv1.MatchConstraintKind_MATCH_CONSTRAINT_KIND_SAME
	notSameChild = irtv1.MatchConstraintKind_MATCH_CONSTRAINT_KIND_NOT_SAME
)

// Rules that stand in the place of matching's own where a person decided.
const (
	ruleConfirmed = "CONFIRMED_BY_PERSON"
	ruleMerged    = "MERGED_BY_PERSON"
	ruleSplit     = "SPLIT_BY_PERSON"
)

// bond is what a person decided about a record and another one.
type bond struct {
	other uuid.UUID // the other record
	child uuid.UUID // where that stands, as it was read
	kind  irtv1.MatchConstraintKind
}

// bonds are those of many records.
type bonds map[uuid.UUID][]bond

const bondQuery = `
	SELECT m.record_id, m.other_record_id, m.kind, r.child_id
	FROM match_constraints m JOIN child_records r ON r.record_id = m.other_record_id
	WHERE m.record_id = ANY($1::uuid[])`

func (b bonds) scan(rows pgx.Rows) error {
	var record, other, child [16]byte
	var kind int32
	_, err := pgx.ForEachRow(rows, []any{&record, &other, &kind, &child}, func() error {
		b[record] = append(b[record], bond{other, child, irtv1.MatchConstraintKind(kind)})
		return nil
	})
	return err
}

// apart tells whether a person decided that two records are of two children.
func (b bonds) apart(record, other uuid.UUID) bool { return b.between(record, other) == notSameChild }

func (b bonds) between(record, other uuid.UUID) irtv1.MatchConstraintKind {
	for _, x := range b[record] {
		if x.other == other {
			return x.kind
		}
	}
	return irtv1.MatchConstraintKind_MATCH_CONSTRAINT_KIND_UNSPECIFIED
}

// confirmed finds the child with which a person put a record, if a record that it
// was put with is in force and none there was kept apart from it. Of several, the
// oldest.
func (w *write) confirmed(sub *submission) (child uuid.UUID, found bool) {
	var children []uuid.UUID
	for _, b := range w.bonds[sub.id] {
		if b.kind != sameChild {
			continue
		}
		if at, inForce := w.whereabouts(b); inForce && !w.keptApart(sub.id, at) {
			children = append(children, at)
		}
	}
	if len(children) == 0 {
		return uuid.Nil, false
	}
	return slices.MinFunc(children, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) }), true
}

// whereabouts is the child of a bond's record by now: it may have moved earlier in
// this batch.
func (w *write) whereabouts(b bond) (child uuid.UUID, inForce bool) {
	is := func(r *record) bool { return r.id == b.other }
	if slices.ContainsFunc(w.members[b.child], is) {
		return b.child, true
	}
	for child, members := range w.members {
		if slices.ContainsFunc(members, is) {
			return child, true
		}
	}
	return uuid.Nil, false
}

// keptApart tells whether a person kept a record apart from any of a child's.
func (w *write) keptApart(matching, child uuid.UUID) bool {
	return len(w.bonds[matching]) > 0 && slices.ContainsFunc(w.members[child], func(r *record) bool {
		return w.bonds.apart(matching, r.id)
	})
}

// decision is what a person decides about the records of two sides.
type decision struct {
	kind   irtv1.MatchConstraintKind
	by     string
	reason string
	at     time.Time
}

// decide keeps a decision about every pair of records across two sides, in place
// of what was decided before; the same again changes nothing. Each pair is stored
// under both of its records.
func (d *decision) decide(ctx context.Context, tx pgx.Tx, side, other []uuid.UUID) error {
	var a, b []uuid.UUID
	for _, x := range side {
		for _, y := range other {
			a, b = append(a, x, y), append(b, y, x)
		}
	}
	if len(a) == 0 {
		return nil
	}
	if err := endConstraints(ctx, tx, a, b, d, "AND m.kind <> $6"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO match_constraints (record_id, other_record_id, kind, reason, decided_by, create_time)
		SELECT a, b, $3, $4, $5, $6 FROM unnest($1::uuid[], $2::uuid[]) AS q(a, b) ORDER BY a, b
		ON CONFLICT (record_id, other_record_id) DO NOTHING`,
		uuids(a), uuids(b), int16(d.kind), d.reason, d.by, d.at); err != nil { //nolint:gosec // kinds are few
		return fmt.Errorf("children: keeping a decision about records: %w", err)
	}
	return nil
}

// endConstraints moves the constraints of pairs to history.
func endConstraints(ctx context.Context, tx pgx.Tx, a, b []uuid.UUID, d *decision, which string) error {
	args := []any{uuids(a), uuids(b), d.at, d.by, d.reason}
	if which != "" {
		args = append(args, int16(d.kind)) //nolint:gosec // kinds are few
	}
	if _, err := tx.Exec(ctx, `
		WITH old AS (
			DELETE FROM match_constraints m USING unnest($1::uuid[], $2::uuid[]) AS q(a, b)
			WHERE m.record_id = q.a AND m.other_record_id = q.b `+which+` RETURNING m.*
		)
		INSERT INTO match_constraints_history (record_id, other_record_id, kind, reason, decided_by, create_time, end_time, ended_by, end_reason)
		SELECT record_id, other_record_id, kind, reason, decided_by, create_time, greatest($3::timestamptz, create_time), $4, $5 FROM old`,
		args...); err != nil {
		return fmt.Errorf("children: ending decisions about records: %w", err)
	}
	return nil
}

// heldApart tells whether a person kept any records of two children apart.
func heldApart(ctx context.Context, q querier, side, other []*record) (bool, error) {
	rows, err := q.Query(ctx, `SELECT 1 FROM match_constraints
		WHERE record_id = ANY($1::uuid[]) AND other_record_id = ANY($2::uuid[]) AND kind = 2 LIMIT 1`, uuids(idsOf(side)), uuids(idsOf(other)))
	if err != nil {
		return false, fmt.Errorf("children: looking for decisions about records: %w", err)
	}
	defer rows.Close()
	found := rows.Next()
	return found, rows.Err()
}
