package events

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
)

// Kept is how long events are kept, and so how old a position may be that is
// resumed from.
const Kept = 30 * 24 * time.Hour

// daysAhead is how many days the hub makes partitions for beyond today.
const daysAhead = 2

// KeepUp makes the partitions of today and the next days, and drops those of
// events that are no longer kept.
func KeepUp(ctx context.Context, pool *pgxpool.Pool) error {
	var today time.Time // the database's, as the rounds have it
	if err := pool.QueryRow(ctx, `SELECT greatest(day, (clock_timestamp() AT TIME ZONE 'UTC')::date) FROM event_head`).Scan(&today); err != nil {
		return fmt.Errorf("events: asking which day it is: %w", err)
	}
	for ahead := range daysAhead + 1 {
		if err := makePartition(ctx, pool, today.AddDate(0, 0, ahead)); err != nil {
			return err
		}
	}
	return dropOld(ctx, pool, today.Add(-Kept))
}

// partitionFormat is the name of a day's partition.
const partitionFormat = "events_2006_01_02"

// makePartition attaches a table, since making one as a partition would lock out
// every reader of the log. The row of event_head is held, as for everything that
// changes the log.
func makePartition(ctx context.Context, pool *pgxpool.Pool, day time.Time) error {
	name := day.Format(partitionFormat)
	err := inHead(ctx, pool, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil || there {
			return err
		}
		table := pgx.Identifier{name}.Sanitize()
		for _, sql := range []string{
			`CREATE TABLE ` + table + ` (LIKE events INCLUDING DEFAULTS)`,
			fmt.Sprintf(`ALTER TABLE events ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`,
				table, day.Format(time.DateOnly), day.AddDate(0, 0, 1).Format(time.DateOnly)),
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("events: making the partition %s: %w", name, err)
	}
	return nil
}

// dropOld drops the partitions of days before an instant, and notes from where the
// log is kept.
func dropOld(ctx context.Context, pool *pgxpool.Pool, before time.Time) error {
	rows, err := pool.Query(ctx, `SELECT relid::regclass::text FROM pg_partition_tree('events') WHERE isleaf`)
	if err != nil {
		return fmt.Errorf("events: listing partitions: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("events: listing partitions: %w", err)
	}
	for _, name := range names {
		day, err := time.Parse(partitionFormat, name)
		if err != nil || !day.AddDate(0, 0, 1).Before(before) {
			continue // not ours, or kept
		}
		err = inHead(ctx, pool, func(tx pgx.Tx) error {
			table := pgx.Identifier{name}.Sanitize()
			_, err := tx.Exec(ctx, `UPDATE event_head SET kept_from = greatest(kept_from, (SELECT max(position) + 1 FROM `+table+`))`)
			if err == nil {
				_, err = tx.Exec(ctx, `DROP TABLE `+table)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("events: dropping the partition %s: %w", name, err)
		}
	}
	return nil
}

// inHead runs fn while no round can run. Whoever reads the log is waited for no
// more than a second.
func inHead(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	return pg.InTxRetry(ctx, pool, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`SET LOCAL lock_timeout = '1s'`)
		b.Queue(`SELECT FROM event_head FOR UPDATE`)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		return fn(tx)
	})
}
