package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// operation makes a worker's own way of doing one thing once, so that what a
// client prepares only once is not measured each time.
type operation func(worker int) (do func(context.Context) error)

// Latencies are kept in microseconds, to one part in a hundred.
const (
	leastLatency  = 1
	mostLatency   = 60_000_000
	latencyDigits = 2
)

// overtime is how long operations that have begun may go on after the time
// measured is over.
const overtime = 30 * time.Second

// load is what came of driving an operation, in one round or several.
type load struct {
	counted   int64 // operations that ended within the time measured
	done      int64 // and those that ended after it
	elapsed   time.Duration
	latencies *hdrhistogram.Histogram
	cpu       usage // spent on all that were done
}

func newLoad() *load {
	return &load{latencies: hdrhistogram.New(leastLatency, mostLatency, latencyDigits)}
}

// rate is operations a second.
func (l *load) rate() float64 { return float64(l.counted) / l.elapsed.Seconds() }

// quantile is the latency in milliseconds that q percent of operations stayed
// within.
func (l *load) quantile(q float64) float64 { return float64(l.latencies.ValueAtQuantile(q)) / 1000 }

// add joins the load of another round.
func (l *load) add(o *load) {
	l.counted += o.counted
	l.done += o.done
	l.elapsed += o.elapsed
	l.latencies.Merge(o.latencies)
	l.cpu = l.cpu.plus(o.cpu)
}

// drive has workers do an operation again and again, each as soon as its last one
// has ended (a closed loop), for as long as d. What has begun by then is waited
// for, so that the next round begins with nothing under way.
func (l *lab) drive(ctx context.Context, workers int, d time.Duration, op operation) (*load, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d+overtime, fmt.Errorf("an operation took more than %v", overtime))
	defer cancel()
	r := round{ctx: ctx, cancel: cancel, total: newLoad()}
	before := l.meter.read()
	started := time.Now()
	r.end = started.Add(d)
	for w := range workers {
		do := op(w)
		r.workers.Go(func() { r.work(do) })
	}
	r.workers.Wait()
	r.total.cpu = l.meter.read().minus(before)
	r.total.elapsed = d
	if err := r.failed.Load(); err != nil {
		return nil, *err
	}
	return r.total, context.Cause(ctx)
}

// round is one round of drive.
type round struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the round
	cancel  context.CancelFunc
	end     time.Time
	workers sync.WaitGroup
	failed  atomic.Pointer[error]

	mu    sync.Mutex
	total *load
}

func (r *round) work(do func(context.Context) error) {
	own := newLoad()
	for at := time.Now(); at.Before(r.end); {
		if err := do(r.ctx); err != nil {
			r.failed.CompareAndSwap(nil, &err)
			r.cancel() // the others' errors are of no interest
			return
		}
		now := time.Now()
		_ = own.latencies.RecordValue(max(now.Sub(at).Microseconds(), leastLatency)) // overtime keeps it in range
		own.done++
		if now.Before(r.end) {
			own.counted++
		}
		at = now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total.add(own)
}
