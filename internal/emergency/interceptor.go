// Package emergency keeps account of break-glass: every read of a child's entry with
// the purpose EMERGENCY raises an event, and stands for a data manager to review.
// What it opens is decided by package sharing.
package emergency

import (
	"context"
	"fmt"
	"path"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

// searches list children who may be meant. They show no more in an emergency than
// otherwise: see the fact searching of the policies.
var searches = map[string]bool{
	irtv1.ChildService_SearchChildren_FullMethodName: true,
	irtv1.MatchService_MatchChild_FullMethodName:     true,
}

// Unary raises an emergency access for each child that an answer to a read with the
// purpose EMERGENCY is about, before the answer leaves. If that cannot be done the
// caller gets UNAVAILABLE and nothing else.
func Unary(pool *pgxpool.Pool) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		resp, err := handler(ctx, req)
		caller := identity.FromContext(ctx)
		if err != nil || caller.Purpose != irtv1.Purpose_PURPOSE_EMERGENCY || searches[info.FullMethod] {
			return resp, err
		}
		access := audit.FromContext(ctx)
		if method, _ := identity.Access(info.FullMethod); !method.GetPurposeRequired() || len(access.Children()) == 0 {
			return resp, nil
		}
		if err := raise(ctx, pool, caller, access, path.Base(info.FullMethod)); err != nil {
			return nil, rpc.Unavailable(err, "The hub cannot record this emergency access just now, and discloses nothing that it cannot record. Send it again.")
		}
		return resp, nil
	}
}

// raise stores the emergency accesses of a call and tells the data managers. The
// rows of the children are locked, because their events must be in order.
func raise(ctx context.Context, pool *pgxpool.Pool, c identity.Caller, access *audit.Entry, method string) error {
	return pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		var ids [][16]byte
		for _, id := range access.Children() {
			ids = append(ids, id)
		}
		if _, err := tx.Exec(ctx, `SELECT 1 FROM children WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE`, ids); err != nil {
			return fmt.Errorf("emergency: locking children: %w", err)
		}
		now := time.Now()
		told := make([]events.Event, len(ids))
		for i, child := range ids {
			id, err := uuid.NewV7()
			if err != nil {
				return fmt.Errorf("emergency: naming an access: %w", err)
			}
			if err := insert(ctx, tx, &row{
				child: child, id: id, access: access.ID(), agency: c.Agency, practitioner: c.Practitioner,
				onBehalfOf: c.OnBehalfOf, reason: c.Reason, method: method, accessTime: now,
			}); err != nil {
				return err
			}
			told[i] = events.Event{
				Kind: irtv1.EventKind_EVENT_KIND_EMERGENCY_ACCESS, Child: child, Agency: c.Agency,
				Resource: nameOf(id), Time: now,
			}
		}
		return events.Append(ctx, tx, told)
	})
}
