package audit_test

import (
	"context"
	"testing"
	"time"

	"irthub/internal/audit"
	"irthub/internal/pg/pgtest"
)

// Whether entries can be recorded is found out by recording one, and leaves nothing.
func TestCheckFindsOutWhetherEntriesCanBeRecorded(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	check := func() error { // by a writer that has shown nothing yet
		w := audit.NewWriter(pool)
		defer func() { _ = w.Close(context.Background()) }()
		began := time.Now()
		err := w.Check(t.Context())
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
		return err
	}
	lock := func() func() {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `LOCK TABLE audit_queue IN EXCLUSIVE MODE`); err != nil {
			t.Fatal(err)
		}
		return func() { _ = tx.Rollback(context.Background()) }
	}
	var unlock func()
	for _, tt := range []struct {
		name        string
		spoil, mend func()
	}{
		{"an entry is refused", func() { exec(`ALTER TABLE audit_entries ADD CONSTRAINT no CHECK (false) NOT VALID`) }, func() { exec(`ALTER TABLE audit_entries DROP CONSTRAINT no`) }},
		{"the queue of the tree is not there", func() { exec(`ALTER TABLE audit_queue RENAME TO elsewhere`) }, func() { exec(`ALTER TABLE elsewhere RENAME TO audit_queue`) }},
		{"the commit would be refused", func() {
			exec(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`)
			exec(`CREATE CONSTRAINT TRIGGER no AFTER INSERT ON audit_queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no()`)
		}, func() { exec(`DROP TRIGGER no ON audit_queue`) }},
		{"somebody holds the table", func() { unlock = lock() }, func() { unlock() }},
	} {
		if err := check(); err != nil {
			t.Fatalf("before %s: %v", tt.name, err)
		}
		tt.spoil()
		if err := check(); err == nil {
			t.Errorf("%s, and nobody noticed", tt.name)
		}
		tt.mend()
	}
	if err := check(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	var left int
	err := pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM audit_entries) + (SELECT count(*) FROM audit_queue)`).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d rows are left: %v", left, err)
	}
}

// What was recorded a moment ago need not be tried; what failed a moment ago must be.
func TestCheckBelievesWhatWasRecorded(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	w := audit.NewWriter(pool)
	defer func() { _ = w.Close(context.Background()) }()
	write := func() error { return w.Write(t.Context(), audit.New(t.Context(), "m")) }
	if err := write(); err != nil {
		t.Fatal(err)
	}
	before := w.Pipelines()[0].Batches
	for range 100 {
		if err := w.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.Pipelines()[0].Batches - before; n != 0 {
		t.Errorf("it was tried %d times", n)
	}
	if _, err := pool.Exec(t.Context(), `ALTER TABLE audit_entries ADD CHECK (false) NOT VALID`); err != nil {
		t.Fatal(err)
	}
	if err := write(); err == nil {
		t.Fatal("it was recorded")
	}
	if err := w.Check(t.Context()); err == nil {
		t.Error("it is ready after an entry that could not be recorded")
	}
}
