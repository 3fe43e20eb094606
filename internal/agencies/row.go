package agencies

import (
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

// agencyColumns are read by scanAgency, in its order.
const agencyColumns = `agency_id, display_name, kind, sensitive, urn, ods_code, address_lines,
	postcode, telephone, out_of_hours_telephone, email, state, create_time, update_time, revision, certificate_names, office_hours`

// practitionerColumns are read by scanPractitioner, in its order.
const practitionerColumns = `agency_id, practitioner_id, display_name, job_title, telephone, email,
	state, create_time, update_time, revision`

// agencyRow is an agency as it is stored; id and revision are not in the message.
type agencyRow struct {
	id       string
	revision int32
	message  *irtv1.Agency
}

func scanAgency(row pgx.CollectableRow) (agencyRow, error) {
	var (
		r                agencyRow
		m                irtv1.Agency
		kind, state      int16
		created, updated time.Time
	)
	err := row.Scan(&r.id, &m.DisplayName, &kind, &m.Sensitive, &m.Urn, &m.OdsCode, &m.AddressLines,
		&m.Postcode, &m.Telephone, &m.OutOfHoursTelephone, &m.Email, &state, &created, &updated, &r.revision, &m.CertificateNames, &m.OfficeHours)
	m.Name = Name(r.id)
	m.Kind, m.State = irtv1.AgencyKind(kind), irtv1.AgencyState(state)
	m.CreateTime, m.UpdateTime = timestamppb.New(created), timestamppb.New(updated)
	m.Etag = rpc.Etag("agency", r.id, r.revision)
	r.message = &m
	return r, err
}

func scanPractitioner(row pgx.CollectableRow) (*irtv1.Practitioner, error) {
	var (
		m                irtv1.Practitioner
		agency, id       string
		state            int16
		created, updated time.Time
		revision         int32
	)
	err := row.Scan(&agency, &id, &m.DisplayName, &m.JobTitle, &m.Telephone, &m.Email,
		&state, &created, &updated, &revision)
	m.Name = PractitionerName(agency, id)
	m.State = irtv1.AgencyState(state)
	m.CreateTime, m.UpdateTime = timestamppb.New(created), timestamppb.New(updated)
	m.Etag = rpc.Etag("practitioner", agency, id, revision)
	return &m, err
}

// agencyArguments names the columns that people set.
func agencyArguments(id string, a *irtv1.Agency) pgx.NamedArgs {
	lines, names := a.GetAddressLines(), a.GetCertificateNames()
	if lines == nil {
		lines = []string{}
	}
	if names == nil {
		names = []string{}
	}
	hours := a.GetOfficeHours()
	if hours == nil {
		hours = []*irtv1.OfficeHours{}
	}
	return pgx.NamedArgs{
		"agency_id": id, "display_name": a.GetDisplayName(), "kind": int16(a.GetKind()), //nolint:gosec // defined values only
		"sensitive": a.GetSensitive(), "urn": a.GetUrn(), "ods_code": a.GetOdsCode(),
		"address_lines": lines, "certificate_names": names, "office_hours": hours, "postcode": a.GetPostcode(), "telephone": a.GetTelephone(),
		"out_of_hours_telephone": a.GetOutOfHoursTelephone(), "email": a.GetEmail(),
		"state": int16(a.GetState()), //nolint:gosec // defined values only
	}
}

func practitionerArguments(agency, id string, p *irtv1.Practitioner) pgx.NamedArgs {
	return pgx.NamedArgs{
		"agency_id": agency, "practitioner_id": id,
		"display_name": p.GetDisplayName(), "job_title": p.GetJobTitle(),
		"telephone": p.GetTelephone(), "email": p.GetEmail(),
		"state": int16(p.GetState()), //nolint:gosec // defined values only
	}
}
