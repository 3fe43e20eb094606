package children_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
)

// known is one child of whom the GP has a telephone number and the police her middle name.
func (h *hub) known() (child string) {
	h.t.Helper()
	gp := h.send("gp", "77", with(jennifer(), func(r *irtv1.ChildRecord) { r.Postcode, r.AddressLines = "", nil }))
	police := h.send("police", "x", with(jennifer(), func(r *irtv1.ChildRecord) {
		r.MiddleNames, r.Postcode, r.AddressLines, r.Carers = "Rosalind", "", nil, nil
	}))
	if gp.GetChild() != police.GetChild() {
		h.t.Fatalf("the GP's is %s, that of the police %s", gp.GetChild(), police.GetChild())
	}
	return gp.GetChild()
}

// nameless is a record without a number.
func nameless(given string) *irtv1.ChildRecord {
	return with(jennifer(), func(r *irtv1.ChildRecord) {
		r.GivenName, r.MiddleNames, r.NhsNumber = given, "Rosalind", ""
	})
}

// ofBoth tells whether evidence has both what the GP alone has and what the police alone
// have, and names no record.
func ofBoth(m *irtv1.MatchExplanation) bool {
	has := func(field string) bool {
		return slices.ContainsFunc(m.GetFieldWeights(), func(f *irtv1.MatchFieldWeight) bool { return f.GetField() == field })
	}
	return has("telephone") && has("middle_names") && m.GetComparedWith() == ""
}

// Evidence of two agencies' records together is told to be of neither: not to who may
// read both, and not to the agency of the one.
func TestEvidenceOfSeveralRecordsNamesNone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.known()
	for _, agency := range []string{"school", "gp", "police"} { // the latter two have one of the records compared with
		resp := h.send(agency, "new", nameless("Jennifer"))
		if resp.GetChild() != child || !ofBoth(resp.GetMatch()) {
			t.Errorf("%s is answered %v", agency, resp)
		}
		name := "agencies/" + agency + "/childRecords/new"
		for who, ctx := range map[string]context.Context{"its agency": system(t, agency), "a data manager": manager(t)} {
			if got, err := h.ExplainMatch(ctx, &irtv1.ExplainMatchRequest{ChildRecord: name}); err != nil || !ofBoth(got.GetMatch()) {
				t.Errorf("%s's record to %s: %v, error %v", agency, who, got, err)
			}
		}
		h.withdraw(agency, "new")
	}
	for _, agency := range []string{"gp", "police"} {
		_, err := h.ExplainMatch(system(t, agency), &irtv1.ExplainMatchRequest{ChildRecord: "agencies/school/childRecords/new"})
		code(t, agency+" about the school's record", err, codes.PermissionDenied)
	}
}

// What waits for a person shows its evidence until the child that it may be of is
// shielded; then neither the review nor the record's own agency has it.
func TestEvidenceAboutAnotherShieldedChildIsWithheld(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	candidate := h.known()
	resp := h.send("school", "new", nameless("Jennie-Mae"))
	if resp.GetMatch().GetDecision() != irtv1.MatchDecision_MATCH_DECISION_REVIEW || resp.GetChild() == candidate || !ofBoth(resp.GetMatch()) {
		t.Fatalf("answered %v", resp)
	}
	shown := func(want bool) {
		t.Helper()
		list, err := h.ListMatchReviews(system(t, "school"), &irtv1.ListMatchReviewsRequest{})
		if err != nil || len(list.GetMatchReviews()) != 1 || ofBoth(list.GetMatchReviews()[0].GetMatch()) != want {
			t.Fatalf("the school's reviews: %v, error %v", list, err)
		}
		review, err := h.GetMatchReview(manager(t), &irtv1.GetMatchReviewRequest{Name: list.GetMatchReviews()[0].GetName()})
		if err != nil || ofBoth(review.GetMatch()) != want {
			t.Errorf("the review to a data manager: %v, error %v", review.GetMatch(), err)
		}
		for _, agency := range []string{"gp", "police"} {
			if of, err := h.ListMatchReviews(system(t, agency), &irtv1.ListMatchReviewsRequest{}); err != nil || len(of.GetMatchReviews()) != 0 {
				t.Errorf("%s sees %v, error %v", agency, of, err)
			}
		}
		got, err := h.ExplainMatch(system(t, "school"), &irtv1.ExplainMatchRequest{ChildRecord: "agencies/school/childRecords/new"})
		if err != nil || ofBoth(got.GetMatch()) != want || got.GetMatch().GetDecision() != irtv1.MatchDecision_MATCH_DECISION_REVIEW {
			t.Errorf("explained to the school: %v, error %v", got, err)
		}
	}
	shown(true)
	h.shield("gp", "77")
	shown(false)
}
