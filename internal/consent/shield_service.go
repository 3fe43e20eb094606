package consent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// approveWithin is how long a second person has to decide on a provisional shield:
// long enough for a weekend with bank holidays.
const approveWithin = 5 * 24 * time.Hour

// urgent tells whether a caller's proposal takes effect at once: of those whose work
// it is to protect a child today, and of data managers, whom others can ring.
func urgent(c identity.Caller) bool {
	return manages(c) || c.Kind == irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE || c.Kind == irtv1.AgencyKind_AGENCY_KIND_POLICE
}

// ProposeShield implements irt.v1.ShieldService.
func (s *Service) ProposeShield(ctx context.Context, req *irtv1.ProposeShieldRequest) (*irtv1.Shield, error) {
	caller := identity.FromContext(ctx)
	by, err := person(caller)
	if err != nil {
		return nil, err
	}
	reason, err := reasonOf(req.GetReason())
	if err != nil {
		return nil, err
	}
	about, err := children.ReadAsked("parent", caller.Agency, req.GetParent(), "")
	if err != nil {
		return nil, hidden(caller, err)
	}
	var stored *shield
	err = s.inChange(ctx, func() string { return stored.name() }, func(c *change) error {
		sub, err := c.subject(ctx, about)
		if err != nil {
			return err
		}
		stored, err = c.propose(ctx, sub.Child, by, reason)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored.message(), nil
}

// reasonOf is a reason in the form in which it is kept.
func reasonOf(text string) (string, error) {
	if text = standard.CleanText(text); text == "" {
		return "", rpc.Invalid([]standard.Fault{standard.FaultOf("STRING_MIN_LEN", "reason")})
	}
	return text, nil
}

// propose makes a shield, unless the child has one that the caller may know of
// already: two that say the same would have to be lifted one by one.
func (c *change) propose(ctx context.Context, child uuid.UUID, by, reason string) (*shield, error) {
	stands, err := c.standingShield(ctx, child)
	if err != nil || stands != nil {
		return stands, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("consent: naming a shield: %w", err)
	}
	v := &shield{
		childID: child, id: id, state: proposed, reason: reason, agency: c.caller.Agency,
		proposedBy: by, proposed: c.now,
	}
	if urgent(c.caller) {
		v.state, v.approveBy = provisional, c.now.Add(approveWithin)
	}
	if err := c.putShield(ctx, nil, v); err != nil {
		return nil, err
	}
	c.tellOfShield(v, irtv1.EventKind_EVENT_KIND_SHIELD_PROPOSED)
	if v.state == provisional {
		c.tellOfShield(v, irtv1.EventKind_EVENT_KIND_CHILD_SHIELDED)
	}
	return v, nil
}

// standingShield is one in effect, or proposed, that the caller may know of. One
// that is proposed does not keep those from shielding at once who may.
func (c *change) standingShield(ctx context.Context, child uuid.UUID) (*shield, error) {
	rows, err := c.tx.Query(ctx, `SELECT `+shieldColumns+` FROM shields WHERE child_id = $1 AND state IN (1, 2, 3, 4)
		ORDER BY state DESC, shield_id`, [16]byte(child))
	if err != nil {
		return nil, fmt.Errorf("consent: finding shields: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanShield)
	if err != nil {
		return nil, fmt.Errorf("consent: finding shields: %w", err)
	}
	for _, v := range all {
		if concerns(c.caller, v) && (children.InEffect(v.state) || !urgent(c.caller)) {
			return v, nil
		}
	}
	return nil, nil //nolint:nilnil // none is not an error
}

// tellOfShield tells that the child is shielded, or is no longer. Who proposed it
// is nobody's business but the data managers'.
func (c *change) tellOfShield(v *shield, kind irtv1.EventKind) {
	e := events.Event{Kind: kind, Child: v.childID}
	if kind == irtv1.EventKind_EVENT_KIND_SHIELD_PROPOSED {
		e.Agency, e.Resource = v.agency, v.name()
	}
	c.tell(e)
}

// step is what one person does to a shield.
type step struct {
	name, etag string
	// do changes next, which is a copy of the present version, or says why not. A
	// step that has been taken already changes nothing.
	do func(c *change, next *shield, by string) error
}

// take takes a step, under the lock of the child.
func (s *Service) take(ctx context.Context, st step) (*irtv1.Shield, error) {
	caller := identity.FromContext(ctx)
	by, err := person(caller)
	if err != nil {
		return nil, err
	}
	asked, id, err := parseShieldName(st.name)
	if err != nil {
		return nil, hidden(caller, err)
	}
	var stored *shield
	err = s.inChange(ctx, func() string { return stored.name() }, func(c *change) error {
		cur, err := c.heldShield(ctx, asked, id)
		if err != nil {
			return err
		}
		if err := rpc.CheckEtag(ctx, st.etag, cur.etag()); err != nil {
			return err
		}
		next := *cur
		if err := st.do(c, &next, by); err != nil {
			if errors.Is(err, errTaken) {
				stored = cur
				return nil
			}
			return err
		}
		stored = &next
		return c.putShield(ctx, cur, &next)
	})
	if err != nil {
		return nil, err
	}
	return stored.message(), nil
}

// errTaken says that a step has been taken already, by the same person.
var errTaken = errors.New("consent: the step has been taken")

// heldShield is the present version of a shield that the caller may know of, with
// its child held.
func (c *change) heldShield(ctx context.Context, asked, id uuid.UUID) (*shield, error) {
	child, err := children.Survivor(ctx, c.tx, asked)
	if err != nil {
		return nil, hidden(c.caller, err)
	}
	if err := c.hold(ctx, child); err != nil {
		return nil, err
	}
	v, err := storedShield(ctx, c.tx, child, id)
	if err == nil && (v == nil || !concerns(c.caller, v)) {
		err = hidden(c.caller, rpc.NotFound("shield"))
	}
	return v, err
}

// second refuses who proposed something to decide on it.
func second(by, proposer string) error {
	if by == proposer {
		return rpc.Precondition("You proposed this yourself, so another person must decide: a data manager, or another practitioner of your agency.")
	}
	return nil
}

// ApproveShield implements irt.v1.ShieldService.
func (s *Service) ApproveShield(ctx context.Context, req *irtv1.ApproveShieldRequest) (*irtv1.Shield, error) {
	return s.take(ctx, step{req.GetName(), req.GetEtag(), func(c *change, v *shield, by string) error {
		if v.state == active && v.decidedBy == by {
			return errTaken
		}
		if err := v.undecided(by); err != nil {
			return err
		}
		if v.state == proposed {
			c.tellOfShield(v, irtv1.EventKind_EVENT_KIND_CHILD_SHIELDED)
		}
		v.state, v.decidedBy, v.decided, v.approveBy = active, by, c.now, time.Time{}
		return nil
	}})
}

// RejectShield implements irt.v1.ShieldService.
func (s *Service) RejectShield(ctx context.Context, req *irtv1.RejectShieldRequest) (*irtv1.Shield, error) {
	return s.take(ctx, step{req.GetName(), req.GetEtag(), func(c *change, v *shield, by string) error {
		if v.state == rejected && v.decidedBy == by {
			return errTaken
		}
		if err := v.undecided(by); err != nil {
			return err
		}
		if v.state == provisional {
			c.tellOfShield(v, irtv1.EventKind_EVENT_KIND_SHIELD_ENDED)
		}
		v.state, v.decidedBy, v.decided, v.approveBy = rejected, by, c.now, time.Time{}
		return nil
	}})
}

// undecided says why a person cannot decide whether the shield is to be.
func (v *shield) undecided(by string) error {
	if v.state != proposed && v.state != provisional {
		return rpc.Precondition("The shield does not wait for a decision: read it, and see its state.")
	}
	return second(by, v.proposedBy)
}

// ProposeShieldLift implements irt.v1.ShieldService.
func (s *Service) ProposeShieldLift(ctx context.Context, req *irtv1.ProposeShieldLiftRequest) (*irtv1.Shield, error) {
	reason, err := reasonOf(req.GetReason())
	if err != nil {
		return nil, err
	}
	return s.take(ctx, step{req.GetName(), req.GetEtag(), func(c *change, v *shield, by string) error {
		switch {
		case v.state == liftProposed && v.liftProposedBy == by && v.liftReason == reason:
			return errTaken
		case v.state == liftProposed:
			return rpc.Precondition("The lifting of the shield is proposed already, and waits for a decision.")
		case v.state == provisional:
			return rpc.Precondition("The shield waits for a second person. Reject it (RejectShield), if it should not be.")
		case v.state != active:
			return rpc.Precondition("The shield is not in effect, so there is nothing to lift.")
		}
		v.state, v.liftReason, v.liftProposedBy, v.liftProposed = liftProposed, reason, by, c.now
		c.tellOfShield(v, irtv1.EventKind_EVENT_KIND_SHIELD_PROPOSED)
		return nil
	}})
}

// ApproveShieldLift implements irt.v1.ShieldService.
func (s *Service) ApproveShieldLift(ctx context.Context, req *irtv1.ApproveShieldLiftRequest) (*irtv1.Shield, error) {
	return s.take(ctx, step{req.GetName(), req.GetEtag(), func(c *change, v *shield, by string) error {
		if v.state == lifted && v.liftDecidedBy == by {
			return errTaken
		}
		if err := v.liftUndecided(by); err != nil {
			return err
		}
		v.state, v.liftDecidedBy, v.liftDecided = lifted, by, c.now
		c.tellOfShield(v, irtv1.EventKind_EVENT_KIND_SHIELD_ENDED)
		return nil
	}})
}

// RejectShieldLift implements irt.v1.ShieldService.
func (s *Service) RejectShieldLift(ctx context.Context, req *irtv1.RejectShieldLiftRequest) (*irtv1.Shield, error) {
	return s.take(ctx, step{req.GetName(), req.GetEtag(), func(_ *change, v *shield, by string) error {
		if err := v.liftUndecided(by); err != nil {
			return err
		}
		// The proposal is in the history; the shield is as it was.
		v.state, v.liftReason, v.liftProposedBy, v.liftProposed = active, "", "", time.Time{}
		return nil
	}})
}

// liftUndecided says why a person cannot decide whether the shield is to be lifted.
func (v *shield) liftUndecided(by string) error {
	if v.state != liftProposed {
		return rpc.Precondition("No lifting of the shield is proposed: read it, and see its state.")
	}
	return second(by, v.liftProposedBy)
}
