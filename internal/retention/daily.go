package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/standard"
)

const (
	// firstLook is how long after its start a process first looks whether the day's
	// run is done: a hub that starts has more urgent things to do.
	firstLook = time.Minute
	// lookEvery is how often it looks from then on.
	lookEvery = 10 * time.Minute
	// lookTimeout bounds the looking and the standing for election.
	lookTimeout = 30 * time.Second
	// keeperLock is the advisory lock of the process that is elected for the run.
	keeperLock = 0x6972745f6b656570 // "irt_keep"
)

// Daily runs the rules once a day, in one process of all that share the database:
// the one that holds an advisory lock on a connection of its own while it runs.
type Daily struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	stop    context.CancelFunc
	stopped chan struct{}
}

// StartDaily looks a minute after the start, and then every ten minutes, until Close.
func StartDaily(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) *Daily {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	d := &Daily{pool: pool, log: log, stop: stop, stopped: make(chan struct{})}
	go d.follow(ctx)
	return d
}

// Close breaks a run off after its batch; the next one goes on from there.
func (d *Daily) Close(ctx context.Context) error {
	d.stop()
	select {
	case <-d.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("retention: ending: %w", ctx.Err())
	}
}

func (d *Daily) follow(ctx context.Context) {
	defer close(d.stopped)
	next := time.NewTimer(firstLook)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if err := d.look(ctx, standard.Today()); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "the day's run of the retention rules did not end; trying again", "error", err)
		}
		next.Reset(lookEvery)
	}
}

// look runs the rules unless the day's run is done, or another process is at it.
func (d *Daily) look(ctx context.Context, today time.Time) (err error) {
	if done, err := d.done(ctx, today); err != nil || done {
		return err
	}
	conn, elected, err := d.elect(ctx)
	if conn != nil {
		defer func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
			defer cancel()
			err = errors.Join(err, conn.Close(closing)) // which gives the lock back
		}()
	}
	if err != nil || !elected {
		return err
	}
	if done, err := d.done(ctx, today); err != nil || done { // meanwhile, by another
		return err
	}
	r, err := Run(ctx, d.pool, today)
	if err != nil {
		return err
	}
	d.log.InfoContext(ctx, "the day's run of the retention rules", "archived", r.Archived, "restored", r.Restored,
		"purged", r.Purged, "overdue_shields", r.Overdue)
	return nil
}

func (d *Daily) done(ctx context.Context, today time.Time) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err = d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM retention_runs WHERE today = $1 AND end_time IS NOT NULL)`, today).Scan(&done)
	if err != nil {
		return false, fmt.Errorf("retention: looking for the day's run: %w", err)
	}
	return done, nil
}

// elect opens a connection of its own, not the pool's, which may go through a pooler
// that knows no sessions, and tries for the lock.
func (d *Daily) elect(ctx context.Context) (conn *pgx.Conn, elected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	config := d.pool.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = "irthub retention"
	if conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, false, fmt.Errorf("retention: connecting: %w", err)
	}
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(keeperLock)).Scan(&elected); err != nil {
		return conn, false, fmt.Errorf("retention: standing for election: %w", err)
	}
	return conn, elected, nil
}
