package dictionary_test

import (
	"slices"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/dictionary"
)

func TestGetStandard(t *testing.T) {
	t.Parallel()
	s, err := (&dictionary.Service{}).GetStandard(t.Context(), &irtv1.GetStandardRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if s.GetName() != "standard" || len(s.GetTerms()) == 0 || len(s.GetRules()) == 0 || len(s.GetCodeLists()) == 0 {
		t.Errorf("%s with %d terms, %d rules, %d code lists", s.GetName(), len(s.GetTerms()), len(s.GetRules()), len(s.GetCodeLists()))
	}
}

func TestCodeLists(t *testing.T) {
	t.Parallel()
	service := &dictionary.Service{}
	all, err := service.ListCodeLists(t.Context(), &irtv1.ListCodeListsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range all.GetCodeLists() {
		got, err := service.GetCodeList(t.Context(), &irtv1.GetCodeListRequest{Name: listed.GetName()})
		if err != nil || !proto.Equal(got, listed) || len(got.GetCodes()) == 0 {
			t.Errorf("%s: %d codes, %v", listed.GetName(), len(got.GetCodes()), err)
		}
	}
	_, err = service.GetCodeList(t.Context(), &irtv1.GetCodeListRequest{Name: "standard/codeLists/none"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("a list that there is not: %v", err)
	}
}

func TestValidateRecord(t *testing.T) {
	t.Parallel()
	sent := &irtv1.ChildRecord{
		GivenName: " Ann ", FamilyName: "Lee", DateOfBirth: "2030-01-01", Sex: "female", Upn: "a801200005001",
		NhsNumber: "943 476 5870", Postcode: "nr13ju", Child: "children/x", Queries: []*irtv1.Query{{RuleId: "MINE"}},
	}
	before := proto.CloneOf(sent)
	got, err := (&dictionary.Service{}).ValidateRecord(t.Context(), &irtv1.ValidateRecordRequest{ChildRecord: sent})
	if err != nil {
		t.Fatal(err)
	}
	want := &irtv1.ChildRecord{
		GivenName: "Ann", FamilyName: "Lee", DateOfBirth: "2030-01-01", Sex: "F", Upn: "A801200005001",
		NhsNumber: "9434765870", Postcode: "NR1 3JU",
	}
	if !proto.Equal(got.GetChildRecord(), want) {
		t.Errorf("the record comes back as %v", got.GetChildRecord())
	}
	if errs := ruleIDs(got.GetErrors()); !slices.Equal(errs, []string{"date_of_birth DATE_OF_BIRTH_FUTURE"}) {
		t.Errorf("errors %q", errs)
	}
	if queries := ruleIDs(got.GetQueries()); !slices.Equal(queries, []string{"upn UPN_CHECK_LETTER"}) {
		t.Errorf("queries %q", queries)
	}
	if !proto.Equal(sent, before) {
		t.Error("the request was changed")
	}
}

func TestValidateRecordStrictly(t *testing.T) {
	t.Parallel()
	got, err := (&dictionary.Service{}).ValidateRecord(t.Context(), &irtv1.ValidateRecordRequest{Strict: true, ChildRecord: &irtv1.ChildRecord{
		GivenName: "Ann", FamilyName: "Lee", DateOfBirth: "2015-01-01", Upn: "A801200005001", NhsNumber: "9434765870", Postcode: "NR1 3JU",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if errs := ruleIDs(got.GetErrors()); !slices.Equal(errs, []string{"upn UPN_CHECK_LETTER"}) || len(got.GetQueries()) > 0 {
		t.Errorf("errors %q, queries %q", errs, ruleIDs(got.GetQueries()))
	}
}

func TestValidateNothing(t *testing.T) {
	t.Parallel()
	_, err := (&dictionary.Service{}).ValidateRecord(t.Context(), &irtv1.ValidateRecordRequest{})
	if status.Code(err) != codes.InvalidArgument {
		t.Fatalf("%v", err)
	}
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok && bad.GetFieldViolations()[0].GetField() == "child_record" {
			return
		}
	}
	t.Errorf("nothing says that child_record is missing: %v", err)
}

func ruleIDs(queries []*irtv1.Query) []string {
	var ids []string
	for _, q := range queries {
		ids = append(ids, q.GetField()+" "+q.GetRuleId())
	}
	return ids
}
