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
// another loads records as fast as the hub takes them, and while nobody does.
func submitBesideLoad(ctx context.Context, l *lab) ([]*Figure, error) {
	submit, err := submitRecord(ctx, l)
	if err != nil {
		return nil, err
	}
	alone, beside := newLoad(), newLoad()
	for range rounds {
		quiet, err := l.drive(ctx, fairCallers, l.o.Duration/rounds, submit)
		if err != nil {
			return nil, err
		}
		alone.add(quiet)
		var crowded *load
		if err := l.whileLoading(ctx, func() (err error) {
			crowded, err = l.drive(ctx, fairCallers, l.o.Duration/rounds, submit)
			return err
		}); err != nil {
			return nil, err
		}
		beside.add(crowded)
	}
	f := &Figure{
		ID: "submit_p99_beside_load", Unit: milliseconds, Concurrency: fairCallers, Operations: beside.done,
		Absolute: beside.quantile(99), Reference: new(alone.quantile(99)),
		P50: beside.quantile(50), P99: beside.quantile(99), ReferenceP50: new(alone.quantile(50)), ReferenceP99: new(alone.quantile(99)),
	}
	if *f.Reference > 0 {
		f.Value = f.Absolute / *f.Reference
	}
	return []*Figure{f}, nil
}

// whileLoading does something while a stream of new children is sent, and waits until
// all of those are written.
func (l *lab) whileLoading(ctx context.Context, do func() error) error {
	var done atomic.Bool
	ended := make(chan error, 1)
	go func() {
		_, err := l.submitLane(ctx, 0, func() bool { return !done.Load() })
		ended <- err
	}()
	<-time.After(settling)
	err := do()
	done.Store(true)
	return errors.Join(err, <-ended)
}
