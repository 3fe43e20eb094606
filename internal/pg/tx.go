package pg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// InTx runs fn in one transaction: committed when fn returns nil, rolled back
// when it returns an error or panics. fn's errors come back as they are. An
// error that wraps ErrCommitUnknown leaves open whether it was committed;
// after any other error it was not.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("pg: beginning a transaction: %w", err)
	}
	committing := false
	defer func() {
		if !committing {
			rollback(ctx, tx)
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	committing = true
	return commit(ctx, tx)
}

// rollback outlives ctx, which may be what ended the transaction: with an
// ended context pgx would throw the connection away. If it fails, the
// connection is closed and the server rolls back.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx)
}

func commit(ctx context.Context, tx pgx.Tx) error {
	err := tx.Commit(ctx)
	if err == nil {
		return nil
	}
	pgErr, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case answered && pgErr.Severity == "ERROR", // FATAL may come after the commit was durable
		errors.Is(err, pgx.ErrTxCommitRollback),
		pgconn.SafeToRetry(err): // COMMIT was never sent
		return fmt.Errorf("pg: committing: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
}

const (
	maxAttempts = 6
	firstDelay  = 20 * time.Millisecond // then three times as long each: 2.4 s in all
)

// InTxRetry is InTx that runs fn again, in a new transaction, after errors
// that IsRetryable: up to six attempts over some 2.4 seconds, which sees
// through a deadlock at once and through most restarts of the database. fn
// must therefore leave nothing behind outside its transaction when it fails.
func InTxRetry(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	delay := firstDelay
	for attempt := 1; ; attempt++ {
		err := InTx(ctx, pool, fn)
		if err == nil || attempt == maxAttempts || !IsRetryable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err // the cause says more than the context's end
		case <-time.After(delay/2 + rand.N(delay)): //nolint:gosec // jitter, so that two that met do not meet again
		}
		delay *= 3
	}
}

// errRehearsed undoes a rehearsal.
var errRehearsed = errors.New("pg: rehearsed")

// Rehearse is InTxRetry in a transaction that comes to nothing: it tells whether fn
// would be done.
func Rehearse(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	err := InTxRetry(ctx, pool, func(tx pgx.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// ByKey begins the first round trip of a transaction whose statements all go by key.
// On tables too new to have statistics the planner would read them whole, and keep that
// plan; and it would plan anew for every short list of keys, which takes longer than the
// statement does.
func ByKey(b *pgx.Batch) {
	b.Queue(`SELECT set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)`)
}

// Date is a day for SQL; the zero time is NULL.
func Date(day time.Time) pgtype.Date { return pgtype.Date{Time: day, Valid: !day.IsZero()} }
