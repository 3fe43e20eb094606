package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
)

const (
	// roundEvery is how long one round waits for the next while events come: it
	// bounds what rounds cost, and is part of what a watcher waits.
	roundEvery = 10 * time.Millisecond
	// busyFor is how long after the last event of this process it is looked for
	// more that often: an event is appended some time before it is committed.
	busyFor = time.Second
	// idleEvery is how often it is looked for events that another process left.
	idleEvery = 200 * time.Millisecond
	// roundSize is how many events a round moves at most.
	roundSize = 16384
	// roundTimeout bounds a round, and closeTimeout the last one.
	roundTimeout = 20 * time.Second
	closeTimeout = 5 * time.Second
	// vacuumAfter is how many events are moved between two clean-ups of the outbox,
	// which would otherwise be read over the rows that have gone from it.
	vacuumAfter = 10_000
	// shrinkEvery is how often, with nothing to move, the outbox is given the size that
	// it needs.
	shrinkEvery = time.Minute
	// keepUpEvery is how often partitions are made and dropped.
	keepUpEvery = time.Hour
	// sameWarning is how often one trouble is told again.
	sameWarning = time.Minute
)

// Sequencer moves events from the outbox into the log, where each has its position.
// Every process of a hub runs one, and nobody is elected: rounds follow one another
// because each holds the row of event_head from before it looks into the outbox
// until it commits. So a process that dies leaves nothing to be taken over, and an
// event is sequenced by whoever is there first, most often the process it came from.
//
// What that gives: a round sees all that was committed before it began. If a change
// of a child waited for the locks of another one, whoever sees its event sees the
// other's too, and its number in the outbox is the higher one, for it was taken under
// the locks; so within a round, sorted by that number, and from round to round events
// of one child stand in the order of the changes, whatever the clocks do. A
// transaction that commits late comes into a later round: nobody has been told a
// position beyond it.
type Sequencer struct {
	pool  *pgxpool.Pool
	log   *slog.Logger
	moved func() // told after a round that moved something

	stop    context.CancelFunc
	stopped chan struct{}
	total   atomic.Int64

	sinceVacuum int64
	shrunk      time.Time
	shrinking   sync.WaitGroup
	keptUp      time.Time
	warned      string
	warnedAt    time.Time
}

// StartSequencer runs rounds until Close. moved is told after each that moved
// something; it must not wait for anything.
func StartSequencer(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, moved func()) *Sequencer {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Sequencer{pool: pool, log: log, moved: moved, stop: stop, stopped: make(chan struct{})}
	go s.run(ctx)
	return s
}

// Close runs a last round and ends. It returns when that is done or ctx ends.
func (s *Sequencer) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("events: ending the sequencer: %w", ctx.Err())
	}
}

// Moved is how many events this process has sequenced.
func (s *Sequencer) Moved() int64 { return s.total.Load() }

func (s *Sequencer) run(ctx context.Context) {
	defer close(s.stopped)
	defer s.shrinking.Wait()
	bell := appended.listen()
	defer appended.leave(bell)
	var busyUntil time.Time
	for ctx.Err() == nil {
		n := s.look(ctx)
		wait := idleEvery
		if now := time.Now(); n > 0 || now.Before(busyUntil) {
			if n > 0 {
				busyUntil = now.Add(busyFor)
			}
			wait = roundEvery
		}
		if wait == idleEvery {
			s.shrink(ctx)
		}
		if rung(ctx, bell, wait) {
			busyUntil = time.Now().Add(busyFor)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	s.look(last)
}

// rung waits for d, or while idle for the bell, and says whether it rang. While
// events come the bell would ring all the time.
func rung(ctx context.Context, bell <-chan struct{}, d time.Duration) bool {
	if d == roundEvery {
		pause(ctx, d)
		select {
		case <-bell:
			return true
		default:
			return false
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-bell:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// look runs rounds until the outbox is empty, and returns how many events they
// moved. A trouble is told, and tried again with the next look.
func (s *Sequencer) look(ctx context.Context) (n int64) {
	if time.Since(s.keptUp) > keepUpEvery {
		s.keptUp = time.Now()
		if err := KeepUp(ctx, s.pool); err != nil && ctx.Err() == nil {
			s.warn(ctx, err)
			s.keptUp = time.Now().Add(sameWarning - keepUpEvery)
		}
	}
	for {
		moved, err := round(ctx, s.pool)
		if err != nil {
			if ctx.Err() == nil {
				s.warn(ctx, err)
			}
			return n
		}
		if moved > 0 {
			n += moved
			s.total.Add(moved)
			s.sinceVacuum += moved
			s.moved()
		}
		if moved < roundSize {
			s.vacuum(ctx)
			return n
		}
	}
}

// warn tells of a trouble when it begins, and then once a minute.
func (s *Sequencer) warn(ctx context.Context, err error) {
	if text := err.Error(); text != s.warned || time.Since(s.warnedAt) > sameWarning {
		s.warned, s.warnedAt = text, time.Now()
		s.log.WarnContext(ctx, "events are not told through this process just now; trying again", "error", err)
	}
}

// vacuum clears the outbox of the rows that have gone from it. It costs little, and
// if it cannot be done autovacuum will.
func (s *Sequencer) vacuum(ctx context.Context) {
	if s.sinceVacuum < vacuumAfter {
		return
	}
	s.sinceVacuum = 0
	_, _ = s.pool.Exec(ctx, `VACUUM (SKIP_LOCKED, TRUNCATE off) event_outbox`)
}

// shrink does for the idle what vacuum must not do while transactions write.
func (s *Sequencer) shrink(ctx context.Context) {
	if time.Since(s.shrunk) < shrinkEvery {
		return
	}
	s.shrunk = time.Now()
	s.shrinking.Go(func() { // beside the rounds: other processes may write, and hold it up
		ctx, cancel := context.WithTimeout(ctx, roundTimeout)
		defer cancel()
		_ = pg.Shrink(ctx, s.pool, "event_outbox") // or the next time
	})
}

const eventColumns = `event_id, kind, child_id, other_child_id, agency_id, resource, audience, agencies, reveals, event_time`

// moveSQL moves the oldest of what is in the outbox. The array keeps the deletion a
// look-up by place, whatever the planner thinks of the size of the outbox.
const moveSQL = `
WITH head AS (
    SELECT position, greatest(day, (clock_timestamp() AT TIME ZONE 'UTC')::date) AS day FROM event_head
), moved AS (
    DELETE FROM event_outbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM event_outbox ORDER BY seq LIMIT $1))
    RETURNING seq, ` + eventColumns + `
), logged AS (
    INSERT INTO events (day, position, ` + eventColumns + `)
    SELECT head.day, head.position + row_number() OVER (ORDER BY moved.seq), ` + eventColumns + `
    FROM moved CROSS JOIN head
)
UPDATE event_head SET day = head.day, position = head.position + (SELECT count(*) FROM moved)
FROM head WHERE EXISTS (SELECT FROM moved)
RETURNING (SELECT count(*) FROM moved)`

// round moves what is in the outbox, at most roundSize events, and returns how many
// it moved. The lock and the move are sent together, as one transaction of the
// server's: a process that stands still holds nobody up.
func round(ctx context.Context, pool *pgxpool.Pool) (moved int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	var waiting bool
	if err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM event_outbox)`).Scan(&waiting); err != nil {
		return 0, fmt.Errorf("events: looking into the outbox: %w", err)
	}
	if !waiting {
		return 0, nil
	}
	for attempt := 0; ; attempt++ {
		b := &pgx.Batch{}
		b.Queue(`SELECT FROM event_head FOR UPDATE`)
		b.Queue(moveSQL, roundSize).QueryRow(func(row pgx.Row) error { return row.Scan(&moved) })
		err = pool.SendBatch(ctx, b).Close()
		switch {
		case err == nil:
			return moved, nil
		case errors.Is(err, pgx.ErrNoRows): // another process was first
			return 0, nil
		case attempt == 0 && noPartition(err):
			if err := KeepUp(ctx, pool); err != nil {
				return 0, err
			}
		default:
			return 0, fmt.Errorf("events: moving events into the log: %w", err)
		}
	}
}

// noPartition says that the day has no partition yet.
func noPartition(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "23514" && pgErr.Routine == "ExecFindPartition"
}
