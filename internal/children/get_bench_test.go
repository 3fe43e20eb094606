package children_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

// benchmarkReads has 256 callers read 2,000 children at random.
func benchmarkReads(ctx context.Context, b *testing.B, pool *pgxpool.Pool, one func(context.Context, uuid.UUID) error) {
	b.Helper()
	rows, err := pool.Query(ctx, `SELECT child_id FROM children`)
	if err != nil {
		b.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(128) // times GOMAXPROCS, two where figures are stated
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := one(ctx, ids[rand.IntN(len(ids))]); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}

func filled(b *testing.B) (*children.Service, *pgxpool.Pool, context.Context) {
	b.Helper()
	s, pool, ctx := benchService(b)
	var all sync.WaitGroup
	for n := range 2000 {
		all.Go(func() {
			if _, err := s.Submit(ctx, stranger(n), children.SubmitOptions{}); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := pool.Exec(ctx, `ANALYZE`); err != nil {
		b.Fatal(err)
	}
	return s, pool, ctx
}

// BenchmarkGetChild is the read coalescer and what is made of its rows, without
// gRPC and without the access log; BenchmarkGetChildRaw is the same query, once a
// read. Both together say what coalescing pays; irthub bench measures the whole.
func BenchmarkGetChild(b *testing.B) {
	s, pool, ctx := filled(b)
	ctx = identity.NewContext(ctx, identity.Caller{Agency: "school", Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
	benchmarkReads(ctx, b, pool, func(ctx context.Context, id uuid.UUID) error {
		ctx = audit.NewContext(ctx, audit.New(ctx, irtv1.ChildService_GetChild_FullMethodName))
		_, err := s.GetChild(ctx, &irtv1.GetChildRequest{Name: "children/" + standard.FormatChildID(id)})
		return err
	})
}

// BenchmarkGetChildRaw is the reference of BenchmarkGetChild.
func BenchmarkGetChildRaw(b *testing.B) {
	_, pool, ctx := filled(b)
	today := standard.Today()
	benchmarkReads(ctx, b, pool, func(ctx context.Context, id uuid.UUID) error {
		rows, err := pool.Query(ctx, children.ReadQuery, [][16]byte{id}, today, []string{"school"})
		if err != nil {
			return err
		}
		rows.Next()
		_, err = rows.Values()
		rows.Close()
		return errors.Join(err, rows.Err())
	})
}
