package pg_test

import (
	"testing"

	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

// A queue that was long and is empty gives its pages back; what waits in it stays.
func TestShrink(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	size := func() (bytes, rows int64) {
		t.Helper()
		if err := pg.Shrink(t.Context(), pool, "audit_queue"); err != nil {
			t.Fatal(err)
		}
		if err := pool.QueryRow(t.Context(), `SELECT pg_relation_size('audit_queue'), count(*) FROM audit_queue`).Scan(&bytes, &rows); err != nil {
			t.Fatal(err)
		}
		return bytes, rows
	}
	fill := `INSERT INTO audit_queue (entry_id) SELECT gen_random_uuid() FROM generate_series(1, 60000)`
	for _, sql := range []string{
		`ALTER TABLE audit_queue SET (autovacuum_enabled = off)`, // which would hold it, and is not waited for
		`INSERT INTO audit_queue (entry_id) VALUES (gen_random_uuid())`, fill,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if bytes, rows := size(); rows != 60001 || bytes < 2<<20 {
		t.Errorf("full it has %d bytes and %d rows", bytes, rows)
	}
	if _, err := pool.Exec(t.Context(), `DELETE FROM audit_queue WHERE ctid <> '(0,1)'`); err != nil {
		t.Fatal(err)
	}
	if bytes, rows := size(); rows != 1 || bytes > 64<<10 {
		t.Errorf("empty it has %d bytes and %d rows", bytes, rows)
	}
	if err := pg.Shrink(t.Context(), pool, "no such table"); err == nil {
		t.Error("of a table that is not there it says nothing")
	}
}
