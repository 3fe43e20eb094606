package leads

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// version is a nomination as the hub knew it from knownFrom on: a row of
// lead_nominations or of its history.
type version struct {
	childID       uuid.UUID
	id            uuid.UUID
	agency        string // nominates
	nominatedBy   string // its practitioner, or ""
	involvementID uuid.UUID
	recipient     string // the involvement's agency
	localID       string // of the involvement
	practitioner  string // of the involvement when it was nominated
	replaces      uuid.UUID
	start         time.Time // zero: the day of acceptance
	state         irtv1.LeadNominationState
	declineReason string
	expires       time.Time
	created       time.Time
	knownFrom     time.Time
	revision      int32
}

// columns of lead_nominations and of its history, in the order of (*version).scan.
const columns = `child_id, nomination_id, agency_id, nominated_by, involvement_id, recipient_id, local_id, practitioner_id, replaces_id,
	start_date, state, decline_reason, expire_time, create_time, known_from, revision`

// scan returns where to scan columns to, and what to call then.
func (v *version) scan() (into []any, done func()) {
	var start pgtype.Date
	return []any{
		(*[16]byte)(&v.childID), (*[16]byte)(&v.id), &v.agency, &v.nominatedBy, (*[16]byte)(&v.involvementID), &v.recipient, &v.localID,
		&v.practitioner, (*zeronull.UUID)(&v.replaces), &start, &v.state, &v.declineReason, &v.expires, &v.created, &v.knownFrom, &v.revision,
	}, func() { v.start = start.Time }
}

func scanVersion(row pgx.CollectableRow) (*version, error) {
	v := &version{}
	into, done := v.scan()
	err := row.Scan(into...)
	done()
	return v, err
}

func (v *version) name() string { return agencies.Name(v.agency) + "/leadNominations/" + v.id.String() }

// parseName reads agencies/{agency}/leadNominations/{lead_nomination}.
func parseName(name string) (agency string, id uuid.UUID, ok bool) {
	agency, text, ok := agencies.ParseChildName(name, "leadNominations")
	if !ok {
		return "", uuid.Nil, false
	}
	id, err := uuid.Parse(text)
	return agency, id, err == nil && id.String() == text
}

func (v *version) involvement() string {
	return agencies.Name(v.recipient) + "/involvements/" + v.localID
}

func (v *version) etag() string { return rpc.Etag("leadNomination", string(v.id[:]), v.revision) }

// stands is the state at an instant: nothing is stored when time makes one expire.
func (v *version) stands(now time.Time) irtv1.LeadNominationState {
	if v.state == open && !now.Before(v.expires) {
		return expired
	}
	return v.state
}

// sideOf is the part that an asker has in it.
func (v *version) sideOf(a agencies.Asker) (s side) {
	if a.Owns(v.agency) {
		s |= nominator
	}
	if a.Owns(v.recipient) {
		s |= nominee
	}
	return s
}

// overtaken says that somebody was faster, and where the nomination stands now.
func (v *version) overtaken(now time.Time) error {
	state := stateText(v.stands(now))
	return rpc.Overtaken(state, v.etag(), "It has changed since you read it: the nomination is "+state+" now. Read it again.")
}

// message shows a nomination.
func (v *version) message(now time.Time) *irtv1.LeadNomination {
	return &irtv1.LeadNomination{
		Name: v.name(), Child: rpc.ChildName(v.childID), Involvement: v.involvement(),
		Practitioner: agencies.PractitionerName(v.recipient, v.practitioner), StartDate: standard.FormatDate(v.start),
		State: v.stands(now), DeclineReason: v.declineReason, ExpireTime: timestamppb.New(v.expires),
		CreateTime: timestamppb.New(v.created), UpdateTime: timestamppb.New(v.knownFrom), Etag: v.etag(),
	}
}

func (v *version) child() uuid.UUID { return v.childID }

// present reads the present version of a nomination, nil where there is none.
func present(ctx context.Context, q children.Querier, id uuid.UUID) (*version, error) {
	return children.One(ctx, q, scanVersion, `SELECT `+columns+` FROM lead_nominations WHERE nomination_id = $1`, [16]byte(id))
}

// put stores a new version in the place of the present one, which becomes history.
func (c *change) put(ctx context.Context, cur, next *version) error {
	next.created, next.knownFrom, next.revision = c.now, c.now, 1
	if cur != nil {
		next.created, next.knownFrom, next.revision = cur.created, children.After(c.now, cur.knownFrom), cur.revision+1
		if err := children.Supersede(ctx, c.tx, "lead_nominations", "nomination_id", columns, cur.childID, cur.id, next.knownFrom); err != nil {
			return err
		}
	}
	_, err := c.tx.Exec(ctx, `INSERT INTO lead_nominations (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		[16]byte(next.childID), [16]byte(next.id), next.agency, next.nominatedBy, [16]byte(next.involvementID), next.recipient, next.localID,
		next.practitioner, zeronull.UUID(next.replaces), pg.Date(next.start), int16(next.state), //nolint:gosec // the schema's codes are few
		next.declineReason, next.expires, next.created, next.knownFrom, next.revision)
	if err != nil {
		return fmt.Errorf("leads: storing a nomination: %w", err)
	}
	return nil
}
