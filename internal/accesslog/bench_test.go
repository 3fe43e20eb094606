package accesslog_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"irthub/internal/accesslog"
	"irthub/internal/audit"
	"irthub/internal/pg"
)

// BenchmarkTree measures a log of b.N entries: how fast a backlog becomes leaves and
// how fast all of it is verified. -benchtime 1000000x is a million entries.
func BenchmarkTree(b *testing.B) {
	log := setup(b)
	const chunk = 5000
	for from := 0; from < b.N; from += chunk {
		all := entries(b.Context(), min(chunk, b.N-from))
		if err := pg.InTx(b.Context(), log.pool, func(tx pgx.Tx) error {
			return audit.Insert(b.Context(), tx, all)
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	start := time.Now()
	accesslog.Integrate(b, log.pool, log.keys)
	integrated := time.Since(start)
	start = time.Now()
	r := log.verify(b, accesslog.Options{})
	verified := time.Since(start)
	b.StopTimer()
	if !r.Whole() || r.Size != int64(b.N) {
		b.Fatalf("%d leaves, %d faults, the first %+v", r.Size, r.Count, r.Faults[:min(1, len(r.Faults))])
	}
	b.ReportMetric(float64(b.N)/integrated.Seconds(), "leaves/s")
	b.ReportMetric(float64(b.N)/verified.Seconds(), "verified/s")
	b.ReportMetric(verified.Seconds(), "s-to-verify")
}
