package agencies

import (
	"context"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// CreateAgency implements irt.v1.AgencyService.
func (s *Service) CreateAgency(ctx context.Context, req *irtv1.CreateAgencyRequest) (*irtv1.Agency, error) {
	id := req.GetAgencyId()
	if err := nameFits(req.GetAgency().GetName(), Name(id), "agency.name"); err != nil {
		return nil, err
	}
	agency := newAgency(req.GetAgency(), "") // the check speaks of agency_id instead
	if err := checked(&irtv1.CreateAgencyRequest{AgencyId: id, Agency: agency}, ""); err != nil {
		return nil, err
	}
	var row agencyRow
	err := s.write(ctx, Name(id), func(tx pgx.Tx) (err error) {
		var created bool
		row, created, err = insertAgency(ctx, tx, id, agency)
		if err == nil && !created {
			err = rpc.AlreadyExists("agency")
		}
		return err
	})
	return s.published(row, err)
}

// newAgency is what is stored of an agency to be registered.
func newAgency(given *irtv1.Agency, name string) *irtv1.Agency {
	if given == nil {
		return nil
	}
	a := proto.CloneOf(given)
	a.Name, a.Etag = name, ""
	a.State = unstatedIsActive(a.GetState())
	standard.NormaliseAgency(a)
	return a
}

// GetAgency implements irt.v1.AgencyService.
func (s *Service) GetAgency(ctx context.Context, req *irtv1.GetAgencyRequest) (*irtv1.Agency, error) {
	id, ok := ParseName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("agency")
	}
	row, found, err := getAgency(ctx, s.pool, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, rpc.NotFound("agency")
	}
	return row.message, nil
}

// ListAgencies implements irt.v1.AgencyService.
func (s *Service) ListAgencies(ctx context.Context, req *irtv1.ListAgenciesRequest) (*irtv1.ListAgenciesResponse, error) {
	const method = irtv1.AgencyService_ListAgencies_FullMethodName
	after, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	rows, err := listAgencies(ctx, s.pool, req.GetKind(), string(after), size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListAgenciesResponse{}
	if len(rows) > size {
		rows = rows[:size]
		if out.NextPageToken, err = s.tokens.Encode(method, req, []byte(rows[size-1].id)); err != nil {
			return nil, err
		}
	}
	for _, r := range rows {
		out.Agencies = append(out.Agencies, r.message)
	}
	return out, nil
}

// UpdateAgency implements irt.v1.AgencyService.
func (s *Service) UpdateAgency(ctx context.Context, req *irtv1.UpdateAgencyRequest) (*irtv1.Agency, error) {
	id, ok := ParseName(req.GetAgency().GetName())
	if !ok {
		return nil, rpc.NotFound("agency")
	}
	var row agencyRow
	err := s.write(ctx, Name(id), func(tx pgx.Tx) error {
		current, found, err := lockAgency(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case found:
			row, err = reviseAgency(ctx, tx, current, req)
		default:
			row, err = registerMissingAgency(ctx, tx, id, req)
		}
		return err
	})
	return s.published(row, err)
}

// registerMissingAgency registers the agency of an update that allows it. The
// mask is not looked at then: all that is given counts (AIP-134).
func registerMissingAgency(ctx context.Context, tx pgx.Tx, id string, req *irtv1.UpdateAgencyRequest) (agencyRow, error) {
	if !req.GetAllowMissing() {
		return agencyRow{}, rpc.NotFound("agency")
	}
	if err := rpc.CheckEtag(ctx, req.GetAgency().GetEtag(), ""); err != nil {
		return agencyRow{}, err
	}
	agency := newAgency(req.GetAgency(), Name(id))
	if err := checked(agency, "agency"); err != nil {
		return agencyRow{}, err
	}
	row, created, err := insertAgency(ctx, tx, id, agency)
	if err == nil && !created {
		err = errRaced
	}
	return row, err
}

// reviseAgency stores a new version, unless the change changes nothing.
func reviseAgency(ctx context.Context, tx pgx.Tx, current agencyRow, req *irtv1.UpdateAgencyRequest) (agencyRow, error) {
	if err := rpc.CheckEtag(ctx, req.GetAgency().GetEtag(), current.message.GetEtag()); err != nil {
		return current, err
	}
	next, err := rpc.Revise(current.message, req.GetAgency(), req.GetUpdateMask())
	if err != nil {
		return current, err
	}
	next.State = unstatedIsActive(next.GetState())
	standard.NormaliseAgency(next)
	if err := checked(next, "agency"); err != nil {
		return current, err
	}
	if rpc.SameSettings(next, current.message) {
		return current, nil
	}
	row, _, err := updateAgency(ctx, tx, current.id, next)
	return row, err
}

// published tells the directory of a write before the caller hears of it.
func (s *Service) published(row agencyRow, err error) (*irtv1.Agency, error) {
	if err != nil {
		return nil, err
	}
	s.directory.apply([]agencyRow{row})
	return row.message, nil
}
