package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

// Whoever looks at whichever child's timeline is told there nothing that the single
// methods do not tell: each involvement, lead professional, concern, referral and
// consent is one that the method shows, as it shows it.
func TestATimelineHoldsOnlyWhatTheSingleMethodsShow(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	compared := 0
	for _, c := range callers(r, 60) {
		s := a.children[r.IntN(len(a.children))]
		resp, err := irtv1.NewTimelineServiceClient(a.conn).ListTimelineEntries(a.as(t, c), &irtv1.ListTimelineEntriesRequest{Parent: s.name})
		if err != nil {
			continue
		}
		shown := a.single(t, c, s.name)
		for _, e := range resp.GetEntries() {
			compared++
			if !isShown(e, shown) {
				t.Errorf("%s (%s) reads of the %s child in the timeline, and nowhere else: %v", c.Agency, identity.RoleText(c.Role), s.sort, e)
			}
		}
	}
	if compared < 20 {
		t.Errorf("%d entries in all: the test sees nothing", compared)
	}
}

// Many who ask at once share reads of the database, and each is told what it is told
// when it asks alone.
func TestTimelinesAskedForAtOnceAreNotMixed(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	r := rand.New(rand.NewPCG(1, 0))
	type question struct {
		ctx   context.Context
		child string
		alone *irtv1.ListTimelineEntriesResponse // nil where it is refused
	}
	client := irtv1.NewTimelineServiceClient(a.conn)
	var all []question
	for _, c := range callers(r, 30) {
		for _, s := range a.children {
			q := question{ctx: a.as(t, c), child: s.name}
			q.alone, _ = client.ListTimelineEntries(q.ctx, &irtv1.ListTimelineEntriesRequest{Parent: q.child})
			all = append(all, q)
		}
	}
	var asking sync.WaitGroup
	told := atomic.Int64{}
	for _, q := range all {
		asking.Go(func() {
			got, err := client.ListTimelineEntries(q.ctx, &irtv1.ListTimelineEntriesRequest{Parent: q.child})
			if (err != nil) != (q.alone == nil) || err == nil && !proto.Equal(got, q.alone) {
				t.Errorf("among others %v (%v), alone %v", got, err, q.alone)
			}
			told.Add(int64(len(got.GetEntries())))
		})
	}
	asking.Wait()
	if told.Load() < 20 {
		t.Errorf("%d entries in all: the test sees nothing", told.Load())
	}
}

// single is what the single methods show a caller of a child.
func (a *area) single(t *testing.T, c identity.Caller, child string) (shown []proto.Message) {
	t.Helper()
	involvements, _ := irtv1.NewInvolvementServiceClient(a.conn).ListInvolvements(a.as(t, c), &irtv1.ListInvolvementsRequest{Parent: child, IncludeEnded: true})
	for _, m := range involvements.GetInvolvements() {
		shown = append(shown, m)
	}
	leads, _ := irtv1.NewInvolvementServiceClient(a.conn).ListLeadProfessionals(a.as(t, c), &irtv1.ListLeadProfessionalsRequest{Parent: child})
	for _, m := range leads.GetLeadProfessionals() {
		shown = append(shown, m)
	}
	concerns, _ := irtv1.NewConcernServiceClient(a.conn).ListConcerns(a.as(t, c), &irtv1.ListConcernsRequest{Parent: child})
	for _, m := range concerns.GetConcerns() {
		shown = append(shown, m)
	}
	referrals, _ := irtv1.NewReferralServiceClient(a.conn).ListReferrals(a.as(t, c), &irtv1.ListReferralsRequest{Parent: child})
	for _, m := range referrals.GetReferrals() {
		shown = append(shown, m)
	}
	consents, _ := irtv1.NewConsentServiceClient(a.conn).ListConsents(a.as(t, c), &irtv1.ListConsentsRequest{Parent: child, IncludeEnded: true})
	for _, m := range consents.GetConsents() {
		shown = append(shown, m)
	}
	records, _ := irtv1.NewChildServiceClient(a.conn).ListChildRecords(a.as(t, c), &irtv1.ListChildRecordsRequest{Parent: "agencies/-", Child: child})
	for _, m := range records.GetChildRecords() {
		shown = append(shown, m)
	}
	versions, _ := irtv1.NewChildServiceClient(a.conn).ListChildVersions(a.as(t, c), &irtv1.ListChildVersionsRequest{Parent: child})
	for _, m := range versions.GetChildVersions() {
		shown = append(shown, m.GetChild())
	}
	return shown
}

// isShown looks for what an entry tells among what the single methods show.
func isShown(e *irtv1.TimelineEntry, shown []proto.Message) bool {
	for _, m := range shown {
		switch d := e.GetDetail().(type) {
		case *irtv1.TimelineEntry_Involvement:
			if proto.Equal(d.Involvement, m) {
				return true
			}
		case *irtv1.TimelineEntry_LeadProfessional:
			if proto.Equal(d.LeadProfessional, m) {
				return true
			}
		case *irtv1.TimelineEntry_Concern:
			if proto.Equal(d.Concern, m) {
				return true
			}
		case *irtv1.TimelineEntry_Referral:
			if proto.Equal(d.Referral, m) {
				return true
			}
		case *irtv1.TimelineEntry_Consent:
			if proto.Equal(d.Consent, m) {
				return true
			}
		case *irtv1.TimelineEntry_Registration:
			record, ok := m.(*irtv1.ChildRecord)
			if name := d.Registration.GetChildRecord(); name == "" || ok && record.GetName() == name {
				return true
			}
		case *irtv1.TimelineEntry_Move:
			child, ok := m.(*irtv1.Child)
			if ok && (d.Move.GetPostcode() == child.GetPostcode() && d.Move.GetSchoolUrn()+d.Move.GetGpPracticeCode() == "" ||
				d.Move.GetPostcode() == "" && (d.Move.GetSchoolUrn() == child.GetSchoolUrn() || d.Move.GetGpPracticeCode() == child.GetGpPracticeCode())) {
				return true
			}
		}
	}
	return false
}

// A timeline tells moves and involvements on their days, the newest first, page by
// page; as of a day without what came after, and as it was known at an instant.
func TestATimelineInItsOrder(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	record := func(fields string) string {
		name, _ := h.call(t, 200, "PUT", "/v1/agencies/school-1/childRecords/1",
			`{"givenName": "Rosalind", "familyName": "Achterberg", "dateOfBirth": "2015-06-02", `+fields+`}`, school)["child"].(string)
		return name
	}
	child := record(`"addressLines": ["4 Quay Side"], "postcode": "NR23 1AH"`)
	h.call(t, 200, "PUT", "/v1/agencies/school-1/involvements/1",
		`{"child": "`+child+`", "role": "TEACHER", "startDate": "2026-01-05", "endDate": "2026-02-06"}`, school)
	known := h.now(t).AsTime()
	record(`"addressLines": ["9 Staithe Street"], "postcode": "NR23 1AF", "addressStartDate": "2026-02-01"`)
	today := standard.Today().Format(time.DateOnly)
	for _, c := range []struct{ name, query, want string }{
		{"all", "", today + " REGISTRATION, " + today + " REGISTRATION, 2026-02-01 MOVE, 2026-01-05 INVOLVEMENT"},
		{"as of a day", "?asOf=2026-01-31", "2026-01-05 INVOLVEMENT"},
		{"as it was known", "?knownAt=" + known.Format(time.RFC3339Nano), today + " REGISTRATION, " + today + " REGISTRATION, 2026-01-05 INVOLVEMENT"},
		{"of two kinds", "?kinds=TIMELINE_KIND_MOVE&kinds=TIMELINE_KIND_INVOLVEMENT", "2026-02-01 MOVE, 2026-01-05 INVOLVEMENT"},
	} {
		for _, size := range []string{"", "1"} {
			if got := strings.Join(h.timeline(t, child, c.query, size, school), ", "); got != c.want {
				t.Errorf("%s, pages of %q: %s, want %s", c.name, size, got, c.want)
			}
		}
	}
	future := timestamppb.New(time.Now().Add(time.Hour)).AsTime().Format(time.RFC3339)
	h.call(t, 400, "GET", "/v1/"+child+"/timeline?knownAt="+future, "", school)
	h.call(t, 400, "GET", "/v1/"+child+"/timeline?asOf=2026-02-30", "", school)
	h.call(t, 404, "GET", "/v1/"+missingChild(t)+"/timeline", "", school)
}

// timeline reads a timeline in pages of a size.
func (h *hub) timeline(t *testing.T, child, query, size, token string) (told []string) {
	t.Helper()
	if query == "" {
		query = "?"
	}
	for page := ""; ; {
		m := h.call(t, 200, "GET", "/v1/"+child+"/timeline"+query+paging(size, page), "", token)
		entries, _ := m["entries"].([]any)
		for _, one := range entries {
			e, _ := one.(map[string]any)
			day, _ := e["startDate"].(string)
			kind, _ := e["kind"].(string)
			told = append(told, day+" "+strings.TrimPrefix(kind, "TIMELINE_KIND_"))
		}
		if page, _ = m["nextPageToken"].(string); page == "" {
			return told
		}
	}
}

// paging is the part of an address that asks for a page.
func paging(size, token string) (q string) {
	if size != "" {
		q += "&pageSize=" + size
	}
	if token != "" {
		q += "&pageToken=" + token
	}
	return q
}

// Concerns and referrals stand in the timeline as they are now, as they were known
// before, and on the right child when children become one and part again.
func TestATimelineFollowsMergeAndSplit(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	plain, other := a.children[0], a.children[5]
	school := identity.Caller{Agency: "school-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	of := func(child string, knownAt *timestamppb.Timestamp) string {
		t.Helper()
		resp, err := irtv1.NewTimelineServiceClient(a.conn).ListTimelineEntries(a.as(t, school), &irtv1.ListTimelineEntriesRequest{
			Parent: child, KnownAt: knownAt,
			Kinds: []irtv1.TimelineKind{irtv1.TimelineKind_TIMELINE_KIND_CONCERN, irtv1.TimelineKind_TIMELINE_KIND_REFERRAL},
		})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range resp.GetEntries() {
			told = append(told, strings.TrimPrefix(e.GetConcern().GetName()+e.GetReferral().GetName(), "agencies/school-1/")+" "+
				strings.TrimPrefix(e.GetConcern().GetState().String(), "CONCERN_STATE_")+"/"+
				strings.TrimPrefix(e.GetReferral().GetState().String(), "REFERRAL_STATE_"))
		}
		return strings.Join(told, ", ")
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	const ofPlain, ofOther = "referrals/rAq UNSPECIFIED/SENT, concerns/cAq OPEN/UNSPECIFIED", "referrals/rFq UNSPECIFIED/SENT, concerns/cFq OPEN/UNSPECIFIED"
	want("the one", of(plain.name, nil), ofPlain)
	want("the other", of(other.name, nil), ofOther)
	before := a.now(t)
	if _, err := irtv1.NewConcernServiceClient(a.conn).CloseConcern(a.as(t, school), &irtv1.CloseConcernRequest{
		Name: "agencies/school-1/concerns/cAq", Outcome: "SUPPORT_IN_PLACE",
	}); err != nil {
		t.Fatal(err)
	}
	const closed = "referrals/rAq UNSPECIFIED/SENT, concerns/cAq CLOSED/UNSPECIFIED"
	want("after it was closed", of(plain.name, nil), closed)
	want("as it was known before", of(plain.name, before), ofPlain)

	a.mergeByTwo(t, other.name, plain.name)
	want("of both", of(plain.name, nil), "referrals/rFq UNSPECIFIED/SENT, referrals/rAq UNSPECIFIED/SENT, concerns/cFq OPEN/UNSPECIFIED, concerns/cAq CLOSED/UNSPECIFIED")
	want("by the name that was merged", of(other.name, nil), of(plain.name, nil))
	want("by that name, before", of(other.name, before), ofOther)
	manager := identity.Caller{Agency: "gp-1", Role: irtv1.Role_ROLE_DATA_MANAGER, Practitioner: "dm1", Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY, Reason: "they are two"}
	if _, err := irtv1.NewMatchServiceClient(a.conn).SplitChildRecord(a.as(t, manager), &irtv1.SplitChildRecordRequest{
		Child: plain.name, ChildRecords: []string{"agencies/school-1/childRecords/rFq", "agencies/social-1/childRecords/rFq"}, Reason: "they are two",
	}); err != nil {
		t.Fatal(err)
	}
	want("the one, parted", of(plain.name, nil), closed)
	want("the other, parted", of(other.name, nil), ofOther)
}

// now is the database's time.
func (h *hub) now(t *testing.T) *timestamppb.Timestamp {
	t.Helper()
	var now time.Time
	if err := h.pool.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now); err != nil {
		t.Fatal(err)
	}
	return timestamppb.New(now)
}

// mergeByTwo makes one child of two, as two data managers decide.
func (a *area) mergeByTwo(t *testing.T, child, into string) {
	t.Helper()
	client := irtv1.NewMatchServiceClient(a.conn)
	manager := identity.Caller{Agency: "gp-1", Role: irtv1.Role_ROLE_DATA_MANAGER, Practitioner: "dm1", Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY, Reason: "one child"}
	resp, err := client.MergeChildren(a.as(t, manager), &irtv1.MergeChildrenRequest{Child: child, IntoChild: into, Reason: "one child"})
	if err != nil {
		t.Fatal(err)
	}
	if review := resp.GetMatchReview(); review != "" {
		manager.Practitioner = "dm2"
		if _, err := client.ResolveMatchReview(a.as(t, manager), &irtv1.ResolveMatchReviewRequest{
			Name: review, Resolution: irtv1.MatchResolution_MATCH_RESOLUTION_SAME, Reason: "one child",
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// A request for contact stands in the timeline of the past as it was: before it was
// asked not at all, then open, then answered; and who did not disclose itself is named
// at no time.
func TestATimelineHasContactAsItWas(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	var s *subject
	for _, one := range a.children {
		if one.sort == "sensitive" {
			s = one
		}
	}
	asker := identity.Caller{Agency: "social-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING, Reason: "a meeting"}
	clinic := identity.Caller{Agency: "clinic-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_DIRECT_CARE}
	client := irtv1.NewContactServiceClient(a.conn)
	told := func(c identity.Caller, at *timestamppb.Timestamp) string {
		t.Helper()
		resp, err := irtv1.NewTimelineServiceClient(a.conn).ListTimelineEntries(a.as(t, c), &irtv1.ListTimelineEntriesRequest{
			Parent: s.name, KnownAt: at, Kinds: []irtv1.TimelineKind{irtv1.TimelineKind_TIMELINE_KIND_CONTACT_REQUEST},
		})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range resp.GetEntries() {
			q := e.GetContactRequest()
			all = append(all, fmt.Sprintf("%s %d", strings.TrimPrefix(q.GetState().String(), "CONTACT_REQUEST_STATE_"), len(q.GetAnswers())))
			if c.Agency != "clinic-1" && strings.Contains(e.String(), "clinic") {
				t.Errorf("%s is told %v", c.Agency, e)
			}
		}
		return strings.Join(all, ", ")
	}
	before := a.now(t)
	q, err := client.RequestContact(a.as(t, asker), &irtv1.RequestContactRequest{
		Child: s.name, Text: "May we talk?",
		To: &irtv1.RequestContactRequest_Audience{Audience: irtv1.ContactAudience_CONTACT_AUDIENCE_SENSITIVE_SERVICES},
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := a.now(t)
	if _, err := client.AnswerContactRequest(a.as(t, clinic), &irtv1.AnswerContactRequestRequest{Name: q.GetName(), Text: "Please ring."}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name         string
		at           *timestamppb.Timestamp
		asker, asked string
	}{
		{"before", before, "", ""},
		{"asked", asked, "OPEN 0", "OPEN 0"},
		{"answered", a.now(t), "ANSWERED 1", "ANSWERED 0"},
		{"now", nil, "ANSWERED 1", "ANSWERED 0"},
	} {
		if got := told(asker, c.at); got != c.asker {
			t.Errorf("%s: the asker is told %q, want %q", c.name, got, c.asker)
		}
		if got := told(clinic, c.at); got != c.asked {
			t.Errorf("%s: who is asked is told %q, want %q", c.name, got, c.asked)
		}
	}
	other := identity.Caller{Agency: "school-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	if got := told(other, asked); got != "" {
		t.Errorf("who has no part in it is told %q", got)
	}
}
