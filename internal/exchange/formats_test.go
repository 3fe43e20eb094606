package exchange_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
)

const (
	ownRecords        = irtv1.ImportFormat_IMPORT_FORMAT_CHILD_RECORDS
	ownInvolvements   = irtv1.ImportFormat_IMPORT_FORMAT_INVOLVEMENTS
	jsonRecords       = irtv1.ImportFormat_IMPORT_FORMAT_CHILD_RECORDS_NDJSON
	jsonInvolvements  = irtv1.ImportFormat_IMPORT_FORMAT_INVOLVEMENTS_NDJSON
	census            = irtv1.ImportFormat_IMPORT_FORMAT_CIN_CENSUS
	rosalind          = `{"name":"p-1","givenName":"Rosalind","familyName":"Achterberg","dateOfBirth":"2015-06-02","sex":"F","nhsNumber":"9991234578","addressLines":["4 Quay Side","Wells"],"postcode":"NR23 1AH","carers":[{"displayName":"Jo","relationship":"MTH","parentalResponsibility":false},{"displayName":"Al","telephone":"01632 960123"}]}`
	involvementHeader = "name,childRecord,role,startDate,endDate,sensitive\n"
)

// rules are the rejects of an import as "row column rule".
func (h *hub) rules(i *irtv1.Import) (all []string) {
	h.t.Helper()
	for _, r := range h.rejects(i.GetName()) {
		all = append(all, fmt.Sprint(r.GetRow(), " ", r.GetColumn(), " ", r.GetRuleId()))
	}
	return all
}

// exportedRecords are those of the caller's agency.
func (h *hub) exportedRecords() (all []*irtv1.ChildRecord) {
	h.t.Helper()
	stream, err := h.exports.ExportChildRecords(h.purpose(), &irtv1.ExportChildRecordsRequest{Parent: "agencies/-"})
	if err != nil {
		h.t.Fatal(err)
	}
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, page.GetChildRecords()...)
	}
}

// What is exported in the form of the template is imported again as it was.
func TestRecordsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	wantCounts(t, "JSON", h.send(jsonRecords, file(rosalind, "", strings.Replace(rosalind, "p-1", "agencies/school/childRecords/p-2", 1))), 2, 0, 0)
	records := h.exportedRecords()
	if len(records) != 2 || records[0].GetCarers()[0].ParentalResponsibility == nil {
		t.Fatalf("exported %v", records)
	}
	form := recordfile.ChildRecords()
	rows := [][]string{form.Columns()}
	var lines []string
	for _, r := range records {
		rows = append(rows, form.Row(r))
		b, err := protojson.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	table, err := recordfile.Table(rows)
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "the table", h.send(ownRecords, []byte(table)), 0, 2, 0)
	if again := h.exportedRecords(); !slices.EqualFunc(records, again, func(a, b *irtv1.ChildRecord) bool { return proto.Equal(a, b) }) {
		t.Errorf("exported %v, then %v", records, again)
	}
	// JSON as exported has fields that only the hub fills, which are passed over, and
	// the etag of the present version, which fits.
	wantCounts(t, "the JSON", h.send(jsonRecords, file(lines...)), 0, 2, 0)
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE method LIKE '%ExportChildRecords' AND cardinality(returned) = 2 AND cardinality(children) >= 1`); n != 2 {
		t.Errorf("%d exports in the access log, want 2", n)
	}
	for _, other := range []*hub{h.as("other", "ROLE_AGENCY_SYSTEM"), h.as("school", "ROLE_PRACTITIONER")} {
		stream, err := other.exports.ExportChildRecords(other.purpose(), &irtv1.ExportChildRecordsRequest{Parent: "agencies/school"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantCode(t, other.caller, err, codes.PermissionDenied)
	}
}

func TestOwnFormNamesItsColumns(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	done := h.send(ownRecords, file(
		"NAME,givenName,familyName,dateOfBirth,noKnownAddress,carers.2.displayName,carers.2.telephone,addressLines.3,Notes",
		"Required: your id,Required,Required,Optional,,,,,",
		"p-1,Jo,Clarke,31/12/2015,perhaps,Sam,"+strings.Repeat("0", 40)+",,x",
		"p-2,Jo,Clarke,31/02/2015,,,,"+strings.Repeat("x", 101)+",",
		"agencies/other/childRecords/1,Jo,Clarke,2015-12-31,,,,,",
		"p-3,Jo,Clarke,31/12/2015,yes,,,,",
	))
	want := []string{
		"3 noKnownAddress IMPORT_NOT_BOOLEAN", "3 carers.2.telephone STRING_MAX_LEN",
		"4 dateOfBirth STRING_PATTERN", "4 addressLines.3 STRING_MAX_LEN", "5  IMPORT_OTHER_AGENCY",
	}
	got := h.rules(done)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || done.GetAccepted() != 1 || !slices.Equal(done.GetIgnoredColumns(), []string{"Notes"}) {
		t.Errorf("rejects %q, want %q; %v", got, want, done)
	}
	_, err := h.upload(h.header(ownRecords), file("givenName,familyName", "Jo,Clarke"))
	if rules := brokenRules(err); !slices.Equal(rules, []string{"IMPORT_COLUMNS_MISSING"}) {
		t.Errorf("no ids: %v", err)
	}
}

func TestTemplatesAreImportedAsTheyAre(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for name, format := range map[string]irtv1.ImportFormat{"child-records": ownRecords, "involvements": ownInvolvements, "school-cohort": cohort} {
		template, err := h.imports.GetImportTemplate(h.ctx(), &irtv1.GetImportTemplateRequest{Name: "importTemplates/" + name})
		if err != nil {
			t.Fatal(err)
		}
		wantCounts(t, name, h.send(format, []byte(template.GetContent())), 0, 0, 0)
	}
	_, err := h.imports.GetImportTemplate(h.ctx(), &irtv1.GetImportTemplateRequest{Name: "importTemplates/other"})
	wantCode(t, "no such template", err, codes.NotFound)
}

func TestInvolvementsOfAFile(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(rosalind))
	csv := involvementHeader + "i-1,p-1,CLASS_TEACHER,01/09/2025,,\ni-2,p-1,SENCO,2025-09-01,2025-08-01,\ni-3,nobody,SENCO,2025-09-01,,\ni-4,p-1,Wizard,2025-09-01,,\n"
	done := h.send(ownInvolvements, []byte(csv))
	want := []string{"3 endDate PERIOD_ORDER", "4  NOT_FOUND", "5 role CODE_UNKNOWN"}
	if got := h.rules(done); !slices.Equal(got, want) || done.GetAccepted() != 1 {
		t.Errorf("rejects %q, want %q", got, want)
	}
	rehearsal := h.header(jsonInvolvements)
	rehearsal.ValidateOnly = true
	line := `{"name":"i-9","childRecord":"p-1","role":"SENCO","startDate":"2025-09-01"}`
	tried, err := h.upload(rehearsal, file(line))
	if err != nil || tried.GetAccepted() != 1 || h.count(`SELECT count(*) FROM involvements`) != 1 {
		t.Errorf("rehearsed: %v, %v", tried, err)
	}
	wantCounts(t, "JSON", h.send(jsonInvolvements, file(line, strings.Replace(line, "i-9", "i-1", 1))), 2, 0, 0)
	wantCounts(t, "again", h.send(jsonInvolvements, file(line)), 0, 1, 0)
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE query->>'name' = 'agencies/school/involvements/i-9' AND decision = 'ALLOWED'`); n < 2 {
		t.Errorf("%d entries of one involvement in the access log", n)
	}
}

func TestLinesThatAreNotRecords(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	done := h.send(jsonRecords, file(
		`{"name":"p-1","givenName":"Jo","shoeSize":4}`, `{"name":"p-1","givenName":7}`, `not JSON`, `{"name":"p-1"`,
		"{\"name\":\"p-1\",\"givenName\":\"\xff\"}", `{"x":`+strings.Repeat("[", 5000)+"}", `{"y":"`+strings.Repeat("z", 70_000)+`"}`, rosalind,
	))
	want := []string{
		"1  IMPORT_FIELD_UNKNOWN", "2  IMPORT_FIELD_TYPE", "3  IMPORT_NOT_JSON", "4  IMPORT_NOT_JSON", "5  IMPORT_NOT_JSON",
		"6  IMPORT_FIELD_UNKNOWN", "7  IMPORT_ROW_TOO_LONG",
	}
	if got := h.rules(done); !slices.Equal(got, want) || done.GetAccepted() != 1 {
		t.Errorf("rejects %q, want %q; %v", got, want, done)
	}
	back := h.downloaded(done.GetName())
	if last := back[len(back)-1]; last[5] != `{"y":"`+strings.Repeat("z", 1<<10-6)+"…" {
		t.Errorf("a line that is too long comes back as %.99q", last)
	}
}

func TestFileInUTF16(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var b []byte
	for _, u := range utf16.Encode([]rune("\uFEFF" + header + "\r\nZoë,O’Neill,2012-05-06,NR1 3JU,\r\n")) {
		b = append(b, byte(u), byte(u>>8))
	}
	done := h.send(cohort, b)
	if done.GetEncoding() != "UTF-16LE" || h.count(`SELECT count(*) FROM child_records WHERE given_name = 'Zoë'`) != 1 {
		t.Errorf("%v", done)
	}
}

// TestCensus imports both files of a children in need census, twice.
func TestCensus(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	fake := h.send(census, shared(t, "cin/fake_CIN_data.xml"))
	if fake.GetRows() != 332 || fake.GetAccepted() < 300 {
		t.Errorf("332 children: %v", fake)
	}
	for _, r := range h.rejects(fake.GetName()) {
		if r.GetColumn() == "" || r.GetAction() == "" {
			t.Errorf("a reject without its element: %v", r)
		}
	}
	again := h.send(census, shared(t, "cin/fake_CIN_data.xml"))
	if again.GetUnchanged() != fake.GetAccepted() || again.GetRejected() != fake.GetRejected() {
		t.Errorf("again: %v, after %v", again, fake)
	}
	if n := h.count(`SELECT count(*) FROM involvements WHERE role = 'SOCIAL_WORKER'`); n < 300 {
		t.Errorf("%d involvements", n)
	}
	if n := h.count(`SELECT count(*) FROM involvements i JOIN child_records r ON r.record_id = i.record_id
		WHERE r.la_child_id = 'RND000824303014' AND (start_date, end_date) IN (('2013-10-25', '2014-01-01'), ('2017-10-22', '2017-10-22'))`); n != 2 {
		t.Errorf("%d periods in need of a child that had two", n)
	}
	wantCounts(t, "the official example", h.send(census, shared(t, "cin/CIN_Census_2026.xml")), 1, 0, 1)
}

// A census completes what the agency has said before, and takes no name away.
func TestCensusCompletesRecords(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(strings.Replace(rosalind, "p-1", "LA1", 1)))
	const child = `<?xml version="1.0" encoding="ISO-8859-1"?><Message><Children><Child><ChildIdentifiers><LAchildID>LA1</LAchildID>
		<UPN>B801200005001</UPN><PersonBirthDate>2015-06-02</PersonBirthDate><Sex>2</Sex></ChildIdentifiers>
		<ChildCharacteristics><Ethnicity>WBRI</Ethnicity><Disabilities><Disability>HEAR</Disability></Disabilities></ChildCharacteristics>
		<CINdetails><CINreferralDate>2026-01-05</CINreferralDate></CINdetails></Child></Children></Message>`
	wantCounts(t, "census", h.send(census, []byte(child)), 1, 0, 0)
	if n := h.count(`SELECT count(*) FROM child_records WHERE local_id = 'LA1' AND given_name = 'Rosalind' AND upn = 'B801200005001'
		AND ethnicity = 'WBRI' AND disabilities = '{HEAR}' AND la_child_id = 'LA1' AND postcode = 'NR23 1AH'`); n != 1 {
		t.Error("the record is not what both say")
	}
	for what, xml := range map[string]string{
		"document type": `<!DOCTYPE Message [<!ENTITY a "aaaa">]>` + child, "entity": strings.Replace(child, "LA1", "&a;", 1),
		"instruction": strings.Replace(child, "<Children>", "<?php ?><Children>", 1), "not XML": "Message", "another": "<Other/>",
		"deep": "<Message>" + strings.Repeat("<a>", 100), "endless": "<Message><a>" + strings.Repeat("x", 400_000),
		"attributes": "<Message " + strings.Repeat("a='1' ", 100_000) + ">", "broken off": child[:300],
	} {
		_, err := h.upload(h.header(census), []byte(xml))
		wantCode(t, what, err, codes.InvalidArgument)
	}
}

// A load of one agency does not make the name of a child unknown that another
// agency knows.
func TestUnknownNameGivesWay(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(census, []byte(`<Message><Children><Child><ChildIdentifiers><LAchildID>LA1</LAchildID><UPN>B801200005001</UPN>
		<PersonBirthDate>2015-06-02</PersonBirthDate><Sex>F</Sex></ChildIdentifiers></Child></Children></Message>`))
	other := h.as("other", "ROLE_AGENCY_SYSTEM")
	other.send(jsonRecords, file(strings.Replace(rosalind, `"sex"`, `"upn":"B801200005001","sex"`, 1)))
	h.send(census, []byte(`<Message><Children><Child><ChildIdentifiers><LAchildID>LA1</LAchildID><UPN>B801200005001</UPN>
		<PersonBirthDate>2015-06-02</PersonBirthDate><Sex>F</Sex></ChildIdentifiers><ChildCharacteristics><Ethnicity>WBRI</Ethnicity>
		</ChildCharacteristics></Child></Children></Message>`))
	if n := h.count(`SELECT count(*) FROM children WHERE state = 1`); n != 1 {
		t.Skipf("the two records are %d children: nothing to compose", n)
	}
	if n := h.count(`SELECT count(*) FROM children WHERE given_name = 'Rosalind' AND family_name = 'Achterberg' AND ethnicity = 'WBRI'`); n != 1 {
		t.Error("the child has lost its name")
	}
}

// Words that stand for nothing elsewhere are names of children, and are kept as they
// come, with the question whether they are meant: nobody is left without a name.
func TestNamesThatAreWordsForNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format irtv1.ImportFormat
		file   []byte
	}{
		"a cohort": {cohort, file("LOCAL_ID,CHILD_FIRST_NAME,CHILD_LAST_NAME,CHILD_DATE_OF_BIRTH",
			"1,Na,Null,02/06/2015", "2,None,NA,03/06/2015", "3,NULL,Nil,04/06/2015")},
		"a table": {ownRecords, file("name,givenName,familyName,dateOfBirth",
			"1,Na,Null,2015-06-02", "2,None,NA,2015-06-03", "3,NULL,Nil,2015-06-04")},
		"JSON": {jsonRecords, file(`{"name":"1","givenName":"Na","familyName":"Null","dateOfBirth":"2015-06-02"}`,
			`{"name":"2","givenName":"None","familyName":"NA","dateOfBirth":"2015-06-03"}`,
			`{"name":"3","givenName":"NULL","familyName":"Nil","dateOfBirth":"2015-06-04"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			wantCounts(t, name, h.send(c.format, c.file), 3, 0, 0)
			var kept []string
			for _, r := range h.exportedRecords() {
				kept = append(kept, r.GetGivenName()+" "+r.GetFamilyName())
			}
			slices.Sort(kept)
			if want := []string{"NULL Nil", "Na Null", "None NA"}; !slices.Equal(kept, want) {
				t.Errorf("kept %q, want %q", kept, want)
			}
			if n := h.count(`SELECT count(*) FROM children WHERE state = 1 AND given_name <> '' AND family_name <> ''`); n != 3 {
				t.Errorf("%d children with both names, want 3", n)
			}
		})
	}
}
