package server_test

import (
	"net/http"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/limits"
	"irthub/internal/server"
)

// A data manager sets the limit of an agency, and takes it back; until then who reads
// too much is refused over REST as over gRPC, on the record.
func TestAccessLimitsAreSet(t *testing.T) {
	t.Parallel()
	h := startWith(t, server.Config{AccessLimits: map[irtv1.Role]limits.Limit{irtv1.Role_ROLE_PRACTITIONER: {Children: 50, Searches: 1}}})
	manager := h.token(t, "gp-1", irtv1.Role_ROLE_DATA_MANAGER)
	nurse, err := h.key.Issue(identity.Claims{Agency: "school-1", Practitioner: "nurse", Role: irtv1.Role_ROLE_PRACTITIONER})
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{"Irt-Purpose": "EDUCATION"}
	find := func() (int, []byte) {
		return h.rest(t, http.MethodPost, "/v1/children:search", `{"familyName":"Nobody","dateOfBirth":"2015-03-04"}`, nurse, why)
	}
	if status, body := find(); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := find(); status != 429 || fromREST(t, body).Reason != "ACCESS_LIMIT_EXCEEDED" {
		t.Errorf("over the limit: %d %s", status, body)
	}
	var denied int
	if err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_entries WHERE method LIKE '%SearchChildren' AND status_code = 8`).
		Scan(&denied); err != nil || denied != 1 {
		t.Errorf("%d refusals are on the record: %v", denied, err)
	}
	const limit = "/v1/agencies/school-1/accessLimits/practitioner"
	if status, body := h.rest(t, http.MethodPut, limit, `{"childrenPerHour":500,"searchesPerHour":500}`, manager, nil); status != 200 {
		t.Fatalf("setting a limit: %d %s", status, body)
	}
	_, body := h.rest(t, http.MethodGet, "/v1/accessLimits", "", manager, nil)
	for _, want := range []string{
		`"name":"agencies/school-1/accessLimits/practitioner","childrenPerHour":500,"searchesPerHour":500`,
		`"name":"accessLimits/practitioner","childrenPerHour":50,"searchesPerHour":1,"builtIn":true`,
		`"name":"accessLimits/agency-system"`,
	} {
		if !strings.Contains(strings.ReplaceAll(string(body), ", ", ","), want) {
			t.Errorf("%s\nlacks %s", body, want)
		}
	}
	for name, c := range map[string]struct {
		path, body, token string
		want              int
	}{
		"no number":            {limit, `{"childrenPerHour":500}`, manager, 400},
		"an agency of nobody":  {"/v1/agencies/nobody/accessLimits/practitioner", `{"childrenPerHour":5,"searchesPerHour":5}`, manager, 404},
		"a role of nobody":     {"/v1/accessLimits/nurse", `{"childrenPerHour":5,"searchesPerHour":5}`, manager, 404},
		"not by an agency":     {limit, `{"childrenPerHour":5,"searchesPerHour":5}`, h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), 403},
		"not by hub operators": {limit, `{"childrenPerHour":5,"searchesPerHour":5}`, h.token(t, "gp-1", irtv1.Role_ROLE_HUB_OPERATOR), 403},
	} {
		if status, body := h.rest(t, http.MethodPut, c.path, c.body, c.token, nil); status != c.want {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := h.rest(t, http.MethodDelete, limit, "", manager, nil); status != 200 {
		t.Errorf("taking it back: %d %s", status, body)
	}
	if status, body := h.rest(t, http.MethodDelete, limit, "", manager, nil); status != 404 {
		t.Errorf("taking it back twice: %d %s", status, body)
	}
}
