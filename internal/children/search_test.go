package children_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

func TestSearchAndLookup(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	her := h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.Upn = "B801200005001" }))
	h.send("school", "p2", with(jennifer(), func(r *irtv1.ChildRecord) {
		r.GivenName, r.Sex, r.DateOfBirth, r.NhsNumber = "Thomas", "M", "2015-04-10", ""
	}))
	search := func(q *irtv1.SearchChildrenRequest) *irtv1.SearchChildrenResponse {
		t.Helper()
		standard.NormaliseSearch(q) // as the interceptor does
		got, err := h.SearchChildren(system(t, "gp"), q)
		if err != nil {
			t.Fatalf("%v: %v", q, err)
		}
		return got
	}
	exact := search(&irtv1.SearchChildrenRequest{GivenName: "Jennifer", FamilyName: "Clarke", DateOfBirth: "2014-03-09"})
	if len(exact.GetResults()) != 1 || exact.GetResults()[0].GetChild().GetName() != her.GetChild() || exact.GetResults()[0].GetScore() != 1 {
		t.Errorf("exact: %v", exact)
	}
	for _, q := range []*irtv1.SearchChildrenRequest{
		{FamilyName: "Clarke", DateOfBirth: "2014-03-09"},
		{FamilyName: "clark", DateOfBirth: "2014-03-09"},
		{GivenName: "Jenny", FamilyName: "Clarke", DateOfBirth: "2014-03-09"},
		{GivenName: "Jennifer", DateOfBirth: "2014-03-09", Sex: "female", Postcode: "nr13ju"},
	} {
		got := search(q)
		if len(got.GetResults()) != 1 || got.GetResults()[0].GetChild().GetName() != her.GetChild() {
			t.Errorf("%v found %d", q, len(got.GetResults()))
		}
	}
	for _, q := range []*irtv1.SearchChildrenRequest{
		{FamilyName: "Clarke"},
		{DateOfBirth: "2014-03-09"},
		{Postcode: "NR1 3JU"},
		{GivenName: "Jennifer", DateOfBirth: "2014-03-09", Postcode: "NR1 3JU"},
	} {
		if _, err := h.SearchChildren(system(t, "gp"), q); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v was answered: %v", q, err)
		}
	}
	if got := search(&irtv1.SearchChildrenRequest{FamilyName: "Okafor", DateOfBirth: "2014-03-09"}); len(got.GetResults()) != 0 {
		t.Errorf("a stranger found %v", got)
	}
	for _, by := range []*irtv1.LookupChildRequest{
		{Identifier: &irtv1.LookupChildRequest_NhsNumber{NhsNumber: "999 000 0018"}},
		{Identifier: &irtv1.LookupChildRequest_Upn{Upn: "b801200005001"}},
		{Identifier: &irtv1.LookupChildRequest_ChildRecord{ChildRecord: "agencies/school/childRecords/p1"}},
	} {
		got, err := h.LookupChild(system(t, "school"), by)
		if err != nil || got.GetName() != her.GetChild() {
			t.Errorf("%v: %s, error %v", by, got.GetName(), err)
		}
	}
	if _, err := h.LookupChild(system(t, "gp"), &irtv1.LookupChildRequest{
		Identifier: &irtv1.LookupChildRequest_ChildRecord{ChildRecord: "agencies/school/childRecords/p1"},
	}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another agency's local id was looked up: %v", err)
	}
}

// A lead professional whose involvement has become sensitive is not shown, now or
// in the past.
func TestSensitiveLeadIsNotShown(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	name := h.send("charity-1", "r1", jennifer()).GetChild()
	record, involvement := standard.RecordID("charity-1", "r1"), standard.InvolvementID("charity-1", "i1")
	h.exec(`INSERT INTO practitioners (agency_id, practitioner_id, display_name) VALUES ('charity-1', 'kim', 'Kim Lead')`)
	h.exec(`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, record_id, role, practitioner_id, start_date, create_time, known_from, revision)
		SELECT child_id, $2, 'charity-1', 'i1', record_id, 'OTHER', 'kim', '2026-01-01', now() - interval '1 day', now() - interval '1 day', 1
		FROM child_records WHERE record_id = $1`, [16]byte(record), [16]byte(involvement))
	h.exec(`INSERT INTO lead_professionals (child_id, start_date, involvement_id, agency_id, practitioner_id, known_from)
		SELECT child_id, '2026-01-01', $2, 'charity-1', 'kim', now() - interval '1 day' FROM child_records WHERE record_id = $1`,
		[16]byte(record), [16]byte(involvement))
	at := timestamppb.Now()
	h.send("school", "p1", jennifer()) // who has a record sees who works with her
	both := func() []*irtv1.Child {
		then, err := h.GetChild(system(t, "school"), &irtv1.GetChildRequest{Name: name, KnownAt: at})
		if err != nil {
			t.Fatal(err)
		}
		return []*irtv1.Child{h.child(name), then}
	}
	for i, c := range both() {
		if c.GetLeadProfessional().GetPractitionerDisplayName() != "Kim Lead" || !c.GetKnownToAgencies() {
			t.Fatalf("answer %d: lead professional %v, known %v", i, c.GetLeadProfessional(), c.GetKnownToAgencies())
		}
	}
	h.exec(`UPDATE involvements SET sensitive = true`)
	for i, c := range both() {
		if c.GetLeadProfessional() != nil {
			t.Errorf("answer %d: %v", i, c.GetLeadProfessional())
		}
	}
}
