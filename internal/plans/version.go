package plans

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

// version is a plan as the hub knew it from knownFrom on.
type version struct {
	childID       uuid.UUID
	id            uuid.UUID
	agency        string
	localID       string
	recordID      uuid.UUID // zero where the agency has no record of the child
	recordLocalID string
	kind          irtv1.PlanKind
	practitioner  string // id
	start, end    time.Time
	created       time.Time
	knownFrom     time.Time
	revision      int32

	person person // of the directory, beside the row
}

// person is what the directory says of the practitioner to ring.
type person struct{ displayName, telephone string }

// columns of plans and of its history.
const columns = `child_id, plan_id, agency_id, local_id, record_id, record_local_id, kind, practitioner_id,
	start_date, end_date, create_time, known_from, revision`

// selectSQL reads plans v with whom to ring, in the order of scanVersion.
const selectSQL = `SELECT v.child_id, v.plan_id, v.agency_id, v.local_id, v.record_id, v.record_local_id, v.kind, v.practitioner_id,
		v.start_date, v.end_date, v.create_time, v.known_from, v.revision, p.display_name, p.telephone
	FROM plans v LEFT JOIN practitioners p ON p.agency_id = v.agency_id AND p.practitioner_id = v.practitioner_id `

func scanVersion(row pgx.CollectableRow) (*version, error) {
	v := &version{}
	var end pgtype.Date
	err := row.Scan(
		(*[16]byte)(&v.childID), (*[16]byte)(&v.id), &v.agency, &v.localID, (*zeronull.UUID)(&v.recordID), &v.recordLocalID,
		&v.kind, &v.practitioner, &v.start, &end, &v.created, &v.knownFrom, &v.revision,
		(*zeronull.Text)(&v.person.displayName), (*zeronull.Text)(&v.person.telephone))
	v.end = end.Time
	return v, err
}

// parseName reads agencies/{agency}/plans/{local_id}.
func parseName(name string) (agency, localID string, ok bool) {
	return agencies.ParseChildName(name, "plans")
}

func (v *version) name() string { return agencies.Name(v.agency) + "/plans/" + v.localID }

func (v *version) etag() string { return rpc.Etag("plan", string(v.id[:]), v.revision) }

func etagOf(v *version) string {
	if v == nil {
		return ""
	}
	return v.etag()
}

// says tells whether another version has the same content.
func (v *version) says(o *version) bool {
	return v.childID == o.childID && v.recordID == o.recordID && v.kind == o.kind && v.practitioner == o.practitioner &&
		v.start.Equal(o.start) && v.end.Equal(o.end)
}

// inForce tells whether the plan holds on a day.
func (v *version) inForce(day time.Time) bool {
	return !v.start.After(day) && (v.end.IsZero() || !v.end.Before(day))
}

// message shows a plan of an agency; the agency's own record of the child and the etag
// are for the agency itself.
func (v *version) message(a agencies.Agency, own bool, today time.Time) *irtv1.ProtectionPlan {
	m := &irtv1.ProtectionPlan{
		Name: v.name(), Child: rpc.ChildName(v.childID), Kind: v.kind,
		StartDate: standard.FormatDate(v.start), EndDate: standard.FormatDate(v.end),
		AgencyDisplayName: a.DisplayName, Telephone: a.Telephone, OutOfHoursTelephone: a.OutOfHoursTelephone,
		InForce: v.inForce(today), CreateTime: timestamppb.New(v.created), UpdateTime: timestamppb.New(v.knownFrom),
	}
	if v.practitioner != "" {
		m.Practitioner = agencies.PractitionerName(v.agency, v.practitioner)
		m.PractitionerDisplayName = v.person.displayName
	}
	if v.person.telephone != "" {
		m.Telephone = v.person.telephone
	}
	if own {
		m.Etag = v.etag()
		if v.recordLocalID != "" {
			m.ChildRecord = agencies.Name(v.agency) + "/childRecords/" + v.recordLocalID
		}
	}
	return m
}

func (v *version) child() uuid.UUID { return v.childID }

// present reads the present version of a plan, nil where there is none.
func present(ctx context.Context, q children.Querier, id uuid.UUID) (*version, error) {
	return children.One(ctx, q, scanVersion, selectSQL+`WHERE v.plan_id = $1`, [16]byte(id))
}

// put stores a new version in the place of the present one, which becomes history.
func (c *change) put(ctx context.Context, cur, next *version) error {
	next.created, next.knownFrom, next.revision = c.now, c.now, 1
	if cur != nil {
		next.created, next.knownFrom, next.revision = cur.created, children.After(c.now, cur.knownFrom), cur.revision+1
		if err := children.Supersede(ctx, c.tx, "plans", "plan_id", columns, cur.childID, cur.id, next.knownFrom); err != nil {
			return err
		}
	}
	_, err := c.tx.Exec(ctx, `INSERT INTO plans (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		[16]byte(next.childID), [16]byte(next.id), next.agency, next.localID, zeronull.UUID(next.recordID), next.recordLocalID,
		int16(next.kind), next.practitioner, pg.Date(next.start), pg.Date(next.end), //nolint:gosec // kinds are few
		next.created, next.knownFrom, next.revision)
	if err != nil {
		return fmt.Errorf("plans: storing: %w", err)
	}
	return nil
}
