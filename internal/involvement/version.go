package involvement

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// version is an involvement as the hub knew it from knownFrom on: a row of
// involvements or of its history.
type version struct {
	childID       uuid.UUID
	id            uuid.UUID
	agency        string
	localID       string
	recordID      uuid.UUID // zero where the agency has no record of the child
	recordLocalID string
	role          string
	practitioner  string // its id, or ""
	start, end    time.Time
	sensitive     bool
	basis         string
	created       time.Time
	knownFrom     time.Time
	revision      int32
}

// columns of involvements and of its history, in the order of (*version).read.
const columns = `child_id, involvement_id, agency_id, local_id, record_id, record_local_id, role,
	practitioner_id, start_date, end_date, sensitive, sensitive_basis, create_time, known_from, revision`

// read reads columns. A row of NULLs, which an outer join gives for a child without
// involvements, leaves v zero.
func (v *version) read(c *pg.Columns) {
	v.childID, v.id, v.agency, v.localID = c.UUID(), c.UUID(), c.Text(), c.Text()
	v.recordID, v.recordLocalID, v.role, v.practitioner = c.UUID(), c.Text(), c.Text(), c.Text()
	v.start, v.end, v.sensitive, v.basis = c.Date(), c.Date(), c.Bool(), c.Text()
	v.created, v.knownFrom, v.revision = c.Time(), c.Time(), c.Int32()
}

func scanVersion(row pgx.CollectableRow) (*version, error) {
	v, c := &version{}, pg.Columns{}
	c.Of(row)
	v.read(&c)
	return v, c.Err()
}

func (v *version) name() string { return involvementName(v.agency, v.localID) }

func (v *version) etag() string { return rpc.Etag("involvement", string(v.id[:]), v.revision) }

// inForce tells whether the involvement holds on a day.
func (v *version) inForce(day time.Time) bool { return within(day, v.start, v.end) }

func within(day, start, end time.Time) bool {
	return !start.After(day) && (end.IsZero() || !end.Before(day))
}

// says tells whether another version has the same content.
func (v *version) says(o *version) bool {
	return v.childID == o.childID && v.recordID == o.recordID && v.role == o.role && v.practitioner == o.practitioner &&
		v.start.Equal(o.start) && v.end.Equal(o.end) && v.sensitive == o.sensitive && v.basis == o.basis
}

// contact is what is shown of a practitioner beside an involvement.
type contact struct {
	displayName, jobTitle, telephone, email string
}

const contactColumns = `display_name, job_title, telephone, email`

// read reads contactColumns.
func (c *contact) read(from *pg.Columns) {
	c.displayName, c.jobTitle, c.telephone, c.email = from.Text(), from.Text(), from.Text(), from.Text()
}

// shown is an involvement with all that is shown beside it.
type shown struct {
	version
	contact contact
	lead    bool // it is the lead professional's, on the day asked about
}

// message shows an involvement. The agency's own record of the child, and the etag,
// are for those who may read records of the agency as their own.
func (v *shown) message(a agencies.Agency, own bool) *irtv1.Involvement {
	m := &irtv1.Involvement{
		Name: v.name(), Child: rpc.ChildName(v.childID), Role: v.role,
		StartDate: standard.FormatDate(v.start), EndDate: standard.FormatDate(v.end),
		Sensitive: v.sensitive, SensitiveBasis: v.basis,
		AgencyDisplayName: a.DisplayName, AgencyKind: a.Kind,
		PractitionerDisplayName: v.contact.displayName, PractitionerJobTitle: v.contact.jobTitle,
		Telephone: firstText(v.contact.telephone, a.Telephone), OutOfHoursTelephone: a.OutOfHoursTelephone,
		Email:            firstText(v.contact.email, a.Email),
		LeadProfessional: v.lead,
		CreateTime:       timestamppb.New(v.created), UpdateTime: timestamppb.New(v.knownFrom),
	}
	if v.practitioner != "" {
		m.Practitioner = agencies.PractitionerName(v.agency, v.practitioner)
	}
	if own {
		m.Etag = v.etag() // of no use to others, and a hash a row is a tenth of a list's cost
		if v.recordLocalID != "" {
			m.ChildRecord = recordName(v.agency, v.recordLocalID)
		}
	}
	return m
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
