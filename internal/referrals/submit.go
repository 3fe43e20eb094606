package referrals

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// submission is a referral on its way through the write pipeline, and what becomes
// of it.
type submission struct {
	children.Write

	stored  *version
	changed bool
}

// admit is what a referral passes before it may enter the pipeline: whose it is, and
// whether it is in the standard's form.
func (s *Service) admit(ctx context.Context, given *irtv1.Referral) (*submission, error) {
	if given == nil {
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("REQUIRED", "referral")})
	}
	caller := identity.FromContext(ctx)
	agency, localID, ok := parseName(given.GetName())
	if ok && (caller.Agency != agency || !sharing.MayWrite(caller, agency)) {
		return nil, rpc.Denied()
	}
	m := proto.CloneOf(given)
	standard.NormaliseReferral(m)
	if faults, _ := standard.Check(&irtv1.SendReferralRequest{Referral: m}, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	to, _ := agencies.ParseName(m.GetRecipient())
	next := &version{
		id: standard.ReferralID(agency, localID), agency: agency, localID: localID, recipient: to, service: m.GetService(),
		reason: m.GetReason(), urgency: m.GetUrgency(), basis: m.GetBasis(), state: sent,
	}
	about, err := children.ReadAsked("referral", agency, m.GetChild(), m.GetChildRecord())
	if err != nil {
		return nil, rpc.Hidden(err)
	}
	if about.Imported = rpc.IsImport(ctx); about.Imported && given.GetState() != sent {
		next.beyond = given.GetState()
	}
	sub := &submission{Write: children.Write{
		ID: next.id, Name: next.name(), Agency: caller.Agency, Child: about.Child, Record: about.Record, Access: audit.FromContext(ctx),
	}}
	asker := s.directory.Asker(ctx)
	fits := func(present string) error { return rpc.CheckEtag(ctx, m.GetEtag(), present) }
	sub.Apply = func(ctx context.Context, tx pgx.Tx) ([]events.Event, error) {
		c, again := &change{s: s, tx: tx, asker: asker, access: sub.Access}, *next
		var err error
		sub.stored, err = c.send(ctx, &again, about, fits)
		sub.changed = sub.stored == &again
		return c.events, err
	}
	return sub, nil
}

// SubmitReferrals implements irt.v1.ReferralService.
func (s *Service) SubmitReferrals(stream grpc.BidiStreamingServer[irtv1.SubmitReferralsRequest, irtv1.SubmitReferralsResponse]) error {
	name := func(req *irtv1.SubmitReferralsRequest) string { return req.GetReferral().GetName() }
	return rpc.Submissions(stream, name, s.submitOf, answerOf)
}

// submitOf submits what one request of a stream is about.
func (s *Service) submitOf(ctx context.Context, req *irtv1.SubmitReferralsRequest) (*irtv1.Referral, error) {
	sub, err := s.submitOne(ctx, req.GetReferral(), req.GetValidateOnly())
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, sub.stored, sender, time.Now()), nil
}

// answerOf is the answer to one request of a stream.
func answerOf(req *irtv1.SubmitReferralsRequest, shown *irtv1.Referral, refused *rpcstatus.Status) *irtv1.SubmitReferralsResponse {
	out := &irtv1.SubmitReferralsResponse{RequestId: req.GetRequestId(), Outcome: &irtv1.SubmitReferralsResponse_Result{Result: shown}}
	if refused != nil {
		out.Outcome = &irtv1.SubmitReferralsResponse_Error{Error: refused}
	}
	return out
}

// Submit takes one referral through admission and the write pipeline, waiting for a
// place there: for files, which are slowed down rather than refused. The caller and
// the access entry are those of ctx; the referral has an entry of its own beside it.
// Errors are as of SendReferral.
func (s *Service) Submit(ctx context.Context, m *irtv1.Referral, validateOnly bool) (changed bool, err error) {
	sub, err := s.submitOne(ctx, m, validateOnly)
	return err == nil && sub.changed, err
}

// submitOne submits one referral of many.
func (s *Service) submitOne(ctx context.Context, m *irtv1.Referral, validateOnly bool) (sub *submission, err error) {
	err = s.writer.DoOne(ctx, m.GetName(), validateOnly, func() (*children.Write, error) {
		var err error
		if sub, err = s.admit(ctx, m); err != nil {
			return nil, err
		}
		return &sub.Write, nil
	})
	return sub, err
}
