package pg_test

import (
	"io/fs"
	"sync"
	"testing"
	"testing/fstest"

	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

func migrationFS(files map[string]string) fs.FS {
	fsys := fstest.MapFS{}
	for name, sql := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(sql)}
	}
	return fsys
}

var (
	first  = map[string]string{"00001_a.sql": "-- +goose Up\nCREATE TABLE a (n int);\nINSERT INTO a SELECT 1 FROM pg_sleep(0.1);\n"}
	second = map[string]string{
		"00001_a.sql": first["00001_a.sql"],
		"00002_b.sql": "-- +goose Up\nALTER TABLE a ADD COLUMN m int;\n",
	}
	broken = map[string]string{
		"00001_a.sql": first["00001_a.sql"],
		"00002_b.sql": "-- +goose Up\nCREATE TABLE b ();\nSELECT 1/0;\n",
	}
)

// TestMigrateTogether starts as many migrations at once as a roll-out might:
// each statement runs once, and everybody returns with the schema there.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	var starters sync.WaitGroup
	for range 4 {
		pool := pgtest.Open(t, url)
		starters.Go(func() {
			if err := pg.MigrateFS(t.Context(), pool, migrationFS(second)); err != nil {
				t.Error(err)
				return
			}
			if _, err := pool.Exec(t.Context(), "SELECT m FROM a"); err != nil {
				t.Errorf("Migrate returned before the schema was there: %v", err)
			}
		})
	}
	starters.Wait()
	var n int
	if err := pgtest.Open(t, url).QueryRow(t.Context(), "SELECT count(*) FROM a").Scan(&n); err != nil || n != 1 {
		t.Errorf("the first migration ran %d times (%v)", n, err)
	}
}

func TestMigrateLeavesANewerDatabaseAlone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Open(t, pgtest.EmptyURL(t))
	for _, files := range []map[string]string{second, first} { // the new binary, then the old one
		if err := pg.MigrateFS(t.Context(), pool, migrationFS(files)); err != nil {
			t.Fatal(err)
		}
	}
	database, binary, err := pg.SchemaVersionFS(t.Context(), pool, migrationFS(first))
	if err != nil || database != 2 || binary != 1 {
		t.Errorf("versions %d and %d (%v), want the database at 2 and the binary at 1", database, binary, err)
	}
}

func TestMigrateFailsWhole(t *testing.T) {
	t.Parallel()
	pool := pgtest.Open(t, pgtest.EmptyURL(t))
	if err := pg.MigrateFS(t.Context(), pool, migrationFS(broken)); err == nil {
		t.Fatal("a broken migration was taken for success")
	}
	database, _, err := pg.SchemaVersionFS(t.Context(), pool, migrationFS(broken))
	if err != nil || database != 1 {
		t.Errorf("version %d (%v), want 1: what came before the failure stays", database, err)
	}
	var half bool
	err = pool.QueryRow(t.Context(), "SELECT to_regclass('b') IS NOT NULL").Scan(&half)
	if err != nil || half {
		t.Errorf("half of the failed migration is there: %t, %v", half, err)
	}
}

func TestMigrationsOutlastTheStatementTimeout(t *testing.T) {
	t.Parallel()
	pool := pgtest.Open(t, pgtest.EmptyURL(t)+"&statement_timeout=50ms")
	if err := pg.MigrateFS(t.Context(), pool, migrationFS(first)); err != nil {
		t.Error(err)
	}
}

func TestSchemaVersionOfAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	pool := pgtest.Open(t, pgtest.EmptyURL(t))
	database, binary, err := pg.SchemaVersion(t.Context(), pool)
	if err != nil || database != 0 || binary == 0 {
		t.Errorf("versions %d and %d (%v), want 0 and the newest", database, binary, err)
	}
}
