package plans

import (
	"context"
	"errors"
	"fmt"

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

// mayWrite tells whether the caller may submit and end plans of an agency.
func (s *Service) mayWrite(ctx context.Context, agency string) bool {
	asker := s.directory.Asker(ctx)
	a, _ := s.directory.Get(agency)
	f := asker.Facts()
	f.Own, f.Sensitive = asker.Owns(agency), a.Sensitive
	return sharing.Decide(sharing.WritePlan, f).Allowed()
}

// SubmitPlan implements irt.v1.PlanService.
func (s *Service) SubmitPlan(ctx context.Context, req *irtv1.SubmitPlanRequest) (*irtv1.ProtectionPlan, error) {
	sub, err := s.admit(ctx, req.GetPlan())
	if err != nil {
		return nil, err
	}
	err = s.writer.Do(ctx, &sub.Write, req.GetValidateOnly())
	return s.answer(ctx, sub.stored, err)
}

// SubmitPlans implements irt.v1.PlanService.
func (s *Service) SubmitPlans(stream grpc.BidiStreamingServer[irtv1.SubmitPlansRequest, irtv1.SubmitPlansResponse]) error {
	name := func(req *irtv1.SubmitPlansRequest) string { return req.GetPlan().GetName() }
	return rpc.Submissions(stream, name, s.submitOf, answerOf)
}

// submitOf submits what one request of a stream is about.
func (s *Service) submitOf(ctx context.Context, req *irtv1.SubmitPlansRequest) (*irtv1.ProtectionPlan, error) {
	sub, err := s.submitOne(ctx, req.GetPlan(), req.GetValidateOnly())
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, sub.stored, nil)
}

// answerOf is the answer to one request of a stream.
func answerOf(req *irtv1.SubmitPlansRequest, shown *irtv1.ProtectionPlan, refused *rpcstatus.Status) *irtv1.SubmitPlansResponse {
	out := &irtv1.SubmitPlansResponse{RequestId: req.GetRequestId(), Outcome: &irtv1.SubmitPlansResponse_Result{Result: shown}}
	if refused != nil {
		out.Outcome = &irtv1.SubmitPlansResponse_Error{Error: refused}
	}
	return out
}

// Submit takes one plan through admission and the write pipeline, waiting for a place
// there: for files, which are slowed down rather than refused. The caller and the
// access entry are those of ctx; the plan has an entry of its own beside it. Errors are
// as of SubmitPlan.
func (s *Service) Submit(ctx context.Context, m *irtv1.ProtectionPlan, validateOnly bool) (changed bool, err error) {
	sub, err := s.submitOne(ctx, m, validateOnly)
	return err == nil && sub.changed, err
}

// submitOne submits one plan of many.
func (s *Service) submitOne(ctx context.Context, m *irtv1.ProtectionPlan, validateOnly bool) (sub *submission, err error) {
	err = s.writer.DoOne(ctx, m.GetName(), validateOnly, func() (*children.Write, error) {
		var err error
		if sub, err = s.admit(ctx, m); err != nil {
			return nil, err
		}
		return &sub.Write, nil
	})
	return sub, err
}

// submission is a plan on its way through the write pipeline, and what becomes of it.
type submission struct {
	children.Write

	stored  *version
	changed bool
}

// admit is what a plan passes before it may enter the pipeline: whose it is, and
// whether it is in the standard's form.
func (s *Service) admit(ctx context.Context, m *irtv1.ProtectionPlan) (*submission, error) {
	if m == nil {
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("REQUIRED", "plan")})
	}
	agency, localID, ok := parseName(m.GetName())
	if ok && !s.mayWrite(ctx, agency) {
		return nil, rpc.Denied()
	}
	given := proto.CloneOf(m)
	standard.NormalisePlan(given)
	if faults, _ := standard.Check(&irtv1.SubmitPlanRequest{Plan: given}, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	next, err := versionOf(given, agency, localID)
	if err != nil {
		return nil, err
	}
	about, err := children.ReadAsked("plan", agency, given.GetChild(), given.GetChildRecord())
	if err != nil {
		return nil, rpc.Hidden(err)
	}
	about.Imported = rpc.IsImport(ctx)
	sub := &submission{Write: children.Write{
		ID: next.id, Name: next.name(), Agency: agency, Child: about.Child, Record: about.Record, Access: audit.FromContext(ctx),
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

// versionOf takes from a plan, which was found to be in the standard's form, what is
// stored.
func versionOf(m *irtv1.ProtectionPlan, agency, localID string) (*version, error) {
	v := &version{id: standard.PlanID(agency, localID), agency: agency, localID: localID, kind: m.GetKind()}
	v.start, _ = standard.ParseDate(m.GetStartDate())
	if m.GetEndDate() != "" {
		v.end, _ = standard.ParseDate(m.GetEndDate())
	}
	if m.GetPractitioner() != "" {
		var of string
		if of, v.practitioner, _ = agencies.ParsePractitionerName(m.GetPractitioner()); of != agency {
			return nil, practitionerFault("The practitioner is of another agency.")
		}
	}
	return v, nil
}

func practitionerFault(description string) error {
	return rpc.Invalid([]standard.Fault{{
		Field: "plan.practitioner", RuleID: "PRACTITIONER_UNKNOWN", Description: description,
		Action: "Name a practitioner of the responsible agency who is in the directory, or nobody.",
	}})
}

// answer shows an agency what it did.
func (s *Service) answer(ctx context.Context, v *version, err error) (*irtv1.ProtectionPlan, error) {
	if err != nil {
		return nil, err
	}
	a, _ := s.directory.Get(v.agency)
	m := v.message(a, true, s.today())
	redact.Show(ctx, m, sharing.Own(identity.FromContext(ctx), v.agency))
	return m, nil
}

// reach finds out whom the directory has under the practitioner of a plan, and refuses
// one whom the agency does not have.
func (c *change) reach(ctx context.Context, v *version) error {
	if v.practitioner == "" {
		return nil
	}
	err := c.tx.QueryRow(ctx, `SELECT display_name, telephone FROM practitioners WHERE agency_id = $1 AND practitioner_id = $2`, v.agency, v.practitioner).
		Scan(&v.person.displayName, &v.person.telephone)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return practitionerFault("The agency has no such practitioner.")
	case err != nil:
		return fmt.Errorf("plans: looking for a practitioner: %w", err)
	}
	return nil
}

// submit works out what a plan comes to, and stores it; it refuses it before that.
func (c *change) submit(ctx context.Context, next *version, about children.Asked, fits func(etag string) error) (*version, error) {
	sub, err := about.Hold(ctx, c.tx, c.today, c.hold)
	if err == nil && !sub.Works {
		err = rpc.Denied()
	}
	if err != nil {
		return c.restated(ctx, next, about, fits, rpc.Hidden(err))
	}
	if err := c.reach(ctx, next); err != nil {
		return nil, err
	}
	next.childID, next.recordID, next.recordLocalID = sub.Child, sub.Record, sub.RecordLocalID
	cur, err := present(ctx, c.tx, next.id)
	if err != nil {
		return nil, err
	}
	if err := fits(etagOf(cur)); err != nil {
		return nil, err
	}
	if cur != nil {
		if cur.childID != next.childID {
			return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("PLAN_OTHER_CHILD", "plan.child")})
		}
		if about.Record == uuid.Nil && cur.recordID != uuid.Nil {
			next.recordID, next.recordLocalID = cur.recordID, cur.recordLocalID // so that sending it again changes nothing
		}
		if next.says(cur) {
			return cur, nil
		}
	}
	return next, c.settle(ctx, cur, next)
}

// restated answers an agency that does not work with the child any more: what it said
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

// EndPlan implements irt.v1.PlanService.
func (s *Service) EndPlan(ctx context.Context, req *irtv1.EndPlanRequest) (*irtv1.ProtectionPlan, error) {
	agency, localID, ok := parseName(req.GetName())
	if !ok || !s.mayWrite(ctx, agency) {
		return nil, rpc.Denied()
	}
	if faults, _ := standard.Check(req, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	stored, err := s.inChange(ctx, req.GetName(), func(c *change) (*version, error) {
		return c.end(ctx, standard.PlanID(agency, localID), req)
	})
	return s.answer(ctx, stored, err)
}

func (c *change) end(ctx context.Context, id uuid.UUID, req *irtv1.EndPlanRequest) (*version, error) {
	cur, err := c.held(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := rpc.CheckEtag(ctx, req.GetEtag(), cur.etag()); err != nil {
		return nil, err
	}
	next := *cur
	switch {
	case req.GetEndDate() != "":
		next.end, _ = standard.ParseDate(req.GetEndDate())
	case cur.end.IsZero() || cur.end.After(c.today):
		next.end = c.today
	}
	if next.end.Before(next.start) {
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("PERIOD_ORDER", "end_date")})
	}
	if next.says(cur) {
		return cur, nil
	}
	return &next, c.settle(ctx, cur, &next)
}

// held is the present version of a plan, with its child held.
func (c *change) held(ctx context.Context, id uuid.UUID) (*version, error) {
	if err := children.LockName(ctx, c.tx, lockClass, id); err != nil {
		return nil, err
	}
	cur, err := children.ReadHeld(ctx, func() (*version, error) { return present(ctx, c.tx, id) }, (*version).child, c.hold)
	if err == nil && cur == nil {
		err = rpc.NotFound("plan")
	}
	return cur, err
}
