package standard_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

var update = flag.Bool("update", false, "write what is found into testdata and docs")

const violationsFile = "testdata/violations.json"

// violation is a case of testdata/violations.json: a message of which nothing is
// wrong (full, for records, involvements and agencies; else empty), the fields
// that the case sets or, with null, empties, and every fault that is then found,
// as "field RULE_ID".
type violation struct {
	Case         string                     `json:"case"`
	Message      string                     `json:"message,omitempty"` // ChildRecord if empty
	Strict       bool                       `json:"strict,omitempty"`
	NameOptional bool                       `json:"nameOptional,omitempty"` //nolint:tagliatelle // the schema's JSON
	Set          map[string]json.RawMessage `json:"set"`
	Errors       []string                   `json:"errors"`
	Queries      []string                   `json:"queries"`
}

func readViolations(t *testing.T) []violation {
	t.Helper()
	text, err := os.ReadFile(violationsFile)
	if err != nil {
		t.Fatal(err)
	}
	var cases []violation
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestViolations(t *testing.T) {
	t.Parallel()
	cases := readViolations(t)
	shown := make(map[string]bool)
	for i := range cases {
		v := &cases[i]
		errs, queries := standard.Check(v.message(t), standard.Options{Strict: v.Strict, Today: day, NameOptional: v.NameOptional})
		gotErrors, gotQueries := inShort(errs), inShort(queries)
		if *update {
			v.Errors, v.Queries = gotErrors, gotQueries
			continue
		}
		if !slices.Equal(gotErrors, v.Errors) {
			t.Errorf("%s:\n errors %q\n   want %q", v.Case, gotErrors, v.Errors)
		}
		if !slices.Equal(gotQueries, v.Queries) {
			t.Errorf("%s:\n queries %q\n    want %q", v.Case, gotQueries, v.Queries)
		}
		for _, f := range append(errs, queries...) {
			if r, _ := standard.RuleByID(f.RuleID); r.Stored {
				t.Errorf("%s: %s is broken by a message alone", v.Case, f.RuleID)
			}
			shown[f.RuleID] = true
			v.sayNothing(t, f)
		}
	}
	if *update {
		writeViolations(t, cases)
		return
	}
	for _, r := range standard.Rules() {
		if !shown[r.ID] && !r.Stored && r.ID != "CHECK_FAILED" && r.ID != "BYTES_MAX_LEN" { // a case of the latter would be a megabyte long
			t.Errorf("no case breaks %s", r.ID)
		}
	}
}

// message makes the case's message, normalised as the hub would.
func (v *violation) message(t *testing.T) proto.Message {
	t.Helper()
	name := v.Message
	if name == "" {
		name = "ChildRecord"
	}
	fields := make(map[string]json.RawMessage)
	if base := faultless(name); base != nil {
		text, err := protojson.Marshal(base)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
	}
	maps.Copy(fields, v.Set)
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("irt.v1." + name))
	if err != nil {
		t.Fatal(err)
	}
	m := kind.New().Interface()
	if err := protojson.Unmarshal(text, m); err != nil {
		t.Fatalf("%s: %v", v.Case, err)
	}
	switch m := m.(type) {
	case *irtv1.ChildRecord:
		standard.Normalise(m)
	case *irtv1.Involvement:
		standard.NormaliseInvolvement(m)
	case *irtv1.Agency:
		standard.NormaliseAgency(m)
	case *irtv1.Consent:
		standard.NormaliseConsent(m)
	case *irtv1.Refusal:
		standard.NormaliseRefusal(m)
	case *irtv1.Concern:
		standard.NormaliseConcern(m)
	case *irtv1.Referral:
		standard.NormaliseReferral(m)
	case *irtv1.Service:
		standard.NormaliseService(m)
	}
	return m
}

func faultless(name string) proto.Message {
	switch name {
	case "ChildRecord":
		return fullRecord()
	case "Involvement":
		return &irtv1.Involvement{
			Name: "agencies/trust-1/involvements/I-7", ChildRecord: "agencies/trust-1/childRecords/7",
			Role: "HEALTH_VISITOR", Practitioner: "agencies/trust-1/practitioners/p1", StartDate: "2026-01-05",
		}
	case "Consent":
		return &irtv1.Consent{
			Name: "agencies/trust-1/consents/C-7", ChildRecord: "agencies/trust-1/childRecords/7",
			Scope: irtv1.ConsentScope_CONSENT_SCOPE_SHARING, GivenBy: "CHILD", StartDate: "2026-01-05",
		}
	case "Refusal":
		return &irtv1.Refusal{
			Name: "agencies/trust-1/refusals/R-7", Child: "children/x", Requester: "agencies/school-1",
			Purpose: irtv1.Purpose_PURPOSE_EDUCATION, Reason: "MORE_DETRIMENTAL", RefuseDate: "2026-01-05",
		}
	case "Concern":
		return &irtv1.Concern{
			Name: "agencies/school-1/concerns/C-7", ChildRecord: "agencies/school-1/childRecords/7", Category: "ATTENDANCE",
			Level: "EARLY_HELP", Practitioner: "agencies/school-1/practitioners/p1", StartDate: "2026-01-05", ReviewDate: "2026-03-02",
		}
	case "Referral":
		return &irtv1.Referral{
			Name: "agencies/school-1/referrals/R-7", ChildRecord: "agencies/school-1/childRecords/7", Recipient: "agencies/early-help",
			Service: "parenting", Reason: "EARLY_HELP", Urgency: irtv1.ReferralUrgency_REFERRAL_URGENCY_ROUTINE, Basis: "CONSENT",
		}
	case "Service":
		return &irtv1.Service{
			Name: "agencies/early-help/services/parenting", DisplayName: "Parenting", Kind: "PARENTING", MaximumAge: 11,
			Telephone: "01603 222222", Email: "duty@example.org",
		}
	case "Agency":
		return &irtv1.Agency{
			Name: "agencies/trust-1", DisplayName: "Trust", Kind: irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST,
			OdsCode: "RY3", Postcode: "NR1 3JU", Telephone: "01603 222222", Email: "duty@example.org",
		}
	}
	return nil
}

func inShort(faults []standard.Fault) []string {
	short := []string{}
	for _, f := range faults {
		short = append(short, f.Field+" "+f.RuleID)
	}
	return short
}

// sayNothing looks for values of the case in the words of a fault.
func (v *violation) sayNothing(t *testing.T, f standard.Fault) {
	t.Helper()
	if f.Description == "" || f.Action == "" {
		t.Errorf("%s: %s has no words", v.Case, f.RuleID)
	}
	for field, raw := range v.Set {
		var value string
		if json.Unmarshal(raw, &value) != nil || len(value) < 4 {
			continue
		}
		if strings.Contains(f.Description+f.Action, value) {
			t.Errorf("%s: %s repeats the value of %s", v.Case, f.RuleID, field)
		}
	}
}

// writeViolations keeps one case to a line, so that a change shows as such.
func writeViolations(t *testing.T, cases []violation) {
	t.Helper()
	var text bytes.Buffer
	for i, v := range cases {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(map[bool]string{true: "[\n", false: ",\n"}[i == 0])
		text.Write(line)
	}
	text.WriteString("\n]\n")
	if err := os.WriteFile(violationsFile, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
