package concerns_test

import (
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

// correct has an agency correct a record, so that it is matched again.
func (h *hub) correct(agency, localID, nhsNumber, given, born string) string {
	h.t.Helper()
	resp, err := h.children.SubmitChildRecord(as(h.t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: &irtv1.ChildRecord{
		Name: "agencies/" + agency + "/childRecords/" + localID, GivenName: given, FamilyName: "Achterberg", DateOfBirth: born,
		NhsNumber: nhsNumber, AddressLines: []string{"4 Quay Side"}, Postcode: "NR23 1AH", Sex: "F",
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.GetChild()
}

// A concern goes with its agency's record, when children become one and when records
// part; the others' stay.
func TestConcernsFollowMergeAndSplit(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := h.correct("school", "1", "9434765870", "Rosalind", "2015-06-02")
	gone := h.correct("social", "1", "", "Barnaby", "2012-01-09")
	if kept == gone {
		t.Fatal("they were never two children")
	}
	h.mustShare("school", "c1", kept, "UNIVERSAL")
	c := h.mustShare("social", "s1", gone, "UNIVERSAL")
	if h.correct("social", "1", "9434765870", "Rosalind", "2015-06-02") != kept {
		t.Fatal("they did not become one")
	}
	h.wantChild(c.GetName(), kept)
	parted := h.correct("social", "1", "", "Barnaby", "2012-01-09")
	if parted != gone {
		t.Fatalf("the record that left is of %s, and was of %s", parted, gone)
	}
	h.wantChild(c.GetName(), parted)
	h.wantChild("agencies/school/concerns/c1", kept)
	closed, err := h.CloseConcern(as(t, "social"), &irtv1.CloseConcernRequest{Name: c.GetName(), Outcome: "RESOLVED"})
	if err != nil || closed.GetChild() != parted || closed.GetEndDate() != day(0) {
		t.Errorf("closed: %v, %v", closed, err)
	}
}

func (h *hub) wantChild(name, child string) {
	h.t.Helper()
	agency := "school"
	if name != "agencies/school/concerns/c1" {
		agency = "social"
	}
	c, err := h.GetConcern(as(h.t, agency), &irtv1.GetConcernRequest{Name: name})
	if err != nil || c.GetChild() != child {
		h.t.Errorf("%s is about %v, not %s: %v", name, c.GetChild(), child, err)
	}
}
