package children

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/batch"
	"irthub/internal/events"
	"irthub/internal/pg"
)

const (
	// sweepEvery is how often each process looks for what is due.
	sweepEvery = time.Minute
	// sweptAtOnce is how many things that are due a transaction looks for.
	sweptAtOnce = 200
)

// Sweep is what the mere passing of time does to things that hang on children. Of
// several processes on a database one sweeps at a time.
type Sweep struct {
	Name string // for the log, as in "contact requests"
	Lock int64  // the advisory lock of the transaction that sweeps
	// Due selects the child_id of $2 things at most that are due at the instant $1.
	Due string
	// Settle does to what is due of children, which are held, that after which it is
	// due no more, and returns what is to be told of it.
	Settle func(ctx context.Context, tx pgx.Tx, children [][16]byte, now time.Time) ([]events.Event, error)
}

// Run settles all that is due by now, or leaves it to the process that is at it.
func (s Sweep) Run(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := s.run(ctx, pool)
	return err
}

func (s Sweep) run(ctx context.Context, pool *pgxpool.Pool) (settled int, err error) {
	for {
		n := 0
		err := pg.InTxRetry(ctx, pool, func(tx pgx.Tx) (err error) {
			n, err = s.some(ctx, tx)
			return err
		})
		if err != nil {
			return settled, err
		}
		if settled += n; n < sweptAtOnce {
			return settled, nil
		}
	}
}

// some settles what is due of some children.
func (s Sweep) some(ctx context.Context, tx pgx.Tx) (n int, err error) {
	var mine bool
	var now time.Time
	err = tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1), clock_timestamp()`, s.Lock).Scan(&mine, &now)
	if err != nil {
		return 0, fmt.Errorf("children: sweeping %s: %w", s.Name, err)
	}
	if !mine {
		return 0, nil
	}
	rows, err := tx.Query(ctx, s.Due, now, sweptAtOnce)
	if err != nil {
		return 0, fmt.Errorf("children: looking for %s that are due: %w", s.Name, err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return 0, fmt.Errorf("children: looking for %s that are due: %w", s.Name, err)
	}
	if len(due) > 0 {
		ids := make([]uuid.UUID, len(due))
		for i, id := range due {
			ids[i] = id
		}
		if err := Hold(ctx, tx, ids...); err != nil {
			return 0, err
		}
		if now, err = Clock(ctx, tx); err != nil { // others may have told of the children while they were waited for
			return 0, err
		}
	}
	told, err := s.Settle(ctx, tx, due, now)
	if err != nil {
		return 0, err
	}
	return len(due), events.Append(ctx, tx, told)
}

// Sweeper runs sweeps.
type Sweeper struct {
	stop    context.CancelFunc
	stopped chan struct{}

	mu    sync.Mutex
	stats []batch.Stats // of each sweep
}

// StartSweeper runs sweeps every minute until Close.
func StartSweeper(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, sweeps ...Sweep) *Sweeper {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &Sweeper{stop: stop, stopped: make(chan struct{})}
	for _, s := range sweeps {
		w.stats = append(w.stats, batch.Stats{Name: "sweep of " + s.Name})
	}
	go func() {
		defer close(w.stopped)
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for i, s := range sweeps {
				start := time.Now()
				n, err := s.run(ctx, pool)
				w.count(i, n, time.Since(start), err)
				if err != nil && ctx.Err() == nil {
					log.WarnContext(ctx, "what is due was not settled; trying again", "of", s.Name, "error", err)
				}
			}
		}
	}()
	return w
}

func (w *Sweeper) count(sweep, settled int, took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.stats[sweep]
	s.Inputs += int64(settled)
	s.Batches++
	s.Time += took
	if err != nil {
		s.Failures++
	}
}

// Pipelines are what each sweep of this process has done: a batch is one look for what
// is due.
func (w *Sweeper) Pipelines() []batch.Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.stats)
}

// Close waits for the sweep under way.
func (w *Sweeper) Close() {
	w.stop()
	<-w.stopped
}
