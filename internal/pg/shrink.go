package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// shrinkAbove is the size in bytes from which reading over a queue's empty pages is
// worth sparing.
const shrinkAbove = 1 << 20

// Shrink gives back the pages that a queue's table took up when it was long. Its rows
// have gone, but whoever looks what waits reads over their pages each time. It is for
// when nothing waits: beside writers it may take five seconds, and then gives up; to a
// table that is being cleaned up already it does nothing. db is a pool or a connection;
// table is no user's input.
func Shrink(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, table string,
) error {
	var size int64
	if err := db.QueryRow(ctx, `SELECT pg_relation_size($1::regclass)`, table).Scan(&size); err != nil {
		return fmt.Errorf("pg: asking for the size of %s: %w", table, err)
	}
	if size <= shrinkAbove {
		return nil
	}
	if _, err := db.Exec(ctx, `VACUUM (SKIP_LOCKED, TRUNCATE on) `+pgx.Identifier{table}.Sanitize()); err != nil {
		return fmt.Errorf("pg: shrinking %s: %w", table, err)
	}
	return nil
}
