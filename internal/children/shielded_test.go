package children_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// shield hides where a child is, as the consents' pipeline would.
func (h *hub) shield(agency, localID string) {
	h.t.Helper()
	h.exec(`INSERT INTO child_sharing (child_id, shielded) SELECT child_id, true FROM child_records WHERE record_id = $1`,
		[16]byte(standard.RecordID(agency, localID)))
}

// A shielded child is found by who it is, and neither found nor scored by where:
// with the right address the answers are what they are with a wrong one.
func TestShieldedChildIsNotFoundByWhereItIs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	her := h.send("school", "p1", jennifer())
	h.shield("school", "p1")
	search := func(q *irtv1.SearchChildrenRequest) []*irtv1.SearchResult {
		t.Helper()
		standard.NormaliseSearch(q)
		got, err := h.SearchChildren(manager(t), q)
		if err != nil {
			t.Fatal(err)
		}
		return got.GetResults()
	}
	if got := search(&irtv1.SearchChildrenRequest{FamilyName: "Clarke", DateOfBirth: "2014-03-09"}); len(got) != 1 ||
		got[0].GetChild().GetName() != her.GetChild() || got[0].GetChild().GetPostcode() != "" || len(got[0].GetChild().GetCarers()) != 1 ||
		got[0].GetChild().GetCarers()[0].GetTelephone() != "" {
		t.Errorf("by name and date of birth: %v", got)
	}
	if got := search(&irtv1.SearchChildrenRequest{GivenName: "Jennifer", DateOfBirth: "2014-03-09", Sex: "F", Postcode: "NR1 3JU"}); len(got) != 0 {
		t.Errorf("her postcode finds her: %v", got)
	}
	byName := func(postcode string) *irtv1.SearchResult {
		t.Helper()
		got := search(&irtv1.SearchChildrenRequest{GivenName: "Jenny", FamilyName: "Clarke", DateOfBirth: "2014-03-09", Postcode: postcode})
		if len(got) != 1 {
			t.Fatalf("%s: %v", postcode, got)
		}
		return got[0]
	}
	right, wrong, none := byName("NR1 3JU"), byName("LS1 4AP"), byName("")
	if right.GetScore() != wrong.GetScore() || right.GetScore() != none.GetScore() {
		t.Errorf("scores %v with her postcode, %v with another, %v without", right.GetScore(), wrong.GetScore(), none.GetScore())
	}
	guess := func(change func(*irtv1.ChildRecord)) proto.Message {
		t.Helper()
		got, err := h.MatchChild(system(t, "police"), &irtv1.MatchChildRequest{ChildRecord: with(jennifer(), change)})
		if err != nil || len(got.GetCandidates()) != 1 {
			t.Fatalf("%v, error %v", got, err)
		}
		return got
	}
	same := guess(func(*irtv1.ChildRecord) {})
	for what, change := range map[string]func(*irtv1.ChildRecord){
		"another postcode":        func(r *irtv1.ChildRecord) { r.Postcode = "LS1 4AP" },
		"another address":         func(r *irtv1.ChildRecord) { r.Postcode, r.AddressLines = "LS1 4AP", []string{"1 Elsewhere"} },
		"another carer's number":  func(r *irtv1.ChildRecord) { r.Carers[0].Telephone = "07700 900999" },
		"neither address nor any": func(r *irtv1.ChildRecord) { r.Postcode, r.AddressLines, r.Carers = "", nil, nil },
	} {
		if got := guess(change); !proto.Equal(got, same) {
			t.Errorf("%s: %v\nis told from\n%v", what, got, same)
		}
	}
	// Nor does what a submission is told of its match.
	resp := h.send("police", "x", jennifer())
	if resp.GetChild() != her.GetChild() || resp.GetMatch().GetWeight() != 0 || len(resp.GetMatch().GetFieldWeights()) != 0 {
		t.Errorf("the match of a submission is explained: %v", resp.GetMatch())
	}
	// The agency still has what it said itself, and a data manager does not.
	own, err := h.GetChildRecord(system(t, "school"), &irtv1.GetChildRecordRequest{Name: "agencies/school/childRecords/p1"})
	if err != nil || own.GetPostcode() != "NR1 3JU" || len(own.GetWithheld()) != 0 {
		t.Errorf("its own record: %v, error %v", own, err)
	}
	others, err := h.GetChildRecord(manager(t), &irtv1.GetChildRecordRequest{Name: "agencies/school/childRecords/p1"})
	if err != nil || others.GetPostcode() != "" || others.GetFamilyName() != "Clarke" || len(others.GetWithheld()) == 0 {
		t.Errorf("to a data manager: %v, error %v", others, err)
	}
	for _, at := range []*irtv1.GetChildRequest{{Name: her.GetChild()}, {Name: her.GetChild(), KnownAt: timestamppb.Now()}} {
		c, err := h.GetChild(system(t, "school"), at)
		if err != nil || c.GetPostcode() != "" || c.GetSchool() != nil || c.GetGpPractice() != nil || len(c.GetProvenance()) != 0 || c.GetNhsNumber() == "" {
			t.Errorf("the entry: %v, error %v", c, err)
		}
	}
}

// Whoever sends guesses as records of its own is not told by what becomes of them
// which was right: of another's shielded child only who it is counts.
func TestGuessedAddressDoesNotSwayASubmission(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	her := h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.NhsNumber, r.Upn = "", "" }))
	decided := func(agency, postcode, telephone string, lines ...string) irtv1.MatchDecision {
		t.Helper()
		guess := with(jennifer(), func(r *irtv1.ChildRecord) {
			r.GivenName, r.FamilyName, r.NhsNumber, r.Upn = "Jenny", "Clark", "", ""
			r.Postcode, r.AddressLines, r.Carers[0].Telephone = postcode, lines, telephone
			r.Name = "agencies/" + agency + "/childRecords/guess"
		})
		got, err := h.SubmitChildRecord(system(t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: guess, ValidateOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetMatch().GetDecision()
	}
	right := func(agency string) irtv1.MatchDecision {
		return decided(agency, jennifer().GetPostcode(), jennifer().GetCarers()[0].GetTelephone(), jennifer().GetAddressLines()...)
	}
	wrong := func(agency string) irtv1.MatchDecision {
		return decided(agency, "LS1 4AP", "07700 900999", "1 Elsewhere")
	}
	if right("police") == wrong("police") {
		t.Fatalf("the address makes no difference even where nobody is shielded: both %v", right("police"))
	}
	h.shield("school", "p1")
	if r, w := right("police"), wrong("police"); r != w {
		t.Errorf("with the address of %s the guess is %v, with another %v", her.GetChild(), r, w)
	}
	if got := right("school"); got != irtv1.MatchDecision_MATCH_DECISION_LINK {
		t.Errorf("the agency that said it itself: %v", got)
	}
}

// Whether a shielded child is met by one key that tells who it is does not depend on
// whether the sender has guessed where it is.
func TestGuessedAddressDoesNotMeetAShieldedChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send("school", "p1", jennifer())
	candidates := func(postcode, telephone string, lines ...string) int {
		t.Helper()
		got, err := h.MatchChild(system(t, "police"), &irtv1.MatchChildRequest{ChildRecord: with(jennifer(), func(r *irtv1.ChildRecord) {
			r.FamilyName, r.NhsNumber, r.Postcode, r.AddressLines = "Okafor", "9990000115", postcode, lines
			r.Carers[0].Telephone = telephone
		})})
		if err != nil {
			t.Fatal(err)
		}
		return len(got.GetCandidates())
	}
	right := func() int { return candidates("NR1 3JU", "07700 900123", "10 Mill Lane", "Norwich") }
	wrong := func() int { return candidates("LS1 4AP", "07700 900999", "1 Elsewhere", "Leeds") }
	homes := []string{"SW1A 1AA", "EH1 1YZ", "CF10 1BH"}
	for i, family := range []string{"Adeyemi", "Nowak", "Quist"} {
		if r, w := right(), wrong(); r != i+1 || w != i+1 {
			t.Fatalf("among %d of one name and birthday: %d candidates with her address, %d with another", i+1, r, w)
		}
		h.send("school", family, with(jennifer(), func(r *irtv1.ChildRecord) {
			r.FamilyName, r.NhsNumber, r.Postcode, r.AddressLines, r.Carers = family, "", homes[i], nil, nil
		}))
	}
	if r, w := right(), wrong(); r != 1 || w != 0 {
		t.Fatalf("among many of one name and birthday: %d candidates with her address, %d with another", r, w)
	}
	h.shield("school", "p1")
	if r, w := right(), wrong(); r != 0 || w != 0 {
		t.Errorf("shielded: %d candidates with her address, %d with another", r, w)
	}
}
