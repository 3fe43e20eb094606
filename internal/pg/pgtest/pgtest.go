// Package pgtest gives each test a PostgreSQL database of its own, migrated
// and empty, within some tens of milliseconds.
//
// The server is the one at IRTHUB_TEST_DATABASE_URL (whose role must be allowed
// to make databases), or else a private cluster under os.TempDir that all test
// processes of this machine share; it stops some seconds after the last of
// them has ended, and its files stay for the next run. A database is cloned
// from a template that is migrated once for each state of the migrations.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
)

// URLEnv names the environment variable with the address of a server to test
// against instead of the shared private one.
const URLEnv = "IRTHUB_TEST_DATABASE_URL"

// namePrefix begins the name of every test database, so that leftovers of
// killed tests can be told from what is not ours.
const namePrefix = "irthub_test_"

// startTimeout bounds the making of the shared cluster and of a template, on a
// machine busy with many tests.
const startTimeout = 3 * time.Minute

// server is the address of the test server, found once per process.
var server = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if url := os.Getenv(URLEnv); url != "" {
		return url, nil
	}
	return joinShared(ctx)
})

// template is the name of the migrated template on server, made once.
var template = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	url, err := server()
	if err != nil {
		return "", err
	}
	return ensureTemplate(ctx, url)
})

// New returns a pool on a new migrated database, which is dropped when the
// test ends. A connection or transaction still held then fails the test.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return Open(t, URL(t))
}

// Open returns a pool on a database of this package, closed when the test ends.
func Open(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(context.Background(), url, pg.Options{MaxConns: 8})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// closePool does not wait for ever for a connection that the test still holds.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Errorf("pgtest: %d connections were never given back to the pool", pool.Stat().AcquiredConns())
	}
}

// URL returns the address of a new migrated database, which is dropped when
// the test ends, for tests with more than one pool or process on a database.
func URL(t testing.TB) string {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return createDatabase(t, from)
}

// EmptyURL returns the address of a new database without any migration.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return createDatabase(t, "template0")
}

// DataDir returns a new directory for a private cluster of the test's own, as
// `irthub serve --data` takes it, removed when the test ends. t.TempDir alone
// will not do for root, whose PostgreSQL runs as a user who may not enter it.
func DataDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	// A PostgreSQL whose hub was killed is still writing as it ends.
	t.Cleanup(func() { waitForEnd(filepath.Join(dir, "postgres", "postmaster.pid"), 20*time.Second) })
	return dir
}

// waitForEnd waits until no postmaster runs that the file of its number names, for so
// long at most.
func waitForEnd(pidFile string, atMost time.Duration) {
	for began := time.Now(); time.Since(began) < atMost; <-time.After(20 * time.Millisecond) {
		content, err := os.ReadFile(pidFile)
		if err != nil {
			return
		}
		first, _, _ := strings.Cut(string(content), "\n")
		pid, err := strconv.Atoi(first)
		if err != nil || pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
	}
}

func createDatabase(t testing.TB, from string) string {
	t.Helper()
	admin, err := server()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	name := namePrefix + strings.ReplaceAll(uuid.NewString(), "-", "")
	if err := execOnce(admin, "CREATE DATABASE "+name+" TEMPLATE "+from+cloneStrategy()); err != nil {
		t.Fatalf("pgtest: making a database: %v", err)
	}
	t.Cleanup(func() {
		if err := drop(admin, name); err != nil {
			t.Errorf("pgtest: dropping the database: %v", err)
		}
	})
	databaseURL, err := withDatabase(admin, name)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return databaseURL
}

// drop drops a database with whoever is connected to it. An autovacuum worker is
// not ours to end; it is gone in a moment.
func drop(admin, name string) (err error) {
	for range 50 {
		err = execOnce(admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != insufficientPrivilege {
			return err
		}
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // nothing tells when the worker has gone
	}
	return err
}

const insufficientPrivilege = "42501"

// cloneStrategy copies whole files in the private cluster, which flushes
// nothing: four times as fast as PostgreSQL's default (30 against 120 ms). On a
// server that does flush, the checkpoints that needs would cost more than it wins.
func cloneStrategy() string {
	if os.Getenv(URLEnv) != "" {
		return ""
	}
	return " STRATEGY file_copy"
}

// execOnce runs one statement on a connection of its own, with a context that
// outlives the test's, whose databases are dropped after it ends.
func execOnce(url, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// withDatabase is the URL of another database on the same server.
func withDatabase(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", fmt.Errorf("%s must be a URL, postgres://…", URLEnv)
	}
	u.Path = "/" + name
	return u.String(), nil
}
