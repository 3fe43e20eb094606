package limits

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/identity"
)

// leaseTimeout bounds how long a call waits for a part of its allowance.
const leaseTimeout = 5 * time.Second

// grant takes up to wanted from an allowance, which has grown since it was last
// drawn on; left is what remains, less than one if it gave less than was wanted.
func grant(ctx context.Context, pool *pgxpool.Pool, k accountKey, wanted, allowed int) (granted int, left float64, err error) {
	const available = `least(@allowed::float8,
		a.remaining + @allowed::float8 * greatest(0, extract(epoch FROM clock_timestamp() - a.update_time)) / 3600)`
	const given = `least(@wanted::float8, floor(` + available + `))`
	err = pool.QueryRow(ctx, `
		INSERT INTO access_allowances AS a (caller, kind, remaining, granted, update_time)
		VALUES (@caller, @kind, @allowed::float8 - least(@wanted::float8, @allowed::float8), least(@wanted::float8, @allowed::float8), clock_timestamp())
		ON CONFLICT (caller, kind) DO UPDATE SET
			granted = `+given+`, remaining = `+available+` - `+given+`, update_time = clock_timestamp()
		RETURNING granted, remaining`, pgx.NamedArgs{
		"caller": k.caller(), "kind": int16(k.kind), "wanted": wanted, "allowed": allowed,
	}).Scan(&granted, &left)
	if err != nil {
		return 0, 0, fmt.Errorf("limits: drawing on an allowance: %w", err)
	}
	return granted, left, nil
}

// restore gives back what was not used of an allowance.
func restore(ctx context.Context, pool *pgxpool.Pool, k accountKey, unused, allowed int) error {
	_, err := pool.Exec(ctx, `UPDATE access_allowances SET remaining = least(@allowed::float8, remaining + @unused::float8)
		WHERE caller = @caller AND kind = @kind`, pgx.NamedArgs{
		"caller": k.caller(), "kind": int16(k.kind), "unused": unused, "allowed": allowed,
	})
	if err != nil {
		return fmt.Errorf("limits: giving back a part of an allowance: %w", err)
	}
	return nil
}

// forgetFull removes allowances that have long grown full again.
func forgetFull(ctx context.Context, pool *pgxpool.Pool) error {
	if _, err := pool.Exec(ctx, `DELETE FROM access_allowances WHERE update_time < clock_timestamp() - interval '1 day'`); err != nil {
		return fmt.Errorf("limits: forgetting allowances: %w", err)
	}
	return nil
}

// claimAlert says whether this is the first alert of a caller within an hour.
func claimAlert(ctx context.Context, tx pgx.Tx, k accountKey) (bool, error) {
	tag, err := tx.Exec(ctx, `UPDATE access_allowances SET alert_time = clock_timestamp()
		WHERE caller = @caller AND kind = @kind AND (alert_time IS NULL OR alert_time < clock_timestamp() - interval '1 hour')`,
		pgx.NamedArgs{"caller": k.caller(), "kind": int16(k.kind)})
	if err != nil {
		return false, fmt.Errorf("limits: noting an alert: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// stored is a limit that somebody set.
type stored struct {
	Agency, Role       string
	Children, Searches int32
	Time               time.Time
}

const limitColumns = `agency_id, role, children_per_hour, searches_per_hour, update_time`

func storedLimits(ctx context.Context, pool *pgxpool.Pool) ([]stored, error) {
	rows, err := pool.Query(ctx, `SELECT `+limitColumns+` FROM access_limits ORDER BY agency_id, role`)
	if err != nil {
		return nil, fmt.Errorf("limits: loading: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
	if err != nil {
		return nil, fmt.Errorf("limits: loading: %w", err)
	}
	return all, nil
}

func loadLimits(ctx context.Context, pool *pgxpool.Pool) (map[scope]Limit, error) {
	all, err := storedLimits(ctx, pool)
	if err != nil {
		return nil, err
	}
	set := make(map[scope]Limit, len(all))
	for _, s := range all {
		if role, ok := identity.ParseRole(s.Role); ok {
			set[scope{s.Agency, role}] = Limit{s.Children, s.Searches}
		}
	}
	return set, nil
}

func putLimit(ctx context.Context, tx pgx.Tx, s stored) (stored, error) {
	rows, err := tx.Query(ctx, `INSERT INTO access_limits (`+limitColumns+`) VALUES (@agency, @role, @children, @searches, clock_timestamp())
		ON CONFLICT (agency_id, role) DO UPDATE SET children_per_hour = EXCLUDED.children_per_hour,
			searches_per_hour = EXCLUDED.searches_per_hour, update_time = EXCLUDED.update_time
		RETURNING `+limitColumns, pgx.NamedArgs{"agency": s.Agency, "role": s.Role, "children": s.Children, "searches": s.Searches})
	if err != nil {
		return s, fmt.Errorf("limits: setting one: %w", err)
	}
	s, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[stored])
	if err != nil {
		return s, fmt.Errorf("limits: setting one: %w", err)
	}
	return s, nil
}

func removeLimit(ctx context.Context, tx pgx.Tx, s stored) (found bool, err error) {
	tag, err := tx.Exec(ctx, `DELETE FROM access_limits WHERE agency_id = $1 AND role = $2`, s.Agency, s.Role)
	if err != nil {
		return false, fmt.Errorf("limits: taking one back: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}
