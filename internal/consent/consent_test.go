package consent_test

import (
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

const (
	share = irtv1.ConsentScope_CONSENT_SCOPE_SHARING
	show  = irtv1.ConsentScope_CONSENT_SCOPE_SENSITIVE_INVOLVEMENT
	keep  = irtv1.ConsentScope_CONSENT_SCOPE_RETENTION
)

// agreed is a consent to share where the child is with the practice.
func agreed(agency, id, child string) *irtv1.Consent {
	return &irtv1.Consent{
		Name: "agencies/" + agency + "/consents/" + id, Child: child, Scope: share, GivenBy: "CHILD",
		Categories: []irtv1.Category{irtv1.Category_CATEGORY_LOCATION}, Recipients: []string{"agencies/gp"}, StartDate: day(-10),
	}
}

func (h *hub) record(c *irtv1.Consent) *irtv1.Consent {
	h.t.Helper()
	out, err := h.tryRecord(c)
	if err != nil {
		wantError(h.t, err, codes.OK, "")
	}
	return out
}

func (h *hub) tryRecord(c *irtv1.Consent) (*irtv1.Consent, error) {
	h.t.Helper()
	agency, _, _ := cutName(c.GetName())
	return h.RecordConsent(as(h.t, agency), &irtv1.RecordConsentRequest{Consent: c})
}

func (h *hub) consents(agency string, req *irtv1.ListConsentsRequest) (names string, withheld int) {
	h.t.Helper()
	out, err := h.ListConsents(as(h.t, agency), req)
	if err != nil {
		wantError(h.t, err, codes.OK, "")
	}
	var all []string
	for _, c := range out.GetConsents() {
		all = append(all, c.GetName())
	}
	return ids(all), len(out.GetWithheld())
}

func TestConsentIsRecordedOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	first := h.record(agreed("social", "c1", child))
	if first.GetState() != irtv1.ConsentState_CONSENT_STATE_GIVEN || first.GetChild() != child ||
		first.GetChildRecord() != "agencies/social/childRecords/1" || first.GetEtag() == "" {
		t.Errorf("recorded: %v", first)
	}
	again := agreed("social", "c1", child)
	again.Recipients = []string{"agencies/gp", "agencies/gp"}
	if second := h.record(again); !proto.Equal(first, second) {
		t.Errorf("sent again it became %v", second)
	}
	wider := agreed("social", "c1", child)
	wider.Categories = nil
	if third := h.record(wider); third.GetEtag() == first.GetEtag() || len(third.GetCategories()) != 0 {
		t.Errorf("widened: %v", third)
	}
	if n := h.count(`SELECT count(*) FROM consents_history`); n != 1 {
		t.Errorf("%d earlier versions, want 1", n)
	}
	stale := agreed("social", "c1", child)
	stale.Etag = first.GetEtag()
	_, err := h.tryRecord(stale)
	wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
	if got := h.told(child); got != "CONSENT_RECORDED CONSENT_RECORDED" {
		t.Errorf("told: %s", got)
	}
}

func TestPolicyKnowsOfConsents(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	if h.known(child).row {
		t.Error("there is a row of facts about a child of whom there is nothing to say")
	}
	c := agreed("social", "c1", child)
	c.GivenBy, c.RecipientKinds, c.EndDate = "parent", []irtv1.AgencyKind{irtv1.AgencyKind_AGENCY_KIND_SCHOOL}, day(20)
	h.record(c)
	facts := h.known(child).consents
	if len(facts) != 1 {
		t.Fatalf("policy knows of %d consents", len(facts))
	}
	f, today := facts[0], standard.Today()
	if !f.ByParent || f.Agency != "social" || !f.InForce(today, today.AddDate(-9, 0, 0)) || f.InForce(today.AddDate(0, 0, 21), today.AddDate(-9, 0, 0)) ||
		!f.Covers("gp", irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE) || !f.Covers("school", irtv1.AgencyKind_AGENCY_KIND_SCHOOL) ||
		f.Covers("police", irtv1.AgencyKind_AGENCY_KIND_POLICE) ||
		!f.Shares(irtv1.Category_CATEGORY_LOCATION) || f.Shares(irtv1.Category_CATEGORY_CONTACT) {
		t.Errorf("policy knows %+v", f)
	}
	if _, err := h.WithdrawConsent(as(t, "social"), &irtv1.WithdrawConsentRequest{Name: c.GetName()}); err != nil {
		t.Fatal(err)
	}
	if h.known(child).row {
		t.Error("policy still knows of a consent that was withdrawn")
	}
}

func TestWithdrawnConsentDoesNotComeBack(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	c := h.record(agreed("social", "c1", child))
	req := &irtv1.WithdrawConsentRequest{Name: c.GetName(), Etag: c.GetEtag()}
	gone, err := h.WithdrawConsent(as(t, "social"), req)
	if err != nil {
		t.Fatal(err)
	}
	if gone.GetState() != irtv1.ConsentState_CONSENT_STATE_WITHDRAWN || gone.GetWithdrawDate() != day(0) {
		t.Errorf("withdrawn: %v", gone)
	}
	req.Etag = ""
	if again, err := h.WithdrawConsent(as(t, "social"), req); err != nil || !proto.Equal(again, gone) {
		t.Errorf("withdrawn again: %v, %v", again, err)
	}
	_, err = h.tryRecord(agreed("social", "c1", child))
	wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
	if got := h.told(child); got != "CONSENT_RECORDED CONSENT_WITHDRAWN" {
		t.Errorf("told: %s", got)
	}
}

func TestConsentsOfTwoTimes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	before := h.now()
	ended := agreed("social", "ended", child)
	ended.EndDate = day(-5)
	h.record(ended)
	c := h.record(agreed("social", "open", child))
	between := h.now()
	if _, err := h.WithdrawConsent(as(t, "social"), &irtv1.WithdrawConsentRequest{Name: c.GetName()}); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		what, want string
		req        *irtv1.ListConsentsRequest
	}{
		{"today", "", &irtv1.ListConsentsRequest{}},
		{"yesterday", "open", &irtv1.ListConsentsRequest{AsOf: day(-1)}},
		{"on the last day of the one that ended", "ended open", &irtv1.ListConsentsRequest{AsOf: day(-5)}},
		{"before either", "", &irtv1.ListConsentsRequest{AsOf: day(-11)}},
		{"ever", "ended open", &irtv1.ListConsentsRequest{IncludeEnded: true}},
		{"today, as known before it was withdrawn", "open", &irtv1.ListConsentsRequest{KnownAt: timestamppb.New(between)}},
		{"yesterday, as known before anything was", "", &irtv1.ListConsentsRequest{AsOf: day(-1), KnownAt: timestamppb.New(before)}},
	} {
		q.req.Parent = child
		got, _ := h.consents("social", q.req)
		if len(got) != len(q.want) || got != q.want && got != "open ended" {
			t.Errorf("%s: %q, want %q", q.what, got, q.want)
		}
	}
	_, err := h.ListConsents(as(t, "social"), &irtv1.ListConsentsRequest{Parent: child, AsOf: day(0), IncludeEnded: true})
	if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); got != "include_ended AS_OF_OR_ENDED" {
		t.Error(got)
	}
}

func TestConsentsPageByPage(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	for _, id := range []string{"a", "b", "c"} {
		h.record(agreed("social", id, child))
	}
	req := &irtv1.ListConsentsRequest{Parent: child, PageSize: 2}
	seen := map[string]bool{}
	for page := 1; ; page++ {
		out, err := h.ListConsents(as(t, "social"), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range out.GetConsents() {
			seen[c.GetName()] = true
		}
		if req.PageToken = out.GetNextPageToken(); req.GetPageToken() == "" {
			if page != 2 || len(seen) != 3 {
				t.Errorf("%d consents on %d pages", len(seen), page)
			}
			return
		}
	}
}

func TestWhoMayRecordConsent(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	strange := "children/" + standard.FormatChildID(standard.NewChildID())
	_, none := h.tryRecord(agreed("school", "c1", strange))
	_, err := h.tryRecord(agreed("school", "c1", child))
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	if none.Error() != err.Error() {
		t.Errorf("a stranger can tell whether there is the child: %v, %v", none, err)
	}
	_, err = h.RecordConsent(as(t, "school"), &irtv1.RecordConsentRequest{Consent: agreed("social", "c1", child)})
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	if _, err = h.RecordConsent(by(t, "council/dot"), &irtv1.RecordConsentRequest{Consent: agreed("council", "c1", child)}); err != nil {
		t.Errorf("a data manager: %v", err)
	}
	for _, read := range []func() error{
		func() error {
			_, err := h.ListConsents(as(t, "school"), &irtv1.ListConsentsRequest{Parent: child})
			return err
		},
		func() error {
			_, err := h.GetConsent(as(t, "school"), &irtv1.GetConsentRequest{Name: "agencies/council/consents/c1"})
			return err
		},
	} {
		wantError(t, read(), codes.PermissionDenied, "ACCESS_DENIED")
	}
	if names, _ := h.consents("social", &irtv1.ListConsentsRequest{Parent: child}); names != "c1" {
		t.Errorf("social care sees %q", names)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries`); n == 0 {
		t.Error("nothing of it is in the access log")
	}
}

func TestWhatAConsentMayNotSay(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(19))
	other := h.submit("social", "2", "Barnaby", born(5))
	h.record(agreed("social", "taken", child))
	for _, c := range []struct {
		what, want string
		change     func(*irtv1.Consent)
	}{
		{"a parent's for an adult", "consent.given_by CONSENT_GIVER_ADULT", func(c *irtv1.Consent) { c.GivenBy = "PARENTAL_RESPONSIBILITY" }},
		{"a recipient that is none", "consent.recipients AGENCY_UNKNOWN", func(c *irtv1.Consent) { c.Recipients = []string{"agencies/nobody"} }},
		{"nothing sensitive to show", "consent.scope CONSENT_NOT_SENSITIVE", func(c *irtv1.Consent) { c.Scope, c.Categories = show, nil }},
		{"another's record", "consent.child_record SUBJECT_REQUIRED", func(c *irtv1.Consent) { c.ChildRecord = "agencies/gp/childRecords/1" }},
		{"a child that the record is not of", "consent.child SUBJECT_REQUIRED", func(c *irtv1.Consent) { c.ChildRecord = "agencies/social/childRecords/2" }},
		{"what was about another child", "consent.child CONSENT_OTHER_CHILD", func(c *irtv1.Consent) { c.Name, c.Child = "agencies/social/consents/taken", other }},
	} {
		m := agreed("social", "c1", child)
		c.change(m)
		_, err := h.tryRecord(m)
		if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// That a sensitive service is involved is told to those to whom consent shows it.
func TestConsentOfASensitiveService(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(15))
	for _, agency := range []string{"gp", "school", "clinic"} {
		if h.submit(agency, "1", "Rosalind", born(15)) != child {
			t.Fatal("the records are not of one child")
		}
	}
	c := agreed("clinic", "c1", child)
	c.Scope, c.Categories = show, nil
	h.record(c)
	for _, w := range []struct {
		agency, sees string
		withheld     int
	}{{"clinic", "c1", 0}, {"gp", "c1", 0}, {"school", "", 1}, {"social", "", 1}} {
		names, withheld := h.consents(w.agency, &irtv1.ListConsentsRequest{Parent: child})
		if names != w.sees || withheld != w.withheld {
			t.Errorf("%s sees %q, %d notices", w.agency, names, withheld)
		}
		// The notice tells no dates.
		if _, withheld := h.consents(w.agency, &irtv1.ListConsentsRequest{Parent: child, AsOf: day(-100)}); withheld != w.withheld {
			t.Errorf("%s: %d notices of another day", w.agency, withheld)
		}
	}
	manager := by(t, "council/dot")
	_, err := h.GetConsent(manager, &irtv1.GetConsentRequest{Name: c.GetName()})
	wantError(t, err, codes.NotFound, "NOT_FOUND")
	_, err = h.WithdrawConsent(manager, &irtv1.WithdrawConsentRequest{Name: c.GetName()})
	wantError(t, err, codes.NotFound, "NOT_FOUND")
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 31 AND reveals <> 'clinic'`); n != 0 {
		t.Error("an event gives the clinic away")
	}
	facts := h.known(child).consents
	if len(facts) != 1 || !facts[0].ShowsInvolvement("clinic") || facts[0].Shares(irtv1.Category_CATEGORY_LOCATION) {
		t.Errorf("policy knows %+v", facts)
	}
}

// Many at once under one name are one consent.
func TestConsentRecordedAtTheSameMoment(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := h.tryRecord(agreed("social", "c1", child)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := h.count(`SELECT (SELECT count(*) FROM consents) + (SELECT count(*) FROM consents_history)`); n != 1 {
		t.Errorf("%d versions of one consent", n)
	}
}
