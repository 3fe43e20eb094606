package plans

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/pg"
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
	about, err := readSubject(agency, given.GetChild(), given.GetChildRecord())
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

// asked is how a request names its child.
type asked struct {
	child, recordID uuid.UUID
}

func subjectFault(field, description string) error {
	return rpc.Invalid([]standard.Fault{{
		Field: field, RuleID: "SUBJECT_REQUIRED", Description: description,
		Action: "Send agencies/{agency}/childRecords/{local_id} of the responsible agency, or name the child.",
	}})
}

// readSubject reads what names the child in a request.
func readSubject(agency, child, record string) (a asked, err error) {
	if record != "" {
		owner, localID, ok := agencies.ParseChildName(record, "childRecords")
		if !ok || owner != agency {
			return a, subjectFault("plan.child_record", "The name is not that of a child record of the same agency.")
		}
		a.recordID = standard.RecordID(owner, localID)
	}
	if child != "" {
		a.child, err = rpc.ParseChildName(child)
	}
	return a, err
}

// find says which child is meant, without holding it.
func (c *change) find(ctx context.Context, a asked) (uuid.UUID, error) {
	return children.Meant(ctx, c.tx, a.child, a.recordID, func() error {
		return subjectFault("plan.child", "The child is not the one that child_record belongs to.")
	})
}

// standingSQL reads what agency $2 is to child $1 on the day $3, with record $4 or,
// where that is null, the first of its active records by local id; and whether it has
// the practitioner $5.
const standingSQL = `
	SELECT r.record_id, coalesce(r.local_id, ''),
		r.record_id IS NOT NULL OR EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = $1 AND i.agency_id = $2
			AND i.start_date <= $3 AND (i.end_date IS NULL OR i.end_date >= $3)),
		$5 = '' OR EXISTS (SELECT 1 FROM practitioners p WHERE p.agency_id = $2 AND p.practitioner_id = $5)
	FROM children c
	LEFT JOIN LATERAL (SELECT r.record_id, r.local_id FROM child_records r
		WHERE r.child_id = $1 AND r.agency_id = $2 AND r.state = 1 AND ($4::uuid IS NULL OR r.record_id = $4)
		ORDER BY r.local_id LIMIT 1) r ON true
	WHERE c.child_id = $1 AND c.merged_into IS NULL`

// subject finds and holds the child that a request is about, and ties the plan to the
// agency's record of it. To an agency that does not work with it, it is the same as if
// there were none.
func (c *change) subject(ctx context.Context, next *version, a asked) error {
	child, err := c.find(ctx, a)
	if err != nil {
		return rpc.Hidden(err)
	}
	if err := c.hold(ctx, child); err != nil {
		return err
	}
	// The record may have gone to another child before that was held.
	if again, err := c.find(ctx, a); err != nil || again != child {
		return children.ErrMoved
	}
	works, known := false, false
	next.childID = child
	err = c.tx.QueryRow(ctx, standingSQL, [16]byte(child), next.agency, pg.Date(c.today), zeronull.UUID(a.recordID), next.practitioner).
		Scan((*zeronull.UUID)(&next.recordID), &next.recordLocalID, &works, &known)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !works:
		return rpc.Denied()
	case err != nil:
		return fmt.Errorf("plans: reading what an agency is to a child: %w", err)
	case !known:
		return practitionerFault("The agency has no such practitioner.")
	}
	return nil
}

func (c *change) submit(ctx context.Context, next *version, about asked, etag string) (*version, error) {
	if err := children.LockName(ctx, c.tx, lockClass, next.id); err != nil {
		return nil, err
	}
	if err := c.subject(ctx, next, about); err != nil {
		return nil, err
	}
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
		if about.recordID == uuid.Nil && cur.recordID != uuid.Nil {
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
	found, err := present(ctx, c.tx, id)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, rpc.NotFound("plan")
	}
	if err := c.hold(ctx, found.childID); err != nil {
		return nil, err
	}
	cur, err := present(ctx, c.tx, id)
	if err == nil && (cur == nil || cur.childID != found.childID) {
		err = children.ErrMoved
	}
	return cur, err
}
