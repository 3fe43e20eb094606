package exchange

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

const (
	// leaseTime is for how long an import is believed to run without a sign of life.
	// After it anyone who sends the file again may take it up.
	leaseTime = 15 * time.Second
	// beatEvery is how often a run gives one.
	beatEvery = leaseTime / 4
	// sweepEvery is how often what nobody has asked for is looked for: imports whose
	// runner has gone, and rejected rows and imports whose time is over.
	sweepEvery = time.Minute
)

// live keeps the lease of a run until ctx ends, and stops the run when it has lost
// the lease or is cancelled.
func (j *job) live(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		cancelled, err := renewLease(ctx, j.s.pool, j)
		switch {
		case errors.Is(err, errTakenUp):
			j.stop(errTakenUp)
		case err == nil && cancelled:
			j.stop(errCancelled)
		} // of any other error the rows will tell
	}
}

// errRunning says that an import cannot be taken up yet.
func errRunning() error {
	return rpc.RetryLater(codes.Aborted, irtv1.ErrorReason_ERROR_REASON_IMPORT_RUNNING,
		"The import still runs. If its sender has gone, it can be taken up in a few seconds.", 5*time.Second)
}

// sweep looks after what is left behind until ctx ends.
func (s *Service) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			rpc.LoggedStatus(ctx, s.log, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweepOnce marks imports whose runner has gone, and forgets rejected rows and
// imports whose time is over.
func (s *Service) sweepOnce(ctx context.Context) error {
	return errors.Join(interruptAbandoned(ctx, s.pool), forgetRejectedRows(ctx, s.pool), forgetImports(ctx, s.pool))
}
