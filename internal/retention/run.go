package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

const (
	settleBatch = 500 // children archived or put back in one transaction
	purgeBatch  = 50  // children purged in one: each has many rows
)

// Report is what a run of the rules came to: how many children it archived, put back
// into use and purged, and how many provisional shields nobody has decided on in
// time. Of a rehearsal, how many it would have.
type Report struct {
	Archived int64 `json:"archived"`
	Restored int64 `json:"restored"`
	Purged   int64 `json:"purged"`
	Overdue  int64 `json:"overdueShields"` //nolint:tagliatelle // as the REST API writes names
}

// Run applies the rules as of a day: first it settles who is archived, then it purges
// whose years in the archive are over. Each batch is a transaction with its entries in
// the access log and its events, so that a run that is broken off has done what it has
// done, and the next one goes on. Two runs at once do each other no harm.
func Run(ctx context.Context, pool *pgxpool.Pool, today time.Time) (r Report, err error) {
	run := uuid.Must(uuid.NewV7())
	if _, err := pool.Exec(ctx, `INSERT INTO retention_runs (run_id, today, start_time) VALUES ($1, $2, clock_timestamp())`,
		[16]byte(run), today); err != nil {
		return r, fmt.Errorf("retention: beginning a run: %w", err)
	}
	for _, step := range []func(context.Context, *pgxpool.Pool, time.Time, *Report) error{settleAll, purgeAll, remind} {
		if err := step(ctx, pool, today, &r); err != nil {
			return r, err
		}
	}
	if _, err := pool.Exec(ctx, `UPDATE retention_runs SET end_time = clock_timestamp(),
			archived = $2, restored = $3, purged = $4, overdue = $5 WHERE run_id = $1`,
		[16]byte(run), r.Archived, r.Restored, r.Purged, r.Overdue); err != nil {
		return r, fmt.Errorf("retention: ending a run: %w", err)
	}
	return r, nil
}

// Rehearse says what a run as of a day would come to, and changes nothing. Children
// that it would archive are not purged by the same run.
func Rehearse(ctx context.Context, pool *pgxpool.Pool, today time.Time) (r Report, err error) {
	var restored []uuid.UUID
	err = each(ctx, pool, today, func(all []*children.Keeping) error {
		for _, k := range all {
			switch rest := k.AtRest(today); {
			case rest && k.Archived.IsZero():
				r.Archived++
			case !rest && !k.Archived.IsZero():
				r.Restored++
				restored = append(restored, k.Child)
			}
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	ids := make([][16]byte, len(restored))
	for i, id := range restored {
		ids[i] = id
	}
	err = pool.QueryRow(ctx, `SELECT
			(SELECT count(*) FROM child_sharing WHERE purge_date <= $1 AND child_id <> ALL($2::uuid[])),
			(SELECT count(*) FROM shields WHERE state = 2 AND approve_by_time < clock_timestamp())`, today, ids).Scan(&r.Purged, &r.Overdue)
	if err != nil {
		return r, fmt.Errorf("retention: counting: %w", err)
	}
	return r, nil
}

// each gives batch by batch the children that the rules may have something to say of.
func each(ctx context.Context, pool *pgxpool.Pool, today time.Time, fn func([]*children.Keeping) error) error {
	for last := uuid.Nil; ; {
		all, err := children.KeepingToSettle(ctx, pool, today, last, settleBatch)
		if err != nil || len(all) == 0 {
			return err
		}
		if err := fn(all); err != nil {
			return err
		}
		last = all[len(all)-1].Child
	}
}

func settleAll(ctx context.Context, pool *pgxpool.Pool, today time.Time, r *Report) error {
	return each(ctx, pool, today, func(all []*children.Keeping) error {
		var ids []uuid.UUID
		for _, k := range all {
			if k.AtRest(today) == k.Archived.IsZero() {
				ids = append(ids, k.Child)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		var settled *children.Settled
		err := inBatch(ctx, pool, func(b *batch) (err error) {
			held, err := b.hold(ctx, ids)
			if err != nil {
				return err
			}
			if settled, err = children.SettleRetention(ctx, b.tx, today, b.now, idsOf(held)...); err != nil {
				return err
			}
			b.record(ctx, "irthub retention archive", settled.Archived)
			b.record(ctx, "irthub retention restore", settled.Restored)
			return nil
		})
		if err == nil {
			r.Archived, r.Restored = r.Archived+int64(len(settled.Archived)), r.Restored+int64(len(settled.Restored))
		}
		return err
	})
}

func purgeAll(ctx context.Context, pool *pgxpool.Pool, today time.Time, r *Report) error {
	for {
		var due []uuid.UUID
		err := inBatch(ctx, pool, func(b *batch) (err error) {
			if due, err = b.holdDue(ctx, today); err != nil || len(due) == 0 {
				return err
			}
			purged, err := children.Purge(ctx, b.tx, due...)
			if err != nil {
				return err
			}
			b.record(ctx, "irthub retention purge", purged.Children)
			b.tellPurged(due, purged)
			return nil
		})
		if err != nil {
			return err
		}
		if len(due) == 0 {
			return nil
		}
		r.Purged += int64(len(due))
	}
}

// holdDue holds some of those whose years in the archive are over, also once they
// are held.
func (b *batch) holdDue(ctx context.Context, today time.Time) (due []uuid.UUID, err error) {
	rows, err := b.tx.Query(ctx, `SELECT k.child_id FROM child_sharing k JOIN children c ON c.child_id = k.child_id
		WHERE k.purge_date <= $1 AND c.merged_into IS NULL ORDER BY k.purge_date, k.child_id LIMIT $2`, today, purgeBatch)
	if err != nil {
		return nil, fmt.Errorf("retention: finding whom to purge: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("retention: finding whom to purge: %w", err)
	}
	held, err := b.hold(ctx, found)
	if err != nil {
		return nil, err
	}
	for _, k := range held {
		if !k.Purge.IsZero() && !k.Purge.After(today) {
			due = append(due, k.Child)
		}
	}
	if len(found) > 0 && len(due) == 0 {
		return nil, errMoved
	}
	return due, nil
}

// errMoved makes the transaction start again: all that it found changed before they
// were held.
var errMoved = &pgconn.PgError{Code: "40001", Severity: "ERROR", Message: "children to purge changed before they were held"}

// batch is one transaction of a run.
type batch struct {
	tx      pgx.Tx
	now     time.Time
	entries []*audit.Entry
	events  []events.Event
}

func inBatch(ctx context.Context, pool *pgxpool.Pool, fn func(*batch) error) error {
	return pg.InTxRetry(ctx, pool, func(tx pgx.Tx) error {
		b := &batch{tx: tx}
		if err := fn(b); err != nil {
			return err
		}
		if err := events.Append(ctx, tx, b.events); err != nil {
			return err
		}
		return audit.Insert(ctx, tx, b.entries)
	})
}

// hold keeps children as they are until the end, and reads them as they are then.
// Those that have become another since they were looked for are left out.
func (b *batch) hold(ctx context.Context, ids []uuid.UUID) ([]*children.Keeping, error) {
	all, err := children.ReadKeeping(ctx, b.tx, ids...)
	if err != nil {
		return nil, err
	}
	if err := children.Hold(ctx, b.tx, idsOf(all)...); err != nil {
		return nil, err
	}
	if err := b.tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&b.now); err != nil {
		return nil, fmt.Errorf("retention: asking the time: %w", err)
	}
	return children.ReadKeeping(ctx, b.tx, idsOf(all)...)
}

func idsOf(all []*children.Keeping) []uuid.UUID {
	ids := make([]uuid.UUID, len(all))
	for i, k := range all {
		ids[i] = k.Child
	}
	return ids
}

// record notes in the access log what the hub did to children by itself.
func (b *batch) record(ctx context.Context, method string, ids []uuid.UUID) {
	if len(ids) == 0 {
		return
	}
	e := audit.New(identity.NewContext(ctx, identity.Caller{Agency: "hub", Role: irtv1.Role_ROLE_HUB_OPERATOR}), method)
	e.AddChild(ids...)
	b.entries = append(b.entries, e)
}

// tellPurged tells data managers, and the agencies whose records went.
func (b *batch) tellPurged(due []uuid.UUID, p *children.Purged) {
	for _, id := range due {
		b.events = append(b.events, events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_CHILD_PURGED, Child: id, Agencies: p.Agencies[id], Time: b.now,
		})
	}
}

// remind tells data managers, every day anew, of the provisional shields that nobody
// has decided on in time. They stay in effect: a child must not be found because
// nobody was at work.
func remind(ctx context.Context, pool *pgxpool.Pool, _ time.Time, r *Report) error {
	return inBatch(ctx, pool, func(b *batch) error {
		rows, err := b.tx.Query(ctx, `SELECT child_id, shield_id, agency_id, clock_timestamp() FROM shields
			WHERE state = 2 AND approve_by_time < clock_timestamp()`)
		if err != nil {
			return fmt.Errorf("retention: finding shields to decide on: %w", err)
		}
		b.events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (events.Event, error) {
			e := events.Event{Kind: irtv1.EventKind_EVENT_KIND_SHIELD_PROPOSED}
			var shield uuid.UUID
			err := row.Scan((*[16]byte)(&e.Child), &shield, &e.Agency, &e.Time)
			e.Resource = rpc.ChildName(e.Child) + "/shields/" + shield.String()
			return e, err
		})
		if err != nil {
			return fmt.Errorf("retention: finding shields to decide on: %w", err)
		}
		r.Overdue = int64(len(b.events))
		return nil
	})
}
