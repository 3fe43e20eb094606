package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// get asks over REST, and gives the body of an answer.
func (a *area) get(t *testing.T, c identity.Caller, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.HTTP+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range a.headers(t, c) {
		r.Header.Set(key, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", path, resp.Status, text, err)
	}
	return string(text)
}

// A charity that does not know the child reads for unscheduled care, over either door:
// it sees the plan, and social care is told by whom the child was seen, and nobody else.
func TestUnscheduledCare(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	plain := a.children[0]
	caller := func(agency string, role irtv1.Role, purpose irtv1.Purpose) identity.Caller {
		c := identity.Caller{Agency: agency, Role: role, Purpose: purpose}
		if role != irtv1.Role_ROLE_AGENCY_SYSTEM {
			c.Practitioner = "p1"
		}
		return c
	}
	const system, practitioner, manager = irtv1.Role_ROLE_AGENCY_SYSTEM, irtv1.Role_ROLE_PRACTITIONER, irtv1.Role_ROLE_DATA_MANAGER
	const safeguarding, unscheduled = irtv1.Purpose_PURPOSE_SAFEGUARDING, irtv1.Purpose_PURPOSE_UNSCHEDULED_CARE
	if got := a.get(t, caller("charity-1", practitioner, safeguarding), "/v1/"+plain.name+"/plans"); strings.Contains(got, "Planner") || !strings.Contains(got, `"PLAN"`) {
		t.Errorf("for another purpose: %s", got)
	}
	charity := caller("charity-1", practitioner, unscheduled)
	if got := a.get(t, charity, "/v1/"+plain.name+"/plans"); !strings.Contains(got, "PlannerAq") {
		t.Errorf("for unscheduled care: %s", got)
	}
	if _, err := irtv1.NewChildServiceClient(a.conn).GetChild(a.as(t, charity), &irtv1.GetChildRequest{Name: plain.name}); err != nil {
		t.Fatal(err)
	}
	const kind = irtv1.EventKind_EVENT_KIND_PLAN_CHILD_SEEN
	social := caller("social-1", system, safeguarding)
	// Whoever else is told of what comes after has been told of all that came before.
	listed := func(c identity.Caller) (told []*irtv1.Event) {
		for _, e := range a.after(t, c, "", irtv1.EventKind_EVENT_KIND_INVOLVEMENT_SUBMITTED).GetEvents() {
			if e.GetKind() == kind {
				told = append(told, e)
			}
		}
		return told
	}
	var told []*irtv1.Event
	until(t, 20*time.Second, func() string {
		if told = listed(social); len(told) < 2 {
			return fmt.Sprintf("social care is told of %d readings, want 2", len(told))
		}
		return ""
	})
	for _, e := range told {
		if e.GetChild() != plain.name || e.GetAgency() != "agencies/charity-1" || e.GetResource() != "agencies/social-1/plans/pAq" {
			t.Errorf("social care is told %v", e)
		}
	}
	if len(told) != 2 {
		t.Errorf("social care is told of %d readings, want 2", len(told))
	}
	for _, c := range []identity.Caller{caller("school-1", system, safeguarding), caller("social-1", manager, irtv1.Purpose_PURPOSE_DATA_QUALITY)} {
		if told := listed(c); len(told) != 0 {
			t.Errorf("%s is told %v", identity.RoleText(c.Role), told)
		}
	}
	// The most recent accesses, with the purpose.
	if got := a.get(t, social, "/v1/"+plain.name+"/accesses?pageSize=25"); strings.Count(got, "PURPOSE_UNSCHEDULED_CARE") != 2 {
		t.Errorf("accesses: %s", got)
	}
}
