package server_test

import (
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

// offered is a service as JSON.
func offered(agency, id, more string) string {
	return `{"name": "agencies/` + agency + `/services/` + id + `", "displayName": "Play", "kind": "OTHER"` + more + `}`
}

// Services by the stream, over REST: each line is answered in order, one that is refused
// touches no other, a later version follows an earlier one, what is only checked is not
// stored, and one that is sent again as it stands is the same version. Each has an entry
// of its own in the access log.
func TestServicesByTheLine(t *testing.T) {
	t.Parallel()
	h := start(t)
	school, gp := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	line := func(request, service, more string) string {
		return `{"requestId": "` + request + `", "service": ` + service + more + `}`
	}
	const path, one = "/v1/services:submit", "/v1/agencies/school-1/services/"
	wantAnswers(t, h.lines(t, path, school,
		line("1", offered("school-1", "s1", ""), ""), line("2", offered("school-1", "s2", `, "minimumAge": 12, "maximumAge": 11`), ""),
		line("3", offered("school-1", "s3", ""), `, "validateOnly": true`), `{"requestId": "4"`, line("5", offered("gp-1", "s5", ""), ""),
		line("6", offered("school-1", "s1", `, "minimumAge": 2`), ""), line("7", offered("school-1", "s1", `, "minimumAge": 3`), ""), `{"requestId": "8"}`,
		line("9", offered("school-1", "s 9", ""), `, "validateOnly": true`), line("10", offered("school-1", "s1", `, "minimumAge": 3`), ""),
		line("11", offered("school-1", "s11", ""), "")),
		"1 s1", "2 VALIDATION_FAILED service.maximumAge AGE_RANGE", "3 s3", " MALFORMED_REQUEST", "5 ACCESS_DENIED", "6 s1", "7 s1",
		"8 VALIDATION_FAILED service REQUIRED", "9 VALIDATION_FAILED service.name STRING_PATTERN", "10 s1", "11 s11")
	h.call(t, 404, "GET", one+"s3", "", school)
	stored := h.call(t, 200, "GET", one+"s1", "", gp)
	if stored["minimumAge"] != 3.0 {
		t.Errorf("the last version: %v", stored)
	}
	checked := `{"displayName": "Play for all", "kind": "OTHER"}`
	if m := h.call(t, 200, "PUT", one+"s1?validateOnly=true", checked, school); m["displayName"] != "Play for all" {
		t.Errorf("only checked: %v", m)
	}
	h.call(t, 200, "PUT", one+"s3?validateOnly=true", checked, school)
	h.call(t, 403, "PUT", one+"s1?validateOnly=true", checked, gp)
	h.call(t, 404, "GET", one+"s3", "", school)
	if m := h.call(t, 200, "GET", one+"s1", "", school); m["etag"] != stored["etag"] {
		t.Errorf("what was only checked made %v", m)
	}

	manager, practitioner := h.token(t, "gp-1", irtv1.Role_ROLE_DATA_MANAGER), h.person(t, "school-1", "ann", irtv1.Role_ROLE_PRACTITIONER)
	wantAnswers(t, h.lines(t, path, manager, line("1", offered("school-1", "s12", ""), "")), "1 s12")
	for token, want := range map[string]int{practitioner: 403, "": 401} {
		if status, answer := h.rest(t, "POST", path, line("1", offered("school-1", "s13", ""), ""), token, lines); status != want {
			t.Errorf("%d %s, want %d", status, answer, want)
		}
	}
	var revision, services, written, refused int
	err := h.pool.QueryRow(t.Context(), `SELECT (SELECT revision FROM services WHERE service_id = 's1'), (SELECT count(*) FROM services),
			count(*) FILTER (WHERE decision = 'ALLOWED' AND returned = ARRAY[query->>'name']), count(*) FILTER (WHERE decision <> 'ALLOWED' AND cardinality(returned) = 0)
		FROM audit_entries WHERE method LIKE '%/SubmitServices' AND query->>'name' LIKE '%/services/%'`).Scan(&revision, &services, &written, &refused)
	if err != nil || revision != 3 || services != 3 || written != 6 || refused != 3 {
		t.Errorf("revision %d, %d services; in the access log %d that were written, and %d that were refused: %v", revision, services, written, refused, err)
	}
}

// An agency gets its services back, as lines or as a table, also those that are not in
// use, and nobody else does. Imported again they change nothing, and another hub takes
// them as they are.
func TestServicesComeBack(t *testing.T) {
	t.Parallel()
	h, elsewhere := start(t), start(t)
	school, there := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), elsewhere.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	for id, more := range map[string]string{
		"all": `, "minimumAge": 2, "maximumAge": 11, "telephone": "01603 222222", "email": "play@example.org"`, "few": "", "gone": `, "state": "AGENCY_STATE_INACTIVE"`,
	} {
		h.call(t, 200, "PUT", "/v1/agencies/school-1/services/"+id, offered("school-1", id, more), school)
	}
	h.call(t, 200, "PUT", "/v1/agencies/school-1/services/few", offered("school-1", "few", `, "maximumAge": 5`), school) // a second version
	const path = "/v1/agencies/school-1/services:export"
	for form, accept := range map[string]string{"services": "text/csv", "services-ndjson": "application/x-ndjson"} {
		status, file, header, err := h.get(t, path, accept, school)
		if n := strings.Count(string(file), "Play"); status != 200 || err != nil || n != 3 || !strings.HasPrefix(header.Get("Content-Type"), accept) {
			t.Fatalf("%s: %d %v %v, %d services: %s", form, status, err, header, n, file)
		}
		if i := h.upload(t, form, string(file), school); i.Rows != 3 || i.Unchanged != 3 {
			t.Errorf("%s that came back are imported as %+v", form, i)
		}
		if _, err := elsewhere.pool.Exec(t.Context(), `DELETE FROM services`); err != nil {
			t.Fatal(err)
		}
		if i := elsewhere.upload(t, form, string(file), there); i.Accepted != 3 {
			t.Errorf("elsewhere %s are imported as %+v", form, i)
		}
		if _, again, _, err := elsewhere.get(t, path, "text/csv", there); form == "services" && (err != nil || string(again) != string(file)) {
			t.Errorf("from elsewhere come %s, %v; sent were %s", again, err, file)
		}
	}
	for _, other := range []string{h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "school-1", irtv1.Role_ROLE_DATA_MANAGER)} {
		if status, answer, _, _ := h.get(t, path, "text/csv", other); status != 403 {
			t.Errorf("another gets services: %d %s", status, answer)
		}
	}
}
