package consent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

const (
	proposed     = irtv1.ShieldState_SHIELD_STATE_PROPOSED
	provisional  = irtv1.ShieldState_SHIELD_STATE_PROVISIONAL
	active       = irtv1.ShieldState_SHIELD_STATE_ACTIVE
	liftProposed = irtv1.ShieldState_SHIELD_STATE_LIFT_PROPOSED
	lifted       = irtv1.ShieldState_SHIELD_STATE_LIFTED
	rejected     = irtv1.ShieldState_SHIELD_STATE_REJECTED
)

// shield is one as the hub knew it from knownFrom on: a row of shields or of its
// history. People are named agencies/{agency}/practitioners/{practitioner}.
type shield struct {
	childID    uuid.UUID
	id         uuid.UUID
	state      irtv1.ShieldState
	reason     string
	agency     string // proposed it
	proposedBy string
	proposed   time.Time
	approveBy  time.Time
	decidedBy  string
	decided    time.Time

	liftReason     string
	liftProposedBy string
	liftProposed   time.Time
	liftDecidedBy  string
	liftDecided    time.Time

	knownFrom time.Time
	revision  int32
}

// shieldColumns of shields and of its history, in the order of scan and values.
const shieldColumns = `child_id, shield_id, state, reason, agency_id, proposed_by, propose_time, approve_by_time,
	decided_by, decide_time, lift_reason, lift_proposed_by, lift_propose_time, lift_decided_by, lift_decide_time,
	known_from, revision`

func scanShield(row pgx.CollectableRow) (*shield, error) {
	v := &shield{}
	err := row.Scan(
		(*[16]byte)(&v.childID), (*[16]byte)(&v.id), &v.state, &v.reason, &v.agency, &v.proposedBy, &v.proposed,
		(*zeronull.Timestamptz)(&v.approveBy), &v.decidedBy, (*zeronull.Timestamptz)(&v.decided), &v.liftReason, &v.liftProposedBy,
		(*zeronull.Timestamptz)(&v.liftProposed), &v.liftDecidedBy, (*zeronull.Timestamptz)(&v.liftDecided), &v.knownFrom, &v.revision)
	return v, err
}

func (v *shield) values() []any {
	return []any{
		[16]byte(v.childID), [16]byte(v.id), int16(v.state), v.reason, v.agency, v.proposedBy, v.proposed, //nolint:gosec // states are few
		zeronull.Timestamptz(v.approveBy), v.decidedBy, zeronull.Timestamptz(v.decided), v.liftReason, v.liftProposedBy,
		zeronull.Timestamptz(v.liftProposed), v.liftDecidedBy, zeronull.Timestamptz(v.liftDecided), v.knownFrom, v.revision,
	}
}

func (v *shield) name() string { return rpc.ChildName(v.childID) + "/shields/" + v.id.String() }

func (v *shield) etag() string {
	return rpc.Etag("shield", string(v.childID[:]), string(v.id[:]), v.revision)
}

func (v *shield) message() *irtv1.Shield {
	return &irtv1.Shield{
		Name: v.name(), State: v.state, InEffect: children.InEffect(v.state), Reason: v.reason,
		ProposedBy: v.proposedBy, ProposeTime: instant(v.proposed), ApproveByTime: instant(v.approveBy),
		DecidedBy: v.decidedBy, DecideTime: instant(v.decided),
		LiftReason: v.liftReason, LiftProposedBy: v.liftProposedBy, LiftProposeTime: instant(v.liftProposed),
		LiftDecidedBy: v.liftDecidedBy, LiftDecideTime: instant(v.liftDecided),
		UpdateTime: instant(v.knownFrom), Etag: v.etag(),
	}
}

// instant is absent where there is none.
func instant(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}

// parseShieldName reads children/{child}/shields/{shield}. What is not such a name
// names no shield, which is all that a caller is told.
func parseShieldName(name string) (child, id uuid.UUID, err error) {
	of, last, ok := strings.Cut(name, "/shields/")
	if !ok {
		return child, id, rpc.NotFound("shield")
	}
	if child, err = rpc.ParseChildName(of); err != nil {
		return child, id, rpc.NotFound("shield")
	}
	if id, err = uuid.Parse(last); err != nil || id.String() != last {
		return child, id, rpc.NotFound("shield")
	}
	return child, id, nil
}

// person is the name of the person who calls. A shield is a matter for two people,
// so a token that names none can take no part in it.
func person(c identity.Caller) (string, error) {
	if c.Practitioner == "" {
		return "", rpc.DeniedBecause("A person must do this: call with a token that names a practitioner.")
	}
	return c.PractitionerName(), nil
}

// concerns tells whether a caller may know of a shield and take part in it: data
// managers, and practitioners of the agency that proposed it.
func concerns(c identity.Caller, v *shield) bool {
	return manages(c) || c.Role == irtv1.Role_ROLE_PRACTITIONER && c.Agency == v.agency
}

// storedShield reads a shield of a child that has not been merged; nil where there is none.
func storedShield(ctx context.Context, q children.Querier, child, id uuid.UUID) (*shield, error) {
	return children.One(ctx, q, scanShield, `SELECT `+shieldColumns+` FROM shields WHERE child_id = $1 AND shield_id = $2`, [16]byte(child), [16]byte(id))
}

// putShield stores a new version in the place of the present one, which becomes
// history, and keeps what policy knows of the child true.
func (c *change) putShield(ctx context.Context, cur, next *shield) error {
	next.knownFrom, next.revision = c.now, 1
	if cur != nil {
		next.knownFrom, next.revision = children.After(c.now, cur.knownFrom), cur.revision+1
		if err := children.Supersede(ctx, c.tx, "shields", "shield_id", shieldColumns, cur.childID, cur.id, next.knownFrom); err != nil {
			return err
		}
	}
	_, err := c.tx.Exec(ctx, `INSERT INTO shields (`+shieldColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, next.values()...)
	if err != nil {
		return fmt.Errorf("consent: storing a shield: %w", err)
	}
	return children.RefreshSharing(ctx, c.tx, next.childID)
}
