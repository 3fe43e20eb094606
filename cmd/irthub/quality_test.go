package main

import (
	"encoding/csv"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

// The same findings by the command and over REST, as a table and as JSON; and to an
// agency its own alone.
func TestQualityReport(t *testing.T) {
	t.Parallel()
	h := hubWithTokens(t)
	const osei = `"givenName":"Amara","familyName":"Osei","dateOfBirth":"2016-05-04","addressLines":["1 Long Street"]`
	amara := h.send(t, "school", "1", `{`+osei+`,"postcode":"NR1 3JU","upn":"A123456789012"}`)
	if h.send(t, "gp", "1", `{`+osei+`,"postcode":"NR1 3JX","nhsNumber":"9990000018"}`) != amara {
		t.Fatal("Amara is two children")
	}
	noah := h.send(t, "school", "2", `{"givenName":"Noah","familyName":"Smith","dateOfBirth":"2012-01-02"}`)

	report := func(env []string, args ...string) [][]string {
		t.Helper()
		out, errs, status := output(t, env, append([]string{"quality", "report"}, args...)...)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if status != 0 || err != nil || len(rows) == 0 || strings.Join(rows[0], ",") != "kind,child,child_record,rules" {
			t.Fatalf("%v: status %d: %s%s, %v", args, status, out, errs, err)
		}
		return rows[1:]
	}
	has := func(rows [][]string, want ...string) bool {
		return slices.ContainsFunc(rows, func(r []string) bool { return slices.Equal(r, want) })
	}
	manager, school := h.as(t, "council", irtv1.Role_ROLE_DATA_MANAGER), h.as(t, "school", irtv1.Role_ROLE_AGENCY_SYSTEM)
	all := report(manager)
	for _, want := range [][]string{
		{"no_nhs_number", amara, "agencies/school/childRecords/1", ""},
		{"address_differs", amara, "agencies/gp/childRecords/1", ""},
		{"unmatched", noah, "agencies/school/childRecords/2", ""},
		{"no_involvement", noah, "", ""},
	} {
		if !has(all, want...) {
			t.Errorf("no %v in %v", want, all)
		}
	}
	if !slices.ContainsFunc(all, func(r []string) bool { return r[0] == "query" && strings.Contains(r[3], "UPN") }) {
		t.Errorf("no query in %v", all)
	}
	for _, r := range report(school) {
		if !strings.HasPrefix(r[2], "agencies/school/") {
			t.Errorf("the school is told of %v", r)
		}
	}
	if some := report(manager, "--kind", "unmatched,no_gp_practice", "--agency", "school"); len(some) != 3 || some[0][0] != "unmatched" {
		t.Errorf("of the school it tells %v", some)
	}
	for _, kind := range []string{"no_involvement", "nonsense"} { // not a school's to see; not a kind
		if out, errs, status := output(t, school, "quality", "report", "--kind", kind); status == 0 || errs == "" {
			t.Errorf("%s: status %d: %s%s", kind, status, out, errs)
		}
	}
}

// What may not be seen is refused when it is named, and a misspelt word too.
func TestQualityFindingsOverREST(t *testing.T) {
	t.Parallel()
	h := hubWithTokens(t)
	child := h.send(t, "school", "1", `{"givenName":"Noah","familyName":"Smith","dateOfBirth":"2012-01-02"}`)
	manager, school := h.token(t, "council", irtv1.Role_ROLE_DATA_MANAGER), h.token(t, "school", irtv1.Role_ROLE_AGENCY_SYSTEM)
	for _, c := range []struct {
		token, query, accept string
		status               int
		is                   string
	}{
		{manager, "?kinds=QUALITY_FINDING_KIND_UNMATCHED", "text/csv", 200, "kind,child,child_record,rules\nunmatched," + child + ",agencies/school/childRecords/1,\n"},
		{manager, "?kinds=QUALITY_FINDING_KIND_NO_INVOLVEMENT&kinds=QUALITY_FINDING_KIND_INVOLVED_TWICE", "text/csv", 200, "kind,child,child_record,rules\nno_involvement," + child + ",,\n"},
		{school, "?agency=agencies/school&kinds=QUALITY_FINDING_KIND_SUSPECTED_DUPLICATE", "text/csv", 200, "kind,child,child_record,rules\n"},
		{school, "?kinds=QUALITY_FINDING_KIND_UNMATCHED", "", 200, `{"kind":"QUALITY_FINDING_KIND_UNMATCHED","child":"` + child + `","childRecord":"agencies/school/childRecords/1"}` + "\n"},
		{school, "?agency=agencies/gp", "text/csv", 403, ""},
		{school, "?kinds=QUALITY_FINDING_KIND_NO_INVOLVEMENT", "text/csv", 403, ""},
		{manager, "?kinds=NONE", "text/csv", 400, ""},
		{manager, "?kind=QUALITY_FINDING_KIND_UNMATCHED", "text/csv", 400, ""},
		{manager, "?kinds=QUALITY_FINDING_KIND_UNSPECIFIED", "text/csv", 400, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.HTTP+"/v1/qualityFindings:export"+c.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+c.token)
		r.Header.Set("Irt-Purpose", "DATA_QUALITY")
		r.Header.Set("Accept", c.accept)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		status, body, header := resp.StatusCode, string(b), resp.Header
		if status != c.status || c.is != "" && strings.ReplaceAll(body, `, "`, `,"`) != c.is && strings.ReplaceAll(body, `": "`, `":"`) != c.is {
			t.Errorf("%s: %d\n%s, want %d\n%s", c.query, status, body, c.status, c.is)
		}
		if c.status == 200 && c.accept != "" && !strings.Contains(header.Get("Content-Disposition"), "quality-findings.csv") {
			t.Errorf("%s: headers %v", c.query, header)
		}
	}
	status, body := h.call(t, http.MethodGet, "/v1/qualityFindings?kind=QUALITY_FINDING_KIND_UNMATCHED", manager, "")
	if status != http.StatusOK || !strings.Contains(body, child) {
		t.Errorf("the list: %d %s", status, body)
	}
}
