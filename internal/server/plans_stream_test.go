package server_test

import (
	"fmt"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

// Plans by the stream, over REST: each line is answered in order, one that is refused
// touches no other, what is only checked is not stored, and one that is sent again as it
// stands is the same version. The agency gets them back, and nobody else does.
func TestPlansByTheLineAndBack(t *testing.T) {
	t.Parallel()
	h := newArea(t)
	social, school := h.token(t, "social-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	const record = `{"givenName": "Rosalind", "familyName": "Achterberg", "dateOfBirth": "2015-06-02"}`
	h.call(t, 200, "PUT", "/v1/agencies/social-1/childRecords/s1", record, social)
	h.call(t, 200, "PUT", "/v1/agencies/school-1/childRecords/s1", record, school)
	plan := func(request, agency, id, more string) string {
		return fmt.Sprintf(`{"requestId": "%s", "plan": {"name": "agencies/%s/plans/line-%s", "childRecord": "agencies/%[2]s/childRecords/s1", "startDate": "2026-01-05", %[4]s}`,
			request, agency, id, more)
	}
	const protection = `"kind": "PLAN_KIND_CHILD_PROTECTION"}`
	wantAnswers(t, h.lines(t, "/v1/plans:submit", social,
		plan("1", "social-1", "p1", protection), plan("2", "social-1", "p2", `"endDate": "2025-01-05", `+protection),
		plan("3", "social-1", "p3", protection+`, "validateOnly": true`), `{"requestId": "4"`, plan("5", "school-1", "p5", protection),
		plan("6", "social-1", "p1", `"kind": "PLAN_KIND_LOOKED_AFTER"}`), `{"requestId": "7"}`, plan("8", "social-1", "p8", `"endDate": "2026-02-05", `+protection)),
		"1 line-p1", "2 VALIDATION_FAILED plan.endDate PERIOD_ORDER", "3 line-p3", " MALFORMED_REQUEST", "5 ACCESS_DENIED", "6 line-p1",
		"7 VALIDATION_FAILED plan REQUIRED", "8 line-p8")
	wantAnswers(t, h.lines(t, "/v1/plans:submit", school, plan("1", "school-1", "p1", protection)), "1 ACCESS_DENIED")
	const one = "/v1/agencies/social-1/plans/line-"
	version := func() any {
		m := h.call(t, 200, "GET", one+"p1", "", social)
		if m["kind"] != "PLAN_KIND_LOOKED_AFTER" {
			t.Errorf("the last version: %v", m)
		}
		return m["etag"]
	}
	before := version()
	wantAnswers(t, h.lines(t, "/v1/plans:submit", social, plan("1", "social-1", "p1", `"kind": "PLAN_KIND_LOOKED_AFTER"}`)), "1 line-p1")
	sent := `{"childRecord": "agencies/social-1/childRecords/s1", "startDate": "2026-01-05", `
	if m := h.call(t, 200, "PUT", one+"p1?validateOnly=true", sent+protection, social); m["kind"] != "PLAN_KIND_CHILD_PROTECTION" {
		t.Errorf("only checked: %v", m)
	}
	h.call(t, 403, "PUT", one+"p4?validateOnly=true", sent+protection, school)
	h.call(t, 404, "GET", one+"p3", "", social)
	if version() != before {
		t.Error("one that was sent again, or only checked, is another version")
	}
	h.wantPlanAccesses(t)

	const path = "/v1/agencies/social-1/plans:export"
	status, answer, _, err := h.hub.get(t, path, "application/x-ndjson", social)
	if n := strings.Count(string(answer), `"agencies/social-1/plans/line-`); status != 200 || err != nil || n != 2 {
		t.Errorf("exported: %d %v, %d lines: %s", status, err, n, answer)
	}
	status, table, _, err := h.hub.get(t, path, "text/csv", social)
	if status != 200 || err != nil || !strings.Contains(string(table), "\nline-p1,") || !strings.Contains(string(table), ",LOOKED_AFTER,2026-01-05,,") {
		t.Errorf("exported: %d %v %s", status, err, table)
	}
	if status, answer, _, _ := h.hub.get(t, path, "text/csv", school); status != 403 {
		t.Errorf("another gets them: %d %s", status, answer)
	}
}

// wantPlanAccesses looks for an entry of each plan of the streams in the access log.
func (a *area) wantPlanAccesses(t *testing.T) {
	t.Helper()
	var written, refused int
	err := a.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE decision = 'ALLOWED' AND cardinality(children) = 1), count(*) FILTER (WHERE decision <> 'ALLOWED')
		FROM audit_entries WHERE method LIKE '%/SubmitPlans' AND query->>'name' LIKE '%/plans/%'`).Scan(&written, &refused)
	if err != nil || written != 4 || refused != 3 {
		t.Errorf("in the access log %d plans that were written, and %d that were refused: %v", written, refused, err)
	}
}

// Plans that an agency got back change nothing when they are imported again, also when it
// has left the child; another hub, which knows the child by the agency's record, takes all.
func TestPlansComeBack(t *testing.T) {
	t.Parallel()
	h, elsewhere := start(t), start(t)
	social, there := h.token(t, "social-1", irtv1.Role_ROLE_AGENCY_SYSTEM), elsewhere.token(t, "social-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	const record = "/v1/agencies/social-1/childRecords/s1"
	for hub, token := range map[*hub]string{h: social, elsewhere: there} {
		operator := hub.token(t, "school-1", irtv1.Role_ROLE_HUB_OPERATOR)
		hub.call(t, 200, "POST", "/v1/agencies?agencyId=social-1", `{"displayName": "Social care", "kind": "AGENCY_KIND_SOCIAL_CARE"}`, operator)
		hub.call(t, 200, "PUT", record, `{"givenName": "Rosalind", "familyName": "Achterberg", "dateOfBirth": "2015-06-02"}`, token)
	}
	for id, more := range map[string]string{"now": "", "over": `, "endDate": "2026-02-05"`} {
		h.call(t, 200, "PUT", "/v1/agencies/social-1/plans/back-"+id, `{"childRecord": "agencies/social-1/childRecords/s1", "kind": "PLAN_KIND_CHILD_PROTECTION",
			"startDate": "2026-01-05"`+more+`}`, social)
	}
	h.wantUnchanged(t, "plans", "social-1", social, 2)
	for form, accept := range map[string]string{"plans": "text/csv", "plans-ndjson": "application/x-ndjson"} {
		_, file, _, _ := h.get(t, "/v1/agencies/social-1/plans:export", accept, social)
		if i := elsewhere.uploadOf(t, "social-1", form, string(file), there); i.Accepted+i.Unchanged != 2 {
			t.Errorf("%s elsewhere: %+v, refused by %s", form, i, elsewhere.refused(t, i, there))
		}
	}
	if m := elsewhere.call(t, 200, "GET", "/v1/agencies/social-1/plans/back-over", "", there); m["endDate"] != "2026-02-05" || m["childRecord"] == nil {
		t.Errorf("elsewhere it is %v", m)
	}
	h.call(t, 200, "POST", record+":withdraw", `{}`, social)
	h.wantUnchanged(t, "plans", "social-1", social, 2)
	var versions int
	if err := h.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM plans) + (SELECT count(*) FROM plans_history)`).Scan(&versions); err != nil || versions != 2 {
		t.Errorf("%d versions of 2 plans, %v", versions, err)
	}
}
