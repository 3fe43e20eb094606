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
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
)

// Unary raises an emergency access for each child that an answer to a read with the
// purpose EMERGENCY is about, before the answer leaves. If that cannot be done the
// caller gets UNAVAILABLE and nothing else.
func Unary(pool *pgxpool.Pool) grpc.UnaryServerInterceptor {
	emergency := func(c identity.Caller) bool { return c.Purpose == irtv1.Purpose_PURPOSE_EMERGENCY }
	return children.BeforeAnswer(emergency, func(ctx context.Context, method string, about []uuid.UUID) error {
		return raise(ctx, pool, path.Base(method), about)
	}, "The hub cannot record this emergency access just now, and discloses nothing that it cannot record. Send it again.")
}

// raise stores the emergency accesses of a call and tells the data managers.
func raise(ctx context.Context, pool *pgxpool.Pool, method string, about []uuid.UUID) error {
	c, access := identity.FromContext(ctx), audit.FromContext(ctx).ID()
	return children.TellOf(ctx, pool, about, func(tx pgx.Tx, now time.Time) ([]events.Event, error) {
		told := make([]events.Event, len(about))
		for i, child := range about {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, fmt.Errorf("emergency: naming an access: %w", err)
			}
			if err := insert(ctx, tx, &row{
				child: child, id: id, access: access, agency: c.Agency, practitioner: c.Practitioner,
				onBehalfOf: c.OnBehalfOf, reason: c.Reason, method: method, accessTime: now,
			}); err != nil {
				return nil, err
			}
			told[i] = events.Event{
				Kind: irtv1.EventKind_EVENT_KIND_EMERGENCY_ACCESS, Child: child, Agency: c.Agency,
				Resource: nameOf(id), Time: now,
			}
		}
		return told, nil
	})
}
