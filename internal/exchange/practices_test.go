package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
)

func (h *hub) operator() *hub { return h.as("hub", "ROLE_HUB_OPERATOR") }

// TestRegisterOfPractices imports the whole register twice.
func TestRegisterOfPractices(t *testing.T) {
	t.Parallel()
	register := shared(t, "ods/epraccur.csv")
	h := newHub(t).operator()
	rehearsal := h.header(practices)
	rehearsal.ValidateOnly = true
	done, err := h.upload(rehearsal, register)
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "rehearsed", done, 14303, 0, 0)
	if n := h.count(`SELECT count(*) FROM agencies`); n != 4 {
		t.Errorf("the rehearsal left %d agencies", n)
	}
	wantCounts(t, "first", h.send(practices, register), 14303, 0, 0)
	wantCounts(t, "again", h.send(practices, register), 0, 14303, 0)
	if n := h.count(`SELECT count(*) FROM agencies WHERE kind = 2 AND state = 1`); n != 11482 { // GP practice, active
		t.Errorf("%d active practices", n)
	}
}

func practice(code, name, status string) string {
	return fmt.Sprintf(`"%s","%s","Y63","Q74","1 HIGH ST","","TOWN","COUNTY","","TS18 1HU","19740401","","%s","B","00K","20130401","","01642 672351","","","","0","","00K","","4",""`, code, name, status)
}

func TestPractice(t *testing.T) {
	t.Parallel()
	h := newHub(t).operator()
	done := h.send(practices, file(
		practice("A81001", "THE DENSHAM SURGERY", "A"),
		practice("GUE001", "ST JOHN'S", "C"),
		practice("A8100", "SHORT CODE", "A"),
		practice("A81002", "", "A"),
		practice("a81001", "AGAIN", "A"),
		"A81003,CUT OFF",
		practice("A81004", "PROPOSED", "P"),
	))
	wantCounts(t, "first", done, 3, 0, 4)
	var got []string
	for _, r := range h.rejects(done.GetName()) {
		got = append(got, fmt.Sprint(r.GetRow(), " ", r.GetColumn(), " ", r.GetRuleId()))
	}
	want := []string{"3 1 STRING_PATTERN", "4 2 STRING_MIN_LEN", "5  IMPORT_DUPLICATE_ROW", "6  IMPORT_ROW_LENGTH"}
	if !slices.Equal(got, want) {
		t.Errorf("rejects %q, want %q", got, want)
	}
	if n := h.count(`SELECT count(*) FROM agencies WHERE agency_id = 'gp-a81001' AND display_name = 'THE DENSHAM SURGERY'
		AND ods_code = 'A81001' AND address_lines = '{1 HIGH ST,TOWN,COUNTY}' AND postcode = 'TS18 1HU'
		AND telephone = '01642 672351' AND state = 1`); n != 1 {
		t.Error("the practice is not as the register has it")
	}
	if n := h.count(`SELECT count(*) FROM agencies WHERE agency_id IN ('gp-gue001', 'gp-a81004') AND state = 2`); n != 2 {
		t.Errorf("%d of the closed and the proposed practice are inactive", n)
	}
	// An excerpt that lacks the status does not open what is closed.
	excerpt := h.send(practices, file("GUE001,ST JOHN'S,,,1 HIGH ST,,TOWN,COUNTY,,TS18 1HU"))
	wantCounts(t, "an excerpt", excerpt, 0, 1, 0)
}

func TestPracticesOfAnExcerpt(t *testing.T) {
	t.Parallel()
	h := newHub(t).operator()
	wantCounts(t, "excerpt", h.send(practices, shared(t, "mavis/nhs-gp-practices.csv")), 4, 0, 0)
}

func TestFilesThatAreNotTheRegister(t *testing.T) {
	t.Parallel()
	h := newHub(t).operator()
	for name, content := range map[string][]byte{
		"empty":         nil,
		"a cohort":      file(header, "Jennifer,Clarke,2010-01-01,SW1A 1AA,9990000018"),
		"with a header": file("Organisation Code,Name"+strings.Repeat(",x", 25), practice("A81001", "X", "A")),
	} {
		_, err := h.upload(h.header(practices), content)
		wantCode(t, name, err, codes.InvalidArgument)
	}
	if n := h.count(`SELECT count(*) FROM agencies`); n != 4 {
		t.Errorf("%d agencies", n)
	}
	header := proto.CloneOf(h.header(practices))
	header.Format = irtv1.ImportFormat_IMPORT_FORMAT_GP_PRACTICES
	_, err := h.as("hub", "ROLE_DATA_MANAGER").upload(header, file(practice("A81001", "X", "A")))
	wantCode(t, "by a data manager", err, codes.OK)
}
