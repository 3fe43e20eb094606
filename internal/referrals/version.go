package referrals

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/rpc"
)

// version is a referral as the hub knew it from knownFrom on: a row of referrals or
// of its history.
type version struct {
	childID        uuid.UUID
	id             uuid.UUID
	agency         string // sends it
	localID        string
	recordID       uuid.UUID // zero where the sender has no record of the child
	recordLocalID  string
	recipient      string
	service        string
	reason         string
	urgency        irtv1.ReferralUrgency
	basis          string
	state          irtv1.ReferralState
	beyond         irtv1.ReferralState // where it stands in the hub that a file comes from, unless sent; not stored
	acknowledgeBy  time.Time
	overdueTold    bool // both sides were told that the recipient is late
	declineReason  string
	outcome        string
	redirectedFrom []string
	involvement    string // its local id, or ""
	sentAt         time.Time
	acknowledgedAt time.Time // zero: not yet
	created        time.Time
	knownFrom      time.Time
	revision       int32
}

// columns of referrals and of its history, in the order of scanVersion.
const columns = `child_id, referral_id, agency_id, local_id, record_id, record_local_id, recipient_id, service, reason, urgency,
	basis, state, acknowledge_by_time, overdue_told, decline_reason, outcome, redirected_from, involvement_id, send_time, acknowledge_time,
	create_time, known_from, revision`

func scanVersion(row pgx.CollectableRow) (*version, error) {
	v := &version{}
	err := row.Scan(
		(*[16]byte)(&v.childID), (*[16]byte)(&v.id), &v.agency, &v.localID, (*zeronull.UUID)(&v.recordID), &v.recordLocalID,
		&v.recipient, &v.service, &v.reason, &v.urgency, &v.basis, &v.state, &v.acknowledgeBy, &v.overdueTold, &v.declineReason, &v.outcome,
		&v.redirectedFrom, &v.involvement, &v.sentAt, (*zeronull.Timestamptz)(&v.acknowledgedAt), &v.created, &v.knownFrom, &v.revision)
	return v, err
}

func (v *version) name() string { return agencies.Name(v.agency) + "/referrals/" + v.localID }

func (v *version) etag() string { return rpc.Etag("referral", string(v.id[:]), v.revision) }

// first is the agency that it was sent to before anybody redirected it.
func (v *version) first() string {
	if len(v.redirectedFrom) > 0 {
		return v.redirectedFrom[0]
	}
	return v.recipient
}

// isTo tells whether the sender means it by naming an agency: the one that it sent it to
// or, as it is shown once it was redirected, the present recipient.
func (v *version) isTo(agency string) bool { return agency == v.first() || agency == v.recipient }

// says tells whether the sender says the same as in the present version, wherever that
// stands. The service that it asked for is one of the first recipient's, and forgotten
// once that redirected it.
func (v *version) says(cur *version) bool {
	return v.childID == cur.childID && cur.isTo(v.recipient) && (len(cur.redirectedFrom) > 0 || v.service == cur.service) &&
		v.reason == cur.reason && v.urgency == cur.urgency && v.basis == cur.basis
}

// sideOf is the part that an asker has in it.
func (v *version) sideOf(a agencies.Asker) side {
	switch {
	case a.Owns(v.agency):
		return sender
	case a.Owns(v.recipient):
		return recipient
	}
	return nobody
}

// overdue tells whether nobody acted on it in time.
func (v *version) overdue(now time.Time) bool { return v.state == sent && v.acknowledgeBy.Before(now) }

// bare is what somebody sees who is told that there is a referral and no more.
func (v *version) bare() *irtv1.Referral {
	return &irtv1.Referral{
		Name: v.name(), Child: rpc.ChildName(v.childID), Recipient: agencies.Name(v.recipient), State: v.state,
		CreateTime: timestamppb.New(v.created), UpdateTime: timestamppb.New(v.knownFrom),
	}
}

// message shows a referral to one of its sides.
func (v *version) message(to side, now time.Time) *irtv1.Referral {
	m := v.bare()
	m.Service, m.Reason, m.Urgency, m.Basis = v.service, v.reason, v.urgency, v.basis
	m.AcknowledgeByTime, m.Overdue = timestamppb.New(v.acknowledgeBy), v.overdue(now)
	m.DeclineReason, m.Outcome, m.SendTime, m.Etag = v.declineReason, v.outcome, timestamppb.New(v.sentAt), v.etag()
	for _, id := range v.redirectedFrom {
		m.RedirectedFrom = append(m.RedirectedFrom, agencies.Name(id))
	}
	if v.involvement != "" {
		m.Involvement = agencies.Name(v.recipient) + "/involvements/" + v.involvement
	}
	if !v.acknowledgedAt.IsZero() {
		m.AcknowledgeTime = timestamppb.New(v.acknowledgedAt)
	}
	if to == sender && v.recordLocalID != "" {
		m.ChildRecord = agencies.Name(v.agency) + "/childRecords/" + v.recordLocalID
	}
	return m
}

func (v *version) child() uuid.UUID { return v.childID }

// present reads the present version of a referral, nil where there is none.
func present(ctx context.Context, q children.Querier, id uuid.UUID) (*version, error) {
	return children.One(ctx, q, scanVersion, `SELECT `+columns+` FROM referrals WHERE referral_id = $1`, [16]byte(id))
}

// put stores a new version in the place of the present one, which becomes history.
func (c *change) put(ctx context.Context, cur, next *version) error {
	next.created, next.knownFrom, next.revision = c.now, c.now, 1
	if cur != nil {
		next.created, next.knownFrom, next.revision = cur.created, children.After(c.now, cur.knownFrom), cur.revision+1
		if err := children.Supersede(ctx, c.tx, "referrals", "referral_id", columns, cur.childID, cur.id, next.knownFrom); err != nil {
			return err
		}
	}
	if next.redirectedFrom == nil {
		next.redirectedFrom = []string{}
	}
	_, err := c.tx.Exec(ctx, `INSERT INTO referrals (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`,
		[16]byte(next.childID), [16]byte(next.id), next.agency, next.localID, zeronull.UUID(next.recordID), next.recordLocalID,
		next.recipient, next.service, next.reason, int16(next.urgency), next.basis, int16(next.state), //nolint:gosec // the schema's codes are few
		next.acknowledgeBy, next.overdueTold, next.declineReason, next.outcome, next.redirectedFrom, next.involvement, next.sentAt,
		zeronull.Timestamptz(next.acknowledgedAt), next.created, next.knownFrom, next.revision)
	if err != nil {
		return fmt.Errorf("referrals: storing: %w", err)
	}
	return nil
}
