package contact

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/pg"
)

const (
	// sweepEvery is how often each process looks for requests whose time is over.
	sweepEvery = time.Minute
	// sweptAtOnce is how many of them a transaction takes.
	sweptAtOnce = 200
	// sweepLock is the advisory lock of the transaction that sweeps: one at a time.
	sweepLock = 0x6972745f636e7463 // "irt_cntc"
)

// Sweeper ends requests whose time is over, and purges what was written with them
// a year later.
type Sweeper struct {
	stop    context.CancelFunc
	stopped chan struct{}
}

// StartSweeper sweeps every minute until Close, in one process at a time.
func StartSweeper(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) *Sweeper {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &Sweeper{stop: stop, stopped: make(chan struct{})}
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
			if err := Sweep(ctx, pool); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "contact requests whose time is over were not ended; trying again", "error", err)
			}
		}
	}()
	return w
}

// Close waits for the sweep under way.
func (w *Sweeper) Close() {
	w.stop()
	<-w.stopped
}

// Sweep ends all requests whose time is over by now.
func Sweep(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		n := 0
		err := pg.InTxRetry(ctx, pool, func(tx pgx.Tx) (err error) {
			n, err = sweep(ctx, tx)
			return err
		})
		if err != nil || n < sweptAtOnce {
			return err
		}
	}
}

const overSQL = `
	SELECT child_id FROM (
		(SELECT child_id FROM contact_requests WHERE state = 1 AND expire_time <= $1 ORDER BY expire_time LIMIT $2)
		UNION ALL
		(SELECT child_id FROM contact_routes WHERE state = 1 AND expire_time <= $1 ORDER BY expire_time LIMIT $2)) AS o
	LIMIT $2`

// sweep ends what is over of some children.
func sweep(ctx context.Context, tx pgx.Tx) (n int, err error) {
	var mine bool
	var now time.Time
	err = tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1), clock_timestamp()`, int64(sweepLock)).Scan(&mine, &now)
	if err != nil {
		return 0, fmt.Errorf("contact: sweeping: %w", err)
	}
	if !mine {
		return 0, nil
	}
	rows, err := tx.Query(ctx, overSQL, now, sweptAtOnce)
	if err != nil {
		return 0, fmt.Errorf("contact: sweeping: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return 0, fmt.Errorf("contact: sweeping: %w", err)
	}
	ids := make([]uuid.UUID, len(found))
	for i, id := range found {
		ids[i] = id
	}
	if len(ids) > 0 {
		if err := children.Hold(ctx, tx, ids...); err != nil {
			return 0, err
		}
	}
	told, err := end(ctx, tx, found, now)
	if err != nil {
		return 0, err
	}
	return len(found), events.Append(ctx, tx, told)
}

// end ends what is over of children that are held. The asker is told, and whoever
// had the request and did not answer.
func end(ctx context.Context, tx pgx.Tx, ids [][16]byte, now time.Time) (told []events.Event, err error) {
	tell := func(rows pgx.Rows) error {
		var child, id [16]byte
		var asker, to string
		_, err := pgx.ForEachRow(rows, []any{&child, &id, &asker, &to}, func() error {
			q := &request{childID: child, id: id, agency: asker}
			told = append(told, events.Event{
				Kind: irtv1.EventKind_EVENT_KIND_CONTACT_EXPIRED, Child: child, Resource: q.name(),
				Audience: events.Addressed, Agencies: []string{to}, Time: now,
			})
			return nil
		})
		return err
	}
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO contact_requests_history (`+storedRequest+`, known_to)
		SELECT `+storedRequest+`, `+after+` FROM contact_requests WHERE child_id = ANY($2) AND state = 1 AND expire_time <= $1`, now, ids)
	b.Queue(`UPDATE contact_requests SET state = 5, known_from = `+after+`, revision = revision + 1
		WHERE child_id = ANY($2) AND state = 1 AND expire_time <= $1
		RETURNING child_id, contact_request_id, agency_id, agency_id`, now, ids).Query(tell)
	b.Queue(`INSERT INTO contact_routes_history (`+storedRoute+`, known_to)
		SELECT `+storedRoute+`, `+after+` FROM contact_routes WHERE child_id = ANY($2) AND state = 1 AND expire_time <= $1`, now, ids)
	b.Queue(`UPDATE contact_routes r SET state = 5, known_from = greatest($1::timestamptz, r.known_from + interval '1 microsecond'),
			revision = r.revision + 1
		FROM contact_requests q WHERE q.child_id = r.child_id AND q.contact_request_id = r.contact_request_id
			AND r.child_id = ANY($2) AND r.state = 1 AND r.expire_time <= $1
		RETURNING r.child_id, r.contact_request_id, q.agency_id, r.agency_id`, now, ids).Query(tell)
	b.Queue(`DELETE FROM contact_messages WHERE purge_time <= $1`, now)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("contact: ending requests: %w", err)
	}
	return told, nil
}
