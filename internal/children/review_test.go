package children_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
)

const (
	same    = irtv1.MatchResolution_MATCH_RESOLUTION_SAME
	notSame = irtv1.MatchResolution_MATCH_RESOLUTION_NOT_SAME
	notSure = irtv1.MatchResolution_MATCH_RESOLUTION_NOT_SURE
)

// twins give a review of high risk: one NHS number, two given names.
func (h *hub) twins() (review *irtv1.MatchReview, child, candidate string) {
	h.t.Helper()
	candidate = h.send("gp", "77", jennifer()).GetChild()
	child = h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName, r.Sex = "Thomas", "M" })).GetChild()
	got, err := h.ListMatchReviews(manager(h.t), &irtv1.ListMatchReviewsRequest{})
	if err != nil || len(got.GetMatchReviews()) != 1 || child == candidate {
		h.t.Fatalf("%d reviews, error %v", len(got.GetMatchReviews()), err)
	}
	return got.GetMatchReviews()[0], child, candidate
}

func (h *hub) resolve(practitioner string, r *irtv1.MatchReview, how irtv1.MatchResolution) (*irtv1.MatchReview, error) {
	return h.ResolveMatchReview(person(h.t, practitioner), &irtv1.ResolveMatchReviewRequest{Name: r.GetName(), Resolution: how, Reason: "asked the school"})
}

func TestHighRiskTakesTwoPeople(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r, child, candidate := h.twins()
	if r.GetRisk() != irtv1.MatchReviewRisk_MATCH_REVIEW_RISK_HIGH || !slices.Contains(r.GetRiskReasons(), "SHARED_IDENTIFIER") {
		t.Errorf("risk %v because of %v", r.GetRisk(), r.GetRiskReasons())
	}
	_, err := h.ResolveMatchReview(manager(t), &irtv1.ResolveMatchReviewRequest{Name: r.GetName(), Resolution: same, Reason: "why"})
	code(t, "by a token that names nobody", err, codes.FailedPrecondition)
	for range 2 { // the same person twice is one person
		got, err := h.resolve("ann", r, same)
		if err != nil || got.GetState() != irtv1.MatchReviewState_MATCH_REVIEW_STATE_AWAITING_SECOND || len(got.GetDecisions()) != 1 {
			t.Fatalf("after the first person: %v, %d decisions, error %v", got.GetState(), len(got.GetDecisions()), err)
		}
	}
	if h.child(child).GetName() != child {
		t.Error("one person merged them")
	}
	_, err = h.pool.Exec(t.Context(), `UPDATE match_reviews SET state = 5, resolution = 1, resolve_time = now(), second_by = first_by`)
	if err == nil {
		t.Error("the database let one person be two")
	}
	got, err := h.resolve("ben", r, same)
	if err != nil || got.GetResolution() != same || len(got.GetDecisions()) != 2 {
		t.Fatalf("after the second person: %v, error %v", got, err)
	}
	if h.child(child).GetName() != candidate { // the older one's name stays
		t.Errorf("%s answers as %s", child, h.child(child).GetName())
	}
	// It holds whatever the record says from then on.
	again := h.send("school", "p1", with(freya(), func(r *irtv1.ChildRecord) { r.GivenName = "Somebody" }))
	if again.GetChild() != candidate || again.GetMatch().GetRuleId() != "CONFIRMED_BY_PERSON" {
		t.Errorf("sent again it went to %s by %q", again.GetChild(), again.GetMatch().GetRuleId())
	}
	h.checkInvariants()
}

func TestNotSameIsForGood(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r, child, candidate := h.twins()
	if got, err := h.resolve("ann", r, notSame); err != nil || got.GetState() != irtv1.MatchReviewState_MATCH_REVIEW_STATE_RESOLVED {
		t.Fatalf("%v, error %v", got, err)
	}
	// Not even word for word the same record brings them together.
	again := h.send("school", "p1", jennifer())
	if again.GetChild() != child {
		t.Errorf("sent again it went to %s", again.GetChild())
	}
	if n := h.count(`SELECT count(*) FROM match_reviews WHERE state <> 5`); n != 0 {
		t.Errorf("%d questions that were answered are asked again", n)
	}
	h.withdraw("school", "p1")
	if back := h.send("school", "p1", jennifer()); back.GetChild() == candidate {
		t.Error("revived, it went where a person said it does not belong")
	}
	dry, err := h.MatchChild(system(t, "school"), &irtv1.MatchChildRequest{ChildRecord: with(jennifer(), func(r *irtv1.ChildRecord) { r.Name = schoolRecord })})
	if err != nil || dry.GetCandidates()[0].GetMatch().GetDecision() == irtv1.MatchDecision_MATCH_DECISION_LINK && dry.GetCandidates()[0].GetChild() == candidate {
		t.Errorf("matched dry: %v, error %v", dry, err)
	}
	list, err := h.ListMatchConstraints(manager(t), &irtv1.ListMatchConstraintsRequest{Child: child})
	if err != nil || len(list.GetMatchConstraints()) != 1 || list.GetMatchConstraints()[0].GetReason() != "asked the school" {
		t.Fatalf("constraints %v, error %v", list, err)
	}
	revoked, err := h.RevokeMatchConstraint(person(t, "ben"), &irtv1.RevokeMatchConstraintRequest{
		ChildRecord: schoolRecord, OtherChildRecord: gpRecord, Reason: "the school was wrong",
	})
	if err != nil || revoked.GetEndReason() != "the school was wrong" || revoked.GetEndedBy() == "" {
		t.Fatalf("revoked: %v, error %v", revoked, err)
	}
	h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.MiddleNames = "Ann" }))
	if got := h.child(child).GetName(); got != candidate {
		t.Errorf("after the revocation matching decides again: %s", got)
	}
}

func TestReviewsAreClaimed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r, child, candidate := h.twins()
	name := &irtv1.ClaimMatchReviewRequest{Name: r.GetName()}
	got, err := h.ClaimMatchReview(person(t, "ann"), name)
	if err != nil || got.GetState() != irtv1.MatchReviewState_MATCH_REVIEW_STATE_CLAIMED || got.GetClaimedBy() != "agencies/social/practitioners/ann" {
		t.Fatalf("%v, error %v", got, err)
	}
	_, err = h.ClaimMatchReview(person(t, "ben"), name)
	code(t, "another's claim", err, codes.FailedPrecondition)
	_, err = h.resolve("ben", r, notSame)
	code(t, "another's decision", err, codes.FailedPrecondition)
	_, err = h.ReleaseMatchReview(person(t, "ben"), &irtv1.ReleaseMatchReviewRequest{Name: r.GetName()})
	code(t, "another's release", err, codes.FailedPrecondition)
	h.exec(`UPDATE match_reviews SET claim_expiry = now() - interval '1 second'`)
	if _, err = h.ClaimMatchReview(person(t, "ben"), name); err != nil {
		t.Errorf("a claim that has ended: %v", err)
	}
	got, err = h.resolve("ben", r, notSure)
	if err != nil || got.GetState() != irtv1.MatchReviewState_MATCH_REVIEW_STATE_UNSURE || got.GetClaimedBy() != "" {
		t.Errorf("not sure: %v, error %v", got, err)
	}
	full, err := h.GetMatchReview(manager(t), &irtv1.GetMatchReviewRequest{Name: r.GetName()})
	if err != nil || len(full.GetSides()) != 2 {
		t.Fatalf("%v, error %v", full, err)
	}
	for i, want := range []string{child, candidate} {
		side := full.GetSides()[i]
		if side.GetChild().GetName() != want || len(side.GetChildRecords()) != 1 || len(side.GetHolders()) != 1 || side.GetHolders()[0].GetChildRecordCount() != 1 {
			t.Errorf("side %d: %v", i, side)
		}
	}
	for state, want := range map[irtv1.MatchReviewState]int{
		irtv1.MatchReviewState_MATCH_REVIEW_STATE_UNSURE: 1, irtv1.MatchReviewState_MATCH_REVIEW_STATE_OPEN: 0,
		irtv1.MatchReviewState_MATCH_REVIEW_STATE_CLAIMED: 0, irtv1.MatchReviewState_MATCH_REVIEW_STATE_UNSPECIFIED: 1,
	} {
		list, err := h.ListMatchReviews(manager(t), &irtv1.ListMatchReviewsRequest{State: state})
		if err != nil || len(list.GetMatchReviews()) != want {
			t.Errorf("%v: %d reviews, want %d (error %v)", state, len(list.GetMatchReviews()), want, err)
		}
	}
}

// Every page of the queue comes once, the riskiest first.
func TestReviewQueueOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for i := range 5 {
		born := fmt.Sprintf("2014-0%d-09", i+1)
		place := fmt.Sprintf("NR%d 3JU", i+1)
		one := func(given string) *irtv1.ChildRecord {
			return &irtv1.ChildRecord{
				GivenName: given, FamilyName: family[i], DateOfBirth: born, Sex: "F",
				AddressLines: []string{fmt.Sprintf("%d Mill Lane", i+1)}, Postcode: place,
			}
		}
		h.send("gp", fmt.Sprint(i), one("Baby"))
		h.send("school", fmt.Sprint(i), one("Jennifer"))
	}
	h.exec(`UPDATE match_reviews SET risk = 1 + abs(hashtext(review_id::text)) % 2`)
	var seen []string
	req := &irtv1.ListMatchReviewsRequest{PageSize: 2}
	last := irtv1.MatchReviewRisk_MATCH_REVIEW_RISK_HIGH
	for {
		page, err := h.ListMatchReviews(manager(t), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetMatchReviews() {
			if r.GetRisk() > last || slices.Contains(seen, r.GetName()) {
				t.Errorf("%s of risk %v after %v", r.GetName(), r.GetRisk(), last)
			}
			last, seen = r.GetRisk(), append(seen, r.GetName())
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if want := h.count(`SELECT count(*) FROM match_reviews`); len(seen) != want || want < 5 {
		t.Errorf("%d of %d reviews", len(seen), want)
	}
}

// One of twins' NHS numbers on the other's record is a mistake of somebody's: it is
// for a person to find out whose, also where the twins' names are alike.
func TestNumberOfATwinIsForAPerson(t *testing.T) {
	t.Parallel()
	for names, review := range map[[2]string]bool{{"Jayden", "Hayden"}: true, {"Grace", "Thomas"}: true, {"Ellie", "Elsie"}: true} {
		h := newHub(t)
		one := func(given, number string) *irtv1.ChildRecord {
			return with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName, r.NhsNumber, r.Sex = given, number, "" })
		}
		first := h.send("gp", "1", one(names[0], "9990000018")).GetChild()
		second := h.send("gp", "2", one(names[1], "")).GetChild()
		if first == second {
			t.Fatalf("%s: the twins are one child to begin with", names)
		}
		got := h.send("school", "p1", one(names[1], "9990000018"))
		if is := got.GetMatch().GetDecision() == irtv1.MatchDecision_MATCH_DECISION_REVIEW; is != review || review && got.GetChild() == first {
			t.Errorf("%s: %v by %s", names, got.GetMatch().GetDecision(), got.GetMatch().GetRuleId())
		}
	}
}

// reviewsOf are the children about whom a record has raised a question that waits.
func (h *hub) reviewsOf(record string) (candidates []string, reviews []*irtv1.MatchReview) {
	h.t.Helper()
	got, err := h.ListMatchReviews(manager(h.t), &irtv1.ListMatchReviewsRequest{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range got.GetMatchReviews() {
		if r.GetChildRecord() == record {
			candidates, reviews = append(candidates, r.GetCandidateChild()), append(reviews, r)
		}
	}
	return candidates, reviews
}

// A record that is linked to one child, and would be linked to another if that were
// not there, has people asked about the other, with the evidence for the other.
func TestSecondChildThatFitsIsAskedAbout(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	oyelaran := with(jennifer(), func(r *irtv1.ChildRecord) {
		r.FamilyName, r.AddressLines, r.Postcode, r.Carers, r.NhsNumber = "Oyelaran", []string{"4 Sea View"}, "NR30 2QQ", nil, ""
	})
	first, second := h.send("gp", "1", jennifer()).GetChild(), h.send("social", "1", oyelaran).GetChild()
	if first == second {
		t.Fatal("the two are one to begin with")
	}
	got := h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.FamilyName = "Oyelaran" }))
	asked, reviews := h.reviewsOf(schoolRecord)
	if got.GetChild() != first || !slices.Equal(asked, []string{second}) {
		t.Fatalf("%v to %s; asked about %v, want %s", got.GetMatch(), got.GetChild(), asked, second)
	}
	if levels := reviews[0].GetMatch().GetFieldWeights(); !slices.ContainsFunc(levels, func(f *irtv1.MatchFieldWeight) bool {
		return f.GetField() == "family_name" && f.GetLevel() == "same"
	}) || !slices.Contains(reviews[0].GetRiskReasons(), "TWO_CHILDREN_FIT") {
		t.Errorf("the evidence is not that for the second child: %v", reviews[0])
	}
	if _, err := h.resolve("ann", reviews[0], notSame); err != nil {
		t.Fatal(err)
	}
	h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.FamilyName, r.MiddleNames = "Oyelaran", "Ann" }))
	if asked, _ = h.reviewsOf(schoolRecord); len(asked) != 0 {
		t.Errorf("what was answered is asked again: %v", asked)
	}
	h.checkInvariants()
}

// A record that may be either of two children, as far as it goes, has people asked
// about both.
func TestBothChildrenThatMayBeAreAskedAbout(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	one := func(given string) *irtv1.ChildRecord {
		return with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName, r.NhsNumber, r.Sex = given, "", "" })
	}
	first, second := h.send("gp", "1", one("Ellie")).GetChild(), h.send("gp", "2", one("Edward")).GetChild()
	if first == second {
		t.Fatal("the two are one to begin with")
	}
	got := h.send("school", "p1", one("E"))
	asked, _ := h.reviewsOf(schoolRecord)
	slices.Sort(asked)
	want := []string{first, second}
	slices.Sort(want)
	if got.GetChild() == first || got.GetChild() == second || !slices.Equal(asked, want) {
		t.Errorf("%v; asked about %v, want both", got.GetMatch(), asked)
	}
}
