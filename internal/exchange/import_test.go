package exchange_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange"
)

const header = "CHILD_FIRST_NAME,CHILD_LAST_NAME,CHILD_DATE_OF_BIRTH,CHILD_POSTCODE,CHILD_NHS_NUMBER"

func wantCounts(t *testing.T, what string, i *irtv1.Import, accepted, unchanged, rejected int32) {
	t.Helper()
	if i.GetAccepted() != accepted || i.GetUnchanged() != unchanged || i.GetRejected() != rejected ||
		i.GetRows() != accepted+unchanged+rejected {
		t.Errorf("%s: %d rows, %d accepted, %d unchanged, %d rejected; want %d, %d, %d",
			what, i.GetRows(), i.GetAccepted(), i.GetUnchanged(), i.GetRejected(), accepted, unchanged, rejected)
	}
}

func TestCorrectionUpdatesTheRecordInPlace(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	wantCounts(t, "first", h.send(cohort, file(header, "Jennifer,Clarke,2010-01-01,SW1A 1AA,9990000018", "Zoë,O'Neill,2011-02-03,NR1 3JU,")), 2, 0, 0)
	moved := file(header, "JENNIFER,Clarke,01/01/2010,sw1a1ab,999 000 0018", "Zoe,O’NEILL,3/2/2011,NR2 4AA,")
	wantCounts(t, "moved", h.send(cohort, moved), 2, 0, 0)
	wantCounts(t, "again", h.send(cohort, moved), 0, 2, 0)
	if records, children := h.count(`SELECT count(*) FROM child_records`), h.count(`SELECT count(*) FROM children`); records != 2 || children != 2 {
		t.Errorf("%d records of %d children", records, children)
	}
	if n := h.count(`SELECT count(*) FROM children WHERE postcode IN ('SW1A 1AB', 'NR2 4AA')`); n != 2 {
		t.Errorf("%d children have the new postcode", n)
	}
}

func TestTwoChildrenAreNeverOneRecord(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	// Twins whom a file gives one NHS number, and a namesake born another day.
	done := h.send(cohort, file(header,
		"Amy,Reed,2012-05-06,NR1 3JU,9990000018", "Ben,Reed,2012-05-06,NR1 3JU,9990000018", "Amy,Reed,2012-06-05,NR1 3JU,"))
	wantCounts(t, "twins", done, 3, 0, 0)
	if n := h.count(`SELECT count(*) FROM child_records`); n != 3 {
		t.Errorf("%d records", n)
	}
}

func TestSecondRowOfOneChild(t *testing.T) {
	t.Parallel()
	const row = "Jennifer,Clarke,2010-01-01,%s,9990000018"
	sound, other, bad := fmt.Sprintf(row, "SW1A 1AA"), fmt.Sprintf(row, "NR1 3JU"), fmt.Sprintf(row, "nowhere")
	for name, tt := range map[string]struct {
		rows                          []string
		accepted, unchanged, rejected int32
		rejects                       []string
	}{
		"the same":           {[]string{sound, sound, sound}, 1, 2, 0, nil},
		"something else":     {[]string{sound, other, sound}, 1, 1, 1, []string{"3 IMPORT_DUPLICATE_ROW row 2"}},
		"after one refused":  {[]string{bad, sound, other}, 1, 0, 2, []string{"2 STRING_PATTERN", "4 IMPORT_DUPLICATE_ROW row 3"}},
		"refused after one":  {[]string{sound, bad}, 1, 0, 1, []string{"3 STRING_PATTERN", "3 IMPORT_DUPLICATE_ROW row 2"}},
		"all refused":        {[]string{bad, bad}, 0, 0, 2, []string{"2 STRING_PATTERN", "3 STRING_PATTERN"}},
		"with its own local": {[]string{sound + ",7", other + ",7", other + ",8"}, 2, 0, 1, []string{"3 IMPORT_DUPLICATE_ROW row 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			lines := []string{header}
			if strings.Count(tt.rows[0], ",") > 4 {
				lines = []string{header + ",Local_Id"}
			}
			done := h.send(cohort, file(append(lines, tt.rows...)...))
			wantCounts(t, name, done, tt.accepted, tt.unchanged, tt.rejected)
			var got []string
			for _, r := range h.rejects(done.GetName()) {
				line := fmt.Sprint(r.GetRow(), " ", r.GetRuleId())
				if i := strings.LastIndex(r.GetDescription(), "row "); r.GetRuleId() == "IMPORT_DUPLICATE_ROW" && i >= 0 {
					line += " " + r.GetDescription()[i:i+5]
				}
				got = append(got, line)
			}
			if !slices.Equal(got, tt.rejects) {
				t.Errorf("rejects %q, want %q", got, tt.rejects)
			}
		})
	}
}

func TestWhatTheRecordHolds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(cohort, file(
		" child_first_name ,CHILD_LAST_NAME,CHILD_PREFERRED_FIRST_NAME,CHILD_DATE_OF_BIRTH,CHILD_GENDER,CHILD_UPN,"+
			"CHILD_ADDRESS_LINE_1,CHILD_ADDRESS_LINE_2,CHILD_TOWN,CHILD_POSTCODE,LOCAL_ID,"+
			"PARENT_1_NAME,PARENT_1_RELATIONSHIP,PARENT_1_EMAIL,PARENT_1_PHONE,PARENT_2_NAME,PARENT_2_RELATIONSHIP,PARENT_2_EMAIL,PARENT_2_PHONE",
		`  Jennifer ,Clarke,Jenny,31-Dec-2010,Female,B801200005001,"Flat 2, Mill House",,Norwich,nr13ju,7/`,
		`Jennifer,Clarke,Jenny,31-Dec-2010,Female,B801200005001,"Flat 2, Mill House",,Norwich,nr13ju,p-7,`+
			`Sam Clarke,Childminder,,07700 900123,,Dad,d@example.org,`,
	))
	var carers, address string
	err := h.pool.QueryRow(t.Context(), `SELECT array_to_string(address_lines, '; '), carers::text FROM child_records
		WHERE agency_id = 'school' AND local_id = 'p-7' AND given_name = 'Jennifer' AND preferred_given_name = 'Jenny'
		AND date_of_birth = '2010-12-31' AND sex = 'F' AND upn = 'B801200005001' AND postcode = 'NR1 3JU'
		AND school_urn = '654321'`).Scan(&address, &carers) // the school's own: the file has no column for it
	if err != nil {
		t.Fatalf("the record is not as the row says: %v", err)
	}
	if address != "Flat 2, Mill House; Norwich" {
		t.Errorf("address %q", address)
	}
	if !strings.Contains(carers, "Sam Clarke") || !strings.Contains(carers, "07700 900123") ||
		!strings.Contains(carers, "FTH") || !strings.Contains(carers, "d@example.org") || strings.Contains(carers, "Childminder") {
		t.Errorf("carers %s", carers)
	}
}

func TestRejectsNameTheColumnsOfTheFile(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	long := strings.Repeat("x", 101)
	done := h.send(cohort, file(
		"Child_First_Name,CHILD_LAST_NAME,CHILD_DATE_OF_BIRTH,CHILD_ADDRESS_LINE_1,CHILD_ADDRESS_LINE_2,CHILD_TOWN,PARENT_1_NAME,PARENT_2_PHONE,CHILD_GENDER,LOCAL_ID",
		",Clarke,31/02/2010,,"+long+",Norwich,,"+long+",neither,a/b",
		`a"b,,`,
		"Jo,Clarke,2040-01-01,,,,,,,",
	))
	var got []string
	for _, r := range h.rejects(done.GetName()) {
		got = append(got, fmt.Sprintf("%d %s %s", r.GetRow(), r.GetColumn(), r.GetRuleId()))
		if strings.Contains(r.GetDescription()+r.GetAction(), "x") && strings.Contains(r.GetDescription(), long) || r.GetAction() == "" {
			t.Errorf("a reject repeats a value, or does not say what to do: %v", r)
		}
	}
	want := []string{
		"2 LOCAL_ID STRING_PATTERN", "2 Child_First_Name STRING_MIN_LEN", "2 CHILD_DATE_OF_BIRTH DATE_INVALID",
		"2 CHILD_GENDER CODE_UNKNOWN", "2 CHILD_ADDRESS_LINE_2 STRING_MAX_LEN", "2 PARENT_2_PHONE STRING_MAX_LEN",
		"3  IMPORT_ROW_QUOTES", "4 CHILD_DATE_OF_BIRTH DATE_OF_BIRTH_FUTURE",
	}
	if !slices.Equal(got, want) {
		t.Errorf("rejects %q, want %q", got, want)
	}
}

func TestFilesThatAreRefusedWriteNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	row := "Jennifer,Clarke,2010-01-01,SW1A 1AA,9990000018"
	for name, tt := range map[string]struct {
		file []byte
		rule string
	}{
		"empty":                       {nil, "IMPORT_EMPTY"},
		"only line breaks":            {[]byte("\r\n\n"), "IMPORT_EMPTY"},
		"no header":                   {file(row, row), "IMPORT_COLUMNS_MISSING"},
		"columns missing":             {file("CHILD_FIRST_NAME,Notes", "Jennifer,x"), "IMPORT_COLUMNS_MISSING"},
		"separated by semicolons":     {file(strings.ReplaceAll(header, ",", ";"), strings.ReplaceAll(row, ",", ";")), "IMPORT_COLUMNS_MISSING"},
		"column twice":                {file(header+",Notes,notes", row+",,"), "IMPORT_COLUMNS_REPEATED"},
		"two columns for one":         {file(header+",CHILD_GENDER,CHILD_SEX", row+",F,F"), "IMPORT_COLUMNS_REPEATED"},
		"mark out of place in header": {file(`CHILD_FIRST_NAME,"CHILD_LAST_NAME" x,CHILD_DATE_OF_BIRTH`, row), "IMPORT_ROW_QUOTES"},
		"more than 200 columns":       {file(header+strings.Repeat(",x", 200), row), "IMPORT_ROW_TOO_WIDE"},
		"UTF-16 of another file":      {[]byte("\xFF\xFEC\x00H\x00"), "IMPORT_COLUMNS_MISSING"},
		"workbook":                    {[]byte("PK\x03\x04\x14\x00"), "IMPORT_NOT_TEXT"},
		"gzip":                        {[]byte("\x1F\x8B\x08\x00"), "IMPORT_NOT_TEXT"},
	} {
		_, err := h.upload(h.header(cohort), tt.file)
		wantCode(t, name, err, codes.InvalidArgument)
		if got := brokenRules(err); !slices.Equal(got, []string{tt.rule}) {
			t.Errorf("%s: rules %q, want %s: %v", name, got, tt.rule, err)
		}
		if err != nil && strings.Contains(err.Error(), "Jennifer") {
			t.Errorf("%s: the error repeats the file: %v", name, err)
		}
	}
	_, err := h.upload(h.header(cohort), file("CHILD_FIRST_NAME,Notes", "Jennifer,x"))
	if !strings.Contains(err.Error(), "CHILD_LAST_NAME, CHILD_DATE_OF_BIRTH") || strings.Contains(err.Error(), "FIRST_NAME") {
		t.Errorf("not all columns that are missing are named, or others are: %v", err)
	}
	if n := h.count(`SELECT count(*) FROM child_records`); n != 0 {
		t.Errorf("%d records", n)
	}
	if n := h.count(`SELECT count(*) FROM imports WHERE state <> 3`); n != 0 { // FAILED
		t.Errorf("%d imports did not fail", n)
	}
}

func TestUploadsThatAreNotWellFormed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	head := &irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: h.header(cohort)}}
	chunk := &irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: file(header)}}
	for name, parts := range map[string][]*irtv1.CreateImportRequest{
		"chunk first":       {chunk},
		"header twice":      {head, chunk, head},
		"neither":           {{}},
		"chunk over 1 MiB":  {head, {Part: &irtv1.CreateImportRequest_Chunk{Chunk: make([]byte, 1<<20+1)}}},
		"format not stated": {{Part: &irtv1.CreateImportRequest_Header{Header: &irtv1.ImportHeader{Parent: "agencies/school"}}}},
		"format not known":  {{Part: &irtv1.CreateImportRequest_Header{Header: &irtv1.ImportHeader{Parent: "agencies/school", Format: 99}}}},
	} {
		stream, err := h.imports.CreateImport(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			_ = stream.Send(p)
		}
		_, err = stream.CloseAndRecv()
		wantCode(t, name, err, codes.InvalidArgument)
	}
}

func TestWhoMayImport(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	sound := file(header, "Jennifer,Clarke,2010-01-01,SW1A 1AA,9990000018")
	for _, tt := range []struct {
		agency, role, parent string
		format               irtv1.ImportFormat
		want                 codes.Code
	}{
		{"school", "ROLE_AGENCY_SYSTEM", "agencies/school", cohort, codes.OK},
		{"school", "ROLE_PRACTITIONER", "agencies/school", cohort, codes.OK},
		{"school", "ROLE_AGENCY_SYSTEM", "agencies/-", cohort, codes.OK},
		{"hub", "ROLE_HUB_OPERATOR", "agencies/-", cohort, codes.PermissionDenied},
		{"hub", "ROLE_DATA_MANAGER", "agencies/school", cohort, codes.OK},
		{"hub", "ROLE_DATA_MANAGER", "agencies/nobody", cohort, codes.NotFound},
		{"school", "ROLE_AGENCY_SYSTEM", "agencies/other", cohort, codes.PermissionDenied},
		{"school", "ROLE_AGENCY_SYSTEM", "agencies/nobody", cohort, codes.PermissionDenied},
		{"school", "ROLE_AGENCY_SYSTEM", "school", cohort, codes.PermissionDenied},
		{"hub", "ROLE_HUB_OPERATOR", "agencies/hub", cohort, codes.PermissionDenied},
		{"hub", "ROLE_HUB_OPERATOR", "agencies/school", practices, codes.PermissionDenied},
		{"school", "ROLE_AGENCY_SYSTEM", "agencies/school", practices, codes.PermissionDenied},
		{"school", "ROLE_AUDITOR", "agencies/school", cohort, codes.PermissionDenied},
	} {
		_, err := h.as(tt.agency, tt.role).upload(&irtv1.ImportHeader{Parent: tt.parent, Format: tt.format}, sound)
		wantCode(t, fmt.Sprintln(tt.agency, tt.role, "for", tt.parent, tt.format), err, tt.want)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE decision = 'DENIED'`); n != 8 {
		t.Errorf("%d denials in the access log, want 8", n)
	}
}

func TestWhoMayFollowAnImport(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	done := h.send(cohort, file(header, "Jennifer,,2010-01-01,SW1A 1AA,9990000018"))
	for _, tt := range []struct {
		agency, role, name string
		want               codes.Code
	}{
		{"school", "ROLE_AGENCY_SYSTEM", done.GetName(), codes.OK},
		{"hub", "ROLE_DATA_MANAGER", done.GetName(), codes.OK},
		{"other", "ROLE_AGENCY_SYSTEM", done.GetName(), codes.PermissionDenied},
		{"other", "ROLE_AGENCY_SYSTEM", strings.Replace(done.GetName(), "school", "other", 1), codes.NotFound},
		{"hub", "ROLE_HUB_OPERATOR", done.GetName(), codes.PermissionDenied},
		{"school", "ROLE_AGENCY_SYSTEM", done.GetName()[:len(done.GetName())-1] + "x", codes.NotFound},
		{"school", "ROLE_AGENCY_SYSTEM", "nonsense", codes.NotFound},
	} {
		caller := h.as(tt.agency, tt.role)
		got, err := h.imports.GetImport(caller.ctx(), &irtv1.GetImportRequest{Name: tt.name})
		wantCode(t, fmt.Sprintln("GetImport by", caller.caller, tt.name), err, tt.want)
		if err == nil && !proto.Equal(got, done) {
			t.Errorf("got %v, the import answered %v", got, done)
		}
		_, err = h.imports.ListImportRejects(caller.ctx(), &irtv1.ListImportRejectsRequest{Parent: tt.name})
		wantCode(t, fmt.Sprintln("ListImportRejects by", caller.caller, tt.name), err, tt.want)
	}
	_, err := h.imports.ListImportRejects(h.ctx(), &irtv1.ListImportRejectsRequest{Parent: done.GetName(), PageToken: "nonsense"})
	wantCode(t, "a page token that is none", err, codes.InvalidArgument)
}

// manyChildren is a row of a child who has little in common with the others.
func manyChildren(i int) string {
	name := func(n int) string { return string([]rune{'A' + rune(n%26), 'a' + rune(n/26%26), 'a' + rune(n/676%26)}) }
	return fmt.Sprintf("%sy,%sson,%d-%02d-%02d,NR%d %dA%c,", name(i*7), name(i*11), 2008+i%15, 1+i%12, 1+i%28, 1+i%20, i%10, 'A'+rune(i%2))
}

// TestSenderBreaksOff sends half a file and goes away: what was acknowledged
// stays, the import says so, and sending the whole again completes it.
func TestSenderBreaksOff(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ctx, cancel := context.WithCancel(h.ctx())
	stream, err := h.imports.CreateImport(ctx)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{header}
	for i := range 3000 {
		lines = append(lines, manyChildren(i))
	}
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: h.header(cohort)}})
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: file(lines[:2500]...)}})
	md, err := stream.Header()
	if err != nil || len(md.Get(exchange.ImportKey)) != 1 {
		t.Fatalf("the import's name does not come with its start: %v, error %v", md, err)
	}
	name := md.Get(exchange.ImportKey)[0]
	running, err := h.imports.GetImport(h.ctx(), &irtv1.GetImportRequest{Name: name})
	if err != nil || running.GetState() != irtv1.ImportState_IMPORT_STATE_RUNNING {
		t.Errorf("while it runs: %v, error %v", running, err)
	}
	for h.count(`SELECT count(*) FROM child_records`) < 500 {
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // polls another process
	}
	cancel()
	failed := running
	for failed.GetState() == irtv1.ImportState_IMPORT_STATE_RUNNING {
		if failed, err = h.imports.GetImport(h.ctx(), &irtv1.GetImportRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	stored := h.count(`SELECT count(*) FROM child_records`)
	if failed.GetState() != irtv1.ImportState_IMPORT_STATE_INTERRUPTED || failed.GetAccepted() > int32(stored) || stored < 500 {
		t.Errorf("broken off: %v; %d records are stored", failed, stored)
	}
	again := h.send(cohort, file(lines...))
	if again.GetAccepted()+again.GetUnchanged() != 3000 || again.GetUnchanged() < failed.GetAccepted() {
		t.Errorf("sent again: %v, after %v", again, failed)
	}
	if n := h.count(`SELECT count(*) FROM child_records`); n != 3000 {
		t.Errorf("%d records", n)
	}
}

func TestManyRejectsComeInOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	lines := []string{header}
	for i := range 2500 {
		lines = append(lines, fmt.Sprintf("Amy%d,,2012-05-06,NR1 3JU,", i))
	}
	done := h.send(cohort, file(lines...))
	wantCounts(t, "all bad", done, 0, 0, 2500)
	var rows []int32
	for token := ""; ; {
		page, err := h.imports.ListImportRejects(h.ctx(), &irtv1.ListImportRejectsRequest{Parent: done.GetName(), PageSize: 5000, PageToken: token})
		if err != nil || len(page.GetImportRejects()) > 1000 {
			t.Fatalf("a page of %d, error %v", len(page.GetImportRejects()), err)
		}
		for _, r := range page.GetImportRejects() {
			rows = append(rows, r.GetRow())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(rows) != 2500 || rows[0] != 2 || rows[2499] != 2501 || !slices.IsSorted(rows) {
		t.Errorf("%d rejects, from row %d to %d", len(rows), rows[0], rows[len(rows)-1])
	}
}

// TestFirstImportsAtOnce has several imports make the key of local ids, and the
// same children, at the same moment.
func TestFirstImportsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	lines := []string{header}
	for i := range 200 {
		lines = append(lines, manyChildren(i))
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var accepted int32
	for range 4 {
		all.Go(func() {
			done, err := h.upload(h.header(cohort), file(lines...))
			mu.Lock()
			defer mu.Unlock()
			if accepted += done.GetAccepted(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := h.count(`SELECT count(*) FROM child_records`); n != 200 || accepted != 200 {
		t.Errorf("%d records, %d rows said to be accepted", n, accepted)
	}
}

func TestEveryRowIsInTheAccessLog(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(cohort, file(header, "Amy,Reed,2012-05-06,NR1 3JU,", "Ben,Reed,2012-05-06,NR1 3JU,", "Cy,,2012-05-06,NR1 3JU,"))
	const method = `method = '/irt.v1.ImportService/CreateImport' AND agency_id = 'school'`
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE ` + method + ` AND decision = 'ALLOWED' AND cardinality(children) = 1`); n != 2 {
		t.Errorf("%d entries of children, want 2", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE ` + method + ` AND decision = 'FAILED'`); n != 1 {
		t.Errorf("%d entries of refused rows, want 1", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE ` + method + ` AND query::text LIKE '%SCHOOL_COHORT%'`); n != 1 {
		t.Errorf("%d entries of the import itself, want 1", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE query::text LIKE '%Reed%'`); n != 0 {
		t.Errorf("%d entries repeat the file", n)
	}
}
