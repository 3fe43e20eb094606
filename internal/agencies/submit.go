package agencies

import (
	"context"

	"github.com/jackc/pgx/v5"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// SubmitService implements irt.v1.AgencyService.
func (s *Service) SubmitService(ctx context.Context, req *irtv1.SubmitServiceRequest) (*irtv1.Service, error) {
	stored, _, err := s.submit(ctx, req.GetService(), req.GetValidateOnly())
	return stored, err
}

// SubmitServices implements irt.v1.AgencyService.
func (s *Service) SubmitServices(stream grpc.BidiStreamingServer[irtv1.SubmitServicesRequest, irtv1.SubmitServicesResponse]) error {
	name := func(req *irtv1.SubmitServicesRequest) string { return req.GetService().GetName() }
	return rpc.Submissions(stream, name, s.submitOf, answerOf)
}

// submitOf submits what one request of a stream is about.
func (s *Service) submitOf(ctx context.Context, req *irtv1.SubmitServicesRequest) (*irtv1.Service, error) {
	stored, _, err := s.submitOne(ctx, req.GetService(), req.GetValidateOnly())
	return stored, err
}

// answerOf is the answer to one request of a stream.
func answerOf(req *irtv1.SubmitServicesRequest, stored *irtv1.Service, refused *rpcstatus.Status) *irtv1.SubmitServicesResponse {
	out := &irtv1.SubmitServicesResponse{RequestId: req.GetRequestId(), Outcome: &irtv1.SubmitServicesResponse_Result{Result: stored}}
	if refused != nil {
		out.Outcome = &irtv1.SubmitServicesResponse_Error{Error: refused}
	}
	return out
}

// Submit records one of the services of a file. The caller and the access entry are
// those of ctx; the service has an entry of its own beside it. Errors are as of
// SubmitService.
func (s *Service) Submit(ctx context.Context, m *irtv1.Service, validateOnly bool) (changed bool, err error) {
	_, changed, err = s.submitOne(ctx, m, validateOnly)
	return changed, err
}

// submitOne submits one service of many, once there is a place. It has an access entry
// of its own beside that of ctx, also where it is refused, but not one that was only to
// be checked and would not be.
func (s *Service) submitOne(ctx context.Context, given *irtv1.Service, validateOnly bool) (stored *irtv1.Service, changed bool, err error) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	own := audit.FromContext(ctx).Fork()
	own.SetQueryName(given.GetName())
	stored, changed, err = s.submit(audit.NewContext(ctx, own), given, validateOnly)
	if err != nil {
		return nil, false, s.access.Refused(ctx, given.GetName(), err) // what the first says came to nothing
	}
	return stored, changed, nil
}

// submit records a service, whose access is recorded with it; or, with validateOnly,
// finds out what would become of it.
func (s *Service) submit(ctx context.Context, given *irtv1.Service, validateOnly bool) (stored *irtv1.Service, changed bool, err error) {
	agency, id, ok := parseServiceName(given.GetName())
	if ok { // else the check says what is wrong with the name
		if _, err := s.offering(ctx, Name(agency)); err != nil {
			return nil, false, err
		}
	}
	next := proto.CloneOf(given)
	if next != nil {
		next.State = unstatedIsActive(next.GetState())
		standard.NormaliseService(next)
	}
	if err := checked(&irtv1.SubmitServiceRequest{Service: next}, ""); err != nil {
		return nil, false, err
	}
	put := func(tx pgx.Tx) error {
		current, found, err := lockService(ctx, tx, agency, id)
		if err != nil {
			return err
		}
		if err := rpc.CheckEtag(ctx, given.GetEtag(), current.GetEtag()); err != nil {
			return err
		}
		if found && rpc.SameSettings(next, current) {
			stored, changed = current, false
			return nil
		}
		if stored, changed, err = putService(ctx, tx, agency, id, next, found); err == nil && !changed {
			err = errRaced
		}
		return err
	}
	if validateOnly {
		err = pg.Rehearse(ctx, s.pool, put)
	} else {
		err = s.write(ctx, next.GetName(), put)
	}
	if err != nil {
		return nil, false, err
	}
	return stored, changed, nil
}

// offering returns the agency whose services the caller would change.
func (s *Service) offering(ctx context.Context, name string) (Agency, error) {
	return s.allowed(ctx, name, func(c identity.Caller, a Agency) bool { return sharing.MayWritePractitioner(c, a.ID) })
}
