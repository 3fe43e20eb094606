package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/accesslog"
	"irthub/internal/pg"
	"irthub/internal/telemetry"
)

// Database is the hub's database: one it was given, or its private one.
type Database struct {
	Pool    *pgxpool.Pool
	cluster *pg.Cluster // nil for a database it was given
	log     *slog.Logger
}

// OpenDatabase opens the database at url or, if that is empty, the private one in
// dataDir, which it starts, or joins where another process runs it. The schema is
// brought up to date.
func OpenDatabase(ctx context.Context, dataDir, url string, log *slog.Logger) (*Database, error) {
	return openDatabase(ctx, Config{Data: dataDir, DatabaseURL: url, Log: log}, nil)
}

func openDatabase(ctx context.Context, c Config, tracing *telemetry.Tracing) (*Database, error) {
	url, log := c.DatabaseURL, c.Log
	d := &Database{log: log}
	if url == "" {
		cluster, err := pg.StartEmbedded(ctx, c.Data, log)
		if err != nil {
			return nil, err
		}
		d.cluster, url = cluster, cluster.URL()
	}
	pool, err := pg.Open(ctx, url, pg.Options{PoolerURL: c.PoolerURL, Tracer: tracing.Statements()})
	if err != nil {
		return nil, errors.Join(err, d.stopCluster(ctx))
	}
	d.Pool = pool
	if err := pg.Migrate(ctx, pool); err != nil {
		return nil, errors.Join(err, d.Close(ctx))
	}
	if err := accesslog.EnsurePartitions(ctx, pool, time.Now()); err != nil {
		log.WarnContext(ctx, "access-log entries go to the default partition until their own can be made", "error", err)
	}
	return d, nil
}

// Private reports whether the database is the hub's own, in its data directory.
func (d *Database) Private() bool { return d.cluster != nil }

// Close ends the connections, and the private PostgreSQL if this process runs it.
func (d *Database) Close(ctx context.Context) error {
	d.Pool.Close()
	return d.stopCluster(ctx)
}

func (d *Database) stopCluster(ctx context.Context) error {
	if d.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return d.cluster.Stop(ctx)
}

// ready answers whether the database can be read and written now.
func (d *Database) ready(ctx context.Context) error {
	var standby bool
	err := d.Pool.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby)
	if err == nil && standby {
		err = errors.New("server: the access log cannot be written: the database is a standby")
	}
	return err
}
