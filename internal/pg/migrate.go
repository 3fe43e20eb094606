package pg

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations
var migrationFiles embed.FS

func migrations() (fs.FS, error) {
	fsys, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("pg: reading the migrations: %w", err)
	}
	return fsys, nil
}

// Migrate brings the database to the newest schema this binary knows, under a
// session advisory lock, so that any number of processes may start together.
// A database that is newer already, by a newer binary in a roll-out, is left
// as it is. Each migration is one transaction, or says `-- +goose NO TRANSACTION`.
// The tables of the job queue follow, by its library's own migrations.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	fsys, err := migrations()
	if err != nil {
		return err
	}
	if err := migrateFS(ctx, pool, fsys); err != nil {
		return err
	}
	return migrateQueue(ctx, pool)
}

func migrateFS(ctx context.Context, pool *pgxpool.Pool, fsys fs.FS) error {
	return withProvider(pool, fsys, func(p *goose.Provider) error {
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("pg: migrating: %w", err)
		}
		return nil
	})
}

// SchemaVersion returns the number of the newest migration the database has
// had, and that of the newest this binary knows; 0 is an empty database.
func SchemaVersion(ctx context.Context, pool *pgxpool.Pool) (database, binary int64, err error) {
	fsys, err := migrations()
	if err != nil {
		return 0, 0, err
	}
	return schemaVersionFS(ctx, pool, fsys)
}

func schemaVersionFS(ctx context.Context, pool *pgxpool.Pool, fsys fs.FS) (database, binary int64, err error) {
	err = withProvider(pool, fsys, func(p *goose.Provider) error {
		database, binary, err = p.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("pg: reading the schema's version: %w", err)
		}
		return nil
	})
	return database, binary, err
}

// withProvider gives fn a goose provider with a connection of its own, outside
// the pool: building an index may take longer than the pool lets a statement run.
func withProvider(pool *pgxpool.Pool, fsys fs.FS, fn func(*goose.Provider) error) (err error) {
	cfg := pool.Config().ConnConfig
	cfg.RuntimeParams["statement_timeout"] = "0"
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 900)) // every second, for 15 minutes
	if err != nil {
		return fmt.Errorf("pg: migration lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, fsys,
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pg: reading the migrations: %w", err)
	}
	return fn(p)
}

// MigrationsFingerprint identifies the schema this binary makes, so that test
// databases made from the same migrations can be shared between processes.
func MigrationsFingerprint() (string, error) {
	fsys, err := migrations()
	if err != nil {
		return "", err
	}
	files, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return "", fmt.Errorf("pg: listing the migrations: %w", err)
	}
	sum := sha256.New()
	for _, name := range files {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return "", fmt.Errorf("pg: reading the migrations: %w", err)
		}
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data) // a hash takes everything
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(nil), nil)
	if err != nil {
		return "", fmt.Errorf("pg: the queue's migrations: %w", err)
	}
	_, _ = fmt.Fprintf(sum, "queue %d", newestQueueVersion(migrator))
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}
