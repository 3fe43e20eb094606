package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

var lines = map[string]string{"Content-Type": "application/x-ndjson"}

// answered is one line of the answer to a stream of records.
type answered struct {
	RequestID string `json:"requestId"`
	Result    json.RawMessage
	Error     *struct {
		Code    int // of gRPC within an outcome, of HTTP in a last line
		Message string
		Status  string
		Details []struct {
			Reason          string
			Metadata        map[string]string
			FieldViolations []struct{ Field, Reason string }
		}
	}
}

// reason is why a line was refused, "" if it was not.
func (a answered) reason() string {
	if a.Error == nil {
		return ""
	}
	for _, d := range a.Error.Details {
		if d.Reason != "" {
			return d.Reason
		}
	}
	return "no reason"
}

func readLines(t *testing.T, body []byte) (all []answered) {
	t.Helper()
	for line := range strings.Lines(string(body)) {
		var a answered
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v: %.200q", err, line)
		}
		all = append(all, a)
	}
	return all
}

func record(request, id, more string) string {
	return fmt.Sprintf(`{"requestId":%q,"childRecord":{"name":%q,"givenName":"Ada","familyName":"Quill","dateOfBirth":"2015-03-04"%s}}`,
		request, "agencies/school-1/childRecords/"+id, more)
}

// outcomes are answers in short: "1" that line went in, "2 REASON" that it did not.
func outcomes(all []answered) (texts []string) {
	for _, a := range all {
		texts = append(texts, strings.TrimSpace(a.RequestID+" "+a.reason()))
		if (a.Error == nil) != (len(a.Result) > 0) {
			texts = append(texts, "neither a result nor an error, or both")
		}
	}
	return texts
}

// Records go in over REST a line each, and each line has its answer, in order: a bad
// one takes no other with it, and a good one is there.
func TestRecordsAsLines(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	body := strings.Join([]string{
		record("1", "p-1", ""),
		record("2", "p-2", `,"nhsNumber":"9990000019"`), // its check digit is wrong
		"not JSON at all",
		record("4", "p-4", `,"favouriteColour":"blue"`),
		"",
		"   \r",
		strings.Replace(record("5", "p-5", ""), "school-1", "gp-1", 1),
		record("6", "p-6", "") + "\r",
		record("7", "p-1", `,"preferredGivenName":"Addie"`),
		`{"requestId":"8"}`,
		record("9", "p-1", `,"preferredGivenName":"Adda"`), // and no end of line
	}, "\n")
	status, answer := h.rest(t, "POST", "/v1/childRecords:submit", body, school, lines)
	want := []string{
		"1", "2 VALIDATION_FAILED", "MALFORMED_REQUEST", "MALFORMED_REQUEST", "5 ACCESS_DENIED", "6", "7", "8 VALIDATION_FAILED", "9",
	}
	if got := outcomes(readLines(t, answer)); status != 200 || !slices.Equal(got, want) {
		t.Errorf("status %d, outcomes %q, not %q:\n%s", status, got, want, answer)
	}
	if !strings.Contains(string(answer), "(line 3, column 1)") {
		t.Errorf("it is not said which line is no JSON: %s", answer)
	}
	if strings.Contains(string(answer), "favouriteColour\":\"blue") || strings.Contains(string(answer), "not JSON at all") {
		t.Errorf("what was refused is said again: %s", answer)
	}
	for id, text := range map[string]string{"p-1": `"preferredGivenName":"Adda"`, "p-2": "", "p-4": "", "p-6": `"givenName":"Ada"`} {
		status, answer := h.rest(t, "GET", "/v1/agencies/school-1/childRecords/"+id, "", school, map[string]string{"Irt-Purpose": "EDUCATION"})
		if (status == 200) != (text != "") || !strings.Contains(strings.ReplaceAll(string(answer), `": "`, `":"`), text) {
			t.Errorf("%s: %d %s", id, status, answer)
		}
	}
	for _, tt := range []struct {
		name, token string
		headers     map[string]string
		status      int
		reason      string
	}{
		{"nobody", "", lines, 401, "TOKEN_MISSING"},
		{"an auditor", h.token(t, "school-1", irtv1.Role_ROLE_AUDITOR), lines, 403, "ACCESS_DENIED"},
		{"a table", school, map[string]string{"Content-Type": "text/csv"}, 415, ""},
		{"compressed", school, map[string]string{"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}, 415, ""},
	} {
		status, answer := h.rest(t, "POST", "/v1/childRecords:submit", record("1", "p-9", ""), tt.token, tt.headers)
		if f := fromREST(t, answer); status != tt.status || tt.reason != "" && f.Reason != tt.reason {
			t.Errorf("%s: %d %+v", tt.name, status, f)
		}
	}
	if status, answer := h.rest(t, "POST", "/v1/childRecords:submit", "", school, lines); status != 200 || len(answer) != 0 {
		t.Errorf("nothing is answered with %d %q", status, answer)
	}
}

// The same of involvements.
func TestInvolvementsAsLines(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	if status, answer := h.rest(t, "POST", "/v1/childRecords:submit", record("1", "p-1", ""), school, lines); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	one := func(request, id, child, more string) string {
		return fmt.Sprintf(`{"requestId":%q,"involvement":{"name":"agencies/school-1/involvements/%s","childRecord":"agencies/school-1/childRecords/%s","role":"CLASS_TEACHER","startDate":"2025-09-01"%s}}`,
			request, id, child, more)
	}
	body := strings.Join([]string{
		one("1", "i-1", "p-1", ""),
		one("2", "i-2", "nobody", ""),
		one("3", "i-3", "p-1", `,"endDate":"2024-01-01"`), // before it began
		"{",
		one("5", "i-1", "p-1", `,"endDate":"2026-07-20"`),
		strings.Replace(one("6", "i-6", "p-1", ""), "agencies/school-1/involvements", "agencies/gp-1/involvements", 1),
		one("7", "i-7", "p-1", ""),
	}, "\n") + "\n"
	status, answer := h.rest(t, "POST", "/v1/involvements:submit", body, school, lines)
	got := readLines(t, answer)
	want := []string{"1", "2 NOT_FOUND", "3 VALIDATION_FAILED", "MALFORMED_REQUEST", "5", "6 ACCESS_DENIED", "7"}
	if status != 200 || !slices.Equal(outcomes(got), want) {
		t.Errorf("status %d, outcomes %q, not %q:\n%s", status, outcomes(got), want, answer)
	}
	for _, d := range got[2].Error.Details {
		for _, v := range d.FieldViolations {
			if v.Field != "involvement.endDate" || !strings.Contains(got[2].Error.Message, v.Field) {
				t.Errorf("the fault is named %+v: %s", v, got[2].Error.Message)
			}
		}
	}
	status, answer = h.rest(t, "GET", "/v1/agencies/school-1/involvements:export", "", school, map[string]string{"Irt-Purpose": "EDUCATION", "Accept": "text/csv"})
	if status != 200 || strings.Count(string(answer), "CLASS_TEACHER") != 2 || !strings.Contains(string(answer), "2026-07-20") {
		t.Errorf("what went in is %d %s", status, answer)
	}
}

// A line over its bound ends the stream, after the answers to those before it and
// with an error that says so; nothing after it goes in.
func TestALineThatIsTooLong(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	long := record("2", "p-2", `,"middleNames":"`+strings.Repeat("x", 300<<10)+`"`)
	for name, body := range map[string]string{
		"between others":      record("1", "p-1", "") + "\n" + long + "\n" + record("3", "p-3", "") + "\n",
		"and much more of it": record("1", "p-1", "") + "\n" + strings.Repeat("y", 8<<20),
	} {
		status, answer := h.rest(t, "POST", "/v1/childRecords:submit", body, school, lines)
		got := readLines(t, answer)
		if status != 200 || len(got) != 2 || got[0].RequestID != "1" || got[0].Error != nil {
			t.Fatalf("%s: %d %s", name, status, answer)
		}
		if e := got[1].Error; e == nil || e.Code != http.StatusRequestEntityTooLarge || got[1].reason() != "TOO_LARGE" {
			t.Errorf("%s: it ends with %s", name, answer)
		}
	}
	for _, id := range []string{"p-2", "p-3"} {
		if status, _ := h.rest(t, "GET", "/v1/agencies/school-1/childRecords/"+id, "", school, map[string]string{"Irt-Purpose": "EDUCATION"}); status != 404 {
			t.Errorf("%s: status %d", id, status)
		}
	}
	status, answer := h.rest(t, "POST", "/v1/childRecords:submit", long, school, lines)
	if f := fromREST(t, answer); status != http.StatusRequestEntityTooLarge || f.Reason != "TOO_LARGE" {
		t.Errorf("alone: %d %+v", status, f)
	}
}

// Each answer comes when its record is durable, not when the stream ends.
func TestAnswersComeAsTheyAre(t *testing.T) {
	t.Parallel()
	h := start(t)
	c := h.dial(t, "/v1/childRecords:submit", h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM))
	for i := range 3 {
		c.send(record(fmt.Sprint(i), fmt.Sprint("p-", i), "") + "\n")
		var a answered
		if err := json.Unmarshal([]byte(c.line()), &a); err != nil || a.RequestID != fmt.Sprint(i) || a.Error != nil {
			t.Fatalf("%v: %+v", err, a)
		}
		if status, _ := h.rest(t, "GET", fmt.Sprint("/v1/agencies/school-1/childRecords/p-", i), "", c.token, map[string]string{"Irt-Purpose": "EDUCATION"}); status != 200 {
			t.Errorf("answered, and not there: status %d", status)
		}
	}
	c.end()
	if rest, err := bufio.NewReader(c.body).ReadString('\n'); err == nil {
		t.Errorf("after the end came %q", rest)
	}
}
