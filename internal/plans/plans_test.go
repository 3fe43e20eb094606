package plans_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

const (
	safeguarding = irtv1.Purpose_PURPOSE_SAFEGUARDING
	unscheduled  = irtv1.Purpose_PURPOSE_UNSCHEDULED_CARE
)

func TestSubmit(t *testing.T) {
	h := newHub(t)
	child := h.submit("social", "s1", "Rosalind", "2015-06-02")
	m := h.mustSubmit(plan("p1"))
	if m.GetChild() != child || !m.GetInForce() || m.GetTelephone() != "01632 960001" || m.GetOutOfHoursTelephone() != "01632 960009" ||
		m.GetPractitionerDisplayName() != "ann" || m.GetAgencyDisplayName() != "The social" || m.GetChildRecord() == "" {
		t.Errorf("submitted: %v", m)
	}
	if again := h.mustSubmit(plan("p1")); !proto.Equal(again, m) {
		t.Errorf("again: %v", again)
	}
	byChild := plan("p1")
	byChild.Child, byChild.ChildRecord = child, ""
	if again := h.mustSubmit(byChild); again.GetEtag() != m.GetEtag() {
		t.Error("by the child it is another version")
	}
	changed := plan("p1")
	changed.Kind, changed.Practitioner, changed.Etag = irtv1.PlanKind_PLAN_KIND_LOOKED_AFTER, "", m.GetEtag()
	next := h.mustSubmit(changed)
	if next.GetTelephone() != "01632 960000" || next.GetEtag() == m.GetEtag() || h.count(`SELECT count(*) FROM plans_history`) != 1 {
		t.Errorf("changed: %v", next)
	}
	ended, err := h.EndPlan(as(t, "social"), &irtv1.EndPlanRequest{Name: m.GetName()})
	if err != nil || ended.GetEndDate() != day(0) || !ended.GetInForce() {
		t.Fatal(ended, err)
	}
	if again, err := h.EndPlan(as(t, "social"), &irtv1.EndPlanRequest{Name: m.GetName()}); err != nil || again.GetEtag() != ended.GetEtag() {
		t.Errorf("ended again: %v, %v", again, err)
	}
	if ended, err = h.EndPlan(as(t, "social"), &irtv1.EndPlanRequest{Name: m.GetName(), EndDate: "2024-03-01"}); err != nil || ended.GetInForce() {
		t.Error(ended, err)
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 101 AND audience = 1`); n != 2 {
		t.Errorf("%d events of submitting", n)
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 102 AND audience = 1`); n != 2 {
		t.Errorf("%d events of ending", n)
	}
}

func TestWhatIsRefused(t *testing.T) {
	h := newHub(t)
	h.submit("social", "s1", "Rosalind", "2015-06-02")
	h.submit("school", "p1", "Rosalind", "2015-06-02")
	other := h.submit("social", "s2", "Bertram", "2009-11-30")
	strange := h.submit("gp", "g3", "Casimir", "2011-01-30")
	m := h.mustSubmit(plan("p1"))
	social := as(t, "social")
	manager := call(t, identity.Caller{Agency: "social", Practitioner: "dan", Role: irtv1.Role_ROLE_DATA_MANAGER})
	for what, c := range map[string]struct {
		as     context.Context
		change func(*irtv1.ProtectionPlan)
		code   codes.Code
		rule   string
	}{
		"in another's name":    {as(t, "county"), func(*irtv1.ProtectionPlan) {}, codes.PermissionDenied, ""},
		"a data manager":       {manager, func(*irtv1.ProtectionPlan) {}, codes.PermissionDenied, ""},
		"a child it knows not": {social, func(p *irtv1.ProtectionPlan) { p.Child, p.ChildRecord = strange, "" }, codes.PermissionDenied, ""},
		"a record it has not":  {social, func(p *irtv1.ProtectionPlan) { p.ChildRecord += "x" }, codes.PermissionDenied, ""},
		"a school": {as(t, "school"), func(p *irtv1.ProtectionPlan) {
			p.Name, p.ChildRecord, p.Practitioner = "agencies/school/plans/p1", "agencies/school/childRecords/p1", ""
		}, codes.PermissionDenied, ""},
		"another's record":      {social, func(p *irtv1.ProtectionPlan) { p.ChildRecord = "agencies/school/childRecords/p1" }, codes.InvalidArgument, "SUBJECT_REQUIRED"},
		"another child's name":  {social, func(p *irtv1.ProtectionPlan) { p.Name, p.ChildRecord = m.GetName(), "agencies/social/childRecords/s2" }, codes.InvalidArgument, "PLAN_OTHER_CHILD"},
		"two children":          {social, func(p *irtv1.ProtectionPlan) { p.Child = other }, codes.InvalidArgument, "SUBJECT_REQUIRED"},
		"nobody":                {social, func(p *irtv1.ProtectionPlan) { p.ChildRecord = "" }, codes.InvalidArgument, "SUBJECT_REQUIRED"},
		"no kind":               {social, func(p *irtv1.ProtectionPlan) { p.Kind = 0 }, codes.InvalidArgument, "ENUM_NOT_IN"},
		"ended before it began": {social, func(p *irtv1.ProtectionPlan) { p.EndDate = "2023-01-01" }, codes.InvalidArgument, "PERIOD_ORDER"},
		"no day":                {social, func(p *irtv1.ProtectionPlan) { p.StartDate = "2024-02-30" }, codes.InvalidArgument, "DATE_INVALID"},
		"a foreign practitioner": {
			social, func(p *irtv1.ProtectionPlan) { p.Practitioner = "agencies/gp/practitioners/ann" },
			codes.InvalidArgument, "PRACTITIONER_UNKNOWN",
		},
		"no practitioner": {
			social, func(p *irtv1.ProtectionPlan) { p.Practitioner = "agencies/social/practitioners/none" },
			codes.InvalidArgument, "PRACTITIONER_UNKNOWN",
		},
		"an earlier version": {social, func(p *irtv1.ProtectionPlan) { p.Name, p.Etag = m.GetName(), "old" }, codes.Aborted, ""},
	} {
		p := plan("p2")
		c.change(p)
		_, err := h.try(c.as, p)
		t.Log(what)
		if _, _, rule := wantError(t, err, c.code); rule != c.rule {
			t.Errorf("%s: %s, want %s", what, rule, c.rule)
		}
	}
	for what, c := range map[string]struct {
		as   context.Context
		req  *irtv1.EndPlanRequest
		code codes.Code
	}{
		"another's":             {as(t, "county"), &irtv1.EndPlanRequest{Name: m.GetName()}, codes.PermissionDenied},
		"none":                  {social, &irtv1.EndPlanRequest{Name: m.GetName() + "x"}, codes.NotFound},
		"before it began":       {social, &irtv1.EndPlanRequest{Name: m.GetName(), EndDate: "2023-12-31"}, codes.InvalidArgument},
		"an earlier version":    {social, &irtv1.EndPlanRequest{Name: m.GetName(), Etag: "old"}, codes.Aborted},
		"no day":                {social, &irtv1.EndPlanRequest{Name: m.GetName(), EndDate: "2024-02-30"}, codes.InvalidArgument},
		"nobody's, by a clinic": {as(t, "clinic"), &irtv1.EndPlanRequest{Name: "agencies/clinic/plans/x"}, codes.PermissionDenied},
	} {
		if _, err := h.EndPlan(c.as, c.req); status.Code(rpc.Edge(err)) != c.code {
			t.Errorf("ending, %s: %v", what, err)
		}
	}
	if n := h.count(`SELECT count(*) FROM plans`); n != 1 {
		t.Errorf("%d plans", n)
	}
}

// Who works with the child sees a plan by the kind of agency, and for unscheduled care
// everybody; of a shielded child only the responsible agency.
func TestWhoSees(t *testing.T) {
	h := newHub(t)
	child := h.submit("social", "s1", "Rosalind", "2015-06-02")
	h.submit("school", "p1", "Rosalind", "2015-06-02")
	h.submit("charity", "c1", "Rosalind", "2015-06-02")
	m := h.mustSubmit(plan("p1"))
	past := plan("p0")
	past.EndDate = "2024-02-01"
	h.mustSubmit(past)
	manager := call(t, identity.Caller{Agency: "police", Practitioner: "dan", Role: irtv1.Role_ROLE_DATA_MANAGER})
	callers := map[string]context.Context{
		"social": as(t, "social"), "school": as(t, "school"), "charity": as(t, "charity"), "gp": as(t, "gp"), "hospital": as(t, "hospital"),
		"charity unscheduled": purpose(t, "charity", unscheduled), "hospital unscheduled": purpose(t, "hospital", unscheduled), "manager": manager,
	}
	sees := func(when string, who ...string) {
		t.Helper()
		for name, ctx := range callers {
			want := slices.Contains(who, name)
			got, err := h.GetPlan(ctx, &irtv1.GetPlanRequest{Name: m.GetName()})
			if want != (err == nil) || want && (got.GetKind() != m.GetKind() || got.GetTelephone() != m.GetTelephone()) {
				t.Errorf("%s: %s gets %v, %v", when, name, got, err)
			}
			if own := name == "social"; err == nil && (own != (got.GetEtag() != "") || own != (got.GetChildRecord() != "")) {
				t.Errorf("%s: %s gets %v", when, name, got)
			}
			if err != nil {
				_, none := h.GetPlan(ctx, &irtv1.GetPlanRequest{Name: m.GetName() + "x"})
				if !proto.Equal(status.Convert(rpc.Edge(err)).Proto(), status.Convert(rpc.Edge(none)).Proto()) {
					t.Errorf("%s: one that is hidden is denied to %s otherwise than one that is not there", when, name)
				}
			}
			list, err := h.ListPlans(ctx, &irtv1.ListPlansRequest{Parent: child})
			if err != nil || want != (len(list.GetPlans()) == 1) || want == (len(list.GetWithheld()) == 1) && name != "social" {
				t.Errorf("%s: %s lists %v, %v", when, name, list, err)
			}
		}
	}
	sees("at first", "social", "school", "charity unscheduled", "hospital unscheduled")
	h.exec(`INSERT INTO child_sharing (child_id, shielded, consents) SELECT DISTINCT child_id, true, '[]'::jsonb FROM plans`)
	sees("once the child is shielded", "social")

	all, err := h.ListPlans(as(t, "social"), &irtv1.ListPlansRequest{Parent: child, IncludeEnded: true, PageSize: 1})
	if err != nil || len(all.GetPlans()) != 1 || all.GetNextPageToken() == "" {
		t.Fatal(all, err)
	}
	rest, err := h.ListPlans(as(t, "social"), &irtv1.ListPlansRequest{Parent: child, IncludeEnded: true, PageSize: 1, PageToken: all.GetNextPageToken()})
	if err != nil || len(rest.GetPlans()) != 1 || rest.GetNextPageToken() != "" || rest.GetPlans()[0].GetName() == all.GetPlans()[0].GetName() {
		t.Error(rest, err)
	}
	own, err := h.ListPlans(as(t, "social"), &irtv1.ListPlansRequest{Parent: "agencies/social"})
	if err != nil || len(own.GetPlans()) != 1 {
		t.Error(own, err)
	}
	_, err = h.ListPlans(as(t, "school"), &irtv1.ListPlansRequest{Parent: "agencies/social"})
	wantError(t, err, codes.PermissionDenied)
}

// A plan follows the record of social care, and goes back with a child that is split off.
func TestFollowsRecord(t *testing.T) {
	h := newHub(t)
	kept := h.identify("gp", "g1", "9434765870", "Rosalind", "2015-06-02")
	gone := h.identify("social", "s1", "", "Barnaby", "2012-01-09")
	m := h.mustSubmit(plan("p1"))
	byChild := plan("p2")
	byChild.Child, byChild.ChildRecord = gone, ""
	h.mustSubmit(byChild)
	at := func(want string) {
		t.Helper()
		for _, name := range []string{m.GetName(), byChild.GetName()} {
			got, err := h.GetPlan(as(t, "social"), &irtv1.GetPlanRequest{Name: name})
			if err != nil || got.GetChild() != want {
				t.Fatalf("%s is at %s, %v; want %s", name, got.GetChild(), err, want)
			}
		}
	}
	at(gone)
	if now := h.identify("social", "s1", "9434765870", "Rosalind", "2015-06-02"); now != kept {
		t.Fatal("they did not become one")
	}
	at(kept)
	manager := call(t, identity.Caller{Agency: "social", Practitioner: "dan", Role: irtv1.Role_ROLE_DATA_MANAGER})
	_, err := h.children.SplitChildRecord(manager, &irtv1.SplitChildRecordRequest{
		Child: kept, ChildRecords: []string{"agencies/social/childRecords/s1"}, Reason: "two children",
	})
	if err != nil {
		t.Fatal(err, status.Convert(err).Details())
	}
	at(gone)
}

// Who does not work with the child any more may say again what it said while it did, and
// nothing else.
func TestWhoHasLeftSaysNothingNew(t *testing.T) {
	h := newHub(t)
	child := h.submit("social", "s1", "Rosalind", "2015-06-02")
	h.submit("gp", "g1", "Rosalind", "2015-06-02")
	m := h.mustSubmit(plan("p1"))
	if _, err := h.children.WithdrawChildRecord(as(t, "social"), &irtv1.WithdrawChildRecordRequest{Name: m.GetChildRecord()}); err != nil {
		t.Fatal(err)
	}
	events := `SELECT count(*) FROM event_outbox`
	before := h.count(events)
	for what, change := range map[string]func(*irtv1.ProtectionPlan){
		"the same":               func(*irtv1.ProtectionPlan) {},
		"with the child":         func(p *irtv1.ProtectionPlan) { p.Child = child },
		"by the child alone":     func(p *irtv1.ProtectionPlan) { p.Child, p.ChildRecord = child, "" },
		"with the etag it's got": func(p *irtv1.ProtectionPlan) { p.Etag = m.GetEtag() },
	} {
		p := plan("p1")
		change(p)
		if got, err := h.try(as(t, "social"), p); err != nil || got.GetEtag() != m.GetEtag() || got.GetTelephone() != m.GetTelephone() {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	unknown := "children/" + standard.FormatChildID(standard.NewChildID())
	for what, c := range map[string]struct {
		change func(*irtv1.ProtectionPlan)
		code   codes.Code
	}{
		"another kind":       {func(p *irtv1.ProtectionPlan) { p.Kind = irtv1.PlanKind_PLAN_KIND_LOOKED_AFTER }, codes.PermissionDenied},
		"an end":             {func(p *irtv1.ProtectionPlan) { p.EndDate = day(0) }, codes.PermissionDenied},
		"a new plan":         {func(p *irtv1.ProtectionPlan) { p.Name += "x" }, codes.PermissionDenied},
		"another record":     {func(p *irtv1.ProtectionPlan) { p.ChildRecord = "agencies/social/childRecords/s2" }, codes.PermissionDenied},
		"another child":      {func(p *irtv1.ProtectionPlan) { p.Child = unknown }, codes.PermissionDenied},
		"an earlier version": {func(p *irtv1.ProtectionPlan) { p.Etag = "old" }, codes.Aborted},
	} {
		p := plan("p1")
		c.change(p)
		t.Log(what)
		_, err := h.try(as(t, "social"), p)
		wantError(t, err, c.code)
	}
	if n := h.count(events); n != before {
		t.Errorf("%d events of nothing", n-before)
	}
}
