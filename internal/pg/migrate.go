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
)

//go:embed migrations
var migrationFiles embed.FS

func migrations() fs.FS {
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}

// Migrate brings the database to the newest schema this binary knows, under a
// session advisory lock, so that any number of processes may start together.
// A database that is newer already, by a newer binary in a roll-out, is left
// as it is. Each migration is one transaction, or says `-- +goose NO TRANSACTION`.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return migrateFS(ctx, pool, migrations())
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
	return schemaVersionFS(ctx, pool, migrations())
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
	sum := sha256.New()
	err := fs.WalkDir(migrations(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(migrations(), path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(data), data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("pg: reading the migrations: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}
