package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// fairCallers are the single callers beside whom another agency loads.
	fairCallers = 4
	// settling is how long a load is given to fill the write pipeline.
	settling = 300 * time.Millisecond
)

// submitBesideLoad measures how long single submissions of some agencies take while
// another loads records as fast as the hub takes them, and while nobody does. Its rate is
// how many children that load brings a second meanwhile.
func submitBesideLoad(ctx context.Context, l *lab) ([]*Figure, error) {
	submit, err := submitRecord(ctx, l)
	if err != nil {
		return nil, err
	}
	alone, beside, loaded := newLoad(), newLoad(), 0.0
	for range rounds {
		quiet, err := l.drive(ctx, fairCallers, l.o.Duration/rounds, submit)
		if err != nil {
			return nil, err
		}
		alone.add(quiet)
		var crowded *load
		rate, err := l.whileLoading(ctx, func() (err error) {
			crowded, err = l.drive(ctx, fairCallers, l.o.Duration/rounds, submit)
			return err
		})
		if err != nil {
			return nil, err
		}
		beside.add(crowded)
		loaded += rate / rounds
	}
	f := &Figure{
		ID: "submit_p99_beside_load", Unit: milliseconds, Concurrency: fairCallers, Operations: beside.done,
		Absolute: beside.quantile(99), Reference: new(alone.quantile(99)),
		P50: beside.quantile(50), P99: beside.quantile(99), ReferenceP50: new(alone.quantile(50)), ReferenceP99: new(alone.quantile(99)),
		Rate: &loaded,
	}
	if *f.Reference > 0 {
		f.Value = f.Absolute / *f.Reference
	}
	return []*Figure{f}, nil
}

// whileLoading does something while a stream of new children is sent, and waits until
// all of those are written. It tells how many a second the hub took meanwhile: the stream
// sends what its window has room for.
func (l *lab) whileLoading(ctx context.Context, do func() error) (perSecond float64, err error) {
	var done atomic.Bool
	var sent atomic.Int64
	ended := make(chan error, 1)
	go func() {
		_, err := l.submitLane(ctx, 0, func() bool {
			sent.Add(1)
			return !done.Load()
		})
		ended <- err
	}()
	<-time.After(settling)
	before, began := sent.Load(), time.Now()
	err = do()
	perSecond = float64(sent.Load()-before) / time.Since(began).Seconds()
	done.Store(true)
	return perSecond, errors.Join(err, <-ended)
}
