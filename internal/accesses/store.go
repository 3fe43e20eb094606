package accesses

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
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
