package accesses

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// sameChild is the child of the index that an id stands for, first, and every other
// id that it has had: accesses by those names were to the same child. Empty if there
// is none.
func sameChild(ctx context.Context, pool *pgxpool.Pool, child uuid.UUID) ([]uuid.UUID, error) {
	rows, err := pool.Query(ctx, `
		WITH RECURSIVE up AS (
			SELECT child_id, merged_into FROM children WHERE child_id = $1
			UNION SELECT c.child_id, c.merged_into FROM children c JOIN up ON c.child_id = up.merged_into
		), same AS (
			SELECT child_id, 0 AS depth FROM up WHERE merged_into IS NULL
			UNION SELECT c.child_id, depth + 1 FROM children c JOIN same ON c.merged_into = same.child_id
		)
		SELECT child_id FROM same ORDER BY depth, child_id LIMIT 1000`, [16]byte(child))
	if err != nil {
		return nil, fmt.Errorf("accesses: finding a child: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("accesses: finding a child: %w", err)
	}
	all := make([]uuid.UUID, len(ids))
	for i, id := range ids {
		all[i] = id
	}
	return all, nil
}

// worksWith says whether an agency works with a child now: it is involved, or has a
// record of the child that it has not withdrawn.
func worksWith(ctx context.Context, pool *pgxpool.Pool, children []uuid.UUID, agency string) (yes bool, err error) {
	ids := make([][16]byte, len(children))
	for i, id := range children {
		ids[i] = id
	}
	err = pool.QueryRow(ctx, `SELECT
		EXISTS (SELECT FROM involvements WHERE child_id = ANY($1::uuid[]) AND agency_id = $2
			AND start_date <= $4 AND (end_date IS NULL OR end_date >= $4))
		OR EXISTS (SELECT FROM child_records WHERE child_id = ANY($1::uuid[]) AND agency_id = $2 AND state = $3)`,
		ids, agency, int32(irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE), standard.Today()).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("accesses: asking whether an agency works with a child: %w", err)
	}
	return yes, nil
}
