package standard_test

import (
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"

	"google.golang.org/protobuf/proto"
)

// day is the day of all checks in tests, so that they do not age.
var day = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// fullRecord breaks no rule and fills every field that agencies send.
func fullRecord() *irtv1.ChildRecord {
	return &irtv1.ChildRecord{
		Name:                        "agencies/school-1/childRecords/P-0042",
		GivenName:                   "Siân-Louise",
		MiddleNames:                 "Mary Ann",
		FamilyName:                  "O'Connor Lloyd",
		PreferredGivenName:          "Lou",
		FormerFamilyNames:           []string{"Lloyd"},
		DateOfBirth:                 "2015-03-27",
		DateOfDeath:                 "",
		Sex:                         "F",
		NhsNumber:                   "9434765870",
		NhsNumberVerificationStatus: "01",
		Upn:                         "B801200005001",
		FormerUpn:                   "X845212818005",
		Uln:                         "9276308686",
		LaChildId:                   "DfEX0000001",
		AddressLines:                []string{"Flat 2", "14 Cathedral Close", "Norwich", "Norfolk"},
		Postcode:                    "NR1 3JU",
		Uprn:                        "100090894561",
		AddressStartDate:            "2019-08-01",
		Telephone:                   "07412 345678",
		Email:                       "lou@example.org",
		SchoolUrn:                   "123456",
		SchoolStartDate:             "2019-09-03",
		GpPracticeCode:              "A81001",
		Ethnicity:                   "WBRI",
		Disabilities:                []string{"HEAR", "VIS"},
		Carers: []*irtv1.Carer{
			{DisplayName: "Mary O'Connor", Relationship: "MTH", ParentalResponsibility: proto.Bool(true), Telephone: "01603 222222", Email: "mary@example.org"},
			{DisplayName: "John Lloyd", Relationship: "FTH", Telephone: "07412 345679"},
		},
	}
}

func TestFullRecordBreaksNothing(t *testing.T) {
	t.Parallel()
	errs, queries := standard.Check(fullRecord(), standard.Options{Today: day})
	if len(errs)+len(queries) > 0 {
		t.Fatalf("errors %v, queries %v", errs, queries)
	}
}

func BenchmarkCheckFullRecord(b *testing.B) {
	r := fullRecord()
	b.ReportAllocs()
	for b.Loop() {
		standard.Check(r, standard.Options{Today: day})
	}
}

func BenchmarkNormaliseFullRecord(b *testing.B) {
	r := fullRecord()
	b.ReportAllocs()
	for b.Loop() {
		standard.Normalise(r)
	}
}
