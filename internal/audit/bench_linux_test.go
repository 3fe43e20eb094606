package audit_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

// BenchmarkWriter compares, in one run, the group-committing writer with what it
// replaces, one durable insert an entry, at 256 concurrent readers and at one. The
// server flushes to disk, as a hub's does. cpu-µs/op is the CPU time of this
// process and the server together.
func BenchmarkWriter(b *testing.B) {
	pool := durableDatabase(b)
	ctx := identity.NewContext(b.Context(), identity.Caller{
		Agency: "st-marys", Practitioner: "p-1", Role: irtv1.Role_ROLE_PRACTITIONER,
		Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING, Address: "127.0.0.1",
	})
	entry := func() *audit.Entry {
		e := audit.New(ctx, "/irt.v1.ChildService/GetChild")
		e.SetQuery(&irtv1.GetChildRequest{Name: "children/06dt6hdmx1vynwv3tcmv7zp46g0"})
		e.AddChild(uuid.New())
		e.AddReturned("children/06dt6hdmx1vynwv3tcmv7zp46g0")
		return e
	}
	writer := audit.NewWriter(pool)
	b.Cleanup(func() { _ = writer.Close(context.Background()) })
	grouped := func() error { return writer.Write(ctx, entry()) }
	each := func() error { return insertPlainly(ctx, pool) }
	for _, callers := range []struct {
		name string
		n    int
	}{{"callers=256", 256}, {"callers=1", 1}} {
		b.Run("grouped/"+callers.name, func(b *testing.B) { concurrently(b, pool, callers.n, grouped) })
		b.Run("insert-each/"+callers.name, func(b *testing.B) { concurrently(b, pool, callers.n, each) })
	}
}

// insertPlainly writes the same row as one would by hand: one statement, which
// commits by itself.
func insertPlainly(ctx context.Context, pool *pgxpool.Pool) error {
	name := "children/06dt6hdmx1vynwv3tcmv7zp46g0"
	_, err := pool.Exec(ctx, `INSERT INTO audit_entries (entry_id, entry_time, agency_id, practitioner_id, role, purpose, method,
			decision, status_code, children, query, returned, client_address)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		uuid.Must(uuid.NewV7()), time.Now(), "st-marys", "p-1", "practitioner", "SAFEGUARDING", "/irt.v1.ChildService/GetChild",
		"ALLOWED", 0, []uuid.UUID{uuid.New()}, map[string]string{"name": name}, []string{name}, "127.0.0.1")
	return err
}

// durableDatabase is a private PostgreSQL that flushes, unlike those of tests.
func durableDatabase(b *testing.B) *pgxpool.Pool {
	b.Helper()
	cluster, err := pg.StartEmbedded(b.Context(), pgtest.DataDir(b), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cluster.Stop(context.Background()) })
	pool, err := pg.Open(b.Context(), cluster.URL(), pg.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	if err := pg.Migrate(b.Context(), pool); err != nil {
		b.Fatal(err)
	}
	return pool
}

func concurrently(b *testing.B, pool *pgxpool.Pool, callers int, do func() error) {
	b.ReportAllocs()
	start := cpuTime(b, pool)
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64((cpuTime(b, pool)-start).Microseconds())/float64(b.N), "cpu-µs/op")
}
