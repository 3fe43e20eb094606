package consent

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// GetShield implements irt.v1.ShieldService.
func (s *Service) GetShield(ctx context.Context, req *irtv1.GetShieldRequest) (*irtv1.Shield, error) {
	caller := identity.FromContext(ctx)
	asked, id, err := parseShieldName(req.GetName())
	if err != nil {
		return nil, hidden(caller, err)
	}
	child, err := s.survivor(ctx, asked)
	if err != nil {
		return nil, hidden(caller, err)
	}
	v, err := storedShield(ctx, s.pool, child, id)
	if err != nil {
		return nil, err
	}
	if v == nil || !concerns(caller, v) {
		return nil, hidden(caller, rpc.NotFound("shield"))
	}
	e := audit.FromContext(ctx)
	e.AddChild(v.childID)
	e.AddReturned(v.name())
	return v.message(), nil
}

// everyChild is the parent of shields that wait for a decision, whichever the child.
const everyChild = "children/-"

const listShields = irtv1.ShieldService_ListShields_FullMethodName

// ListShields implements irt.v1.ShieldService.
func (s *Service) ListShields(ctx context.Context, req *irtv1.ListShieldsRequest) (*irtv1.ListShieldsResponse, error) {
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	list, sortedBy := s.shieldsOfChild, func(v *shield) time.Time { return v.proposed }
	if req.GetParent() == everyChild {
		list, sortedBy = s.shieldsWaiting, (*shield).waitingSince
	}
	shields, err := list(ctx, req, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListShieldsResponse{}
	if len(shields) > size {
		shields = shields[:size]
		last := shields[size-1]
		if out.NextPageToken, err = s.tokens.Encode(listShields, req, rpc.Position{At: sortedBy(last), ID: last.id}.Cursor()); err != nil {
			return nil, err
		}
	}
	e := audit.FromContext(ctx)
	for _, v := range shields {
		e.AddChild(v.childID)
		e.AddReturned(v.name())
		out.Shields = append(out.Shields, v.message())
	}
	return out, nil
}

// waitingSince is when the decision that the shield waits for was asked for.
func (v *shield) waitingSince() time.Time {
	if v.state == liftProposed {
		return v.liftProposed
	}
	return v.proposed
}

// shieldsWaiting are those that wait for a decision, the longest waiting first. They
// are few, whatever the number of children.
func (s *Service) shieldsWaiting(ctx context.Context, req *irtv1.ListShieldsRequest, limit int) ([]*shield, error) {
	if !manages(identity.FromContext(ctx)) {
		return nil, rpc.Denied()
	}
	if req.GetKnownAt() != nil {
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "known_at", RuleID: "KNOWN_AT_ONE_CHILD", Description: "What was known at an instant is asked of one child.",
			Action: "Leave known_at out, or send the child as parent.",
		}})
	}
	after, err := s.tokens.Position(listShields, req, req.GetPageToken(), rpc.BeforeAll)
	if err != nil {
		return nil, err
	}
	return s.selectShields(ctx, `SELECT `+shieldColumns+` FROM shields
		WHERE state IN (1, 2, 4) AND (CASE state WHEN 4 THEN lift_propose_time ELSE propose_time END, shield_id) > (@time, @id)
		ORDER BY CASE state WHEN 4 THEN lift_propose_time ELSE propose_time END, shield_id LIMIT @limit`,
		pgx.NamedArgs{"time": after.At, "id": [16]byte(after.ID), "limit": limit})
}

// shieldsOfChild are the shields of a child that the caller may know of, the newest
// first, as the hub knows them or knew them at an instant.
func (s *Service) shieldsOfChild(ctx context.Context, req *irtv1.ListShieldsRequest, limit int) ([]*shield, error) {
	caller := identity.FromContext(ctx)
	asked, err := rpc.ParseChildName(req.GetParent())
	if err != nil {
		return nil, hidden(caller, err)
	}
	child, err := s.survivor(ctx, asked)
	if err != nil {
		return nil, hidden(caller, err)
	}
	from := `shields WHERE child_id = @child`
	args := pgx.NamedArgs{"manager": manages(caller), "agency": caller.Agency, "limit": limit}
	if req.GetKnownAt() != nil {
		at, err := pastInstant(req.GetKnownAt())
		if err != nil {
			return nil, err
		}
		if child, err = children.SurvivorAt(ctx, s.pool, asked, at); err != nil {
			return nil, err
		}
		args["known_at"] = at
		from = `(SELECT ` + shieldColumns + ` FROM shields WHERE child_id = @child AND known_from <= @known_at
			UNION ALL SELECT ` + shieldColumns + ` FROM shields_history
				WHERE child_id = @child AND known_from <= @known_at AND known_to > @known_at) v WHERE true`
	}
	after, err := s.tokens.Position(listShields, req, req.GetPageToken(), rpc.AfterAll)
	if err != nil {
		return nil, err
	}
	args["child"], args["time"], args["id"] = [16]byte(child), after.At, [16]byte(after.ID)
	return s.selectShields(ctx, `SELECT `+shieldColumns+` FROM `+from+` AND (@manager OR agency_id = @agency)
		AND (propose_time, shield_id) < (@time, @id) ORDER BY propose_time DESC, shield_id DESC LIMIT @limit`, args)
}

func (s *Service) selectShields(ctx context.Context, sql string, args pgx.NamedArgs) ([]*shield, error) {
	rows, err := s.pool.Query(ctx, sql, args)
	if err != nil {
		return nil, fmt.Errorf("consent: listing shields: %w", err)
	}
	shields, err := pgx.CollectRows(rows, scanShield)
	if err != nil {
		return nil, fmt.Errorf("consent: reading shields: %w", err)
	}
	return shields, nil
}
