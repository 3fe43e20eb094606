package leads

import (
	"context"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// moveRequest is what all requests for a move have.
type moveRequest interface {
	proto.Message
	GetName() string
	GetEtag() string
}

// take makes a move: with is what it changes besides the state.
func (s *Service) take(ctx context.Context, m move, req moveRequest, with func(*change, *version) error) (*irtv1.LeadNomination, error) {
	if faults, _ := standard.Check(req, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	seen, by, err := s.mine(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	stored, err := s.inChange(ctx, func(c *change) (*version, error) {
		cur, err := c.held(ctx, seen)
		if err != nil {
			return nil, err
		}
		if cur.state != seen.state || rpc.CheckEtag(ctx, req.GetEtag(), cur.etag()) != nil {
			return nil, cur.overtaken(c.now)
		}
		if err := m.may(by, cur.stands(c.now)); err != nil {
			return nil, err
		}
		next := *cur
		next.state = m.to
		if with != nil {
			if err := with(c, &next); err != nil {
				return nil, err
			}
		}
		if err := c.put(ctx, cur, &next); err != nil {
			return nil, err
		}
		c.tell(m.kind, &next)
		return &next, nil
	})
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, stored), nil
}

// mine is the nomination of that name, for a caller of one of its sides. To everybody
// else it is as if there were none.
func (s *Service) mine(ctx context.Context, name string) (*version, side, error) {
	caller := identity.FromContext(ctx)
	v, err := s.named(ctx, name)
	if err != nil {
		return nil, nobody, err
	}
	by := v.sideOf(s.directory.Asker(ctx))
	if by == nobody || !sharing.MayWrite(caller, caller.Agency) {
		return nil, nobody, rpc.Denied()
	}
	return v, by, nil
}

// named is the nomination of that name.
func (s *Service) named(ctx context.Context, name string) (*version, error) {
	agency, id, ok := parseName(name)
	if !ok {
		return nil, rpc.Denied()
	}
	v, err := present(ctx, s.pool, id)
	if err != nil {
		return nil, err
	}
	if v == nil || v.agency != agency {
		return nil, rpc.Denied()
	}
	return v, nil
}

// held is the present version of a nomination with its involvement and child held.
func (c *change) held(ctx context.Context, seen *version) (*version, error) {
	if err := c.s.involvements.Keep(ctx, c.tx, seen.involvement()); err != nil {
		return nil, err
	}
	cur, err := children.ReadHeld(ctx, func() (*version, error) { return present(ctx, c.tx, seen.id) }, (*version).child, c.hold)
	if err == nil && cur == nil { // purged meanwhile
		err = rpc.Denied()
	}
	return cur, err
}

// AcceptLeadNomination implements irt.v1.LeadNominationService.
func (s *Service) AcceptLeadNomination(ctx context.Context, req *irtv1.AcceptLeadNominationRequest) (*irtv1.LeadNomination, error) {
	return s.take(ctx, accept, req, func(c *change, next *version) error { return c.lead(ctx, next) })
}

// lead makes whom a nomination names the lead professional.
func (c *change) lead(ctx context.Context, next *version) error {
	inv, err := c.involvementOf(ctx, next.involvementID)
	if err != nil {
		return err
	}
	lead, err := c.leadOf(ctx, next.childID)
	if err != nil {
		return err
	}
	switch {
	case inv == nil || inv.child != next.childID:
		return rpc.Precondition("The involvement is no longer with this child. Decline, and ask to be nominated by another.")
	case inv.practitioner != next.practitioner:
		return rpc.Precondition("The involvement has another practitioner than was nominated. Decline, and ask to be nominated anew.")
	case lead != next.replaces && lead != next.involvementID:
		return rpc.Precondition("The child has another lead professional than when this was nominated. Decline, or ask to be nominated anew.")
	}
	next.start = c.firstDay(next)
	if err := c.s.involvements.Lead(ctx, c.tx, next.childID, next.involvement(), next.start); err != nil {
		return err
	}
	c.now, err = children.Clock(ctx, c.tx) // who leads was told of first
	return err
}

// DeclineLeadNomination implements irt.v1.LeadNominationService.
func (s *Service) DeclineLeadNomination(ctx context.Context, req *irtv1.DeclineLeadNominationRequest) (*irtv1.LeadNomination, error) {
	return s.take(ctx, decline, req, func(_ *change, next *version) error {
		next.declineReason = req.GetReason()
		return nil
	})
}

// WithdrawLeadNomination implements irt.v1.LeadNominationService.
func (s *Service) WithdrawLeadNomination(ctx context.Context, req *irtv1.WithdrawLeadNominationRequest) (*irtv1.LeadNomination, error) {
	return s.take(ctx, withdraw, req, nil)
}
