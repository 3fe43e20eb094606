package children

import (
	"context"
	"fmt"
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

// searches list children who may be meant: whom they find has not turned up yet, and
// they show no more in an emergency than otherwise.
var searches = map[string]bool{
	irtv1.ChildService_SearchChildren_FullMethodName: true,
	irtv1.MatchService_MatchChild_FullMethodName:     true,
}

// BeforeAnswer is an interceptor that does something about the children whom the answer
// to a read is about before that leaves, where the caller is one that it concerns. If it
// cannot be done the caller gets UNAVAILABLE with a text, and nothing else.
func BeforeAnswer(concerns func(identity.Caller) bool, do func(ctx context.Context, method string, about []uuid.UUID) error, text string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		resp, err := handler(ctx, req)
		if err != nil || searches[info.FullMethod] || !concerns(identity.FromContext(ctx)) {
			return resp, err
		}
		about := audit.FromContext(ctx).Children()
		if method, _ := identity.Access(info.FullMethod); !method.GetPurposeRequired() || len(about) == 0 {
			return resp, nil
		}
		if err := do(ctx, info.FullMethod, about); err != nil {
			return nil, rpc.Unavailable(err, text)
		}
		return resp, nil
	}
}

// TellOf appends what fn tells of children as known now. Their rows are locked,
// also those of merged ones, because events of a child must be in order.
func TellOf(ctx context.Context, pool *pgxpool.Pool, about []uuid.UUID, fn func(tx pgx.Tx, now time.Time) ([]events.Event, error)) error {
	return pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT 1 FROM children WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE`, uuids(about)); err != nil {
			return fmt.Errorf("children: locking children: %w", err)
		}
		told, err := fn(tx, time.Now())
		if err != nil {
			return err
		}
		return events.Append(ctx, tx, told)
	})
}
