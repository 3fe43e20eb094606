package revocations

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
)

const columns = `issuer, token_id, expire_time, reason, revoked_by, create_time`

func scan(row pgx.CollectableRow) (*irtv1.Revocation, error) {
	var r irtv1.Revocation
	var expire, create time.Time
	err := row.Scan(&r.Issuer, &r.TokenId, &expire, &r.Reason, &r.RevokedBy, &create)
	r.ExpireTime, r.CreateTime = timestamppb.New(expire), timestamppb.New(create)
	return &r, err
}

// changedSince returns the revocations that were made at an instant or since and
// still hold, and the database's time from just before it looked.
func changedSince(ctx context.Context, pool *pgxpool.Pool, since time.Time) (found []revoked, asked time.Time, err error) {
	if err := pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&asked); err != nil {
		return nil, asked, fmt.Errorf("revocations: asking the database's time: %w", err)
	}
	rows, err := pool.Query(ctx, `SELECT issuer, token_id FROM revocations WHERE create_time >= $1 AND expire_time > $2`, since, asked)
	if err != nil {
		return nil, asked, fmt.Errorf("revocations: asking for them: %w", err)
	}
	found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[revoked])
	if err != nil {
		return nil, asked, fmt.Errorf("revocations: reading them: %w", err)
	}
	return found, asked, nil
}

// insert stores a revocation, or renews it: one that holds is never shortened. Those
// whose time is over go.
func insert(ctx context.Context, tx pgx.Tx, r *irtv1.Revocation) (*irtv1.Revocation, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM revocations WHERE expire_time < clock_timestamp()`); err != nil {
		return nil, fmt.Errorf("revocations: forgetting the old: %w", err)
	}
	rows, err := tx.Query(ctx, `INSERT INTO revocations (`+columns+`)
		VALUES (@issuer, @token_id, @expire_time, @reason, @revoked_by, clock_timestamp())
		ON CONFLICT (issuer, token_id) DO UPDATE SET
			expire_time = greatest(revocations.expire_time, EXCLUDED.expire_time),
			reason = EXCLUDED.reason, revoked_by = EXCLUDED.revoked_by, create_time = EXCLUDED.create_time
		RETURNING `+columns, pgx.NamedArgs{
		"issuer": r.GetIssuer(), "token_id": r.GetTokenId(), "expire_time": r.GetExpireTime().AsTime(),
		"reason": r.GetReason(), "revoked_by": r.GetRevokedBy(),
	})
	if err != nil {
		return nil, fmt.Errorf("revocations: storing one: %w", err)
	}
	stored, err := pgx.CollectExactlyOneRow(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("revocations: storing one: %w", err)
	}
	return stored, nil
}

// list returns at most limit revocations that hold, the newest first, after the one
// that the page before ended with.
func list(ctx context.Context, pool *pgxpool.Pool, after position, limit int) ([]*irtv1.Revocation, error) {
	rows, err := pool.Query(ctx, `SELECT `+columns+` FROM revocations
		WHERE expire_time > clock_timestamp()
			AND (@first OR (create_time, issuer, token_id) < (@create_time, @issuer COLLATE "C", @token_id COLLATE "C"))
		ORDER BY create_time DESC, issuer DESC, token_id DESC LIMIT @limit`, pgx.NamedArgs{
		"first": after.Time.IsZero(), "create_time": after.Time, "issuer": after.Issuer, "token_id": after.TokenID, "limit": limit,
	})
	if err != nil {
		return nil, fmt.Errorf("revocations: listing: %w", err)
	}
	found, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("revocations: listing: %w", err)
	}
	return found, nil
}
