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
	if l.o.Rate > 0 {
		r.every = time.Duration(workers) * time.Second / time.Duration(l.o.Rate)
	}
	before := l.meter.read()
	started := time.Now()
	r.end = started.Add(d)
	for w := range workers {
		do, first := op(w), started.Add(r.every*time.Duration(w)/time.Duration(workers))
		r.workers.Go(func() { r.work(do, first) })
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
	every   time.Duration // from when one call of a worker is due to the next; 0: a closed loop
	workers sync.WaitGroup
	failed  atomic.Pointer[error]

	mu    sync.Mutex
	total *load
}

// work begins with what is due first. In an open loop the latency counts from when a
// call was due: a hub that falls behind does not thereby get fewer questions.
func (r *round) work(do func(context.Context) error, at time.Time) {
	own := newLoad()
	for at.Before(r.end) {
		if r.every > 0 && !r.waitUntil(at) {
			return
		}
		if err := do(r.ctx); err != nil {
			r.failed.CompareAndSwap(nil, &err)
			r.cancel() // the others' errors are of no interest
			return
		}
		now := time.Now()
		_ = own.latencies.RecordValue(min(max(now.Sub(at).Microseconds(), leastLatency), mostLatency))
		own.done++
		if now.Before(r.end) {
			own.counted++
		}
		if at = at.Add(r.every); r.every == 0 {
			at = now
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total.add(own)
}

// waitUntil tells whether the round still lasts then.
func (r *round) waitUntil(at time.Time) bool {
	select {
	case <-time.After(time.Until(at)):
		return true
	case <-r.ctx.Done():
		return false
	}
}
