package server_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

const toTeach = "EDUCATION"

// get reads an answer as far as it comes.
func (h *hub) get(t *testing.T, path, accept, token string) (status int, answer []byte, header http.Header, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.HTTP+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Irt-Purpose", toTeach)
	r.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, resp.Header, err
}

// fill submits n records of the school's as lines, r-0 and so on.
func (h *hub) fill(t *testing.T, n int) {
	t.Helper()
	var body strings.Builder
	for i := range n {
		body.WriteString(record(fmt.Sprint(i), fmt.Sprint("r-", i), fmt.Sprintf(`,"preferredGivenName":"P%d","postcode":"NR23 1AH"`, i)) + "\n")
	}
	status, answer := h.rest(t, "POST", "/v1/childRecords:submit", body.String(), h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), lines)
	got := readLines(t, answer)
	if status != 200 || len(got) != n {
		t.Fatalf("status %d, %d answers of %d", status, len(got), n)
	}
	for i, a := range got {
		if a.Error != nil || a.RequestID != fmt.Sprint(i) {
			t.Fatalf("answer %d is %+v", i, a)
		}
	}
}

// recordsOf are the names in an export in lines, and the error it ends with.
func recordsOf(t *testing.T, export []byte) (names []string, reason string) {
	t.Helper()
	s := bufio.NewScanner(bytes.NewReader(export))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var m struct {
			answered
			Name string
		}
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			t.Fatalf("%v: %.200s", err, s.Text())
		}
		if reason != "" {
			t.Fatalf("after the error came %.200s", s.Text())
		}
		if reason = m.reason(); reason == "" {
			names = append(names, m.Name)
		}
	}
	return names, reason
}

// An agency gets its own records back, as lines or as a table that it can send again; an
// export that breaks off cannot be taken for whole, and what left is on the record.
func TestExportsOverREST(t *testing.T) {
	t.Parallel()
	h := start(t)
	const n = 450 // three batches
	h.fill(t, n)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	const path = "/v1/agencies/school-1/childRecords:export"
	status, answer, header, err := h.get(t, path, "application/x-ndjson", school)
	names, reason := recordsOf(t, answer)
	if err != nil || status != 200 || reason != "" || header.Get("Content-Type") != "application/x-ndjson" || len(names) != n {
		t.Fatalf("lines: %d %v, %d records, %q", status, err, len(names), reason)
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(names))); len(distinct) != n {
		t.Errorf("%d different records", len(distinct))
	}
	var recorded int
	err = h.pool.QueryRow(t.Context(), `SELECT count(DISTINCT r) FROM audit_entries e, unnest(e.returned) AS r WHERE e.method LIKE '%/ExportChildRecords'`).Scan(&recorded)
	if err != nil || recorded != n {
		t.Errorf("%d of them are in the access log: %v", recorded, err)
	}
	status, table, header, err := h.get(t, path, "text/csv", school)
	rows, bad := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil || bad != nil || status != 200 || len(rows) != n+1 || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") ||
		!strings.Contains(header.Get("Content-Disposition"), "child-records.csv") {
		t.Fatalf("table: %d %v %v, %d rows, %v", status, err, bad, len(rows), header)
	}
	i := h.upload(t, "child-records", string(table), school)
	if i.Rows != n || i.Unchanged != n || i.Accepted+i.Rejected != 0 {
		t.Errorf("sent again the table is %+v", i)
	}
	for role, agency := range map[irtv1.Role]string{irtv1.Role_ROLE_AGENCY_SYSTEM: "gp-1", irtv1.Role_ROLE_AUDITOR: "school-1"} {
		status, answer, _, _ := h.get(t, path, "text/csv", h.token(t, agency, role))
		if f := fromREST(t, answer); status != 403 || f.Reason != "ACCESS_DENIED" {
			t.Errorf("%v of %s: %d %+v", role, agency, status, f)
		}
	}
	// The entry of the second batch cannot be written: it does not leave.
	if _, err := h.pool.Exec(t.Context(), `ALTER TABLE audit_entries ADD CHECK (NOT '`+names[300]+`' = ANY (returned)) NOT VALID`); err != nil {
		t.Fatal(err)
	}
	status, answer, _, err = h.get(t, path, "application/x-ndjson", school)
	if got, reason := recordsOf(t, answer); err != nil || status != 200 || reason != "UNAVAILABLE" || !slices.Equal(got, names[:200]) {
		t.Errorf("lines that break off: %d %v, %d records, %q", status, err, len(got), reason)
	}
	_, table, _, err = h.get(t, path, "text/csv", school)
	if !errors.Is(err, io.ErrUnexpectedEOF) || bytes.Contains(table, []byte("UNAVAILABLE")) || bytes.Count(table, []byte("\n")) > 201 {
		t.Errorf("a table that breaks off ended with %v after %d lines", err, bytes.Count(table, []byte("\n")))
	}
}

// Exports show no more than reading one by one does: of a sensitive service's
// involvements a data manager gets none, its agency all.
func TestExportsAreRedacted(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	h.fill(t, 2)
	var body strings.Builder
	for i, more := range []string{"", `,"sensitive":true,"sensitiveBasis":"CONSENT"`} {
		fmt.Fprintf(&body, `{"requestId":"%d","involvement":{"name":"agencies/school-1/involvements/i-%d","childRecord":"agencies/school-1/childRecords/r-%d","role":"CLASS_TEACHER","startDate":"2025-09-01"%s}}`+"\n", i, i, i, more)
	}
	status, answer := h.rest(t, "POST", "/v1/involvements:submit", body.String(), school, lines)
	if got := outcomes(readLines(t, answer)); status != 200 || !slices.Equal(got, []string{"0", "1"}) {
		t.Fatalf("%d %s", status, answer)
	}
	for _, form := range []string{"application/x-ndjson", "text/csv"} {
		for _, tt := range []struct {
			name, token string
			want        int
		}{{"its agency", school, 2}, {"a data manager", h.token(t, "gp-1", irtv1.Role_ROLE_DATA_MANAGER), 1}} {
			status, answer, _, err := h.get(t, "/v1/agencies/school-1/involvements:export", form, tt.token)
			if n := strings.Count(string(answer), "CLASS_TEACHER"); status != 200 || err != nil || n != tt.want {
				t.Errorf("%s gets %d as %s: %d %s", tt.name, n, form, status, answer)
			}
			if tt.want == 1 && strings.Contains(string(answer), "i-1") {
				t.Errorf("%s is told of it: %s", tt.name, answer)
			}
		}
	}
}

// imported is an import as REST gives it.
type imported struct {
	Name                                string
	State                               string
	Rows, Accepted, Unchanged, Rejected int
}

func (h *hub) upload(t *testing.T, format, file, token string) (i imported) {
	t.Helper()
	return h.uploadOf(t, "school-1", format, file, token)
}

// uploadOf sends a file of an agency.
func (h *hub) uploadOf(t *testing.T, agency, format, file, token string) (i imported) {
	t.Helper()
	status, answer := h.rest(t, "POST", "/v1/agencies/"+agency+"/imports?format="+format, file, token, map[string]string{"Content-Type": "text/csv"})
	if err := json.Unmarshal(answer, &i); err != nil || status != 200 {
		t.Fatalf("%d %v: %s", status, err, answer)
	}
	return i
}

// The rows that an import refused come back as they were sent, with what is wrong with
// each; corrected and sent as they are, they go in.
func TestRejectsAreDownloadedCorrectedAndSentAgain(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	const file = "name,givenName,familyName,dateOfBirth,nhsNumber,addressLines.1\n" +
		"p-1,Ada,Quill,2015-03-04,,\"1 High Street, the \"\"Old\"\" Barn\"\n" +
		"p-2,Bea,Quill,2015-02-30,,\"2 High Street, left\"\n" + // no such day
		"p-3,Cy,Quill,2016-05-06,9990000019,3 High Street\n" + // a wrong check digit
		"p-4,,,2016-05-06,,4 High Street\n" + // no names
		"p-5,Di,Quill,2017-07-08,,5 High Street\n"
	i := h.upload(t, "child-records", file, school)
	if i.Rows != 5 || i.Accepted != 2 || i.Rejected != 3 {
		t.Fatalf("imported: %+v", i)
	}
	path := "/v1/" + i.Name + "/rejects:download"
	status, answer, header, err := h.get(t, path, "text/csv", school)
	if err != nil || status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") || !strings.Contains(header.Get("Content-Disposition"), "rejects.csv") {
		t.Fatalf("%d %v %v: %s", status, err, header, answer)
	}
	rows, err := csv.NewReader(bytes.NewReader(answer)).ReadAll()
	if err != nil || len(rows) < 4 {
		t.Fatalf("%v: %s", err, answer)
	}
	at := func(column string) int { return slices.Index(rows[0], column) }
	corrected := [][]string{rows[0]}
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		id := row[at("name")]
		if row[at("rule")] == "" || row[at("action")] == "" || row[at("row")] == "" {
			t.Errorf("a reject says %q", row)
		}
		if id == "p-2" && row[at("addressLines.1")] != "2 High Street, left" {
			t.Errorf("the row came back as %q", row)
		}
		if seen[id] {
			continue // a second fault of the same row
		}
		seen[id] = true
		switch id {
		case "p-2":
			row[at("dateOfBirth")] = "2015-02-28"
		case "p-3":
			row[at("nhsNumber")] = ""
		case "p-4":
			row[at("givenName")], row[at("familyName")] = "Ed", "Quill"
		}
		corrected = append(corrected, row)
	}
	if len(corrected) != 4 {
		t.Fatalf("rejects of %v", seen)
	}
	var again bytes.Buffer
	if err := csv.NewWriter(&again).WriteAll(corrected); err != nil {
		t.Fatal(err)
	}
	if i := h.upload(t, "child-records", again.String(), school); i.Rows != 3 || i.Accepted != 3 || i.Rejected != 0 {
		t.Errorf("corrected: %+v", i)
	}
	for _, id := range []string{"p-1", "p-2", "p-3", "p-4", "p-5"} {
		if status, answer, _, _ := h.get(t, "/v1/agencies/school-1/childRecords/"+id, "*/*", school); status != 200 {
			t.Errorf("%s: %d %s", id, status, answer)
		}
	}
	// Nobody else gets rows of the file, nor learns that there is one.
	for _, token := range []string{h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "gp-1", irtv1.Role_ROLE_DATA_MANAGER)} {
		status, answer, _, _ := h.get(t, path, "text/csv", token)
		if f := fromREST(t, answer); status != 403 || strings.Contains(string(answer), "Quill") {
			t.Errorf("another gets %d %+v", status, f)
		}
	}
}
