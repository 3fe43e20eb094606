package pgtest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"irthub/internal/pg"
)

// templateLock is the advisory lock under which templates are made: any number
// that nothing else on a test server uses.
const templateLock = 4_919_216_037

// ensureTemplate returns the name of a database migrated to this binary's
// schema, making it if it is not there. It lets nobody connect: a database
// with connections cannot be cloned.
func ensureTemplate(ctx context.Context, server string) (string, error) {
	fingerprint, err := pg.MigrationsFingerprint()
	if err != nil {
		return "", err
	}
	name := templatePrefix + fingerprint
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) // gives back the lock too
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return "", err
	}
	// Marked as a template only when it is whole.
	var whole bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", name).Scan(&whole)
	if err != nil || whole {
		return name, err
	}
	if err := makeTemplate(ctx, conn, server, name); err != nil {
		return "", fmt.Errorf("making the template database: %w", err)
	}
	return name, nil
}

func makeTemplate(ctx context.Context, conn *pgx.Conn, server, name string) error {
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", // of a process killed half-way
		"CREATE DATABASE " + name + " TEMPLATE template0",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := migrateDatabase(ctx, server, name); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "ALTER DATABASE "+name+" WITH ALLOW_CONNECTIONS false IS_TEMPLATE true")
	return err
}

func migrateDatabase(ctx context.Context, server, name string) error {
	url, err := withDatabase(server, name)
	if err != nil {
		return err
	}
	pool, err := pg.Open(ctx, url, pg.Options{MaxConns: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	return pg.Migrate(ctx, pool)
}
