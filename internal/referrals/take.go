package referrals

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
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
func (s *Service) take(ctx context.Context, m move, req moveRequest, with func(*change, *version) error) (*irtv1.Referral, error) {
	if faults, _ := standard.Check(req, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	seen, by, err := s.mine(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	var stored *version
	err = s.inChange(ctx, seen.name(), func(c *change) error {
		cur, err := c.held(ctx, seen, by)
		if err != nil {
			return err
		}
		if cur.state != seen.state || cur.recipient != seen.recipient || rpc.CheckEtag(ctx, req.GetEtag(), cur.etag()) != nil {
			return cur.overtaken()
		}
		if err := m.may(by, cur.state); err != nil {
			return err
		}
		next := *cur
		next.state = m.to
		if by == recipient && next.acknowledgedAt.IsZero() {
			next.acknowledgedAt = c.now
		}
		if with != nil {
			if err := with(c, &next); err != nil {
				return err
			}
		}
		if err := c.put(ctx, cur, &next); err != nil {
			return err
		}
		c.tell(m.kind, &next, cur.agency, cur.recipient)
		if next.recipient != cur.recipient {
			c.tell(send.kind, &next, next.recipient)
		}
		stored = &next
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, stored, by, time.Now()), nil
}

// mine is the referral of that name, for a caller of one of its sides. To everybody else
// it is as if there were none.
func (s *Service) mine(ctx context.Context, name string) (*version, side, error) {
	caller := identity.FromContext(ctx)
	agency, localID, ok := parseName(name)
	if !ok || !sharing.MayWrite(caller, caller.Agency) {
		return nil, nobody, rpc.Denied()
	}
	v, err := present(ctx, s.pool, standard.ReferralID(agency, localID))
	if err != nil {
		return nil, nobody, err
	}
	if v == nil {
		return nil, nobody, rpc.Denied()
	}
	by := v.sideOf(s.directory.Asker(ctx))
	if by == nobody {
		return nil, nobody, rpc.Denied()
	}
	return v, by, nil
}

// held is the present version of a referral with its child held. Who had a side in it
// and has none any more, because it was redirected meanwhile, was overtaken.
func (c *change) held(ctx context.Context, seen *version, by side) (*version, error) {
	cur, err := children.ReadHeld(ctx, func() (*version, error) { return present(ctx, c.tx, seen.id) }, (*version).child, c.hold)
	if err != nil {
		return nil, err
	}
	if cur == nil { // purged meanwhile
		return nil, rpc.Denied()
	}
	if cur.sideOf(c.asker) != by {
		return nil, seen.overtaken()
	}
	return cur, nil
}

// AcknowledgeReferral implements irt.v1.ReferralService.
func (s *Service) AcknowledgeReferral(ctx context.Context, req *irtv1.AcknowledgeReferralRequest) (*irtv1.Referral, error) {
	return s.take(ctx, acknowledge, req, nil)
}

// AcceptReferral implements irt.v1.ReferralService.
func (s *Service) AcceptReferral(ctx context.Context, req *irtv1.AcceptReferralRequest) (*irtv1.Referral, error) {
	return s.take(ctx, accept, req, func(c *change, next *version) error {
		a, _ := s.directory.Get(next.recipient)
		if a.Sensitive && req.GetSensitiveBasis() == "" {
			return broken("SENSITIVE_BASIS_REQUIRED", "sensitive_basis")
		}
		next.involvement = "referral-" + hex.EncodeToString(next.id[4:])
		inv := &irtv1.Involvement{
			Name:  agencies.Name(next.recipient) + "/involvements/" + next.involvement,
			Child: rpc.ChildName(next.childID), Role: req.GetRole(), Practitioner: req.GetPractitioner(), StartDate: s.today().Format(time.DateOnly),
		}
		if a.Sensitive {
			inv.Sensitive, inv.SensitiveBasis = true, req.GetSensitiveBasis()
		}
		err := s.involve(ctx, c.tx, inv)
		if err != nil {
			return err
		}
		c.now, err = children.Clock(ctx, c.tx) // the involvement was told of first
		return err
	})
}

// DeclineReferral implements irt.v1.ReferralService.
func (s *Service) DeclineReferral(ctx context.Context, req *irtv1.DeclineReferralRequest) (*irtv1.Referral, error) {
	return s.take(ctx, decline, req, func(_ *change, next *version) error {
		next.declineReason = req.GetReason()
		return nil
	})
}

// RedirectReferral implements irt.v1.ReferralService.
func (s *Service) RedirectReferral(ctx context.Context, req *irtv1.RedirectReferralRequest) (*irtv1.Referral, error) {
	to, _ := agencies.ParseName(req.GetRecipient())
	return s.take(ctx, redirect, req, func(c *change, next *version) error {
		if err := s.mayReceive(next, to, "recipient"); err != nil {
			return err
		}
		if to == next.recipient {
			return rpc.Invalid([]standard.Fault{{
				Field: "recipient", RuleID: "REFERRAL_RECIPIENT",
				Description: "That agency has the referral already.", Action: "Name another agency.",
			}})
		}
		next.redirectedFrom = append(slices.Clone(next.redirectedFrom), next.recipient)
		next.recipient, next.service = to, "" // the service was one of the recipient before
		next.sentAt, next.acknowledgedAt = c.now, time.Time{}
		next.acknowledgeBy, next.overdueTold = c.now.Add(dueWithin[next.urgency]), false
		return c.checkBasis(ctx, next)
	})
}

// StartReferral implements irt.v1.ReferralService.
func (s *Service) StartReferral(ctx context.Context, req *irtv1.StartReferralRequest) (*irtv1.Referral, error) {
	return s.take(ctx, start, req, nil)
}

// CloseReferral implements irt.v1.ReferralService.
func (s *Service) CloseReferral(ctx context.Context, req *irtv1.CloseReferralRequest) (*irtv1.Referral, error) {
	return s.take(ctx, finish, req, func(_ *change, next *version) error {
		next.outcome = req.GetOutcome()
		return nil
	})
}

// WithdrawReferral implements irt.v1.ReferralService.
func (s *Service) WithdrawReferral(ctx context.Context, req *irtv1.WithdrawReferralRequest) (*irtv1.Referral, error) {
	return s.take(ctx, withdraw, req, nil)
}
