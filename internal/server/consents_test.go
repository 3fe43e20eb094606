package server_test

import (
	"fmt"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

// agreedTo is a consent of the school's, as JSON.
func agreedTo(id, record, more string) string {
	return `{"name": "agencies/school-1/consents/` + id + `", "childRecord": "agencies/school-1/childRecords/` + record +
		`", "scope": "CONSENT_SCOPE_SHARING", "recipients": ["agencies/gp-1"], "givenBy": "PARENTAL_RESPONSIBILITY", "startDate": "2026-01-05"` + more + `}`
}

// Consents by the stream, over REST: each line is answered in order, one that is refused
// touches no other, a later version follows an earlier one, and what is only checked
// writes nothing.
func TestConsentsByTheLine(t *testing.T) {
	t.Parallel()
	h := start(t)
	school, gp := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	h.fill(t, 1)
	h.call(t, 200, "PUT", "/v1/agencies/school-1/consents/gone", agreedTo("gone", "r-0", ""), school)
	h.call(t, 200, "POST", "/v1/agencies/school-1/consents/gone:withdraw", `{}`, school)
	line := func(request, consent, more string) string {
		return `{"requestId": "` + request + `", "consent": ` + consent + more + `}`
	}
	wantAnswers(t, h.lines(t, "/v1/consents:submit", school,
		line("1", agreedTo("c1", "r-0", ""), ""), line("2", agreedTo("c2", "r-0", `, "categories": ["CATEGORY_SENSITIVE"]`), ""),
		line("3", agreedTo("c3", "r-0", ""), `, "validateOnly": true`), `{"requestId": "4"`,
		line("5", strings.Replace(agreedTo("c1", "r-0", ""), "school-1/consents", "gp-1/consents", 1), ""),
		line("6", agreedTo("c1", "r-0", `, "categories": ["CATEGORY_CONTACT", "CATEGORY_LOCATION"]`), ""),
		line("7", agreedTo("c1", "r-0", `, "categories": ["CATEGORY_CONTACT"]`), ""), `{"requestId": "8"}`,
		line("9", agreedTo("gone", "r-0", ""), ""), line("10", agreedTo("c4", "none", ""), ""), line("11", agreedTo("c5", "r-0", ""), "")),
		"1 c1", "2 VALIDATION_FAILED consent.categories[0] ENUM_NOT_IN", "3 c3", " MALFORMED_REQUEST", "5 ACCESS_DENIED", "6 c1", "7 c1",
		"8 VALIDATION_FAILED consent REQUIRED", "9 FAILED_PRECONDITION", "10 ACCESS_DENIED", "11 c5")
	first := h.call(t, 200, "GET", "/v1/agencies/school-1/consents/c1", "", school)
	if got := fmt.Sprint(first["categories"]); got != "[CATEGORY_CONTACT]" {
		t.Errorf("the last version says %s", got)
	}
	wantAnswers(t, h.lines(t, "/v1/consents:submit", school, line("1", agreedTo("c1", "r-0", `, "categories": ["CATEGORY_CONTACT"]`), "")), "1 c1")
	if again := h.call(t, 200, "GET", "/v1/agencies/school-1/consents/c1", "", school); again["etag"] != first["etag"] {
		t.Errorf("sent again it became %v", again)
	}
	h.call(t, 404, "GET", "/v1/agencies/school-1/consents/c3", "", school)
	var stored, history, told, entries, refused int
	err := h.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM consents), (SELECT count(*) FROM consents_history),
			(SELECT count(*) FROM event_outbox WHERE resource LIKE '%/consents/c_') + (SELECT count(*) FROM events WHERE resource LIKE '%/consents/c_'),
			count(*) FILTER (WHERE decision = 'ALLOWED'), count(*) FILTER (WHERE decision <> 'ALLOWED')
		FROM audit_entries WHERE method LIKE '%/SubmitConsents' AND query->>'name' LIKE '%/consents/%'`).Scan(&stored, &history, &told, &entries, &refused)
	if err != nil || stored != 3 || history != 3 || told != 4 || entries < 5 || refused < 4 {
		t.Errorf("%d consents, %d earlier versions, %d events; in the access log %d, and %d that were refused: %v", stored, history, told, entries, refused, err)
	}
	if status, answer := h.rest(t, "POST", "/v1/consents:submit", "{}", "", lines); status != 401 {
		t.Errorf("without a token: %d %s", status, answer)
	}

	before := h.storedConsents(t)
	for _, c := range []struct {
		what, id, more, token string
		status                int
		says                  string
	}{
		{"a consent", "new", "", school, 200, "GIVEN"},
		{"another version", "c1", "", school, 200, "GIVEN"},
		{"of what was withdrawn", "gone", "", school, 400, "withdrawn"},
		{"given by another after the 18th birthday", "new", `, "startDate": "2099-01-05"`, school, 400, "DATE_FUTURE"},
		{"in another's name", "new", "", gp, 403, ""},
	} {
		body := strings.Replace(agreedTo(c.id, "r-0", ""), `, "startDate": "2026-01-05"`, "", 1)
		if c.more == "" {
			c.more = `, "startDate": "2026-01-05"`
		}
		answer := fmt.Sprint(h.call(t, c.status, "PUT", "/v1/agencies/school-1/consents/"+c.id+"?validateOnly=true", strings.TrimSuffix(body, "}")+c.more+"}", c.token))
		if !strings.Contains(answer, c.says) {
			t.Errorf("%s: %s does not say %s", c.what, answer, c.says)
		}
	}
	if after := h.storedConsents(t); after != before {
		t.Errorf("checking wrote %d rows", after-before)
	}
}

// storedConsents are the rows that recording a consent writes, together.
func (h *hub) storedConsents(t *testing.T) (n int) {
	t.Helper()
	if err := h.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM consents) + (SELECT count(*) FROM consents_history)
		+ (SELECT count(*) FROM child_sharing) + (SELECT count(*) FROM events) + (SELECT count(*) FROM event_outbox)`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// An agency gets the consents back that it recorded, and nobody else does. Imported again
// they change nothing, also when the agency has left the children; another hub, which knows
// them by the agency's records, takes those that stand, and records none anew that was
// withdrawn.
func TestConsentsComeBack(t *testing.T) {
	t.Parallel()
	h, elsewhere := start(t), start(t)
	school, there := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), elsewhere.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	h.fill(t, 2)
	elsewhere.fill(t, 2)
	var recipients []string
	for i := range 50 { // as many as there may be
		id := fmt.Sprintf("club-%02d", i)
		recipients = append(recipients, `"agencies/`+id+`"`)
		for _, hub := range []*hub{h, elsewhere} {
			operator := hub.token(t, "school-1", irtv1.Role_ROLE_HUB_OPERATOR)
			hub.call(t, 200, "POST", "/v1/agencies?agencyId="+id, `{"displayName": "A club", "kind": "AGENCY_KIND_VOLUNTARY_COMMUNITY"}`, operator)
		}
	}
	h.call(t, 200, "PUT", "/v1/agencies/school-1/consents/many", strings.Replace(agreedTo("many", "r-0", `, "categories": ["CATEGORY_CONTACT", "CATEGORY_PLAN"],
		"recipientKinds": ["AGENCY_KIND_SCHOOL"], "endDate": "2026-02-01"`), `"agencies/gp-1"`, strings.Join(recipients, ","), 1), school)
	h.call(t, 200, "PUT", "/v1/agencies/school-1/consents/all", agreedTo("all", "r-1", ""), school)
	h.call(t, 200, "PUT", "/v1/agencies/school-1/consents/gone", agreedTo("gone", "r-1", ""), school)
	h.call(t, 200, "POST", "/v1/agencies/school-1/consents/gone:withdraw", `{}`, school)
	const path = "/v1/agencies/school-1/consents:export"
	for form, accept := range map[string]string{"consents": "text/csv", "consents-ndjson": "application/x-ndjson"} {
		status, file, _, err := h.get(t, path, accept, school)
		if n := strings.Count(string(file), "club-"); status != 200 || err != nil || n != 50 {
			t.Fatalf("%s: %d %v, %d recipients: %s", form, status, err, n, file)
		}
		before := h.storedConsents(t)
		if i := h.upload(t, form, string(file), school); i.Rows != 3 || i.Unchanged != 3 || h.storedConsents(t) != before {
			t.Errorf("%s that came back are imported as %+v", form, i)
		}
		i := elsewhere.upload(t, form, string(file), there) // where the children have other ids
		if rules := elsewhere.refused(t, i, there); i.Accepted+i.Unchanged != 2 || i.Rejected != 1 || rules != "FAILED_PRECONDITION" {
			t.Errorf("%s elsewhere: %+v, refused by %s", form, i, rules)
		}
		elsewhere.call(t, 404, "GET", "/v1/agencies/school-1/consents/gone", "", there)
	}
	if m := elsewhere.call(t, 200, "GET", "/v1/agencies/school-1/consents/many", "", there); len(m["recipients"].([]any)) != 50 || len(m["categories"].([]any)) != 2 { //nolint:forcetypeassert // it fails the test
		t.Errorf("elsewhere it is %v", m)
	}
	for _, other := range []string{h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "school-1", irtv1.Role_ROLE_DATA_MANAGER)} {
		if status, answer, _, _ := h.get(t, path, "text/csv", other); status != 403 {
			t.Errorf("another gets consents: %d %s", status, answer)
		}
	}
	for _, record := range []string{"r-0", "r-1"} {
		h.call(t, 200, "POST", "/v1/agencies/school-1/childRecords/"+record+":withdraw", `{}`, school)
	}
	h.wantUnchanged(t, "consents", "school-1", school, 3)
}
