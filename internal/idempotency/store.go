package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// forgetEvery is how often answers whose time is over are deleted, and forgetMost
	// how many at once.
	forgetEvery = 5 * time.Minute
	forgetMost  = 5000
)

// stored is what is kept of a call; the answer is nil while it is under way.
type stored struct{ request, answer []byte }

// begin makes a call this process's to do, and else says what is kept of it. One
// that was begun and not ended in time, or whose time is over, is begun anew.
func (k *Keeper) begin(ctx context.Context, c *call) (mine bool, present stored, err error) {
	tag, err := k.pool.Exec(ctx,
		`INSERT INTO idempotent_calls AS i (call_hash, request_hash, runner, lease_until, expire_time)
		VALUES (@call, @request, @runner, now() + @lease::interval, now() + @keep::interval)
		ON CONFLICT (call_hash) DO UPDATE SET request_hash = excluded.request_hash, runner = excluded.runner,
			lease_until = excluded.lease_until, expire_time = excluded.expire_time, answer = NULL
		WHERE i.expire_time < now() OR i.answer IS NULL AND i.lease_until < now() AND i.request_hash = excluded.request_hash`,
		pgx.NamedArgs{"call": c.hash[:], "request": c.request[:], "runner": c.runner, "lease": leaseTime, "keep": keep})
	if err != nil {
		return false, present, fmt.Errorf("idempotency: beginning a call: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return true, present, nil
	}
	err = k.pool.QueryRow(ctx, `SELECT request_hash, answer FROM idempotent_calls WHERE call_hash = $1`, c.hash[:]).
		Scan(&present.request, &present.answer)
	if errors.Is(err, pgx.ErrNoRows) { // it failed just now: the next attempt begins it
		return false, stored{request: c.request[:]}, nil
	}
	if err != nil {
		return false, present, fmt.Errorf("idempotency: looking for a call: %w", err)
	}
	return false, present, nil
}

// endTimeout bounds what is stored after a call.
const endTimeout = 5 * time.Second

// finish keeps an answer. Where that fails the key is under way until its lease
// ends, and the call can then be done again, as without a key.
func (k *Keeper) finish(ctx context.Context, c *call, answer []byte) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	_, _ = k.pool.Exec(ctx, `UPDATE idempotent_calls SET answer = $3 WHERE call_hash = $1 AND runner = $2`,
		c.hash[:], c.runner, answer)
}

// release forgets a call.
func (k *Keeper) release(ctx context.Context, c *call) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	_, _ = k.pool.Exec(ctx, `DELETE FROM idempotent_calls WHERE call_hash = $1 AND runner = $2 AND answer IS NULL`,
		c.hash[:], c.runner)
}

// forget deletes answers whose time is over until ctx ends.
func (k *Keeper) forget(ctx context.Context, report func(error)) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		if err := k.Forget(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Forget deletes the answers whose time is over.
func (k *Keeper) Forget(ctx context.Context) error {
	for {
		tag, err := k.pool.Exec(ctx, `DELETE FROM idempotent_calls WHERE call_hash IN
			(SELECT call_hash FROM idempotent_calls WHERE expire_time < now() ORDER BY expire_time LIMIT $1)`, forgetMost)
		if err != nil {
			return fmt.Errorf("idempotency: forgetting answers: %w", err)
		}
		if tag.RowsAffected() < forgetMost {
			return nil
		}
	}
}
