package agencies

import (
	"context"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// CreatePractitioner implements irt.v1.AgencyService.
func (s *Service) CreatePractitioner(ctx context.Context, req *irtv1.CreatePractitionerRequest) (*irtv1.Practitioner, error) {
	agency, err := s.keeping(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	id := req.GetPractitionerId()
	name := PractitionerName(agency.ID, id)
	if err := nameFits(req.GetPractitioner().GetName(), name, "practitioner.name"); err != nil {
		return nil, err
	}
	practitioner := newPractitioner(req.GetPractitioner(), "") // the check speaks of practitioner_id instead
	whole := &irtv1.CreatePractitionerRequest{Parent: req.GetParent(), PractitionerId: id, Practitioner: practitioner}
	if err := checked(whole, ""); err != nil {
		return nil, err
	}
	var out *irtv1.Practitioner
	err = s.write(ctx, name, func(tx pgx.Tx) (err error) {
		var created bool
		out, created, err = insertPractitioner(ctx, tx, agency.ID, id, practitioner)
		if err == nil && !created {
			err = rpc.AlreadyExists("practitioner")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.directory.heardOf(agency.ID, id, out)
	redact.Pass(ctx, out)
	return out, nil
}

// newPractitioner is what is stored of a practitioner to be registered.
func newPractitioner(given *irtv1.Practitioner, name string) *irtv1.Practitioner {
	if given == nil {
		return nil
	}
	p := proto.CloneOf(given)
	p.Name, p.Etag = name, ""
	p.State = unstatedIsActive(p.GetState())
	standard.NormalisePractitioner(p)
	return p
}

// GetPractitioner implements irt.v1.AgencyService.
func (s *Service) GetPractitioner(ctx context.Context, req *irtv1.GetPractitionerRequest) (*irtv1.Practitioner, error) {
	agency, id, ok := ParsePractitionerName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("practitioner")
	}
	if _, err := s.seeing(ctx, Name(agency)); err != nil {
		return nil, err
	}
	p, found, err := getPractitioner(ctx, s.pool, agency, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, rpc.NotFound("practitioner")
	}
	audit.FromContext(ctx).AddReturned(p.GetName())
	redact.Pass(ctx, p)
	return p, nil
}

// ListPractitioners implements irt.v1.AgencyService.
func (s *Service) ListPractitioners(ctx context.Context, req *irtv1.ListPractitionersRequest) (*irtv1.ListPractitionersResponse, error) {
	const method = irtv1.AgencyService_ListPractitioners_FullMethodName
	agency, err := s.seeing(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	after, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	list, err := listPractitioners(ctx, s.pool, agency.ID, string(after), size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListPractitionersResponse{Practitioners: list}
	if len(list) > size {
		out.Practitioners = list[:size]
		_, last, _ := ParsePractitionerName(list[size-1].GetName())
		if out.NextPageToken, err = s.tokens.Encode(method, req, []byte(last)); err != nil {
			return nil, err
		}
	}
	for _, p := range out.GetPractitioners() {
		audit.FromContext(ctx).AddReturned(p.GetName())
		redact.Pass(ctx, p)
	}
	return out, nil
}

// UpdatePractitioner implements irt.v1.AgencyService.
func (s *Service) UpdatePractitioner(ctx context.Context, req *irtv1.UpdatePractitionerRequest) (*irtv1.Practitioner, error) {
	agency, id, ok := ParsePractitionerName(req.GetPractitioner().GetName())
	if !ok {
		return nil, rpc.NotFound("practitioner")
	}
	if _, err := s.keeping(ctx, Name(agency)); err != nil {
		return nil, err
	}
	var out *irtv1.Practitioner
	err := s.write(ctx, PractitionerName(agency, id), func(tx pgx.Tx) error {
		current, found, err := lockPractitioner(ctx, tx, agency, id)
		switch {
		case err != nil:
			return err
		case found:
			out, err = revisePractitioner(ctx, tx, agency, id, current, req)
		default:
			out, err = registerMissingPractitioner(ctx, tx, agency, id, req)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.directory.heardOf(agency, id, out)
	redact.Pass(ctx, out)
	return out, nil
}

// registerMissingPractitioner is registerMissingAgency for practitioners.
func registerMissingPractitioner(ctx context.Context, tx pgx.Tx, agency, id string, req *irtv1.UpdatePractitionerRequest) (*irtv1.Practitioner, error) {
	if !req.GetAllowMissing() {
		return nil, rpc.NotFound("practitioner")
	}
	if err := rpc.CheckEtag(ctx, req.GetPractitioner().GetEtag(), ""); err != nil {
		return nil, err
	}
	p := newPractitioner(req.GetPractitioner(), PractitionerName(agency, id))
	if err := checked(p, "practitioner"); err != nil {
		return nil, err
	}
	out, created, err := insertPractitioner(ctx, tx, agency, id, p)
	if err == nil && !created {
		err = errRaced
	}
	return out, err
}

// revisePractitioner is reviseAgency for practitioners.
func revisePractitioner(ctx context.Context, tx pgx.Tx, agency, id string, current *irtv1.Practitioner, req *irtv1.UpdatePractitionerRequest) (*irtv1.Practitioner, error) {
	if err := rpc.CheckEtag(ctx, req.GetPractitioner().GetEtag(), current.GetEtag()); err != nil {
		return nil, err
	}
	next, err := rpc.Revise(current, req.GetPractitioner(), req.GetUpdateMask())
	if err != nil {
		return nil, err
	}
	next.State = unstatedIsActive(next.GetState())
	standard.NormalisePractitioner(next)
	if err := checked(next, "practitioner"); err != nil {
		return nil, err
	}
	if rpc.SameSettings(next, current) {
		return current, nil
	}
	out, _, err := updatePractitioner(ctx, tx, agency, id, next)
	return out, err
}

// seeing returns the agency whose practitioners the caller would see.
func (s *Service) seeing(ctx context.Context, name string) (Agency, error) {
	return s.allowed(ctx, name, maySee)
}

// keeping returns the agency whose practitioners the caller would change. The
// answer to a change shows the whole, so who may not see may not change either.
func (s *Service) keeping(ctx context.Context, name string) (Agency, error) {
	return s.allowed(ctx, name, func(c identity.Caller, a Agency) bool {
		return sharing.MayWritePractitioner(c, a.ID) && maySee(c, a)
	})
}

func maySee(c identity.Caller, a Agency) bool {
	return sharing.MayReadPractitioner(c, a.ID, a.Sensitive)
}

// allowed says that there is no such agency only to those who might have done it
// if there were one.
func (s *Service) allowed(ctx context.Context, name string, may func(identity.Caller, Agency) bool) (Agency, error) {
	id, ok := ParseName(name)
	if !ok {
		return Agency{}, rpc.NotFound("agency")
	}
	agency, found, err := s.directory.Find(ctx, id)
	if err != nil {
		return Agency{}, err
	}
	if !found {
		agency.ID = id
	}
	if !may(identity.FromContext(ctx), agency) {
		return Agency{}, rpc.Denied()
	}
	if !found {
		return Agency{}, rpc.NotFound("agency")
	}
	return agency, nil
}
