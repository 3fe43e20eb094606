package involvement_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// withPractitioner has an agency's practitioner involved with a child.
func (h *hub) withPractitioner(agency, id, practitioner string, child uuid.UUID) *irtv1.Involvement {
	h.t.Helper()
	i := inv(agency, id, child)
	i.Practitioner = "agencies/" + agency + "/practitioners/" + practitioner
	return h.submit(i)
}

func (h *hub) setLead(agency string, child uuid.UUID, involvement, start string) (*irtv1.LeadProfessional, error) {
	return h.SetLeadProfessional(as(h.t, agency), &irtv1.SetLeadProfessionalRequest{
		Child: childName(child), Involvement: involvement, StartDate: start,
	})
}

func (h *hub) mustSetLead(agency string, child uuid.UUID, involvement, start string) *irtv1.LeadProfessional {
	h.t.Helper()
	lead, err := h.setLead(agency, child, involvement, start)
	if err != nil {
		h.t.Fatal(err)
	}
	return lead
}

// leads are the child's lead professionals as "local id first day..last day".
func (h *hub) leads(child uuid.UUID) string {
	h.t.Helper()
	out, err := h.ListLeadProfessionals(as(h.t, "gp"), &irtv1.ListLeadProfessionalsRequest{Parent: childName(child)})
	if err != nil {
		h.t.Fatal(err)
	}
	var all []string
	for _, l := range out.GetLeadProfessionals() {
		all = append(all, l.GetInvolvement()[strings.LastIndexByte(l.GetInvolvement(), '/')+1:]+" "+l.GetStartDate()+".."+l.GetEndDate())
	}
	return strings.Join(all, ", ")
}

func TestLeadProfessionalIsOneAtATime(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	school := h.withPractitioner("school", "s", "t1", child)
	gp := h.withPractitioner("gp", "g", "d1", child)
	social := h.withPractitioner("social", "w", "s1", child)
	first := h.mustSetLead("school", child, school.GetName(), "2026-02-01")
	want := &irtv1.LeadProfessional{
		Involvement: school.GetName(), Agency: "agencies/school", AgencyDisplayName: "Oak School",
		Practitioner: "agencies/school/practitioners/t1", PractitionerDisplayName: "Tess Teacher",
		Telephone: "01632 960011", Email: "tess@school.example", StartDate: "2026-02-01",
	}
	if !proto.Equal(first, want) {
		t.Errorf("set %v\nwant %v", first, want)
	}
	if again := h.mustSetLead("school", child, school.GetName(), ""); !proto.Equal(again, first) {
		t.Errorf("set again %v, want it unchanged", again)
	}
	h.mustSetLead("gp", child, gp.GetName(), "2026-04-01")
	if got := h.leads(child); got != "g 2026-04-01.., s 2026-02-01..2026-03-31" {
		t.Errorf("after a handover: %s", got)
	}
	h.mustSetLead("social", child, social.GetName(), "2026-04-01") // the same day: instead
	if got := h.leads(child); got != "w 2026-04-01.., s 2026-02-01..2026-03-31" {
		t.Errorf("after a correction: %s", got)
	}
	if n := h.count(`SELECT count(*) FROM lead_professionals_history`); n != 2 {
		t.Errorf("%d past versions, want the school's open period and the surgery's", n)
	}
	h.mustSetLead("gp", child, gp.GetName(), day(7)) // a handover that is agreed
	if got := h.leads(child); got != "w 2026-04-01.."+day(6)+", g "+day(7)+"..,"+" s 2026-02-01..2026-03-31" {
		t.Errorf("with one to come, the present one comes first: %s", got)
	}
	list := h.list(as(t, "gp"), &irtv1.ListInvolvementsRequest{Parent: childName(child)})
	for _, i := range list.GetInvolvements() {
		if i.GetLeadProfessional() != (i.GetName() == social.GetName()) {
			t.Errorf("%s: lead professional %v", i.GetName(), i.GetLeadProfessional())
		}
	}
}

func TestWhoMayNameTheLeadProfessional(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	school := h.withPractitioner("school", "s", "t1", child)
	gp := h.withPractitioner("gp", "g", "d1", child)
	nameless := h.submit(inv("school", "nameless", child))
	over := h.withPractitioner("school", "over", "t2", child)
	if _, err := h.EndInvolvement(as(t, "school"), &irtv1.EndInvolvementRequest{Name: over.GetName(), EndDate: day(-1)}); err != nil {
		t.Fatal(err)
	}
	elsewhere := h.withPractitioner("school", "elsewhere", "t1", h.child())

	_, err := h.setLead("social", child, school.GetName(), "")
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	_, err = h.setLead("social", child, "agencies/school/involvements/missing", "")
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	_, err = h.setLead("social", standard.NewChildID(), school.GetName(), "")
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	for name, involvement := range map[string]string{"no practitioner": nameless.GetName(), "not in force": over.GetName()} {
		_, err := h.setLead("school", child, involvement, "")
		t.Log(name)
		wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
	}
	for name, c := range map[string]struct {
		child       uuid.UUID
		involvement string
	}{
		"another child's": {child, elsewhere.GetName()}, "missing": {child, "agencies/school/involvements/missing"},
		"no such child": {standard.NewChildID(), school.GetName()},
	} {
		_, err := h.setLead("school", c.child, c.involvement, "")
		t.Log(name)
		wantError(t, err, codes.NotFound, "NOT_FOUND")
	}
	h.mustSetLead("school", child, school.GetName(), "2026-03-01")
	h.mustSetLead("school", child, gp.GetName(), "2026-05-01") // the present lead's agency hands over
	_, err = h.setLead("school", child, gp.GetName(), "")
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED") // and has done so
	_, err = h.setLead("school", child, school.GetName(), "2026-04-30")
	wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION") // before the present one began
	if _, err := h.SetLeadProfessional(asManager(t), &irtv1.SetLeadProfessionalRequest{Child: childName(child), Involvement: school.GetName()}); err != nil {
		t.Errorf("a data manager: %v", err)
	}
	_, err = h.setLead("school", child, school.GetName(), "2026-02-30")
	wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED")
}

// The lead professional ends with what made them so.
func TestLeadProfessionalEndsWithTheInvolvement(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*hub, *irtv1.Involvement)
		want   string
	}{
		"ended in the past": {func(h *hub, i *irtv1.Involvement) {
			_, _ = h.EndInvolvement(as(h.t, "school"), &irtv1.EndInvolvementRequest{Name: i.GetName(), EndDate: day(-2)})
		}, "s 2026-03-01.." + day(-2)},
		"to end": {func(h *hub, i *irtv1.Involvement) { i.EndDate = day(9); h.submit(i) }, "s 2026-03-01.." + day(9)},
		"ended before it began": {func(h *hub, i *irtv1.Involvement) {
			i.EndDate = "2026-02-01"
			h.submit(i)
		}, ""},
		"another practitioner": {func(h *hub, i *irtv1.Involvement) {
			i.Practitioner = "agencies/school/practitioners/t2"
			h.submit(i)
		}, "s 2026-03-01.." + day(-1)},
		"another role": {func(h *hub, i *irtv1.Involvement) { i.Role = "PASTORAL_LEAD"; h.submit(i) }, "s 2026-03-01.."},
		"found sensitive": {func(h *hub, i *irtv1.Involvement) {
			i.Sensitive, i.SensitiveBasis = true, "CONSENT"
			h.submit(i)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			child := h.child()
			i := h.withPractitioner("school", "s", "t1", child)
			h.mustSetLead("school", child, i.GetName(), "2026-03-01")
			i.Etag = ""
			c.change(h, i)
			if got := h.leads(child); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if open := h.count(`SELECT count(*) FROM lead_professionals WHERE end_date IS NULL`); name == "found sensitive" && open != 0 {
				t.Error("the sensitive involvement still gives the lead professional")
			}
		})
	}
}

func TestLeadProfessionalLastsNoLongerThanTheInvolvement(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	i := inv("school", "s", child)
	i.Practitioner, i.EndDate = "agencies/school/practitioners/t1", day(30)
	h.submit(i)
	if lead := h.mustSetLead("school", child, i.GetName(), ""); lead.GetStartDate() != day(0) || lead.GetEndDate() != day(30) {
		t.Errorf("set %v", lead)
	}
}

func TestLeadProfessionalOfMergedChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	former, child := h.child(), h.child()
	h.merge(former, child)
	i := h.withPractitioner("school", "s", "t1", child)
	h.mustSetLead("school", former, i.GetName(), "2026-03-01")
	if got := h.leads(former); got != "s 2026-03-01.." || got != h.leads(child) {
		t.Errorf("by either name: %q, %q", got, h.leads(child))
	}
}
