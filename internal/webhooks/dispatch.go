package webhooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/feed"
	"irthub/internal/pg"
)

const (
	// dispatchAtOnce is how many events are turned into jobs in one transaction.
	dispatchAtOnce = 500
	// dispatchEvery is how often new events are looked for that another process has
	// sequenced, and dispatchPause the least time between two looks.
	dispatchEvery = time.Second
	dispatchPause = 50 * time.Millisecond
	// tidyEvery is how often the log of attempts is cleared of what is old.
	tidyEvery = time.Hour
	// sameWarning is how often one trouble is told again.
	sameWarning = time.Minute
)

// run turns events into jobs until ctx ends.
func (s *Service) run(ctx context.Context) {
	defer close(s.stopped)
	var tidied, warned time.Time
	for {
		err := s.dispatchAll(ctx)
		if err == nil && time.Since(tidied) > tidyEvery {
			tidied = time.Now()
			err = s.tidy(ctx)
		}
		if err != nil && ctx.Err() == nil && time.Since(warned) > sameWarning {
			warned = time.Now()
			s.log.WarnContext(ctx, "no webhooks are sent through this process just now; trying again", "error", err)
		}
		if !wait(ctx, dispatchPause, nil) || !wait(ctx, dispatchEvery, s.kick) {
			return
		}
	}
}

// wait waits for d or the kick, and reports false when ctx has ended.
func wait(ctx context.Context, d time.Duration, kick <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-kick:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (s *Service) dispatchAll(ctx context.Context) error {
	for {
		var more bool
		if err := s.pool.QueryRow(ctx, `SELECT e.position > w.position FROM event_head e CROSS JOIN webhook_head w`).Scan(&more); err != nil {
			return fmt.Errorf("webhooks: looking for events: %w", err)
		}
		if !more {
			return nil
		}
		done, err := s.dispatch(ctx)
		if err != nil || done {
			return err
		}
	}
}

// dispatch turns the next events into jobs, in the transaction that says how far it
// has come: each event is turned once, whichever process does it. done says that
// there is nothing more to do, or that another process is doing it.
func (s *Service) dispatch(ctx context.Context) (done bool, err error) {
	err = pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		var day time.Time
		var position int64
		err := tx.QueryRow(ctx, `SELECT day, position FROM webhook_head FOR UPDATE SKIP LOCKED`).Scan(&day, &position)
		if errors.Is(err, pgx.ErrNoRows) {
			done = true
			return nil
		}
		if err != nil {
			return err
		}
		// First where the log ends, then who is subscribed: whoever subscribed before an
		// event up to that end happened is seen by the later statement, and what comes
		// after it is left to the next time. The other way round, an event between the two
		// would pass by a subscription that was committed before it.
		end, _, err := events.Head(ctx, tx)
		if err != nil {
			return err
		}
		all, err := enabled(ctx, tx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			done = true
			_, err := tx.Exec(ctx, `UPDATE webhook_head SET day = $1, position = $2`, end.Date(), end.N)
			return err
		}
		logged, err := events.Read(ctx, tx, events.At(day, position), dispatchAtOnce)
		if err != nil || len(logged) == 0 {
			done = true
			return err
		}
		for len(logged) > 0 && logged[len(logged)-1].At.N > end.N {
			logged = logged[:len(logged)-1]
		}
		if len(logged) == 0 {
			return nil
		}
		done = len(logged) < dispatchAtOnce
		return s.queue(ctx, tx, all, logged)
	})
	if err != nil {
		return false, fmt.Errorf("webhooks: queueing events: %w", err)
	}
	return done, nil
}

// queue makes a job of each event for each subscription that is told of it, and
// notes how far that has come.
func (s *Service) queue(ctx context.Context, tx pgx.Tx, all []*subscription, logged []*events.Logged) error {
	entries, err := feed.SortOut(ctx, tx, logged)
	if err != nil {
		return err
	}
	var jobs []river.InsertManyParams
	for _, sub := range all {
		to, filter, err := s.receiver(ctx, sub)
		if err != nil {
			return err
		}
		if filter == nil {
			continue
		}
		for _, e := range entries {
			if e.At.N > sub.after && to.Message(e, filter, s.directory) != nil {
				jobs = append(jobs, river.InsertManyParams{Args: deliverArgs{sub.agency, sub.id, e.At.Day, e.At.N}})
			}
		}
	}
	if len(jobs) > 0 {
		if _, err := s.river.InsertManyFastTx(ctx, tx, jobs); err != nil {
			return err
		}
	}
	last := logged[len(logged)-1].At
	_, err = tx.Exec(ctx, `UPDATE webhook_head SET day = $1, position = $2`, last.Date(), last.N)
	return err
}

// abandonedSQL makes dead letters of jobs that River gave up: those of a process that
// died in their last attempt.
const abandonedSQL = `
WITH abandoned AS (
	DELETE FROM river_job WHERE kind = $1 AND state = 'discarded'
	RETURNING (args->>'s')::uuid AS subscription_id, date '1970-01-01' + (args->>'d')::integer AS day,
		(args->>'p')::bigint AS position, attempt
)
INSERT INTO webhook_dead_letters (subscription_id, position, day, event_id, kind, attempts, outcome, http_status, create_time)
SELECT DISTINCT ON (a.subscription_id, a.position) a.subscription_id, e.position, e.day, e.event_id, e.kind, a.attempt, $2::smallint, 0, now()
FROM abandoned a
JOIN webhook_subscriptions s ON s.subscription_id = a.subscription_id
JOIN events e ON e.day = a.day AND e.position = a.position
ON CONFLICT (subscription_id, position) DO NOTHING`

// tidy forgets attempts and dead letters as old as events may be, and makes dead
// letters of what was given up without one.
func (s *Service) tidy(ctx context.Context) error {
	before := time.Now().Add(-events.Kept)
	b := &pgx.Batch{}
	b.Queue(abandonedSQL, deliverArgs{}.Kind(), int16(irtv1.DeliveryOutcome_DELIVERY_OUTCOME_HUB_FAILED))
	b.Queue(`DELETE FROM webhook_deliveries WHERE attempt_time < $1`, before)
	b.Queue(`DELETE FROM webhook_dead_letters WHERE day < $1::date`, before)
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("webhooks: tidying up: %w", err)
	}
	return nil
}
