package referrals

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

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

// asked is how a request names its child.
type asked struct {
	child, recordID uuid.UUID
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

// readSubject reads what names the child in a request.
func readSubject(next *version, m *irtv1.Referral) (a asked, err error) {
	if record := m.GetChildRecord(); record != "" {
		owner, localID, ok := agencies.ParseChildName(record, "childRecords")
		if !ok || owner != next.agency {
			return a, subjectFault("referral.child_record", "The name is not that of a child record of the sender's own.")
		}
		a.recordID = standard.RecordID(owner, localID)
	}
	if m.GetChild() != "" {
		a.child, err = rpc.ParseChildName(m.GetChild())
	}
	return a, err
}

func subjectFault(field, description string) error {
	return rpc.Invalid([]standard.Fault{{
		Field: field, RuleID: "SUBJECT_REQUIRED", Description: description,
		Action: "Send agencies/{agency}/childRecords/{local_id} of the sender, or name the child.",
	}})
}

// find says which child is meant, without holding it.
func (c *change) find(ctx context.Context, a asked) (uuid.UUID, error) {
	return children.Meant(ctx, c.tx, a.child, a.recordID, func() error {
		return subjectFault("referral.child", "The child is not the one that child_record belongs to.")
	})
}

// standingSQL reads what agency $2 is to child $1 on the day $3, with record $4 or,
// where that is null, the first of its active records by local id.
const standingSQL = `
	SELECT r.record_id, coalesce(r.local_id, ''), r.record_id IS NOT NULL
		OR EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = $1 AND i.agency_id = $2
			AND i.start_date <= $3 AND (i.end_date IS NULL OR i.end_date >= $3))
	FROM children c
	LEFT JOIN LATERAL (SELECT r.record_id, r.local_id FROM child_records r
		WHERE r.child_id = $1 AND r.agency_id = $2 AND r.state = 1 AND ($4::uuid IS NULL OR r.record_id = $4)
		ORDER BY r.local_id LIMIT 1) r ON true
	WHERE c.child_id = $1`

// subject finds and holds the child that a request is about, and ties the referral to
// the sender's record of it. A sender that does not work with the child is refused as
// if there were none.
func (c *change) subject(ctx context.Context, next *version, about asked) error {
	child, err := c.find(ctx, about)
	if err != nil {
		return rpc.Hidden(err)
	}
	if err := c.hold(ctx, child); err != nil {
		return err
	}
	// The record may have gone to another child before that was held.
	if again, err := c.find(ctx, about); err != nil || again != child {
		return children.ErrMoved
	}
	works := false
	next.childID = child
	err = c.tx.QueryRow(ctx, standingSQL, [16]byte(child), next.agency, c.s.today(), zeronull.UUID(about.recordID)).
		Scan((*zeronull.UUID)(&next.recordID), &next.recordLocalID, &works)
	if err != nil {
		return fmt.Errorf("referrals: reading what the sender is to a child: %w", err)
	}
	if !works {
		return rpc.Denied()
	}
	return nil
}

// send works out what a referral that is sent comes to, and stores it; it refuses it
// before that.
func (c *change) send(ctx context.Context, next *version, about asked, fits func(etag string) error) (*version, error) {
	if err := c.subject(ctx, next, about); err != nil {
		return nil, err
	}
	cur, err := present(ctx, c.tx, next.id)
	if err != nil {
		return nil, err
	}
	if cur == nil {
		if err := fits(""); err != nil {
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

// mayResend says why a referral that was sent cannot be sent like this.
func mayResend(cur, next *version, fits func(etag string) error) error {
	if fits(cur.etag()) != nil {
		return cur.overtaken()
	}
	if cur.childID != next.childID || cur.first() != next.recipient {
		return broken("REFERRAL_OTHER", "referral.name")
	}
	if next.says(cur) {
		return nil
	}
	return send.may(sender, cur.state)
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
