package involvement_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

// secrets are what must never reach another agency: the sensitive agency, its
// practitioner and contacts, the involvements' local ids and keys.
var secrets = []string{
	"clinic", "Willow", "Kitteridge", "Counsellor", "kit-secret", "960666", "960667", "hush", "turned",
	standard.InvolvementID("clinic", "hush-clinic").String(), standard.InvolvementID("school", "hush-school").String(),
}

// withSensitive makes a child with open involvements and with every kind of
// sensitive one: of a sensitive service, marked by an open agency, marked later,
// and of an agency that became a sensitive service later. It returns instants
// before and after the last two.
func withSensitive(h *hub) (child uuid.UUID, instants []time.Time) {
	h.t.Helper()
	child = h.child()
	h.submit(inv("school", "open-1", child))
	h.submit(inv("gp", "open-2", child))
	clinic := inv("clinic", "hush-clinic", child)
	clinic.Practitioner = "agencies/clinic/practitioners/kit-secret"
	h.submit(clinic)
	marked := inv("school", "hush-school", child)
	marked.Sensitive, marked.SensitiveBasis = true, "SIGNIFICANT_HARM"
	h.submit(marked)
	later := inv("school", "hush-later", child)
	later.Practitioner = "agencies/school/practitioners/t1"
	h.submit(later)
	if _, err := h.SetLeadProfessional(as(h.t, "school"), &irtv1.SetLeadProfessionalRequest{
		Child: childName(child), Involvement: later.GetName(), StartDate: day(-30),
	}); err != nil {
		h.t.Fatal(err)
	}
	instants = append(instants, h.now())
	later.Sensitive, later.SensitiveBasis = true, "CONSENT"
	h.submit(later)
	return child, append(instants, h.now())
}

// reads are all ways to ask about a child's involvements.
func reads(h *hub, ctx context.Context, child uuid.UUID, instants []time.Time) map[string]func() (proto.Message, error) { //nolint:revive // the hub is what it is about
	all := map[string]func() (proto.Message, error){}
	parent := childName(child)
	requests := map[string]*irtv1.ListInvolvementsRequest{
		"today": {}, "tomorrow": {AsOf: day(1)}, "a past day": {AsOf: day(-20)}, "long ago": {AsOf: "2020-01-01"}, "ever": {IncludeEnded: true},
		"a small page": {PageSize: 1}, "a small page of ever": {PageSize: 1, IncludeEnded: true},
	}
	for n, at := range instants {
		requests[fmt.Sprintf("known at %d", n)] = &irtv1.ListInvolvementsRequest{KnownAt: stamp(at)}
		requests[fmt.Sprintf("ever, known at %d", n)] = &irtv1.ListInvolvementsRequest{KnownAt: stamp(at), IncludeEnded: true}
	}
	for name, req := range requests {
		req.Parent = parent
		all["list "+name] = func() (proto.Message, error) { return h.ListInvolvements(ctx, req) }
	}
	all["lead professionals"] = func() (proto.Message, error) {
		return h.ListLeadProfessionals(ctx, &irtv1.ListLeadProfessionalsRequest{Parent: parent})
	}
	for _, id := range []string{"school/involvements/hush-school", "school/involvements/hush-later", "clinic/involvements/hush-clinic"} {
		all["get "+id] = func() (proto.Message, error) {
			return h.GetInvolvement(ctx, &irtv1.GetInvolvementRequest{Name: "agencies/" + id})
		}
		all["end "+id] = func() (proto.Message, error) {
			return h.EndInvolvement(ctx, &irtv1.EndInvolvementRequest{Name: "agencies/" + id})
		}
		all["lead by "+id] = func() (proto.Message, error) {
			return h.SetLeadProfessional(ctx, &irtv1.SetLeadProfessionalRequest{Child: parent, Involvement: "agencies/" + id})
		}
	}
	return all
}

func TestSensitiveInvolvementsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child, instants := withSensitive(h)
	for who, ctx := range map[string]context.Context{
		"another agency": as(t, "gp"), "a data manager": asManager(t), "a mediator": asRole(t, "gp", irtv1.Role_ROLE_MEDIATOR),
	} {
		for what, read := range reads(h, ctx, child, instants) {
			answer, err := read()
			text := fmt.Sprint(status.Convert(err).Proto())
			if err == nil {
				text = protojson.Format(answer)
				list, isList := answer.(*irtv1.ListInvolvementsResponse)
				if isList && (len(list.GetWithheld()) != 1 || list.GetWithheld()[0].GetCategory() != irtv1.Category_CATEGORY_SENSITIVE) {
					t.Errorf("%s: %s: withheld %v, want that a sensitive service is involved, once", who, what, list.GetWithheld())
				}
				if isList && !strings.Contains(what, "page") && !strings.Contains(what, "long ago") && locals(list) != "open-1 open-2" && locals(list) != "open-2 open-1" {
					t.Errorf("%s: %s: %s", who, what, locals(list))
				}
			}
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s: %s: the answer holds %q: %s", who, what, secret, text)
				}
			}
		}
	}
}

// What is not there and what may not be seen are told in the same words.
func TestSensitiveIsAsMissing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child, _ := withSensitive(h)
	for who, ctx := range map[string]context.Context{"another agency": as(t, "gp"), "a data manager": asManager(t)} {
		for what, call := range map[string]func(id string) error{
			"get": func(id string) error {
				_, err := h.GetInvolvement(ctx, &irtv1.GetInvolvementRequest{Name: id})
				return err
			},
			"end": func(id string) error {
				_, err := h.EndInvolvement(ctx, &irtv1.EndInvolvementRequest{Name: id, Etag: `"x"`})
				return err
			},
			"lead": func(id string) error {
				_, err := h.SetLeadProfessional(ctx, &irtv1.SetLeadProfessionalRequest{Child: childName(child), Involvement: id})
				return err
			},
		} {
			hidden, missing := call("agencies/school/involvements/hush-school"), call("agencies/school/involvements/missing")
			if a, b := status.Convert(hidden).Proto(), status.Convert(missing).Proto(); !proto.Equal(a, b) || hidden == nil {
				t.Errorf("%s: %s: %v for a sensitive one, %v for none", who, what, a, b)
			}
		}
	}
}

// An answer with sensitive involvements left out is the answer there would be
// without them, page by page, save the notice.
func TestAnswerIsWhatItWouldBeWithoutThem(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	with, without := h.child(), h.child()
	for n := range 7 {
		for _, child := range []uuid.UUID{with, without} {
			i := inv("school", fmt.Sprintf("%s-%d", childName(child)[9:], n), child)
			i.StartDate = fmt.Sprintf("2026-02-%02d", 1+2*n)
			h.submit(i)
		}
		s := inv("clinic", fmt.Sprintf("hush-%d", n), with)
		s.StartDate = fmt.Sprintf("2026-02-%02d", 2*n+2)
		h.submit(s)
	}
	for _, base := range []*irtv1.ListInvolvementsRequest{{}, {IncludeEnded: true}, {AsOf: "2026-02-08"}, {KnownAt: stamp(h.now())}} {
		for _, size := range []int32{1, 3, 7, 100} {
			shape := func(child uuid.UUID) (pages []int, days []string) {
				req := proto.CloneOf(base)
				req.Parent, req.PageSize = childName(child), size
				for {
					page := h.list(as(t, "gp"), req)
					pages = append(pages, len(page.GetInvolvements()))
					for _, i := range page.GetInvolvements() {
						days = append(days, i.GetStartDate())
					}
					if (len(page.GetWithheld()) == 1) != (child == with) {
						t.Errorf("%v: withheld %v", base, page.GetWithheld())
					}
					if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
						return pages, days
					}
				}
			}
			pages, days := shape(with)
			wantPages, wantDays := shape(without)
			if fmt.Sprint(pages, days) != fmt.Sprint(wantPages, wantDays) {
				t.Errorf("%v by %d: pages %v of %v\nwithout sensitive ones %v of %v", base, size, pages, days, wantPages, wantDays)
			}
		}
	}
}

// Asking about day after day, or instant after instant, does not tell when a
// sensitive service began or ended.
func TestNoticeTellsNoDates(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child, never := h.child(), h.child()
	created := h.now()
	i := inv("clinic", "hush", child)
	i.StartDate, i.EndDate = day(-20), day(-10)
	h.submit(i)
	notices := func(child uuid.UUID) (all []int) {
		for _, req := range []*irtv1.ListInvolvementsRequest{
			{AsOf: day(-25)},
			{AsOf: day(-20)},
			{AsOf: day(-15)},
			{AsOf: day(-5)},
			{AsOf: day(5)},
			{IncludeEnded: true},
			{KnownAt: stamp(longAgo.Add(-time.Hour))},
			{KnownAt: stamp(created)},
			{KnownAt: stamp(h.now())},
			{KnownAt: stamp(h.now()), AsOf: day(-15)},
		} {
			req.Parent = childName(child)
			all = append(all, len(h.list(as(t, "gp"), req).GetWithheld()))
		}
		return all
	}
	if got := notices(child); fmt.Sprint(got) != "[1 1 1 1 1 1 1 1 1 1]" {
		t.Errorf("notices %v; want the same whatever the day", got)
	}
	if got := notices(never); fmt.Sprint(got) != "[0 0 0 0 0 0 0 0 0 0]" {
		t.Errorf("notices of a child without sensitive involvements: %v", got)
	}
	if got := h.list(as(t, "gp"), &irtv1.ListInvolvementsRequest{Parent: childName(child)}); len(got.GetWithheld()) != 0 {
		t.Errorf("today: %v; none is in force today", got.GetWithheld())
	}
}

func TestOwnAgencySeesItsSensitiveInvolvements(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child, _ := withSensitive(h)
	clinic := h.list(as(t, "clinic"), &irtv1.ListInvolvementsRequest{Parent: childName(child)})
	if n := len(clinic.GetInvolvements()); n != 3 || len(clinic.GetWithheld()) != 1 {
		t.Errorf("the clinic sees %q; want its own and the open two, and that another is withheld", locals(clinic))
	}
	for _, i := range clinic.GetInvolvements() {
		if i.GetName() == "agencies/clinic/involvements/hush-clinic" && (!i.GetSensitive() || i.GetPractitionerDisplayName() != "Kitteridge Counsellor") {
			t.Errorf("its own is shown as %v", i)
		}
	}
	school := h.list(as(t, "school"), &irtv1.ListInvolvementsRequest{Parent: childName(child), IncludeEnded: true})
	if n := len(school.GetInvolvements()); n != 4 || len(school.GetWithheld()) != 1 {
		t.Errorf("the school sees %q; want all but the clinic's", locals(school))
	}
}

// An agency that becomes a sensitive service hides what was shown before.
func TestAgencyThatBecomesSensitiveHides(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	i := inv("social", "turned", child)
	i.Practitioner = "agencies/social/practitioners/s1"
	h.submit(i)
	if _, err := h.SetLeadProfessional(as(t, "social"), &irtv1.SetLeadProfessionalRequest{Child: childName(child), Involvement: i.GetName()}); err != nil {
		t.Fatal(err)
	}
	before := h.now()
	h.exec(`UPDATE agencies SET sensitive = true, revision = revision + 1, update_time = clock_timestamp() WHERE agency_id = 'social'`)
	if err := h.directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, read := range reads(h, as(t, "gp"), child, []time.Time{before}) {
		answer, err := read()
		if err != nil {
			continue
		}
		if text := protojson.Format(answer); strings.Contains(text, "turned") || strings.Contains(text, "social") || strings.Contains(text, "Sam") {
			t.Errorf("%s: %s", what, text)
		}
	}
	_, err := h.SetLeadProfessional(as(t, "social"), &irtv1.SetLeadProfessionalRequest{Child: childName(child), Involvement: i.GetName()})
	wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
}

func TestInvolvementOfSensitiveServiceIsSensitive(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	i := inv("clinic", "i1", child)
	i.SensitiveBasis = ""
	_, err := h.trySubmit(i)
	if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); got != "involvement.sensitive_basis SENSITIVE_BASIS_REQUIRED" {
		t.Errorf("without a basis: %s", got)
	}
	i.SensitiveBasis, i.Sensitive = "CONSENT", false
	if got := h.submit(i); !got.GetSensitive() {
		t.Errorf("stored as %v, want it sensitive", got)
	}
}

// Reasonable cause to suspect significant harm shows a sensitive involvement to social
// care for safeguarding; consent shows it to whom it is given. To others it stays
// hidden, whatever day or instant they ask about.
func TestCauseAndConsentShowASensitiveInvolvement(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	harm := inv("clinic", "by-cause", child)
	harm.SensitiveBasis = "SIGNIFICANT_HARM"
	h.submit(harm)
	told := func(agency string, purpose irtv1.Purpose, req *irtv1.ListInvolvementsRequest) string {
		t.Helper()
		ctx := identity.NewContext(t.Context(), identity.Caller{Agency: agency, Role: system, Purpose: purpose})
		req.Parent = childName(child)
		got := h.list(audit.NewContext(ctx, audit.New(ctx, "test")), req)
		if notices := len(got.GetWithheld()); notices != 1 && locals(got) == "" {
			t.Errorf("%s: %d notices", agency, notices)
		}
		return locals(got)
	}
	safeguarding, care := irtv1.Purpose_PURPOSE_SAFEGUARDING, irtv1.Purpose_PURPOSE_DIRECT_CARE
	questions := func() []*irtv1.ListInvolvementsRequest {
		return []*irtv1.ListInvolvementsRequest{{}, {IncludeEnded: true}, {KnownAt: stamp(h.now())}, {AsOf: day(-1), PageSize: 1}}
	}
	for i, req := range questions() {
		if got := told("social", safeguarding, req); got != "by-cause" {
			t.Errorf("question %d: social care is told %q for safeguarding", i, got)
		}
	}
	for i, req := range questions() {
		if a, b := told("social", care, proto.CloneOf(req)), told("gp", safeguarding, req); a != "" || b != "" {
			t.Errorf("question %d: social care for care %q, the practice %q", i, a, b)
		}
	}
	h.exec(`INSERT INTO child_sharing (child_id, consents) VALUES ($1, '[{"s":2,"r":["gp"],"a":"clinic","f":"2026-01-01"}]')`, [16]byte(child))
	for i, req := range questions() {
		if a, b := told("gp", care, proto.CloneOf(req)), told("social", care, req); a != "by-cause" || b != "" {
			t.Errorf("question %d: with consent the practice is told %q, social care %q", i, a, b)
		}
	}
	h.exec(`UPDATE child_sharing SET shielded = true`)
	for i, req := range questions() {
		if a, b := told("gp", care, proto.CloneOf(req)), told("social", safeguarding, req); a != "" || b != "" {
			t.Errorf("question %d: of a shielded child the practice is told %q, social care %q", i, a, b)
		}
	}
}
