package children_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
