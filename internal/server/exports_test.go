package server_test

import (
	"fmt"
	"maps"
	"slices"
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

// refused are the rules by which an import refused rows, once each.
func (h *hub) refused(t *testing.T, i imported, token string) (rules string) {
	t.Helper()
	seen := map[string]bool{}
	rejects, _ := h.call(t, 200, "GET", "/v1/"+i.Name+"/rejects", "", token)["importRejects"].([]any)
	for _, r := range rejects {
		one, _ := r.(map[string]any)
		rule, _ := one["ruleId"].(string)
		seen[rule] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), " ")
}

// What an agency got back is imported again, as lines and as a table: in the same hub it
// changes nothing, in whatever state it is and when the agency has left the child;
// another hub takes in what stands, and refuses what is over or was taken up.
func TestWhatIsOverComesBackAndChangesNothing(t *testing.T) {
	t.Parallel()
	h, elsewhere := start(t), start(t)
	school, gp := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	there := elsewhere.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	h.fill(t, 1)
	elsewhere.fill(t, 1)
	for id, moves := range map[string]string{"open": "", "closed": "close", "withdrawn": "withdraw"} {
		path := "/v1/agencies/school-1/concerns/" + id
		h.call(t, 200, "PUT", path, `{"childRecord":"agencies/school-1/childRecords/r-0","category":"ATTENDANCE","level":"EARLY_HELP","startDate":"2026-01-05"}`, school)
		if body := map[string]string{"close": `{"outcome":"RESOLVED"}`, "withdraw": `{}`}[moves]; body != "" {
			h.call(t, 200, "POST", path+":"+moves, body, school)
		}
	}
	bodies := map[string]string{
		"acknowledge": `{}`, "accept": `{"role":"GP"}`, "decline": `{"reason":"NO_CAPACITY"}`, "start": `{}`, "close": `{"outcome":"NEEDS_MET"}`,
	}
	for id, moves := range map[string][]string{"sent": nil, "seen": {"acknowledge"}, "taken": {"accept"}, "begun": {"accept", "start"}, "done": {"accept", "close"}, "not": {"decline"}} {
		path := "/v1/agencies/school-1/referrals/" + id
		h.call(t, 200, "PUT", path, `{"childRecord":"agencies/school-1/childRecords/r-0","recipient":"agencies/gp-1","reason":"SAFEGUARDING","urgency":"REFERRAL_URGENCY_URGENT"}`, school)
		for _, move := range moves {
			h.call(t, 200, "POST", path+":"+move, bodies[move], gp)
		}
	}
	for kind, n := range map[string]int{"concerns": 3, "referrals": 6} {
		for form, accept := range map[string]string{kind: "text/csv", kind + "-ndjson": "application/x-ndjson"} {
			status, file, _, err := h.get(t, "/v1/agencies/school-1/"+kind+":export", accept, school)
			if status != 200 || err != nil {
				t.Fatalf("%s: %d %v", form, status, err)
			}
			if i := h.upload(t, form, string(file), school); i.Rows != n || i.Unchanged != n {
				t.Errorf("%s: %+v, refused by %s", form, i, h.refused(t, i, school))
			}
			i := elsewhere.upload(t, form, string(file), there)
			if rules := elsewhere.refused(t, i, there); i.Accepted+i.Unchanged != 1 || i.Rejected != n-1 || rules != "FAILED_PRECONDITION" {
				t.Errorf("%s elsewhere: %+v, refused by %s", form, i, rules)
			}
		}
	}
	h.call(t, 200, "PUT", "/v1/agencies/school-1/involvements/i", `{"childRecord":"agencies/school-1/childRecords/r-0","role":"CLASS_TEACHER","startDate":"2025-09-01"}`, school)
	_, works, _, _ := h.get(t, "/v1/agencies/school-1/involvements:export", "application/x-ndjson", school)
	if i := elsewhere.upload(t, "involvements-ndjson", string(works), there); i.Accepted != 1 {
		t.Errorf("involvements elsewhere: %+v, refused by %s", i, elsewhere.refused(t, i, there))
	}
	records := "/v1/agencies/school-1/childRecords:export"
	status, file, _, err := h.get(t, records, "application/x-ndjson", school)
	if i := elsewhere.upload(t, "child-records-ndjson", strings.Replace(string(file), "r-0", "r-1", 1), there); status != 200 || err != nil || i.Accepted != 1 {
		t.Errorf("records elsewhere: %+v, refused by %s", i, elsewhere.refused(t, i, there))
	}
	h.call(t, 200, "POST", "/v1/agencies/school-1/childRecords/r-0:withdraw", `{}`, school)
	h.wantUnchanged(t, "concerns", "school-1", school, 3)
	h.wantUnchanged(t, "referrals", "school-1", school, 6)
}

// wantUnchanged has what an agency exports imported again, as lines and as a table.
func (h *hub) wantUnchanged(t *testing.T, kind, agency, token string, n int) {
	t.Helper()
	for form, accept := range map[string]string{kind: "text/csv", kind + "-ndjson": "application/x-ndjson"} {
		status, file, _, err := h.get(t, "/v1/agencies/"+agency+"/"+kind+":export", accept, token)
		if i := h.uploadOf(t, agency, form, string(file), token); status != 200 || err != nil || i.Rows != n || i.Unchanged != n {
			t.Errorf("%s that came back: %d, %v, %+v, refused by %s", form, status, err, i, h.refused(t, i, token))
		}
	}
}
