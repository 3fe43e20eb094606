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
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// Unary tells the agency responsible for a plan in force of every read about its child
// that policy does not let be silent, before the answer leaves, whatever that shows. If
// that cannot be done the caller gets UNAVAILABLE and nothing else.
func Unary(pool *pgxpool.Pool) grpc.UnaryServerInterceptor {
	told := func(c identity.Caller) bool {
		return !sharing.Decide(sharing.ReadSilently, sharing.FactsOf(c)).Allowed()
	}
	return children.BeforeAnswer(told, func(ctx context.Context, _ string, seen []uuid.UUID) error {
		return tell(ctx, pool, identity.FromContext(ctx), seen)
	}, "The hub cannot tell social care of this just now, and discloses nothing for unscheduled care that it cannot tell of. "+
		"Send it again; at immediate risk of serious harm state the purpose EMERGENCY and a reason.")
}

// inForceSQL finds the plans of other agencies than $3 in force on the day $2 for the
// children $1.
const inForceSQL = `SELECT child_id, agency_id, local_id FROM plans
	WHERE child_id = ANY($1::uuid[]) AND start_date <= $2 AND (end_date IS NULL OR end_date >= $2) AND agency_id <> $3
	ORDER BY child_id, agency_id, local_id`

// tell tells who is responsible for plans of children that they were seen. Most
// children are on none, and cost one look-up.
func tell(ctx context.Context, pool *pgxpool.Pool, caller identity.Caller, seen []uuid.UUID) error {
	found, err := inForce(ctx, pool, caller, seen)
	if err != nil || len(found) == 0 {
		return err
	}
	return children.TellOf(ctx, pool, seen, func(_ pgx.Tx, now time.Time) ([]events.Event, error) {
		told := make([]events.Event, len(found))
		for i, v := range found {
			told[i] = events.Event{
				Kind: irtv1.EventKind_EVENT_KIND_PLAN_CHILD_SEEN, Child: v.childID, Agency: caller.Agency, Resource: v.name(),
				Agencies: []string{v.agency}, Time: now,
			}
		}
		return told, nil
	})
}

func inForce(ctx context.Context, pool *pgxpool.Pool, caller identity.Caller, seen []uuid.UUID) ([]*version, error) {
	ids := make([][16]byte, len(seen)) // not uuid.UUID, which pgx would write as text
	for i, id := range seen {
		ids[i] = id
	}
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
