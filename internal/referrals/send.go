package referrals

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// parseName reads agencies/{agency}/referrals/{local_id}.
func parseName(name string) (agency, localID string, ok bool) {
	return agencies.ParseChildName(name, "referrals")
}

// byConsent is the code of a referral that the family agreed to.
const byConsent = "CONSENT"

// earlyHelp are the reasons for which families are free to say no, so that a basis
// must be stated.
var earlyHelp = []string{"EARLY_HELP", "PARENTING_SUPPORT"}

// dueWithin is how soon a referral is to be acknowledged.
var dueWithin = map[irtv1.ReferralUrgency]time.Duration{
	irtv1.ReferralUrgency_REFERRAL_URGENCY_ROUTINE:   5 * 24 * time.Hour,
	irtv1.ReferralUrgency_REFERRAL_URGENCY_URGENT:    24 * time.Hour,
	irtv1.ReferralUrgency_REFERRAL_URGENCY_IMMEDIATE: time.Hour,
}

// SendReferral implements irt.v1.ReferralService.
func (s *Service) SendReferral(ctx context.Context, req *irtv1.SendReferralRequest) (*irtv1.Referral, error) {
	sub, err := s.admit(ctx, req.GetReferral())
	if err != nil {
		return nil, err
	}
	if err := s.writer.Do(ctx, &sub.Write, req.GetValidateOnly()); err != nil {
		return nil, err
	}
	return s.shown(ctx, sub.stored, sender, time.Now()), nil
}

// broken refuses by a rule of the standard, in its words.
func broken(rule, field string) error {
	return rpc.Invalid([]standard.Fault{standard.FaultOf(rule, field)})
}

// mayReceive refuses a recipient that is not there to receive.
func (s *Service) mayReceive(v *version, to, field string) error {
	known, found := s.directory.Get(to)
	if found && known.Active && to != v.agency {
		return nil
	}
	return broken("REFERRAL_RECIPIENT", field)
}

// send works out what a referral that is sent comes to, and stores it; it refuses it
// before that.
func (c *change) send(ctx context.Context, next *version, about children.Asked, fits func(etag string) error) (*version, error) {
	sub, err := about.Hold(ctx, c.tx, c.s.today(), c.hold)
	if err == nil && !sub.Works {
		err = rpc.Denied()
	}
	if err != nil {
		return c.resent(ctx, next, about, fits, rpc.Hidden(err))
	}
	next.childID, next.recordID, next.recordLocalID = sub.Child, sub.Record, sub.RecordLocalID
	cur, err := present(ctx, c.tx, next.id)
	if err != nil {
		return nil, err
	}
	if cur == nil {
		if err := cmp.Or(fits(""), next.maySend()); err != nil {
			return nil, err
		}
		next.sentAt = c.now
	} else {
		if err := mayResend(cur, next, fits); err != nil || next.says(cur) {
			return cur, err
		}
		if len(cur.redirectedFrom) > 0 {
			next.service = cur.service
		}
		next.recipient, next.redirectedFrom = cur.recipient, cur.redirectedFrom
		next.sentAt, next.overdueTold = cur.sentAt, cur.overdueTold
	}
	next.acknowledgeBy = next.sentAt.Add(dueWithin[next.urgency])
	if err := c.s.mayReceive(next, next.recipient, "referral.recipient"); err != nil {
		return nil, err
	}
	if err := c.checkService(ctx, cur, next); err != nil {
		return nil, err
	}
	if err := c.checkBasis(ctx, next); err != nil {
		return nil, err
	}
	if err := c.put(ctx, cur, next); err != nil {
		return nil, err
	}
	c.tell(send.kind, next, next.agency, next.recipient)
	return next, nil
}

// resent answers a sender that does not work with the child any more: what it sent while
// it did stands, and sending that again changes nothing. All else is refused.
func (c *change) resent(ctx context.Context, next *version, about children.Asked, fits func(etag string) error, refusal error) (*version, error) {
	cur, err := children.Restated(ctx, c.tx, about, refusal,
		func() (*version, error) { return present(ctx, c.tx, next.id) },
		func(cur *version) (child, record uuid.UUID, same bool) {
			next.childID, next.recordID = cur.childID, cur.recordID
			return cur.childID, cur.recordID, next.says(cur)
		})
	if err != nil {
		return nil, err
	}
	c.access.AddChild(cur.childID)
	return cur, mayResend(cur, next, fits)
}

// maySend refuses to send what a file says was taken up, or is over, in the hub that it
// comes from: the recipient did that there, and would be asked anew.
func (v *version) maySend() error {
	if v.beyond == 0 {
		return nil
	}
	return rpc.Precondition("The file says that the referral is " + stateText(v.beyond) + ", and the hub does not have it so. Only one that is SENT can be sent.")
}

// mayResend says why a referral that was sent cannot be sent like this.
func mayResend(cur, next *version, fits func(etag string) error) error {
	if fits(cur.etag()) != nil {
		return cur.overtaken()
	}
	if cur.childID != next.childID || !cur.isTo(next.recipient) {
		return broken("REFERRAL_OTHER", "referral.name")
	}
	if next.says(cur) {
		return nil
	}
	return cmp.Or(send.may(sender, cur.state), next.maySend())
}

// checkService refuses a referral to a service that the recipient does not offer. One
// that was asked for before is not asked about again.
func (c *change) checkService(ctx context.Context, cur, next *version) error {
	if next.service == "" || cur != nil && next.service == cur.service {
		return nil
	}
	offers, err := agencies.Offers(ctx, c.tx, next.recipient, next.service)
	if err == nil && !offers {
		err = broken("REFERRAL_SERVICE", "referral.service")
	}
	return err
}

// checkBasis refuses a referral that may not be made on the basis that it states.
func (c *change) checkBasis(ctx context.Context, v *version) error {
	if v.basis == "" && slices.Contains(earlyHelp, v.reason) {
		return broken("REFERRAL_BASIS_REQUIRED", "referral.basis")
	}
	if v.basis != byConsent {
		return nil
	}
	to, _ := c.s.directory.Get(v.recipient)
	asker := agencies.Asker{Agency: v.recipient, Kind: to.Kind}
	standings, err := children.Standings(ctx, c.tx, asker, v.childID)
	if err != nil {
		return err
	}
	if st := standings[v.childID]; st != nil && st.Facts(asker).Consented != 0 {
		return nil
	}
	return broken("REFERRAL_CONSENT_MISSING", "referral.basis")
}
