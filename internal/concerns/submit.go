package concerns

import (
	"context"

	"github.com/google/uuid"
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
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// parseName reads agencies/{agency}/concerns/{local_id}.
func parseName(name string) (agency, localID string, ok bool) {
	return agencies.ParseChildName(name, "concerns")
}

// SubmitConcern implements irt.v1.ConcernService.
func (s *Service) SubmitConcern(ctx context.Context, req *irtv1.SubmitConcernRequest) (*irtv1.Concern, error) {
	sub, err := s.admit(ctx, req.GetConcern())
	if err != nil {
		return nil, err
	}
	err = s.writer.Do(ctx, &sub.Write, req.GetValidateOnly())
	return s.answer(ctx, sub.stored, err)
}

// SubmitConcerns implements irt.v1.ConcernService.
func (s *Service) SubmitConcerns(stream grpc.BidiStreamingServer[irtv1.SubmitConcernsRequest, irtv1.SubmitConcernsResponse]) error {
	name := func(req *irtv1.SubmitConcernsRequest) string { return req.GetConcern().GetName() }
	return rpc.Submissions(stream, name, s.submitOf, answerOf)
}

// submitOf submits what one request of a stream is about.
func (s *Service) submitOf(ctx context.Context, req *irtv1.SubmitConcernsRequest) (*irtv1.Concern, error) {
	sub, err := s.submitOne(ctx, req.GetConcern(), req.GetValidateOnly())
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, sub.stored, nil)
}

// answerOf is the answer to one request of a stream.
func answerOf(req *irtv1.SubmitConcernsRequest, shown *irtv1.Concern, refused *rpcstatus.Status) *irtv1.SubmitConcernsResponse {
	out := &irtv1.SubmitConcernsResponse{RequestId: req.GetRequestId(), Outcome: &irtv1.SubmitConcernsResponse_Result{Result: shown}}
	if refused != nil {
		out.Outcome = &irtv1.SubmitConcernsResponse_Error{Error: refused}
	}
	return out
}

// Submit takes one concern through admission and the write pipeline, waiting for a
// place there: for files, which are slowed down rather than refused. The caller and
// the access entry are those of ctx; the concern has an entry of its own beside it.
// Errors are as of SubmitConcern.
func (s *Service) Submit(ctx context.Context, m *irtv1.Concern, validateOnly bool) (changed bool, err error) {
	sub, err := s.submitOne(ctx, m, validateOnly)
	return err == nil && sub.changed, err
}

// submitOne submits one concern of many.
func (s *Service) submitOne(ctx context.Context, m *irtv1.Concern, validateOnly bool) (sub *submission, err error) {
	err = s.writer.DoOne(ctx, m.GetName(), validateOnly, func() (*children.Write, error) {
		var err error
		if sub, err = s.admit(ctx, m); err != nil {
			return nil, err
		}
		return &sub.Write, nil
	})
	return sub, err
}

// submission is a concern on its way through the write pipeline, and what becomes
// of it.
type submission struct {
	children.Write

	stored  *version
	changed bool
}

// admit is what a concern passes before it may enter the pipeline: whose it is, and
// whether it is in the standard's form.
func (s *Service) admit(ctx context.Context, m *irtv1.Concern) (*submission, error) {
	if m == nil {
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("REQUIRED", "concern")})
	}
	caller := identity.FromContext(ctx)
	agency, localID, ok := parseName(m.GetName())
	if ok && !sharing.MayWrite(caller, agency) {
		return nil, rpc.Denied()
	}
	given := proto.CloneOf(m)
	standard.NormaliseConcern(given)
	if faults, _ := standard.Check(&irtv1.SubmitConcernRequest{Concern: given}, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	next, err := versionOf(given, agency, localID)
	if err != nil {
		return nil, err
	}
	about, err := children.ReadAsked("concern", agency, given.GetChild(), given.GetChildRecord())
	if err != nil {
		return nil, rpc.Hidden(err)
	}
	if about.Imported = rpc.IsImport(ctx); about.Imported && m.GetState() != open {
		next.over = m.GetState()
	}
	sub := &submission{Write: children.Write{
		ID: next.id, Name: next.name(), Agency: caller.Agency, Child: about.Child, Record: about.Record, Access: audit.FromContext(ctx),
	}}
	fits := func(present string) error { return rpc.CheckEtag(ctx, given.GetEtag(), present) }
	sub.Apply = func(ctx context.Context, tx pgx.Tx) ([]events.Event, error) {
		c, again := s.change(tx, sub.Access), *next
		var err error
		sub.stored, err = c.submit(ctx, &again, about, fits)
		sub.changed = sub.stored == &again
		return c.events, err
	}
	return sub, nil
}

// answer shows an agency what it did.
func (s *Service) answer(ctx context.Context, stored *version, err error) (*irtv1.Concern, error) {
	if err != nil {
		return nil, err
	}
	m := stored.message(true, s.today())
	redact.Show(ctx, m, sharing.Own(identity.FromContext(ctx), stored.agency))
	return m, nil
}

// versionOf takes from a concern, which has been checked, what is stored of it.
func versionOf(m *irtv1.Concern, agency, localID string) (*version, error) {
	v := &version{
		id: standard.ConcernID(agency, localID), agency: agency, localID: localID,
		category: m.GetCategory(), level: m.GetLevel(), state: open,
	}
	v.start, _ = standard.ParseDate(m.GetStartDate()) // which the check has found to be days
	if m.GetReviewDate() != "" {
		v.review, _ = standard.ParseDate(m.GetReviewDate())
	}
	if m.GetPractitioner() != "" {
		var of string
		if of, v.practitioner, _ = agencies.ParsePractitionerName(m.GetPractitioner()); of != agency {
			return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("PRACTITIONER_FOREIGN", "concern.practitioner")})
		}
	}
	return v, nil
}

// submit works out what a concern comes to, and stores it; it refuses it before that.
func (c *change) submit(ctx context.Context, next *version, about children.Asked, fits func(etag string) error) (*version, error) {
	sub, err := about.Hold(ctx, c.tx, c.today, c.hold)
	if err == nil && !sub.Works {
		err = rpc.Denied()
	}
	if err != nil {
		return c.restated(ctx, next, about, fits, rpc.Hidden(err))
	}
	cur, err := present(ctx, c.tx, next.id)
	if err != nil {
		return nil, err
	}
	if err := maySubmit(cur, sub, fits); err != nil {
		return nil, err
	}
	next.childID, next.recordID, next.recordLocalID = sub.Child, sub.Record, sub.RecordLocalID
	agency, _ := c.s.directory.Get(next.agency)
	next.sensitive = agency.Sensitive || sub.Sensitive
	if cur != nil {
		if about.Record == uuid.Nil && cur.recordID != uuid.Nil {
			next.recordID, next.recordLocalID = cur.recordID, cur.recordLocalID // so that sending it again changes nothing
		}
		next.sensitive, next.reviewTold = next.sensitive || cur.sensitive, cur.reviewTold
		if next.says(cur) {
			return cur, nil
		}
	}
	if err := next.mayReplace(cur); err != nil {
		return nil, err
	}
	before, err := c.agenciesWorried(ctx, sub.Child)
	if err != nil {
		return nil, err
	}
	if err := c.settle(ctx, cur, next, irtv1.EventKind_EVENT_KIND_CONCERN_SUBMITTED); err != nil {
		return nil, err
	}
	return next, c.escalate(ctx, cur, next, before)
}

// restated answers an agency that does not work with the child any more: what it shared
// while it did stands, and saying that again changes nothing. All else is refused.
func (c *change) restated(ctx context.Context, next *version, about children.Asked, fits func(etag string) error, refusal error) (*version, error) {
	cur, err := children.Restated(ctx, c.tx, about, refusal,
		func() (*version, error) { return present(ctx, c.tx, next.id) },
		func(cur *version) (child, record uuid.UUID, same bool) {
			next.childID, next.recordID = cur.childID, cur.recordID
			return cur.childID, cur.recordID, next.says(cur)
		})
	if err != nil {
		return nil, err
	}
	c.access.AddChild(cur.childID)
	return cur, fits(cur.etag())
}

func maySubmit(cur *version, sub *children.Subject, fits func(etag string) error) error {
	if err := fits(etagOf(cur)); err != nil {
		return err
	}
	if cur != nil && cur.childID != sub.Child {
		return rpc.Invalid([]standard.Fault{standard.FaultOf("CONCERN_OTHER_CHILD", "concern.child")})
	}
	return nil
}

// mayReplace refuses a version that says something new of what is over, here or in the
// hub that a file comes from: a concern is shared while it is open.
func (v *version) mayReplace(cur *version) error {
	if cur != nil {
		if err := cur.may(submit); err != nil {
			return err
		}
	}
	if v.over != 0 {
		return rpc.Precondition("The file says that the concern is " + stateText(v.over) + ", and the hub does not have it so. Only an open concern can be shared.")
	}
	return nil
}

// settle stores a version and tells of it. That of a sensitive service is told to
// that service alone.
func (c *change) settle(ctx context.Context, cur, next *version, kind irtv1.EventKind) error {
	if err := c.put(ctx, cur, next); err != nil {
		return err
	}
	e := events.Event{Kind: kind, Child: next.childID, Agency: next.agency, Resource: next.name()}
	if next.sensitive {
		e.Reveals = next.agency
	}
	c.tell(e)
	return nil
}
