package pg_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

// newDatabase returns a pool on a database with what the SQL makes in it.
func newDatabase(t *testing.T, sql string) *pgxpool.Pool {
	t.Helper()
	pool := pgtest.Open(t, pgtest.EmptyURL(t))
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return pool
}

// newCounter returns a pool on a database with a table of two counters.
func newCounter(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return newDatabase(t, "CREATE TABLE counter (id int PRIMARY KEY, n int); INSERT INTO counter VALUES (1, 0), (2, 0)")
}

func increment(ctx context.Context, tx pgx.Tx, id int) error {
	_, err := tx.Exec(ctx, "UPDATE counter SET n = n + 1 WHERE id = $1", id)
	return err
}

func wantCount(t *testing.T, pool *pgxpool.Pool, id, want int) {
	t.Helper()
	var got int
	if err := pool.QueryRow(context.Background(), "SELECT n FROM counter WHERE id = $1", id).Scan(&got); err != nil || got != want {
		t.Errorf("counter %d is %d (%v), want %d", id, got, err, want)
	}
}

func TestInTx(t *testing.T) {
	t.Parallel()
	errOwn := errors.New("fn's own")
	t.Run("commits", func(t *testing.T) {
		t.Parallel()
		pool := newCounter(t)
		if err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error { return increment(t.Context(), tx, 1) }); err != nil {
			t.Error(err)
		}
		wantCount(t, pool, 1, 1)
	})
	t.Run("rolls back on an error and returns it as it is", func(t *testing.T) {
		t.Parallel()
		pool := newCounter(t)
		err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			return errors.Join(increment(t.Context(), tx, 1), errOwn)
		})
		if !errors.Is(err, errOwn) {
			t.Errorf("got %v", err)
		}
		wantCount(t, pool, 1, 0)
	})
	t.Run("rolls back on a panic and gives back the connection", func(t *testing.T) {
		t.Parallel()
		pool := newCounter(t)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				_ = increment(t.Context(), tx, 1)
				panic("fn")
			})
		}()
		wantCount(t, pool, 1, 0)
		if n := pool.Stat().AcquiredConns(); n != 0 {
			t.Errorf("%d connections are still held", n)
		}
	})
	t.Run("keeps the connection when the caller gives up", func(t *testing.T) {
		t.Parallel()
		pool := newCounter(t)
		ctx, cancel := context.WithCancel(t.Context())
		before := pool.Stat().NewConnsCount()
		err := pg.InTx(ctx, pool, func(tx pgx.Tx) error {
			err := increment(ctx, tx, 1)
			cancel()
			return errors.Join(err, ctx.Err())
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		wantCount(t, pool, 1, 0)
		if after := pool.Stat().NewConnsCount(); after != before {
			t.Errorf("%d connections were thrown away for nothing", after-before)
		}
	})
}

// raise is a statement that fails with a SQLSTATE.
func raise(code string) string {
	return "DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '" + code + "'; END $$"
}

func TestInTxRetryTriesAgainOnlyWhatCanSucceed(t *testing.T) {
	t.Parallel()
	pool := newCounter(t)
	const suicide = "SELECT pg_terminate_backend(pg_backend_pid())"
	tests := []struct {
		name     string
		fail     string // statement that fails
		failures int    // how often before it goes well
		attempts int
		ok       bool
	}{
		{"serialization failure", raise("40001"), 2, 3, true},
		{"deadlock", raise("40P01"), 1, 2, true},
		{"connection lost", suicide, 1, 2, true},
		{"for ever", raise("40001"), 1 << 30, 6, false},
		{"unique violation", raise("23505"), 1, 1, false},
		{"nonsense", "SELECT nonsense", 1, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			attempts := 0
			err := pg.InTxRetry(t.Context(), pool, func(tx pgx.Tx) error {
				if attempts++; attempts <= tt.failures {
					_, err := tx.Exec(t.Context(), tt.fail)
					return err
				}
				return nil
			})
			if attempts != tt.attempts || (err == nil) != tt.ok {
				t.Errorf("%d attempts and %v, want %d and success %t", attempts, err, tt.attempts, tt.ok)
			}
		})
	}
}

// TestDeadlockEndsWell has two transactions take two rows in opposite order,
// each after the other has its first.
func TestDeadlockEndsWell(t *testing.T) {
	t.Parallel()
	pool := newCounter(t)
	var both, txs sync.WaitGroup
	both.Add(2)
	for _, order := range [][]int{{1, 2}, {2, 1}} {
		txs.Go(func() {
			once := sync.OnceFunc(func() { both.Done(); both.Wait() })
			err := pg.InTxRetry(t.Context(), pool, func(tx pgx.Tx) error {
				if err := increment(t.Context(), tx, order[0]); err != nil {
					return err
				}
				once()
				return increment(t.Context(), tx, order[1])
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	txs.Wait()
	wantCount(t, pool, 1, 2)
	wantCount(t, pool, 2, 2)
}

// TestFaultLostCommitIsNotRetried ends the connection while COMMIT runs.
func TestFaultLostCommitIsNotRetried(t *testing.T) {
	t.Parallel()
	pool := newCounter(t)
	_, err := pool.Exec(t.Context(), `
		CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON counter DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION die()`)
	if err != nil {
		t.Fatal(err)
	}
	attempts := 0
	err = pg.InTxRetry(t.Context(), pool, func(tx pgx.Tx) error {
		attempts++
		return increment(t.Context(), tx, 1)
	})
	if !errors.Is(err, pg.ErrCommitUnknown) || attempts != 1 || pg.IsRetryable(err) {
		t.Errorf("%d attempts, %v: want one, and an unknown outcome", attempts, err)
	}
	if !pg.Unavailable(err) {
		t.Errorf("%v must count as unavailable", err)
	}
}

func TestFailedCommitIsKnown(t *testing.T) {
	t.Parallel()
	pool := newCounter(t)
	if _, err := pool.Exec(t.Context(), "CREATE TABLE c (id int REFERENCES counter DEFERRABLE INITIALLY DEFERRED)"); err != nil {
		t.Fatal(err)
	}
	err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO c VALUES (3)")
		return err
	})
	if err == nil || errors.Is(err, pg.ErrCommitUnknown) {
		t.Errorf("%v: a refused commit is an error with a known outcome", err)
	}
}

func TestStalePlanAfterAMigrationIsRetried(t *testing.T) {
	t.Parallel()
	pool := newCounter(t)
	read := func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), "SELECT * FROM counter")
		if err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	}
	one := pgtest.Open(t, pool.Config().ConnString()+"&pool_max_conns=1")
	for _, step := range []string{"", "ALTER TABLE counter ADD COLUMN extra text"} {
		if _, err := pool.Exec(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		for range 20 { // pgxpool may pick any of its connections
			if err := pg.InTxRetry(t.Context(), one, read); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	pool := newCounter(t)
	exec := func(ctx context.Context, sql string) error {
		_, err := pool.Exec(ctx, sql)
		return err
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, refused := pg.Open(t.Context(), "postgres://u@127.0.0.1:1/db", pg.Options{})
	_, noSocket := pg.Open(t.Context(), "postgres://u@/db?host=/nowhere", pg.Options{})
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, false},
		{"refused", refused, true},
		{"no socket", noSocket, true},
		{"too many connections", exec(t.Context(), raise("53300")), true},
		{"starting", exec(t.Context(), raise("57P03")), true},
		{"standby", exec(t.Context(), raise("25006")), true},
		{"terminated", exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())"), true},
		{"unique violation", exec(t.Context(), raise("23505")), false},
		{"statement timeout", exec(t.Context(), "SET statement_timeout = '20ms'; SELECT pg_sleep(5)"), false},
		{"caller's cancellation", exec(ended, "SELECT 1"), false},
		{"caller's deadline", exec(late, "SELECT pg_sleep(5)"), false},
	}
	for _, tt := range tests {
		if tt.name != "none" && tt.err == nil {
			t.Errorf("%s: did not fail", tt.name)
		}
		if got := pg.Unavailable(tt.err); got != tt.want {
			t.Errorf("%s: %t, want %t: %v", tt.name, got, tt.want, tt.err)
		}
	}
}

func TestRehearse(t *testing.T) {
	t.Parallel()
	pool, errOwn := newCounter(t), errors.New("fn's own")
	for _, want := range []error{nil, errOwn} {
		ran := false
		err := pg.Rehearse(t.Context(), pool, func(tx pgx.Tx) error {
			ran = true
			return errors.Join(increment(t.Context(), tx, 1), want)
		})
		if !ran || !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	wantCount(t, pool, 1, 0)
}
