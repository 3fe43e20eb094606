package accesslog

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
)

// monthsAhead is how many months the hub makes partitions for beyond this one.
const monthsAhead = 2

// partitionLock lets one process at a time make partitions.
const partitionLock = 0x6972745f70617274 // "irt_part"

// FirstID is the least id an entry of that instant can have: entry ids begin with
// their time in milliseconds (UUIDv7), so ranges of time are ranges of ids.
func FirstID(t time.Time) uuid.UUID {
	var id uuid.UUID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, t.UnixMilli())))
	copy(id[:6], ms[2:])
	return id
}

// EnsurePartitions makes the partitions of audit_entries for this month and the
// next two, and moves into them what the default partition holds of theirs.
func EnsurePartitions(ctx context.Context, pool *pgxpool.Pool, now time.Time) error {
	year, month, _ := now.UTC().Date()
	for ahead := range monthsAhead + 1 {
		from := time.Date(year, month+time.Month(ahead), 1, 0, 0, 0, 0, time.UTC)
		if err := ensurePartition(ctx, pool, from); err != nil {
			return err
		}
	}
	return nil
}

func ensurePartition(ctx context.Context, pool *pgxpool.Pool, from time.Time) error {
	name := "audit_entries_" + from.Format("2006_01")
	var there bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil || there {
		return wrapPartition(name, err)
	}
	return wrapPartition(name, pg.InTxRetry(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(partitionLock)); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil || there {
			return err
		}
		return makePartition(ctx, tx, name, FirstID(from), FirstID(from.AddDate(0, 1, 0)))
	}))
}

func wrapPartition(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("accesslog: making the partition %s: %w", name, err)
}

// makePartition attaches a table, since making one as a partition would lock out
// every reader and writer of the log. The default partition is locked first,
// which writers use only when there is no partition for them; whoever must wait
// for it does so no more than a second.
func makePartition(ctx context.Context, tx pgx.Tx, name string, from, to uuid.UUID) error {
	table := pgx.Identifier{name}.Sanitize()
	for _, sql := range []string{
		`SET LOCAL lock_timeout = '1s'`,
		`LOCK TABLE audit_entries_default IN ACCESS EXCLUSIVE MODE`,
		`CREATE TABLE ` + table + ` (LIKE audit_entries INCLUDING DEFAULTS)`,
		//nolint:unqueryvet // the same columns in the same order: LIKE
		fmt.Sprintf(`WITH moved AS (DELETE FROM audit_entries_default WHERE entry_id >= '%s' AND entry_id < '%s' RETURNING *)
			INSERT INTO %s SELECT * FROM moved`, from, to, table),
		fmt.Sprintf(`ALTER TABLE audit_entries ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`, table, from, to),
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
