package batch_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"irthub/internal/batch"
)

// BenchmarkDo measures what the batcher itself costs a call at that many
// concurrent callers, whose Run is empty or, like a database, takes a while
// whatever the batch holds. cpu-ns/op is the process's CPU time per call, which
// waiting and a busy machine do not change.
func BenchmarkDo(b *testing.B) {
	for _, run := range []struct {
		name string
		wait time.Duration
	}{{"empty", 0}, {"300us", 300 * time.Microsecond}} {
		for _, callers := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("run=%s/callers=%d", run.name, callers), func(b *testing.B) {
				benchmarkDo(b, callers, run.wait)
			})
		}
	}
}

func benchmarkDo(b *testing.B, callers int, wait time.Duration) {
	var batches atomic.Int64
	bt := batch.New(batch.Options{Name: "bench"}, func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
		batches.Add(1)
		if wait > 0 {
			<-time.After(wait)
		}
		return make([]batch.Outcome[int], len(in)), nil
	})
	ctx := b.Context()
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := bt.Do(ctx, 1); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/float64(batches.Load()), "calls/batch")
	if err := bt.Close(ctx); err != nil {
		b.Error(err)
	}
}

func cpuTime(b *testing.B) time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
