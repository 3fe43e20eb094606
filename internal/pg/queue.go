package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// queueLock lets one process at a time make the tables of the queue.
const queueLock = 0x6972745f71756575 // "irt_queu"

// migrateQueue brings the tables of the job queue (River's) to the version that this
// binary's library has. The library knows how, and keeps count in a table of its own.
func migrateQueue(ctx context.Context, pool *pgxpool.Pool) (err error) {
	cfg := pool.Config()
	cfg.ConnConfig = cfg.ConnConfig.Copy() // the server itself, not a pooler
	cfg.MaxConns, cfg.MinConns, cfg.BeforeConnect = 2, 0, nil
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	direct, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("pg: connecting to migrate the queue: %w", err)
	}
	defer direct.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(direct), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("pg: the queue's migrations: %w", err)
	}
	if done, err := queueVersion(ctx, direct); err != nil || done >= newestQueueVersion(migrator) {
		return err
	}
	lock, err := direct.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("pg: migrating the queue: %w", err)
	}
	defer lock.Release()
	if _, err := lock.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(queueLock)); err != nil { // given back with the connection
		return fmt.Errorf("pg: migrating the queue: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("pg: migrating the queue: %w", err)
	}
	return nil
}

func newestQueueVersion(m *rivermigrate.Migrator[pgx.Tx]) int {
	all := m.AllVersions()
	return all[len(all)-1].Version
}

// queueVersion is the version of the queue's tables; 0 if there are none.
func queueVersion(ctx context.Context, pool *pgxpool.Pool) (version int, err error) {
	err = pool.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM river_migration WHERE line = 'main'`).Scan(&version)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && (pgErr.Code == "42P01" || pgErr.Code == "42703") {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("pg: reading the queue's version: %w", err)
	}
	return version, nil
}
