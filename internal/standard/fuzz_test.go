package standard_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// recordOf fills a record with whatever it is given.
func recordOf(name, given, family, date, code, number, upn, line, postcode, contact string) *irtv1.ChildRecord {
	return &irtv1.ChildRecord{
		Name: name, GivenName: given, MiddleNames: family + given, FamilyName: family, FormerFamilyNames: []string{given, family, ""},
		DateOfBirth: date, ExpectedDateOfBirth: contact, DateOfDeath: date, Sex: code,
		NhsNumber: number, NhsNumberOmissionReason: code, NhsNumberVerificationStatus: code,
		Upn: upn, UpnUnknownReason: code, FormerUpn: number, Uln: number, LaChildId: upn,
		AddressLines: []string{line, postcode, line + given}, Postcode: postcode, Uprn: number, AddressStartDate: date,
		Telephone: contact, Email: contact, SchoolUrn: number, SchoolStartDate: date, GpPracticeCode: upn,
		Ethnicity: code, Disabilities: []string{code, code, contact},
		Carers: []*irtv1.Carer{{DisplayName: line, Relationship: code, Telephone: contact, Email: contact}, nil},
	}
}

// Whatever comes in: no panic, normalising twice is normalising once, every fault
// is of a known rule, and faults do not repeat values.
func FuzzNormaliseAndCheck(f *testing.F) {
	f.Add("agencies/a/childRecords/1", "Siân", "O'Connor", "2015-03-27", "F", "9434765870", "B801200005001", "14 Cathedral Close", "NR1 3JU", "07412 345678")
	f.Add("\x00", "\xff\xfe", "e\u0301\u200b", "2015-02-30", "female", "943 476 5870", "b80 1200", "\u00a0a\tb\n", "nr13ju", "tel: +44 (0)1603 1")
	f.Add("", "", "\uFEFFA", "0000-00-00", "M\x00", "\u0660\u0661", "İ", "\u2028", "ﬀ1 1aa", "a@b.c")
	f.Fuzz(func(t *testing.T, name, given, family, date, code, number, upn, line, postcode, contact string) {
		r := recordOf(name, given, family, date, code, number, upn, line, postcode, contact)
		standard.Normalise(r)
		once := proto.CloneOf(r)
		standard.Normalise(r)
		if !proto.Equal(once, r) {
			t.Errorf("normalising twice differs:\n%q\n%q", once, r)
		}
		errs, queries := standard.Check(r, standard.Options{Today: day})
		for _, fault := range append(errs, queries...) {
			rule, known := standard.RuleByID(fault.RuleID)
			if !known || fault.RuleID == "CHECK_FAILED" || fault.Description == "" {
				t.Errorf("fault %q of %q: rule %+v", fault.RuleID, fault.Field, rule)
			}
		}
		if len(errs) == 0 && !validText(r) {
			t.Error("text that the database would refuse is accepted")
		}
		strict, stillQueries := standard.Check(r, standard.Options{Today: day, Strict: true})
		if len(strict)+len(stillQueries) != len(errs)+len(queries) || len(strict) < len(errs) {
			t.Error("strict mode finds other faults")
		}
	})
}

func validText(r *irtv1.ChildRecord) bool {
	text := strings.Join(append(append(append([]string{
		r.GetName(), r.GetGivenName(), r.GetMiddleNames(), r.GetFamilyName(), r.GetSex(), r.GetTelephone(), r.GetEmail(),
		r.GetLaChildId(), r.GetPostcode(), r.GetUpn(), r.GetCarers()[0].GetDisplayName(), r.GetCarers()[0].GetRelationship(),
	}, r.GetAddressLines()...), r.GetDisabilities()...), r.GetFormerFamilyNames()...), "")
	return utf8.ValidString(text) && !strings.Contains(text, "\x00")
}

// Any message of JSON that the schema takes can be checked.
func FuzzCheckJSON(f *testing.F) {
	for _, v := range []string{
		`{"childRecord":{"carers":[null]}}`, `{"childRecord":{"carers":[{}],"addressLines":[""]},"strict":true}`, `{}`,
	} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		for _, m := range []proto.Message{
			&irtv1.SubmitChildRecordRequest{}, &irtv1.SubmitInvolvementRequest{}, &irtv1.CreateAgencyRequest{},
			&irtv1.LookupChildRequest{}, &irtv1.CreateImportRequest{}, &irtv1.SearchChildrenRequest{},
		} {
			if protojson.Unmarshal(text, m) == nil {
				standard.Check(m, standard.Options{})
			}
		}
	})
}

func FuzzParseChildID(f *testing.F) {
	f.Add(standard.FormatChildID(uuid.Max))
	f.Add("0000-0000-0000-0000-0000-0000-000")
	f.Add("IL0oOiil")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := standard.ParseChildID(s)
		if err != nil {
			return
		}
		again, err := standard.ParseChildID(standard.FormatChildID(id))
		if err != nil || again != id {
			t.Errorf("%q is read as %s, which is written as another: %v", s, id, err)
		}
	})
}

func FuzzParseUKDate(f *testing.F) {
	for _, s := range []string{"2010-01-31", "31/01/2010", "1/2/10", "1 Feb 2010", "31-Jan-2010 00:00:00", "20100131", "3\u00b2/1/2010"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		date, err := standard.ParseUKDate(s)
		if err != nil {
			if strings.Contains(err.Error(), s) && len(s) > 3 {
				t.Errorf("the error repeats %q", s)
			}
			return
		}
		if _, err := standard.ParseDate(date); err != nil {
			t.Errorf("%q becomes %q, which is no date", s, date)
		}
		if again, err := standard.ParseUKDate(date); err != nil || again != date {
			t.Errorf("%q becomes %q and then %q", s, date, again)
		}
	})
}

func FuzzNormalisePostcode(f *testing.F) {
	f.Add(" nr1\t3ju ")
	f.Add("N1P2AA")
	f.Add("ſw1a1aa")
	f.Add("0\r\xe7")
	f.Fuzz(func(t *testing.T, s string) {
		once := standard.NormalisePostcode(s)
		if twice := standard.NormalisePostcode(once); twice != once {
			t.Errorf("%q becomes %q and then %q", s, once, twice)
		}
	})
}

// One wrong digit, or two neighbours exchanged, never makes another valid number:
// that is what modulus 11 is for.
func FuzzNHSNumber(f *testing.F) {
	f.Add("9434765870", 3, byte('7'))
	f.Fuzz(func(t *testing.T, s string, i int, digit byte) {
		if !standard.ValidNHSNumber(s) || i < 0 || i >= len(s) {
			return
		}
		wrong := []byte(s)
		wrong[i] = digit
		if digit != s[i] && standard.ValidNHSNumber(string(wrong)) {
			t.Errorf("one character changed, still valid, at %d", i)
		}
		swapped := []byte(s)
		swapped[i], swapped[(i+1)%10] = swapped[(i+1)%10], swapped[i]
		if i < 9 && string(swapped) != s && standard.ValidNHSNumber(string(swapped)) {
			t.Errorf("two characters exchanged, still valid, at %d", i)
		}
	})
}

func FuzzUPN(f *testing.F) {
	f.Add("B801200005001")
	f.Add("H92640001260O")
	f.Fuzz(func(t *testing.T, s string) {
		la, listed := standard.UPNAuthority(s)
		if la < 0 || la > 999 || listed && la == 0 {
			t.Errorf("authority %d of %q", la, s)
		}
		if standard.ValidUPN(s) && len(s) != 13 {
			t.Errorf("%q is valid", s)
		}
	})
}
