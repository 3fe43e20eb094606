package consent

import (
	"context"
	"fmt"
	"slices"
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

// version is a consent as the hub knew it from knownFrom on: a row of consents or
// of its history.
type version struct {
	childID       uuid.UUID
	id            uuid.UUID
	agency        string
	localID       string
	recordID      uuid.UUID // zero where the agency has no record of the child
	recordLocalID string
	scope         irtv1.ConsentScope
	categories    []int16
	kinds         []int16
	recipients    []string // ids
	givenBy       string
	start, end    time.Time
	state         irtv1.ConsentState
	withdrawn     time.Time // the day, or zero
	created       time.Time
	knownFrom     time.Time
	revision      int32
}

const (
	given     = irtv1.ConsentState_CONSENT_STATE_GIVEN
	withdrawn = irtv1.ConsentState_CONSENT_STATE_WITHDRAWN

	// byParent is the code of a person with parental responsibility.
	byParent = "PARENTAL_RESPONSIBILITY"
)

// columns of consents and of its history, in the order of scanVersion.
const columns = `child_id, consent_id, agency_id, local_id, record_id, record_local_id, scope, categories,
	recipient_kinds, recipients, given_by, start_date, end_date, state, withdraw_date, create_time, known_from, revision`

func scanVersion(row pgx.CollectableRow) (*version, error) {
	v := &version{}
	var end, withdrawn pgtype.Date
	err := row.Scan(
		(*[16]byte)(&v.childID), (*[16]byte)(&v.id), &v.agency, &v.localID, (*zeronull.UUID)(&v.recordID), &v.recordLocalID,
		&v.scope, &v.categories, &v.kinds, &v.recipients, &v.givenBy, &v.start, &end, &v.state, &withdrawn,
		&v.created, &v.knownFrom, &v.revision)
	v.end, v.withdrawn = end.Time, withdrawn.Time
	return v, err
}

func (v *version) name() string { return "agencies/" + v.agency + "/consents/" + v.localID }

func (v *version) etag() string { return rpc.Etag("consent", string(v.id[:]), v.revision) }

func etagOf(v *version) string {
	if v == nil {
		return ""
	}
	return v.etag()
}

// says tells whether another version has the same content.
func (v *version) says(o *version) bool {
	return v.childID == o.childID && v.recordID == o.recordID && v.scope == o.scope && v.givenBy == o.givenBy &&
		v.start.Equal(o.start) && v.end.Equal(o.end) && v.state == o.state &&
		slices.Equal(v.categories, o.categories) && slices.Equal(v.kinds, o.kinds) && slices.Equal(v.recipients, o.recipients)
}

// message shows a consent. The agency's own record of the child, and the etag, are
// for those who may read records of the agency as their own.
func (v *version) message(own bool) *irtv1.Consent {
	m := &irtv1.Consent{
		Name: v.name(), Child: rpc.ChildName(v.childID), Scope: v.scope, GivenBy: v.givenBy,
		StartDate: standard.FormatDate(v.start), EndDate: standard.FormatDate(v.end), State: v.state, WithdrawDate: standard.FormatDate(v.withdrawn),
		CreateTime: timestamppb.New(v.created), UpdateTime: timestamppb.New(v.knownFrom),
		Categories: enums[irtv1.Category](v.categories), RecipientKinds: enums[irtv1.AgencyKind](v.kinds),
	}
	for _, id := range v.recipients {
		m.Recipients = append(m.Recipients, agencies.Name(id))
	}
	if own {
		m.Etag = v.etag()
		if v.recordLocalID != "" {
			m.ChildRecord = "agencies/" + v.agency + "/childRecords/" + v.recordLocalID
		}
	}
	return m
}

// enums and numbers turn lists of the schema's codes into what is stored and back.
func enums[E ~int32](stored []int16) []E {
	var list []E
	for _, n := range stored {
		list = append(list, E(n))
	}
	return list
}

func numbers[E ~int32](list []E) []int16 {
	stored := make([]int16, len(list))
	for i, e := range list {
		stored[i] = int16(e)
	}
	return stored
}

func (v *version) child() uuid.UUID { return v.childID }

// present reads the present version of a consent, nil where there is none.
func present(ctx context.Context, q children.Querier, id uuid.UUID) (*version, error) {
	return children.One(ctx, q, scanVersion, `SELECT `+columns+` FROM consents WHERE consent_id = $1`, [16]byte(id))
}

// put stores a new version in the place of the present one, which becomes history.
func (c *change) put(ctx context.Context, cur, next *version) error {
	next.created, next.knownFrom, next.revision = c.now, c.now, 1
	if cur != nil {
		next.created, next.knownFrom, next.revision = cur.created, children.After(c.now, cur.knownFrom), cur.revision+1
		if err := children.Supersede(ctx, c.tx, "consents", "consent_id", columns, cur.childID, cur.id, next.knownFrom); err != nil {
			return err
		}
	}
	_, err := c.tx.Exec(ctx, `INSERT INTO consents (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		[16]byte(next.childID), [16]byte(next.id), next.agency, next.localID, zeronull.UUID(next.recordID), next.recordLocalID,
		int16(next.scope), next.categories, next.kinds, next.recipients, next.givenBy, //nolint:gosec // the schema's codes are few
		pg.Date(next.start), pg.Date(next.end), int16(next.state), pg.Date(next.withdrawn), //nolint:gosec // as above
		next.created, next.knownFrom, next.revision)
	if err != nil {
		return fmt.Errorf("consent: storing: %w", err)
	}
	return nil
}
