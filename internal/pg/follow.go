package pg

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Follower keeps in memory what is in the database, by asking for it time and again.
type Follower struct {
	stop    context.CancelFunc
	stopped chan struct{}
}

// followTimeout bounds one asking.
const followTimeout = 30 * time.Second

// Follow calls load once, and again after every so much time until Close. what names
// in the log what cannot be followed when load fails; it is tried again all the same.
func Follow(ctx context.Context, what string, every time.Duration, log *slog.Logger, load func(context.Context) error) (*Follower, error) {
	if err := load(ctx); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	f := &Follower{stop: stop, stopped: make(chan struct{})}
	go func() {
		defer close(f.stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			asking, cancel := context.WithTimeout(ctx, followTimeout)
			err := load(asking)
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				log.WarnContext(ctx, "cannot follow what is in the database; trying again", "what", what, "error", err)
			}
		}
	}()
	return f, nil
}

// Close stops following; what is known stays.
func (f *Follower) Close() {
	f.stop()
	<-f.stopped
}
