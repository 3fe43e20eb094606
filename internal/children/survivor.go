package children

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"irthub/internal/rpc"
)

// rowQuerier is a pool or a transaction.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Survivor is the child that one has become by merging, itself where it has not
// been merged; NotFound where there is none of that id.
func Survivor(ctx context.Context, q rowQuerier, id uuid.UUID) (uuid.UUID, error) {
	return readingOf(ctx).survivor(id, func() (uuid.UUID, error) {
		return followMerges(id, func(child uuid.UUID) (into uuid.UUID, found bool, err error) {
			return mergedInto(q.QueryRow(ctx, `SELECT merged_into FROM children WHERE child_id = $1`, [16]byte(child)))
		}, rpc.NotFound("child"))
	})
}

// SurvivorAt is what the hub knew the child to have become at an instant; itself
// where the hub had not heard of it then.
func SurvivorAt(ctx context.Context, q rowQuerier, id uuid.UUID, at time.Time) (uuid.UUID, error) {
	return followMerges(id, func(child uuid.UUID) (into uuid.UUID, found bool, err error) {
		return mergedInto(q.QueryRow(ctx, mergedIntoAt, [16]byte(child), at))
	}, nil)
}

const mergedIntoAt = `SELECT merged_into FROM children WHERE child_id = $1 AND known_from <= $2
	UNION ALL SELECT merged_into FROM children_history WHERE child_id = $1 AND known_from <= $2 AND known_to > $2`

func mergedInto(row pgx.Row) (into uuid.UUID, found bool, err error) {
	err = row.Scan((*zeronull.UUID)(&into))
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, false, nil
	}
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("children: following a merged child: %w", err)
	}
	return into, true, nil
}

// followMerges goes from one entry to that which it was merged into, as next says.
func followMerges(id uuid.UUID, next func(uuid.UUID) (uuid.UUID, bool, error), missing error) (uuid.UUID, error) {
	for range mergesAtMost {
		into, found, err := next(id)
		switch {
		case err != nil:
			return uuid.Nil, err
		case !found && missing != nil:
			return uuid.Nil, missing
		case into == uuid.Nil:
			return id, nil
		}
		id = into
	}
	return uuid.Nil, fmt.Errorf("children: more than %d merges in a row", mergesAtMost)
}

// Hold keeps children as they are until the transaction ends: neither they nor the
// records, involvements, consents and shields that hang on them move meanwhile. All
// who hold children do so by this, or in the same order. A child that has been
// merged, or changed while it was waited for, makes the transaction start again
// (pg.InTxRetry): what was found by it may have moved.
func Hold(ctx context.Context, tx pgx.Tx, ids ...uuid.UUID) error {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	rows, err := tx.Query(ctx, `SELECT merged_into IS NOT NULL FROM children WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE`, uuids(ids))
	if err != nil {
		return fmt.Errorf("children: holding children: %w", err)
	}
	merged, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	if err != nil {
		return fmt.Errorf("children: holding children: %w", err)
	}
	if len(merged) != len(ids) || slices.Contains(merged, true) {
		return errStale
	}
	return nil
}

// VersionsAt selects, from a table and its history, the versions of a child's rows
// that the hub knew at an instant. child and instant are SQL expressions.
func VersionsAt(table, columns, child, instant string) string {
	return `SELECT ` + columns + ` FROM ` + table + `
			WHERE child_id = ` + child + ` AND known_from <= ` + instant + `
		UNION ALL
		SELECT ` + columns + ` FROM ` + table + `_history
			WHERE child_id = ` + child + ` AND known_from <= ` + instant + ` AND known_to > ` + instant
}
