package plans_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/plans"
)

// get reads a child through the interceptor.
func (h *hub) get(ctx context.Context, child string) (any, error) {
	return plans.Unary(h.pool)(ctx, nil, &grpc.UnaryServerInfo{FullMethod: irtv1.ChildService_GetChild_FullMethodName},
		func(ctx context.Context, _ any) (any, error) {
			return h.children.GetChild(ctx, &irtv1.GetChildRequest{Name: child})
		})
}

// told counts what social care was told of a hospital's readings.
func (h *hub) told() int {
	h.t.Helper()
	return h.count(`SELECT count(*) FROM event_outbox WHERE kind = 100 AND audience = 4 AND agencies = '{social}' AND agency_id = 'hospital'
		AND resource = 'agencies/social/plans/p1'`)
}

// Who reads for unscheduled care about a child on a plan in force is told of, at once
// and whatever was shown; all else is silent.
func TestSeen(t *testing.T) {
	h := newHub(t)
	child := h.submit("social", "s1", "Rosalind", "2015-06-02")
	none := h.submit("social", "s2", "Bertram", "2009-11-30")
	hospital := func(p irtv1.Purpose) context.Context { return purpose(t, "hospital", p) }
	read := func(what string, ctx context.Context, child string, want int) {
		t.Helper()
		if _, err := h.get(ctx, child); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := h.told(); n != want {
			t.Fatalf("%s: told of %d readings, want %d", what, n, want)
		}
	}
	later := plan("p1")
	later.StartDate = day(1)
	h.mustSubmit(later)
	read("not in force yet", hospital(unscheduled), child, 0)
	h.mustSubmit(plan("p1"))
	read("unscheduled care", hospital(unscheduled), child, 1)
	read("once more", hospital(unscheduled), child, 2)
	for _, p := range []irtv1.Purpose{safeguarding, irtv1.Purpose_PURPOSE_DIRECT_CARE, irtv1.Purpose_PURPOSE_EDUCATION} {
		read(p.String(), hospital(p), child, 2)
	}
	read("a child on no plan", hospital(unscheduled), none, 2)
	read("the responsible agency", purpose(t, "social", unscheduled), child, 2)
	h.exec(`INSERT INTO child_sharing (child_id, shielded, consents) SELECT child_id, true, '[]'::jsonb FROM plans`)
	read("a shielded child, of whom the plan is not shown", hospital(unscheduled), child, 3)
	h.exec(`UPDATE child_sharing SET shielded = false, archive_date = '2024-01-01'`)
	_, err := h.get(hospital(unscheduled), child)
	wantError(t, err, codes.NotFound)
	if n := h.told(); n != 3 {
		t.Errorf("of a reading that was refused: %d", n)
	}
	h.exec(`DELETE FROM child_sharing`)
	if _, err := h.EndPlan(as(t, "social"), &irtv1.EndPlanRequest{Name: "agencies/social/plans/p1", EndDate: day(-1)}); err != nil {
		t.Fatal(err)
	}
	read("ended", hospital(unscheduled), child, 3)
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 100`); n != 3 {
		t.Errorf("%d told in all", n)
	}
}

// Each agency that is responsible for a plan is told, of its own.
func TestSeenOnTwoPlans(t *testing.T) {
	h := newHub(t)
	child := h.submit("social", "s1", "Rosalind", "2015-06-02")
	h.submit("county", "n1", "Rosalind", "2015-06-02")
	h.mustSubmit(plan("p1"))
	_, err := h.try(as(t, "county"), &irtv1.ProtectionPlan{
		Name: "agencies/county/plans/p9", ChildRecord: "agencies/county/childRecords/n1", Kind: irtv1.PlanKind_PLAN_KIND_LOOKED_AFTER, StartDate: "2024-01-01",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.get(purpose(t, "hospital", unscheduled), child); err != nil {
		t.Fatal(err)
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 100 AND agencies = '{county}' AND resource = 'agencies/county/plans/p9'`); n != 1 || h.told() != 1 {
		t.Errorf("county is told %d times, social %d", n, h.told())
	}
	if _, err := h.get(purpose(t, "county", unscheduled), child); err != nil {
		t.Fatal(err)
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 100 AND agency_id = 'county' AND agencies = '{social}'`); n != 1 {
		t.Errorf("the other agency is told %d times", n)
	}
}

// A search tells nobody, and what cannot be told is not disclosed.
func TestSeenOrNotDisclosed(t *testing.T) {
	h := newHub(t)
	child := h.submit("social", "s1", "Rosalind", "2015-06-02")
	h.mustSubmit(plan("p1"))
	ctx := call(t, identity.Caller{Agency: "hospital", Role: irtv1.Role_ROLE_PRACTITIONER, Practitioner: "ann", Purpose: unscheduled})
	found, err := plans.Unary(h.pool)(ctx, nil, &grpc.UnaryServerInfo{FullMethod: irtv1.ChildService_SearchChildren_FullMethodName},
		func(ctx context.Context, _ any) (any, error) {
			return h.children.SearchChildren(ctx, &irtv1.SearchChildrenRequest{FamilyName: "Achterberg", DateOfBirth: "2015-06-02"})
		})
	if err != nil || len(found.(*irtv1.SearchChildrenResponse).GetResults()) != 1 || h.told() != 0 {
		t.Errorf("%v, %v; told %d", found, err, h.told())
	}
	h.exec(`ALTER TABLE event_outbox RENAME TO outbox_away`)
	got, err := h.get(purpose(t, "hospital", unscheduled), child)
	if got != nil {
		t.Errorf("disclosed, and nobody told: %v", got)
	}
	wantError(t, err, codes.Unavailable)
	if _, err := h.get(purpose(t, "hospital", safeguarding), child); err != nil {
		t.Errorf("another purpose: %v", err)
	}
}
