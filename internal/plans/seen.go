package plans

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
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// searches list children who may be meant: whom they find has not turned up yet.
var searches = map[string]bool{
	irtv1.ChildService_SearchChildren_FullMethodName: true,
	irtv1.MatchService_MatchChild_FullMethodName:     true,
}

// Unary tells the agency responsible for a plan in force of every read about its child
// that policy does not let be silent, before the answer leaves, whatever that shows. If
// that cannot be done the caller gets UNAVAILABLE and nothing else.
func Unary(pool *pgxpool.Pool) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		resp, err := handler(ctx, req)
		caller := identity.FromContext(ctx)
		if err != nil || searches[info.FullMethod] || sharing.Decide(sharing.ReadSilently, sharing.FactsOf(caller)).Allowed() {
			return resp, err
		}
		seen := audit.FromContext(ctx).Children()
		if method, _ := identity.Access(info.FullMethod); !method.GetPurposeRequired() || len(seen) == 0 {
			return resp, nil
		}
		if err := tell(ctx, pool, caller, seen); err != nil {
			return nil, rpc.Unavailable(err, "The hub cannot tell social care of this just now, and discloses nothing for unscheduled care that it cannot tell of. "+
				"Send it again; at immediate risk of serious harm state the purpose EMERGENCY and a reason.")
		}
		return resp, nil
	}
}

// inForceSQL finds the plans of other agencies than $3 in force on the day $2 for the
// children $1.
const inForceSQL = `SELECT child_id, agency_id, local_id FROM plans
	WHERE child_id = ANY($1::uuid[]) AND start_date <= $2 AND (end_date IS NULL OR end_date >= $2) AND agency_id <> $3
	ORDER BY child_id, agency_id, local_id`

// tell tells who is responsible for plans of children that they were seen. Most
// children are on none, and cost one look-up. The rows of the others are locked,
// because events of a child must be in order.
func tell(ctx context.Context, pool *pgxpool.Pool, caller identity.Caller, seen []uuid.UUID) error {
	ids := make([][16]byte, len(seen))
	for i, id := range seen {
		ids[i] = id
	}
	found, err := inForce(ctx, pool, caller, ids)
	if err != nil || len(found) == 0 {
		return err
	}
	return pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT 1 FROM children WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE`, ids); err != nil {
			return fmt.Errorf("plans: locking children: %w", err)
		}
		now := time.Now()
		told := make([]events.Event, len(found))
		for i, v := range found {
			told[i] = events.Event{
				Kind: irtv1.EventKind_EVENT_KIND_PLAN_CHILD_SEEN, Child: v.childID, Agency: caller.Agency, Resource: v.name(),
				Agencies: []string{v.agency}, Time: now,
			}
		}
		return events.Append(ctx, tx, told)
	})
}

func inForce(ctx context.Context, pool *pgxpool.Pool, caller identity.Caller, ids [][16]byte) ([]*version, error) {
	rows, err := pool.Query(ctx, inForceSQL, ids, pg.Date(standard.Today()), caller.Agency)
	if err != nil {
		return nil, fmt.Errorf("plans: looking for plans in force: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*version, error) {
		v := &version{}
		return v, row.Scan((*[16]byte)(&v.childID), &v.agency, &v.localID)
	})
	if err != nil {
		return nil, fmt.Errorf("plans: reading plans in force: %w", err)
	}
	return found, nil
}
