package plans

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
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
	agency, localID, ok := parseName(req.GetPlan().GetName())
	if ok && !s.mayWrite(ctx, agency) {
		return nil, rpc.Denied()
	}
	given := proto.CloneOf(req.GetPlan())
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
	stored, err := s.inChange(ctx, next.name(), func(c *change) (*version, error) {
		again := *next
		return c.submit(ctx, &again, about, given.GetEtag())
	})
	return s.answer(ctx, stored, err)
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

// knows refuses a practitioner whom the agency does not have.
func (c *change) knows(ctx context.Context, agency, practitioner string) error {
	var known bool
	err := c.tx.QueryRow(ctx, `SELECT $2 = '' OR EXISTS (SELECT 1 FROM practitioners WHERE agency_id = $1 AND practitioner_id = $2)`, agency, practitioner).
		Scan(&known)
	if err != nil {
		return fmt.Errorf("plans: looking for a practitioner: %w", err)
	}
	if !known {
		return practitionerFault("The agency has no such practitioner.")
	}
	return nil
}

func (c *change) submit(ctx context.Context, next *version, about children.Asked, etag string) (*version, error) {
	if err := children.LockName(ctx, c.tx, lockClass, next.id); err != nil {
		return nil, err
	}
	sub, err := about.Hold(ctx, c.tx, c.today, c.hold)
	if err != nil {
		return nil, rpc.Hidden(err)
	}
	if !sub.Works {
		return nil, rpc.Denied()
	}
	if err := c.knows(ctx, next.agency, next.practitioner); err != nil {
		return nil, err
	}
	next.childID, next.recordID, next.recordLocalID = sub.Child, sub.Record, sub.RecordLocalID
	cur, err := present(ctx, c.tx, next.id)
	if err != nil {
		return nil, err
	}
	if err := rpc.CheckEtag(ctx, etag, etagOf(cur)); err != nil {
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
	if err := c.settle(ctx, cur, next); err != nil {
		return nil, err
	}
	return present(ctx, c.tx, next.id) // with whom to ring
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
