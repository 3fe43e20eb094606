package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/pg/pgtest"
)

// FuzzQuery holds whatever a caller may send to what jsonb takes: JSON without the
// character NUL, which still says all the rest.
func FuzzQuery(f *testing.F) {
	f.Add("a\x00b")
	f.Add(`\u0000`)
	f.Add(`\\u0000` + "\x00")
	f.Add(strings.Repeat("\x00", 100))
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		made := queryOf(&irtv1.SearchChildrenRequest{FamilyName: text}, true)
		var back struct{ FamilyName, Omitted string }
		if err := json.Unmarshal([]byte(made), &back); err != nil {
			t.Fatalf("%q: %v", made, err)
		}
		if want := strings.ReplaceAll(text, "\x00", "\ufffd"); back.FamilyName != want && back.Omitted == "" {
			t.Errorf("%q became %q", text, back.FamilyName)
		}
	})
}

// FuzzArrayLiteral reads what arrayLiteral writes as PostgreSQL documents it
// (section 8.15.6).
func FuzzArrayLiteral(f *testing.F) {
	f.Add("a", `b"c\`)
	f.Add("", "NULL")
	f.Add("{}", "a,b\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		literal := arrayLiteral([]string{a, b})
		got := readLiteral(t, literal)
		if len(got) != 2 || got[0] != strings.ReplaceAll(a, "\x00", "") || got[1] != strings.ReplaceAll(b, "\x00", "") {
			t.Errorf("%q and %q became %s", a, b, literal)
		}
	})
}

func readLiteral(t *testing.T, s string) (items []string) {
	t.Helper()
	if !strings.HasPrefix(s, `{"`) || !strings.HasSuffix(s, `"}`) {
		t.Fatalf("%s is not an array", s)
	}
	var item bytes.Buffer
	inside := false
	for i := 1; i < len(s)-1; i++ {
		switch c := s[i]; {
		case inside && c == '\\':
			i++
			item.WriteByte(s[i])
		case inside && c == '"':
			items = append(items, item.String())
			item.Reset()
			inside = false
		case inside:
			item.WriteByte(c)
		case c == '"':
			inside = true
		case c != ',':
			t.Fatalf("%s: %q between items", s, c)
		}
	}
	return items
}

// Of a write its subject is kept and its content is not.
func TestSubject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request proto.Message
		want    string
	}{
		{&irtv1.SubmitChildRecordRequest{ValidateOnly: true, ChildRecord: &irtv1.ChildRecord{
			Name: "agencies/a/childRecords/1", GivenName: "Aoife", Carers: []*irtv1.Carer{{Telephone: "01632 960001"}},
		}}, `{"childRecord":{"name":"agencies/a/childRecords/1"},"validateOnly":true}`},
		{
			&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: &irtv1.ImportHeader{Parent: "agencies/a", ValidateOnly: true}}},
			`{"header":{"parent":"agencies/a","validateOnly":true}}`,
		},
		{&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: []byte("Aoife")}}, `{}`},
		{
			&irtv1.UpdatePractitionerRequest{AllowMissing: true, Practitioner: &irtv1.Practitioner{
				Name: "agencies/a/practitioners/p", DisplayName: "Dr Ahmed",
			}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"email"}}},
			`{"practitioner":{"name":"agencies/a/practitioners/p"},"updateMask":"","allowMissing":true}`,
		},
		{
			&irtv1.EndInvolvementRequest{Name: "agencies/a/involvements/1", EndDate: "2026-01-01"},
			`{"name":"agencies/a/involvements/1","endDate":"2026-01-01"}`,
		},
	} {
		var got, want any
		if err := json.Unmarshal([]byte(queryOf(c.request, false)), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%T: kept %v, want %v", c.request, got, want)
		}
	}
}

func TestPostgreSQLReadsTheLiterals(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	texts := []string{"", "NULL", "null", `"`, `\`, `\\"`, "{", "}", ",", " a ", "\n\t", "é'--", "a\x00b"}
	ids := []uuid.UUID{uuid.New(), uuid.New()}
	var gotTexts, gotNone []string
	var gotIDs []uuid.UUID
	err := pool.QueryRow(t.Context(), "SELECT $1::text::text[], $2::text::uuid[], $3::text::text[]",
		arrayLiteral(texts), uuidArray(ids), arrayLiteral(nil)).Scan(&gotTexts, &gotIDs, &gotNone)
	if err != nil {
		t.Fatal(err)
	}
	texts[len(texts)-1] = "ab"
	for i, want := range texts {
		if gotTexts[i] != want {
			t.Errorf("%q became %q", want, gotTexts[i])
		}
	}
	if len(gotIDs) != 2 || gotIDs[0] != ids[0] || gotIDs[1] != ids[1] || len(gotNone) != 0 {
		t.Errorf("%v became %v; none became %v", ids, gotIDs, gotNone)
	}
}
