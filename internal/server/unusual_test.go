package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
)

// access is one entry of the access log, as written at a time in the past.
type access struct {
	at                                  time.Time
	agency, practitioner, role, purpose string
	decision                            string
	code                                int
	child                               uuid.UUID
}

// log writes entries past the API, since the API would date them now.
func (h *hub) log(t *testing.T, all ...access) {
	t.Helper()
	for _, a := range all {
		id := uuid.Must(uuid.NewV7())
		ms := uint64(a.at.UnixMilli())
		for i := range 6 {
			id[i] = byte(ms >> (40 - 8*i))
		}
		children := []uuid.UUID{}
		if a.child != uuid.Nil {
			children = append(children, a.child)
		}
		if a.decision == "" {
			a.decision = "ALLOWED"
		}
		if _, err := h.pool.Exec(context.WithoutCancel(t.Context()), `INSERT INTO audit_entries (entry_id, entry_time, agency_id, practitioner_id, role, purpose, method, decision, status_code, children)
			VALUES ($1, $2, $3, $4, $5, $6, '/irt.v1.ChildService/GetChild', $7, $8, $9)`,
			[16]byte(id), a.at, a.agency, a.practitioner, a.role, a.purpose, a.decision, a.code, children); err != nil {
			t.Fatal(err)
		}
	}
}

// Each sign is seen in who shows it, and in nobody else, over both doors and as CSV.
func TestUnusualAccess(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	put := func(local, family string) uuid.UUID {
		status, body := h.rest(t, http.MethodPut, "/v1/agencies/school-1/childRecords/"+local,
			`{"givenName":"Wilhelmina","familyName":"`+family+`","dateOfBirth":"2015-03-04"}`, school, nil)
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		var id uuid.UUID
		if err := h.pool.QueryRow(t.Context(), `SELECT child_id FROM child_records WHERE local_id = $1`, local).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	quince, pascoe := put("1", "Quince"), put("2", "Pascoe")
	for id, name := range map[string]string{"kin": "Anna quince", "night": "Bo Night", "curious": "Cy Rous", "alarm": "Di Larm", "denied": "Ed Nied", "plain": "Flo Lain"} {
		if status, body := h.rest(t, http.MethodPatch, "/v1/agencies/school-1/practitioners/"+id+"?allowMissing=true", `{"displayName":"`+name+`"}`, school, nil); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	day := time.Now().UTC().AddDate(0, 0, -3)
	for day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
		day = day.AddDate(0, 0, -1)
	}
	noon, night := time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, time.UTC), time.Date(day.Year(), day.Month(), day.Day(), 3, 0, 0, 0, time.UTC)
	as := func(who string, at time.Time) access {
		return access{at: at, agency: "school-1", practitioner: who, role: "practitioner", purpose: "EDUCATION", child: pascoe}
	}
	kin, plain := as("kin", noon), as("plain", noon)
	kin.child = quince
	h.log(t, kin, plain)
	for i := range 30 {
		curious, refused, emergency := as("curious", noon), as("denied", noon), as("alarm", noon)
		curious.child = uuid.Must(uuid.NewV7())
		refused.decision, refused.code = "DENIED", 7
		emergency.purpose = "EMERGENCY"
		h.log(t, curious)
		if i < 20 {
			h.log(t, refused)
		}
		if i < 10 {
			h.log(t, as("night", night))
		}
		if i < 9 {
			h.log(t, as("plain", night)) // nine are not ten
		}
		if i < 3 {
			h.log(t, emergency)
		}
	}
	over := as("", noon)
	over.role, over.decision, over.code = "agency-system", "FAILED", 8
	h.log(t, over)

	auditor := h.token(t, "gp-1", irtv1.Role_ROLE_AUDITOR)
	why := map[string]string{"Irt-Purpose": "AUDIT"}
	status, body := h.rest(t, http.MethodGet, "/v1/unusualAccess", "", auditor, why)
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	var answer struct {
		Callers []struct {
			Practitioner string
			Signs        []string
		}
	}
	decode(t, body, &answer)
	got := map[string]string{}
	for _, c := range answer.Callers {
		_, who, _ := strings.Cut(c.Practitioner, "/practitioners/")
		got[who] = strings.Join(c.Signs, " ")
	}
	want := map[string]string{
		"kin": "UNUSUAL_ACCESS_SIGN_OWN_SURNAME", "night": "UNUSUAL_ACCESS_SIGN_OUT_OF_HOURS", "curious": "UNUSUAL_ACCESS_SIGN_NOT_INVOLVED",
		"alarm": "UNUSUAL_ACCESS_SIGN_EMERGENCIES", "denied": "UNUSUAL_ACCESS_SIGN_DENIED", "": "UNUSUAL_ACCESS_SIGN_OVER_LIMIT",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the signs are\n%v, want\n%v", got, want)
	}
	if strings.Contains(strings.ToLower(string(body)), "quince") {
		t.Error("the report names a child's surname")
	}
	status, body = h.rest(t, http.MethodGet, "/v1/unusualAccess:export?agency=agencies/school-1", "", auditor, why)
	if status != 200 || !strings.HasPrefix(string(body), "agency,practitioner,role,signs,") || !strings.Contains(string(body), "school-1,curious,practitioner,NOT_INVOLVED,30,30,30,0,0,0,0,0\n") {
		t.Errorf("as CSV: %d %s", status, body)
	}
	if status, body := h.rest(t, http.MethodGet, "/v1/unusualAccess", "", school, why); status != 403 {
		t.Errorf("an agency's system: %d %s", status, body)
	}
	if status, body := h.rest(t, http.MethodGet, "/v1/unusualAccess?since=2020-01-01T00:00:00Z", "", auditor, why); status != 400 {
		t.Errorf("years: %d %s", status, body)
	}
}
