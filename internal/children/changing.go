package children

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/pg"
)

// What the features that hang something on a child have in common when they change
// it: consents, concerns, referrals, requests for contact.

// ErrMoved makes a transaction of pg.InTxRetry start again: what it found of a child
// moved before the child was held.
var ErrMoved = &pgconn.PgError{Code: "40001", Severity: "ERROR", Message: "what was found of a child moved before it was held"}

// Change runs fn in a transaction that also appends the events that fn returns and
// records the access of ctx. name is what the access log says was returned, asked
// once fn has succeeded; nil where fn notes that itself.
func Change(ctx context.Context, pool *pgxpool.Pool, name func() string, fn func(pgx.Tx) ([]events.Event, error)) error {
	e := audit.FromContext(ctx)
	err := pg.InTxRetry(ctx, pool, func(tx pgx.Tx) error {
		told, err := fn(tx)
		if err != nil {
			return err
		}
		if err := events.Append(ctx, tx, told); err != nil {
			return err
		}
		if name != nil {
			e.AddReturned(name())
			name = nil // once, however often it is tried
		}
		return audit.Insert(ctx, tx, []*audit.Entry{e})
	})
	if err == nil {
		e.Recorded()
	}
	return err
}

// LockName keeps others from making the thing of that id at the same moment: it may
// have no row to lock yet. class keeps the locks of one feature apart from another's.
func LockName(ctx context.Context, tx pgx.Tx, class int32, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, class, nameKey(id)); err != nil {
		return fmt.Errorf("children: locking a name: %w", err)
	}
	return nil
}

// HoldNow holds a child as Hold does, and tells when the hub comes to know what the
// transaction changes.
func HoldNow(ctx context.Context, tx pgx.Tx, child uuid.UUID) (now time.Time, err error) {
	if err := Hold(ctx, tx, child); err != nil {
		return now, err
	}
	return Clock(ctx, tx)
}

// Clock asks the time: not now(), which is when the transaction began, since it may
// have waited since.
func Clock(ctx context.Context, tx pgx.Tx) (now time.Time, err error) {
	if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return now, fmt.Errorf("children: asking the time: %w", err)
	}
	return now, nil
}

// After is now, or just after the version before should the clock have been set back:
// what the hub knew of one thing never overlaps.
func After(now, before time.Time) time.Time {
	if now.After(before) {
		return now
	}
	return before.Add(time.Microsecond)
}

// Supersede takes the present version of a thing that hangs on a child out of its table
// and puts it into the table's history, as known to an instant; ErrMoved where it is
// not there any more. key is the column of its id, columns are all of the table's.
func Supersede(ctx context.Context, tx pgx.Tx, table, key, columns string, child, id uuid.UUID, knownTo time.Time) error {
	tag, err := tx.Exec(ctx, `
		WITH old AS (DELETE FROM `+table+` WHERE child_id = $1 AND `+key+` = $2 RETURNING `+columns+`)
		INSERT INTO `+table+`_history (`+columns+`, known_to) SELECT `+columns+`, $3 FROM old`,
		[16]byte(child), [16]byte(id), knownTo)
	if err != nil {
		return fmt.Errorf("children: superseding in %s: %w", table, err)
	}
	if tag.RowsAffected() != 1 {
		return ErrMoved
	}
	return nil
}

// One reads the one row that a statement gives, nil where it gives none.
func One[T any](ctx context.Context, q Querier, scan func(pgx.CollectableRow) (*T, error), sql string, args ...any) (*T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("children: reading what hangs on a child: %w", err)
	}
	v, err := pgx.CollectOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // none is not an error
	}
	if err != nil {
		return nil, fmt.Errorf("children: reading what hangs on a child: %w", err)
	}
	return v, nil
}

// ReadHeld reads a thing with its child held by a function that does so as Hold; nil where
// there is none. ErrMoved where it came to another child meanwhile.
func ReadHeld[T any](
	ctx context.Context, read func() (*T, error), child func(*T) uuid.UUID, hold func(context.Context, uuid.UUID) error,
) (*T, error) {
	found, err := read()
	if err != nil || found == nil {
		return nil, err
	}
	if err := hold(ctx, child(found)); err != nil {
		return nil, err
	}
	cur, err := read()
	if err == nil && (cur == nil || child(cur) != child(found)) {
		err = ErrMoved
	}
	return cur, err
}
