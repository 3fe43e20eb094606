package server_test

import (
	"fmt"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

// An agency gets back the concerns that it shared and the referrals that it sent, and
// nobody else does; the table can be imported again, which changes nothing.
func TestConcernsAndReferralsComeBack(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	h.fill(t, 3)
	for kind, sent := range map[string]string{
		"concerns":  `{"concern":{"name":"agencies/school-1/concerns/x-%d","childRecord":"agencies/school-1/childRecords/r-%d","category":"ATTENDANCE","level":"EARLY_HELP","startDate":"2026-01-05"}}`,
		"referrals": `{"referral":{"name":"agencies/school-1/referrals/x-%d","childRecord":"agencies/school-1/childRecords/r-%d","recipient":"agencies/gp-1","reason":"SAFEGUARDING","urgency":"REFERRAL_URGENCY_URGENT"}}`,
	} {
		var body strings.Builder
		for i := range 3 {
			fmt.Fprintf(&body, sent+"\n", i, i)
		}
		status, answer := h.rest(t, "POST", "/v1/"+kind+":submit", body.String(), school, lines)
		if status != 200 || strings.Contains(string(answer), "error") {
			t.Fatalf("%s: %d %s", kind, status, answer)
		}
		path := "/v1/agencies/school-1/" + kind + ":export"
		status, answer, _, err := h.get(t, path, "application/x-ndjson", school)
		if n := strings.Count(string(answer), `"agencies/school-1/`+kind+`/x-`); status != 200 || err != nil || n != 3 {
			t.Errorf("%s: %d %v, %d lines: %s", kind, status, err, n, answer)
		}
		status, table, _, err := h.get(t, path, "text/csv", school)
		if status != 200 || err != nil || strings.Count(string(table), "\n") != 4 {
			t.Errorf("%s: %d %v %s", kind, status, err, table)
		}
		if i := h.upload(t, kind, string(table), school); i.Rows != 3 || i.Unchanged != 3 {
			t.Errorf("%s that came back are imported as %+v", kind, i)
		}
		for _, other := range []string{h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "school-1", irtv1.Role_ROLE_DATA_MANAGER)} {
			if status, answer, _, _ := h.get(t, path, "text/csv", other); status != 403 {
				t.Errorf("another gets %s: %d %s", kind, status, answer)
			}
		}
	}
}

// What others wrote is no formula in the table of who looked, and a purpose that was
// not stated is empty there.
func TestTheTableOfAccessesHoldsNoFormula(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	h.fill(t, 1)
	headers := map[string]string{"Irt-Purpose": "EDUCATION", "Irt-Reason": `=HYPERLINK("http://example.org")`}
	status, answer := h.rest(t, "GET", "/v1/agencies/school-1/childRecords/r-0", "", school, headers)
	_, child, found := strings.Cut(string(answer), `"child":`)
	if status != 200 || !found {
		t.Fatalf("%d %s", status, answer)
	}
	child = strings.Split(child, `"`)[1]
	status, table, _, err := h.get(t, "/v1/"+child+"/accesses:export", "text/csv", h.token(t, "school-1", irtv1.Role_ROLE_AUDITOR))
	if status != 200 || err != nil || !strings.Contains(string(table), `"'=HYPERLINK(""http://example.org"")"`) {
		t.Errorf("%d %v %s", status, err, table)
	}
	if strings.Contains(string(table), "UNSPECIFIED") {
		t.Errorf("a purpose that was not stated is told as one: %s", table)
	}
}
