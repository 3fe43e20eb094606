package server_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

// call sends a request over REST, and gives the answer as far as it is one.
func (h *hub) call(t *testing.T, status int, method, path, body, token string) map[string]any {
	t.Helper()
	got, answer := h.rest(t, method, path, body, token, map[string]string{"Irt-Purpose": "SAFEGUARDING"})
	if got != status {
		t.Fatalf("%s %s: %d %s", method, path, got, answer)
	}
	var m map[string]any
	if err := json.Unmarshal(answer, &m); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	return m
}

func (h *hub) person(t *testing.T, agency, id string, role irtv1.Role) string {
	t.Helper()
	token, err := h.key.Issue(identity.Claims{Agency: agency, Practitioner: id, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// The life of a consent and of a shield as a legacy system and people see it, and
// that all of it is in the access log.
func TestConsentsAndShieldsOverREST(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	child, _ := h.call(t, 200, "PUT", "/v1/agencies/school-1/childRecords/1",
		`{"givenName": "Rosalind", "familyName": "Achterberg", "dateOfBirth": "2015-06-02"}`, school)["child"].(string)
	today := standard.Today().Format(time.DateOnly)

	consent := h.call(t, 200, "PUT", "/v1/agencies/school-1/consents/c-1",
		`{"child": "`+child+`", "scope": "CONSENT_SCOPE_SHARING", "recipients": ["agencies/gp-1"], "givenBy": "parent", "startDate": "`+today+`"}`, school)
	if consent["state"] != "CONSENT_STATE_GIVEN" || consent["givenBy"] != "PARENTAL_RESPONSIBILITY" || consent["etag"] == nil {
		t.Errorf("recorded: %v", consent)
	}
	h.call(t, 200, "GET", "/v1/agencies/school-1/consents/c-1", "", school)
	listed, _ := h.call(t, 200, "GET", "/v1/"+child+"/consents?asOf="+today, "", school)["consents"].([]any)
	if len(listed) != 1 {
		t.Errorf("listed: %v", listed)
	}
	h.call(t, 403, "GET", "/v1/"+child+"/consents", "", h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM))
	if m := h.call(t, 200, "POST", "/v1/agencies/school-1/consents/c-1:withdraw", `{}`, school); m["withdrawDate"] != today {
		t.Errorf("withdrawn: %v", m)
	}

	teacher, manager := h.person(t, "school-1", "t-1", irtv1.Role_ROLE_PRACTITIONER), h.person(t, "gp-1", "dot", irtv1.Role_ROLE_DATA_MANAGER)
	shield := h.call(t, 200, "POST", "/v1/"+child+"/shields", `{"reason": "Court order"}`, teacher)
	name, _ := shield["name"].(string)
	h.call(t, 400, "POST", "/v1/"+name+":approve", `{}`, teacher) // who proposed it
	if m := h.call(t, 200, "POST", "/v1/"+name+":approve", `{}`, manager); m["state"] != "SHIELD_STATE_ACTIVE" || m["inEffect"] != true {
		t.Errorf("approved: %v", m)
	}
	h.call(t, 200, "POST", "/v1/"+name+":proposeLift", `{"reason": "Ended"}`, teacher)
	if waiting, _ := h.call(t, 200, "GET", "/v1/children/-/shields", "", manager)["shields"].([]any); len(waiting) != 1 {
		t.Errorf("waiting: %v", waiting)
	}
	h.call(t, 200, "POST", "/v1/"+name+":approveLift", `{}`, manager)

	h.call(t, 200, "PUT", "/v1/agencies/school-1/refusals/r-1",
		`{"child": "`+child+`", "requester": "agencies/gp-1", "purpose": "PURPOSE_DIRECT_CARE", "reason": "NOT_HELD"}`, school)
	for _, parent := range []string{child, "agencies/-"} {
		if refusals, _ := h.call(t, 200, "GET", "/v1/"+parent+"/refusals", "", manager)["refusals"].([]any); len(refusals) != 1 {
			t.Errorf("refusals of %s: %v", parent, refusals)
		}
	}
	if m := h.call(t, 200, "GET", "/v1/"+child+"/retention", "", manager); m["archiveDate"] != "2035-06-02" || m["purgeDate"] != "2041-06-02" {
		t.Errorf("retention: %v", m)
	}
	h.call(t, 403, "GET", "/v1/"+child+"/retention", "", school)

	accesses, _ := h.call(t, 200, "GET", "/v1/"+child+"/accesses?pageSize=100", "", manager)["accesses"].([]any)
	var methods []string
	for _, a := range accesses {
		m, _ := a.(map[string]any)["method"].(string)
		methods = append(methods, m)
	}
	for _, want := range []string{
		"RecordConsent", "GetConsent", "ListConsents", "WithdrawConsent", "ProposeShield", "ApproveShield",
		"ApproveShieldLift", "ListShields", "RecordRefusal", "ListRefusals", "GetRetention",
	} {
		if !strings.Contains(strings.Join(methods, " "), want) {
			t.Errorf("%s is not in the child's access log: %v", want, methods)
		}
	}
}
