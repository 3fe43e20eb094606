package accesslog_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesslog"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

// bundle is a log with a key, on a database of its own.
type bundle struct {
	pool *pgxpool.Pool
	dir  string
	keys *accesslog.Keys
}

func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{pool: pgtest.New(t), dir: t.TempDir()}
	err := accesslog.EnsurePartitions(t.Context(), b.pool, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if b.keys, err = accesslog.LoadOrCreateKeys(b.dir); err != nil {
		t.Fatal(err)
	}
	return b
}

// start starts a sequencer, ended with the test.
func (b *bundle) start(t testing.TB) *accesslog.Sequencer {
	t.Helper()
	s := accesslog.StartSequencer(t.Context(), b.pool, b.keys, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// reader is the caller of the entries that tests make.
var reader = identity.Caller{
	Agency: "st-marys", Practitioner: "p-1", Role: irtv1.Role_ROLE_PRACTITIONER,
	Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING, Reason: "a reason, 100%\nof two lines", Address: "127.0.0.1",
}

// entries makes entries, each about a child.
func entries(ctx context.Context, n int) (all []*audit.Entry) {
	ctx = identity.NewContext(ctx, reader)
	for range n {
		e := audit.New(ctx, "/irt.v1.ChildService/GetChild")
		e.SetQuery(&irtv1.GetChildRequest{Name: "children/06dt6hdmx1vynwv3tcmv7zp46g0"})
		e.AddChild(uuid.New())
		e.AddReturned("children/06dt6hdmx1vynwv3tcmv7zp46g0", "agencies/st-marys/childRecords/1")
		e.AddWithheld("SENSITIVE_BROKERED")
		all = append(all, e)
	}
	return all
}

// write writes entries in transactions of a hundred.
func (b *bundle) write(t testing.TB, n int) []*audit.Entry {
	t.Helper()
	all := entries(t.Context(), n)
	for from := 0; from < n; from += 100 {
		err := pg.InTx(t.Context(), b.pool, func(tx pgx.Tx) error {
			return audit.Insert(t.Context(), tx, all[from:min(n, from+100)])
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// sequenced waits until the tree has a size. It is a wait with a deadline for
// another goroutine, on the database's word.
func (b *bundle) sequenced(t testing.TB, size int64) *accesslog.Checkpoint {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if c, err := accesslog.LastCheckpoint(t.Context(), b.pool); err == nil && c.Size >= size {
			return c
		}
	}
	t.Fatalf("the tree did not grow to %d within a minute", size)
	return nil
}

func (b *bundle) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	tag, err := b.pool.Exec(t.Context(), sql, args...)
	if err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("%s: %v, %d rows", sql, err, tag.RowsAffected())
	}
}

func (b *bundle) count(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	if err := b.pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
