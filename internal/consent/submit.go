package consent

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// RecordConsent implements irt.v1.ConsentService.
func (s *Service) RecordConsent(ctx context.Context, req *irtv1.RecordConsentRequest) (*irtv1.Consent, error) {
	sub, err := s.admit(ctx, req.GetConsent(), given)
	if err != nil {
		return nil, err
	}
	if err := s.writer.Do(ctx, &sub.Write, req.GetValidateOnly()); err != nil {
		return nil, err
	}
	return sub.stored.message(true), nil
}

// SubmitConsents implements irt.v1.ConsentService.
func (s *Service) SubmitConsents(stream grpc.BidiStreamingServer[irtv1.SubmitConsentsRequest, irtv1.SubmitConsentsResponse]) error {
	name := func(req *irtv1.SubmitConsentsRequest) string { return req.GetConsent().GetName() }
	return rpc.Submissions(stream, name, s.submitOf, answerOf)
}

// submitOf submits what one request of a stream is about.
func (s *Service) submitOf(ctx context.Context, req *irtv1.SubmitConsentsRequest) (*irtv1.Consent, error) {
	sub, err := s.submitOne(ctx, req.GetConsent(), given, req.GetValidateOnly())
	if err != nil {
		return nil, err
	}
	return sub.stored.message(true), nil
}

// answerOf is the answer to one request of a stream.
func answerOf(req *irtv1.SubmitConsentsRequest, shown *irtv1.Consent, refused *rpcstatus.Status) *irtv1.SubmitConsentsResponse {
	out := &irtv1.SubmitConsentsResponse{RequestId: req.GetRequestId(), Outcome: &irtv1.SubmitConsentsResponse_Result{Result: shown}}
	if refused != nil {
		out.Outcome = &irtv1.SubmitConsentsResponse_Error{Error: refused}
	}
	return out
}

// Submit takes one consent through admission and the write pipeline, waiting for a place
// there: for files, which are slowed down rather than refused. The caller and the access
// entry are those of ctx; the consent has an entry of its own beside it. One that its
// file says was withdrawn, as exports do, is not recorded anew. Errors are as of
// RecordConsent.
func (s *Service) Submit(ctx context.Context, m *irtv1.Consent, validateOnly bool) (changed bool, err error) {
	state := given
	if m.GetState() == withdrawn {
		state = withdrawn
	}
	sub, err := s.submitOne(ctx, m, state, validateOnly)
	return err == nil && sub.changed, err
}

// submitOne submits one consent of many.
func (s *Service) submitOne(ctx context.Context, m *irtv1.Consent, state irtv1.ConsentState, validateOnly bool) (sub *submission, err error) {
	err = s.writer.DoOne(ctx, m.GetName(), validateOnly, func() (*children.Write, error) {
		var err error
		if sub, err = s.admit(ctx, m, state); err != nil {
			return nil, err
		}
		return &sub.Write, nil
	})
	return sub, err
}

// submission is a consent on its way through the write pipeline, and what becomes of it.
type submission struct {
	children.Write

	stored  *version
	changed bool
}

// admit is what a consent passes before it may enter the pipeline: whose it is, and
// whether it is in the standard's form. state is where its sender says it stands.
func (s *Service) admit(ctx context.Context, m *irtv1.Consent, state irtv1.ConsentState) (*submission, error) {
	if m == nil {
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("REQUIRED", "consent")})
	}
	caller := identity.FromContext(ctx)
	agency, localID, ok := parseName(m.GetName())
	if ok && !sharing.MayWrite(caller, agency) {
		return nil, rpc.Denied()
	}
	normal := proto.CloneOf(m)
	standard.NormaliseConsent(normal)
	if faults, _ := standard.Check(&irtv1.RecordConsentRequest{Consent: normal}, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	if normal.GetScope() == irtv1.ConsentScope_CONSENT_SCOPE_SENSITIVE_INVOLVEMENT && !sharing.SensitiveVisible(caller, agency) {
		return nil, rpc.Denied()
	}
	next, err := s.versionOf(ctx, normal, agency, localID)
	if err != nil {
		return nil, err
	}
	next.state = state
	about, err := children.ReadAsked("consent", agency, normal.GetChild(), normal.GetChildRecord())
	if err != nil {
		return nil, hidden(caller, err)
	}
	about.Imported = rpc.IsImport(ctx)
	sub := &submission{Write: children.Write{
		ID: next.id, Name: next.name(), Agency: caller.Agency, Child: about.Child, Record: about.Record, Access: audit.FromContext(ctx),
	}}
	fits := func(present string) error { return rpc.CheckEtag(ctx, normal.GetEtag(), present) }
	sub.Apply = func(ctx context.Context, tx pgx.Tx) ([]events.Event, error) {
		c, again := s.change(tx, caller, sub.Access), *next
		var err error
		sub.stored, err = c.record(ctx, &again, about, fits)
		sub.changed = sub.stored == &again
		return c.events, err
	}
	return sub, nil
}

// exportSQL lists an agency's consents by their ids, which lie together.
const exportSQL = `SELECT ` + columns + ` FROM consents
	WHERE consent_id > $1 AND consent_id <= $2 AND agency_id = $3 ORDER BY consent_id LIMIT $4`

// Export gives the consents of an agency after a place, which is nil before the first,
// in the order of their keys, and the place after them; nil where there are no more. The
// caller must be one who may read them; those that would give a sensitive service away
// are left out for all but the agency.
func (s *Service) Export(ctx context.Context, agency string, after []byte, limit int) (list []*irtv1.Consent, last []byte, err error) {
	first, end := standard.RecordRange(agency)
	if len(after) == len(first) {
		copy(first[:], after)
	}
	rows, err := s.pool.Query(ctx, exportSQL, [16]byte(first), [16]byte(end), agency, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("consent: exporting: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanVersion)
	if err != nil {
		return nil, nil, fmt.Errorf("consent: exporting: %w", err)
	}
	caller := identity.FromContext(ctx)
	for _, v := range found {
		if last = v.id[:]; s.mayKnow(caller, v) {
			list = append(list, v.message(true))
		}
	}
	return list, last, nil
}
