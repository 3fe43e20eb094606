package children_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
)

const (
	created   = irtv1.SubmitOutcome_SUBMIT_OUTCOME_CREATED
	updated   = irtv1.SubmitOutcome_SUBMIT_OUTCOME_UPDATED
	unchanged = irtv1.SubmitOutcome_SUBMIT_OUTCOME_UNCHANGED
)

func TestThreeAgenciesOneChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	school := h.send("school", "p1", jennifer())
	gp := h.send("gp", "77", with(jennifer(), func(r *irtv1.ChildRecord) {
		r.GivenName, r.PreferredGivenName, r.SchoolUrn, r.Carers = "Jenifer", "Jenny", "", nil
	}))
	social := h.send("social", "case-9", with(jennifer(), func(r *irtv1.ChildRecord) {
		r.GivenName, r.FamilyName, r.NhsNumber = "Jenny", "Clark", ""
		r.AddressLines, r.Postcode = []string{"10 Mill Ln"}, "NR1 3JU"
	}))
	if school.GetOutcome() != created || school.GetMatch().GetDecision() != irtv1.MatchDecision_MATCH_DECISION_NEW {
		t.Errorf("the first record: outcome %v, decision %v", school.GetOutcome(), school.GetMatch().GetDecision())
	}
	for who, r := range map[string]*irtv1.SubmitChildRecordResponse{"gp": gp, "social": social} {
		if r.GetChild() != school.GetChild() {
			t.Errorf("%s's record became %s, not %s: %v", who, r.GetChild(), school.GetChild(), r.GetMatch())
		}
		if len(r.GetMatch().GetFieldWeights()) == 0 {
			t.Errorf("%s's link is not explained", who)
		}
	}
	// Details come from whoever is trusted most for them.
	c := h.child(school.GetChild())
	if c.GetGivenName() != "Jenifer" || c.GetNhsNumber() != "9990000018" || c.GetSchoolUrn() != "123456" {
		t.Errorf("composed wrongly: given name %q, NHS number %q, school %q", c.GetGivenName(), c.GetNhsNumber(), c.GetSchoolUrn())
	}
	if c.GetSchool().GetDisplayName() != "The school" || c.GetGpPractice().GetAgency() != "agencies/gp" {
		t.Errorf("school %v, practice %v", c.GetSchool(), c.GetGpPractice())
	}
	if len(c.GetCarers()) != 1 || c.GetCarers()[0].GetDisplayName() != "Susan Clarke" {
		t.Errorf("carers %v", c.GetCarers())
	}
	from := map[string]string{}
	for _, p := range c.GetProvenance() {
		for _, f := range p.GetFields() {
			from[f] = p.GetAgency()
		}
	}
	if from["given_name"] != "agencies/gp" || from["school_urn"] != "agencies/social" && from["school_urn"] != "agencies/school" {
		t.Errorf("provenance %v", from)
	}
	records, err := h.ListChildRecords(manager(t), &irtv1.ListChildRecordsRequest{Parent: "agencies/-", Child: c.GetName()})
	if err != nil || len(records.GetChildRecords()) != 3 {
		t.Errorf("the child has %d records, error %v", len(records.GetChildRecords()), err)
	}
}

func TestBrotherIsAnotherChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	her := h.send("school", "p1", jennifer())
	for i, born := range []string{"2014-03-10", "2015-04-09", "2014-03-09"} { // a slip of a day away, a year, a twin
		his := h.send("school", fmt.Sprint("b", i), with(jennifer(), func(r *irtv1.ChildRecord) {
			r.GivenName, r.Sex, r.DateOfBirth, r.NhsNumber = "Thomas", "M", born, ""
		}))
		if his.GetChild() == her.GetChild() {
			t.Errorf("a brother born %s was merged with his sister: %v", born, his.GetMatch())
		}
	}
}

func TestSendingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.send("school", "p1", jennifer())
	again := h.send("school", "p1", jennifer())
	if again.GetOutcome() != unchanged || again.GetChildRecord().GetEtag() != first.GetChildRecord().GetEtag() {
		t.Errorf("outcome %v, etag %s then %s", again.GetOutcome(), first.GetChildRecord().GetEtag(), again.GetChildRecord().GetEtag())
	}
	if n := h.count(`SELECT count(*) FROM child_records_history`); n != 0 {
		t.Errorf("%d versions in history", n)
	}
	// Every submission is in the access log, also one that changed nothing.
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE agency_id = 'school'`); n != 2 {
		t.Errorf("%d entries in the access log, want 2", n)
	}
}

func TestVersionsTellWhatWasKnownWhen(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	before := time.Now().Add(-time.Hour)
	first := h.send("school", "p1", jennifer())
	between := time.Now()
	time.Sleep(2 * time.Millisecond) //nolint:forbidigo // the instants must differ
	moved := h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.Postcode = "NR2 1AA" }))
	if moved.GetOutcome() != updated || moved.GetChild() != first.GetChild() {
		t.Fatalf("outcome %v, child %s", moved.GetOutcome(), moved.GetChild())
	}
	if now := h.child(first.GetChild()); now.GetPostcode() != "NR2 1AA" {
		t.Errorf("now %s", now.GetPostcode())
	}
	then, err := h.GetChild(system(t, "school"), &irtv1.GetChildRequest{Name: first.GetChild(), KnownAt: timestamppb.New(between)})
	if err != nil || then.GetPostcode() != "NR1 3JU" {
		t.Errorf("between: %s, error %v", then.GetPostcode(), err)
	}
	_, err = h.GetChild(system(t, "school"), &irtv1.GetChildRequest{Name: first.GetChild(), KnownAt: timestamppb.New(before)})
	if status.Code(err) != codes.NotFound {
		t.Errorf("before it was known: %v", err)
	}
	versions, err := h.ListChildVersions(system(t, "school"), &irtv1.ListChildVersionsRequest{Parent: first.GetChild(), PageSize: 1})
	if err != nil || len(versions.GetChildVersions()) != 1 || versions.GetNextPageToken() == "" || versions.GetChildVersions()[0].GetKnownTo() != nil {
		t.Fatalf("first page of versions: %v, error %v", versions, err)
	}
	versions, err = h.ListChildVersions(system(t, "school"), &irtv1.ListChildVersionsRequest{
		Parent: first.GetChild(), PageSize: 1, PageToken: versions.GetNextPageToken(),
	})
	if err != nil || len(versions.GetChildVersions()) != 1 || versions.GetNextPageToken() != "" ||
		versions.GetChildVersions()[0].GetChild().GetPostcode() != "NR1 3JU" || versions.GetChildVersions()[0].GetKnownTo() == nil {
		t.Fatalf("second page of versions: %v, error %v", versions, err)
	}
}

func TestChangedDetailsMatchAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	her := h.send("school", "p1", jennifer())
	// Entered under a wrong name and date of birth, then corrected.
	wrong := h.send("gp", "77", &irtv1.ChildRecord{GivenName: "Ayesha", FamilyName: "Begum", DateOfBirth: "2009-01-01"})
	if wrong.GetChild() == her.GetChild() {
		t.Fatal("two strangers are one child")
	}
	right := h.send("gp", "77", jennifer())
	if right.GetChild() != her.GetChild() {
		t.Fatalf("the corrected record stayed with %s: %v", right.GetChild(), right.GetMatch())
	}
	// The name that was handed out before leads to the child it became.
	if c := h.child(wrong.GetChild()); c.GetName() != her.GetChild() {
		t.Errorf("%s answers with %s, want %s", wrong.GetChild(), c.GetName(), her.GetChild())
	}
	// And back: a record that turns out to be somebody else leaves the child.
	back := h.send("gp", "77", &irtv1.ChildRecord{GivenName: "Ayesha", FamilyName: "Begum", DateOfBirth: "2009-01-01"})
	if back.GetChild() == her.GetChild() {
		t.Errorf("the record stayed with a child that it does not describe")
	}
	if c := h.child(her.GetChild()); c.GetGivenName() != "Jennifer" || c.GetGpPracticeCode() != "A81001" {
		t.Errorf("the child was left as %v", c)
	}
}

func TestWithdrawAndRevive(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send("school", "p1", jennifer())
	gp := h.send("gp", "77", with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName = "Jenifer" }))
	name := gp.GetChildRecord().GetName()
	if _, err := h.WithdrawChildRecord(system(t, "school"), &irtv1.WithdrawChildRecordRequest{Name: name}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another agency withdrew it: %v", err)
	}
	r, err := h.WithdrawChildRecord(system(t, "gp"), &irtv1.WithdrawChildRecordRequest{Name: name, Etag: gp.GetChildRecord().GetEtag()})
	if err != nil || r.GetState() != irtv1.ChildRecordState_CHILD_RECORD_STATE_WITHDRAWN {
		t.Fatalf("withdrawing: %v, error %v", r.GetState(), err)
	}
	if c := h.child(gp.GetChild()); c.GetGivenName() != "Jennifer" {
		t.Errorf("without the practice's record she is %q", c.GetGivenName())
	}
	if again := h.send("gp", "77", jennifer()); again.GetOutcome() != updated || again.GetChild() != gp.GetChild() {
		t.Errorf("revived as %s of %s", again.GetOutcome(), again.GetChild())
	}
	// A child of whom nobody speaks any more is found by nothing but its name.
	for agency, id := range map[string]string{"gp": "77", "school": "p1"} {
		if _, err := h.WithdrawChildRecord(system(t, agency), &irtv1.WithdrawChildRecordRequest{
			Name: "agencies/" + agency + "/childRecords/" + id,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if c := h.child(gp.GetChild()); c.GetState() != irtv1.ChildState_CHILD_STATE_WITHDRAWN {
		t.Errorf("state %v", c.GetState())
	}
	_, err = h.LookupChild(system(t, "school"), &irtv1.LookupChildRequest{
		Identifier: &irtv1.LookupChildRequest_NhsNumber{NhsNumber: "9990000018"},
	})
	if status.Code(err) != codes.NotFound {
		t.Errorf("a withdrawn child is still found: %v", err)
	}
}

func TestEtagGuardsAgainstLostUpdates(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.send("school", "p1", jennifer())
	second := h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.Sex = "U" }))
	_, err := h.trySend("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.Etag = first.GetChildRecord().GetEtag() }))
	if status.Code(err) != codes.Aborted {
		t.Errorf("an update over an unseen version: %v", err)
	}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetMetadata()["etag"] != second.GetChildRecord().GetEtag() {
			t.Errorf("its etag is said to be %q", info.GetMetadata()["etag"])
		}
	}
}

func TestValidateOnlyWritesNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := jennifer()
	r.Name = "agencies/school/childRecords/p1"
	resp, err := h.SubmitChildRecord(system(t, "school"), &irtv1.SubmitChildRecordRequest{ChildRecord: proto.CloneOf(r), ValidateOnly: true})
	if err != nil || resp.GetChild() != "" || resp.GetOutcome() != created || !resp.GetValidateOnly() {
		t.Fatalf("%v, error %v", resp, err)
	}
	if n := h.count(`SELECT (SELECT count(*) FROM child_records) + (SELECT count(*) FROM children) + (SELECT count(*) FROM match_keys)`); n != 0 {
		t.Errorf("%d rows were written", n)
	}
	her := h.send("gp", "77", jennifer())
	resp, err = h.SubmitChildRecord(system(t, "school"), &irtv1.SubmitChildRecordRequest{ChildRecord: r, ValidateOnly: true})
	if err != nil || resp.GetChild() != her.GetChild() {
		t.Errorf("would link to %s, want %s (error %v)", resp.GetChild(), her.GetChild(), err)
	}
}

func TestRefusedRecordsNameEveryFault(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, err := h.trySend("school", "p1", &irtv1.ChildRecord{FamilyName: "Clarke", NhsNumber: "9990000019", Postcode: "nowhere"})
	st := status.Convert(err)
	if st.Code() != codes.InvalidArgument {
		t.Fatalf("code %v", st.Code())
	}
	text := fmt.Sprint(st.Proto())
	for _, want := range []string{"child_record.given_name", "child_record.nhs_number", "NHS_NUMBER_CHECK_DIGIT", "child_record.postcode", "BIRTH_DATE_ONE_OF"} {
		if !contains(text, want) {
			t.Errorf("the error does not name %s:\n%s", want, text)
		}
	}
	for _, personal := range []string{"Clarke", "9990000019", "nowhere"} {
		if contains(text, personal) {
			t.Errorf("the error repeats %q", personal)
		}
	}
	if n := h.count(`SELECT count(*) FROM child_records`); n != 0 {
		t.Errorf("%d records were written", n)
	}
	if _, err := h.SubmitChildRecord(system(t, "gp"), &irtv1.SubmitChildRecordRequest{
		ChildRecord: with(jennifer(), func(r *irtv1.ChildRecord) { r.Name = "agencies/school/childRecords/p1" }),
	}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("an agency wrote another's record: %v", err)
	}
}

func TestQueriesAreKeptWithTheRecord(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := with(jennifer(), func(r *irtv1.ChildRecord) { r.Upn = "A801200005001" })
	resp := h.send("school", "p1", r)
	if len(resp.GetQueries()) != 1 || resp.GetQueries()[0].GetRuleId() != "UPN_CHECK_LETTER" || resp.GetQueries()[0].GetField() != "upn" {
		t.Errorf("queries %v", resp.GetQueries())
	}
	got, err := h.GetChildRecord(system(t, "school"), &irtv1.GetChildRecordRequest{Name: "agencies/school/childRecords/p1"})
	if err != nil || len(got.GetQueries()) != 1 || got.GetQueries()[0].GetAction() == "" {
		t.Errorf("read again: %v, error %v", got.GetQueries(), err)
	}
	r.Name = "agencies/school/childRecords/p2"
	_, err = h.SubmitChildRecord(system(t, "school"), &irtv1.SubmitChildRecordRequest{ChildRecord: r, Strict: true})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("strict: %v", err)
	}
}

// Sixty-four agencies' systems, on two hub processes, meet one new child at the
// same moment.
func TestManyAtOnceMakeOneChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	other := newService(t, h.pool)
	var all sync.WaitGroup
	answers := make([]*irtv1.SubmitChildRecordResponse, 64)
	errs := make([]error, 64)
	for i := range answers {
		all.Go(func() {
			agency := fmt.Sprintf("charity-%d", i%16)
			r := jennifer()
			r.Name = fmt.Sprintf("agencies/%s/childRecords/c%d", agency, i)
			service := h.Service
			if i%2 == 1 {
				service = other
			}
			answers[i], errs[i] = service.SubmitChildRecord(system(t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: r})
		})
	}
	all.Wait()
	for i := range answers {
		if errs[i] != nil {
			t.Fatalf("submission %d: %v", i, errs[i])
		}
		if answers[i].GetChild() != answers[0].GetChild() {
			t.Errorf("submission %d made %s beside %s", i, answers[i].GetChild(), answers[0].GetChild())
		}
	}
	if n := h.count(`SELECT count(*) FROM children`); n != 1 {
		t.Errorf("%d children", n)
	}
	if n := h.count(`SELECT count(*) FROM child_records`); n != 64 {
		t.Errorf("%d records", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries`); n != 64 {
		t.Errorf("%d entries in the access log", n)
	}
}

// Many versions of one record in flight at once: each is stored, in some order,
// and known periods neither overlap nor leave gaps.
func TestManyWritersOnOneRecord(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	other := newService(t, h.pool)
	h.send("school", "p1", jennifer())
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			r := with(jennifer(), func(r *irtv1.ChildRecord) {
				r.Name = "agencies/school/childRecords/p1"
				r.MiddleNames = fmt.Sprintf("Number%c%c", 'a'+i/26, 'a'+i%26)
			})
			service := h.Service
			if i%2 == 1 {
				service = other
			}
			if _, err := service.SubmitChildRecord(system(t, "school"), &irtv1.SubmitChildRecordRequest{ChildRecord: r}); err != nil {
				t.Errorf("version %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if n := h.count(`SELECT count(*) FROM child_records_history`); n != 40 {
		t.Errorf("%d versions in history, want 40", n)
	}
	for _, table := range []string{"child_records", "children"} {
		key := map[string]string{"child_records": "record_id", "children": "child_id"}[table]
		gaps := h.count(gapsIn(table, key))
		if gaps != 0 {
			t.Errorf("%d gaps or overlaps in the versions of %s", gaps, table)
		}
	}
}

func TestUnsureMatchesGoToReview(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	her := h.send("gp", "77", with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName = "Baby" }))
	same := h.send("social", "9", with(jennifer(), func(r *irtv1.ChildRecord) { r.NhsNumber = "" }))
	if same.GetChild() == her.GetChild() || same.GetMatch().GetDecision() != irtv1.MatchDecision_MATCH_DECISION_REVIEW {
		t.Fatalf("a named child and a newborn without a common identifier: %v", same.GetMatch())
	}
	for who, want := range map[string]int{"gp": 0, "social": 1} {
		got, err := h.ListMatchReviews(system(t, who), &irtv1.ListMatchReviewsRequest{})
		if err != nil || len(got.GetMatchReviews()) != want {
			t.Errorf("%s sees %d reviews, error %v", who, len(got.GetMatchReviews()), err)
		}
	}
	got, err := h.ListMatchReviews(manager(t), &irtv1.ListMatchReviewsRequest{})
	if err != nil || len(got.GetMatchReviews()) != 1 {
		t.Fatalf("the data manager sees %v, error %v", got, err)
	}
	r := got.GetMatchReviews()[0]
	if r.GetChild() != same.GetChild() || r.GetCandidateChild() != her.GetChild() || len(r.GetMatch().GetFieldWeights()) == 0 {
		t.Errorf("review %v", r)
	}
	// Sending the record again does not raise it twice.
	h.send("social", "9", with(jennifer(), func(r *irtv1.ChildRecord) { r.NhsNumber, r.MiddleNames = "", "Ann" }))
	if n := h.count(`SELECT count(*) FROM match_reviews`); n != 1 {
		t.Errorf("%d reviews", n)
	}
}

func TestSensitiveAgencyIsNotNamed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	resp := h.send("camhs", "s1", jennifer())
	h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.Carers = nil }))
	c := h.child(resp.GetChild()) // as the school
	for _, p := range c.GetProvenance() {
		if p.GetAgency() == "agencies/camhs" {
			t.Errorf("provenance names %s", p.GetAgency())
		}
	}
	if len(c.GetWithheld()) != 1 || c.GetWithheld()[0].GetHowToAsk() == "" {
		t.Errorf("the answer does not say that something is withheld: %v", c.GetWithheld())
	}
	own, err := h.GetChild(system(t, "camhs"), &irtv1.GetChildRequest{Name: resp.GetChild()})
	if err != nil || !slices.ContainsFunc(own.GetProvenance(), func(p *irtv1.Provenance) bool { return p.GetAgency() == "agencies/camhs" }) {
		t.Errorf("the agency itself sees %v, error %v", own.GetProvenance(), err)
	}
	if text := fmt.Sprint(c); contains(text, "camhs") {
		t.Errorf("the answer names the agency: %s", text)
	}
}
