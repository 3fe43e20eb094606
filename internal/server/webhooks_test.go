package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/server"
	"irthub/internal/standard"
	"irthub/internal/webhooks"
)

// posted is what an agency's address was sent.
type posted struct {
	secret string
	events []cloudEvent // each once
	told   int          // how many of them the test has looked at
}

type cloudEvent struct {
	Type string
	Data struct{ Name string }
}

// mailbox takes what the agencies of an area are sent, each at a path of its own.
type mailbox struct {
	*httptest.Server

	mu  sync.Mutex
	got map[string]*posted // by agency
}

// What happens between agencies reaches the systems of those whom it is for, signed,
// and nobody else's; nothing that others are sent names a sensitive service.
func TestWebhooksTellThoseWhomItIsFor(t *testing.T) {
	t.Parallel()
	box := newMailbox(t)
	options := webhooks.Options{AllowPrivate: true, RootCAs: x509.NewCertPool()}
	options.RootCAs.AddCert(box.Certificate())
	a := newAreaWith(t, server.Config{Webhooks: options})
	for agency := range areaAgencies {
		box.subscribe(t, a, agency)
	}
	plain, sensitive := a.children[0], a.children[2]
	system := func(agency string) map[string]string {
		return a.headers(t, identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING, Reason: "a meeting"})
	}
	today := standard.Today().Format(time.DateOnly)
	concern := fmt.Sprintf(`{"child": %q, "category": "ATTENDANCE", "level": "EARLY_HELP", "startDate": %q}`, plain.name, today)
	var asked string // the contact request of the step before
	box.settle(t, a) // what the area came from
	box.told()
	for _, step := range []struct {
		what, agency, method, path, body string
		told                             map[string]string // by kind, to whom, in their order
	}{
		{
			"contact is asked", "social-1", "POST", "/v1/" + plain.name + ":requestContact", `{"involvement": "agencies/school-1/involvements/iAqschool-1", "text": "Ring us."}`,
			map[string]string{"CONTACT_REQUESTED": "school-1 social-1"},
		},
		{"and answered", "school-1", "POST", ":answer", `{"text": "At three."}`, map[string]string{"CONTACT_ANSWERED": "social-1"}},
		{
			"brokered contact is asked", "school-1", "POST", "/v1/" + sensitive.name + ":requestContact", `{"audience": "CONTACT_AUDIENCE_SENSITIVE_SERVICES", "text": "May we talk?"}`,
			map[string]string{"CONTACT_REQUESTED": "clinic-1 school-1"},
		},
		{"and answered", "clinic-1", "POST", ":answer", `{"text": "Write to me here."}`, map[string]string{"CONTACT_ANSWERED": "school-1"}},
		{
			"a concern is shared", "school-1", "PUT", "/v1/agencies/school-1/concerns/w", concern,
			map[string]string{"CONCERN_SUBMITTED": "school-1 social-1"},
		},
		{
			"and joined", "social-1", "PUT", "/v1/agencies/social-1/concerns/w", concern,
			map[string]string{"CONCERN_SUBMITTED": "school-1 social-1", "CONCERN_ESCALATED": "school-1 social-1"},
		},
		{
			"a referral is sent", "school-1", "PUT", "/v1/agencies/school-1/referrals/w",
			`{"childRecord": "agencies/school-1/childRecords/rAq", "recipient": "agencies/charity-1", "reason": "SAFEGUARDING", "urgency": "REFERRAL_URGENCY_ROUTINE"}`,
			map[string]string{"REFERRAL_SENT": "charity-1 school-1"},
		},
		{
			"and accepted", "charity-1", "POST", "/v1/agencies/school-1/referrals/w:accept", `{"role": "VOLUNTARY_WORKER"}`,
			map[string]string{"REFERRAL_ACCEPTED": "charity-1 school-1", "INVOLVEMENT_SUBMITTED": "charity-1 school-1 social-1"},
		},
		{
			"its worker is named", "charity-1", "PUT", "/v1/agencies/charity-1/involvements/w",
			fmt.Sprintf(`{"child": %q, "role": "VOLUNTARY_WORKER", "practitioner": "agencies/charity-1/practitioners/p1", "startDate": %q}`, plain.name, today),
			map[string]string{"INVOLVEMENT_SUBMITTED": "charity-1 school-1 social-1"},
		},
		{
			"and nominated to lead", "social-1", "POST", "/v1/" + plain.name + ":nominateLeadProfessional", `{"involvement": "agencies/charity-1/involvements/w"}`,
			map[string]string{"LEAD_PROFESSIONAL_NOMINATED": "charity-1 social-1"},
		},
		{"the child on a plan is seen", "gp-1", "GET", "/v1/" + plain.name, "", map[string]string{"PLAN_CHILD_SEEN": "social-1"}},
	} {
		path, headers := step.path, system(step.agency)
		if strings.HasPrefix(path, ":") {
			path = "/v1/" + asked + path
		}
		if step.method == "GET" {
			headers["irt-purpose"] = "UNSCHEDULED_CARE"
		}
		status, answer := a.rest(t, step.method, path, step.body, "", headers)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", step.what, status, answer)
		}
		var named struct{ Name string }
		decode(t, answer, &named)
		asked = named.Name
		box.settle(t, a)
		if got := box.told(); !maps.Equal(got, step.told) {
			t.Errorf("%s: told is %q, want %q", step.what, got, step.told)
		}
	}
	for agency := range areaAgencies {
		box.isWhatIsListed(t, a, agency)
	}
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	box := &mailbox{got: map[string]*posted{}}
	box.Server = httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		agency := strings.TrimPrefix(r.URL.Path, "/")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var e cloudEvent
		if err := json.Unmarshal(body, &e); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		box.mu.Lock()
		defer box.mu.Unlock()
		to := box.got[agency]
		if to == nil || !genuine(to.secret, r.Header, string(body)) {
			t.Errorf("%s was sent what its secret has not signed: %s", agency, body)
			return
		}
		if agency != "clinic-1" && strings.Contains(string(body), "clinic") {
			t.Errorf("%s is told of the sensitive service: %s", agency, body)
		}
		if !slices.Contains(to.events, e) { // sent again is no more
			to.events = append(to.events, e)
		}
	}))
	t.Cleanup(box.Close)
	return box
}

// genuine checks a signature as docs/EVENTS.md tells receivers to.
func genuine(secret string, h http.Header, body string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < 24 {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "." + body))
	return slices.Contains(strings.Fields(h.Get("webhook-signature")), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// subscribe has an agency sent all it is told of from now on.
func (b *mailbox) subscribe(t *testing.T, a *area, agency string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	made := a.call(t, 200, "POST", "/v1/agencies/"+agency+"/subscriptions", `{"displayName": "MIS", "url": "`+b.URL+"/"+agency+`"}`,
		a.token(t, agency, irtv1.Role_ROLE_AGENCY_SYSTEM))
	b.got[agency] = &posted{secret: made["secret"].(string)}
}

// settle waits until all that has happened was sent to all whom it is for: no event
// waits for its place or to be looked at, and no message to be sent.
func (b *mailbox) settle(t *testing.T, a *area) {
	t.Helper()
	until(t, time.Minute, func() string {
		var outbox, behind, open int
		err := a.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM event_outbox),
			(SELECT position FROM event_head) - (SELECT position FROM webhook_head),
			(SELECT count(*) FROM river_job WHERE queue = 'webhooks' AND finalized_at IS NULL)`).Scan(&outbox, &behind, &open)
		if err != nil {
			t.Fatal(err)
		}
		if outbox == 0 && behind == 0 && open == 0 {
			return ""
		}
		return fmt.Sprintf("%d events wait for their place, %d to be looked at, %d messages to be sent", outbox, behind, open)
	})
}

// told are the agencies that were sent an event of each kind since it was asked last:
// in their order, one as often as it was sent another.
func (b *mailbox) told() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := map[string]string{}
	for _, agency := range slices.Sorted(maps.Keys(b.got)) {
		to := b.got[agency]
		for _, e := range to.events[to.told:] {
			kind := strings.TrimPrefix(e.Type, "irt.v1.")
			told[kind] = strings.TrimPrefix(told[kind]+" "+agency, " ")
		}
		to.told = len(to.events)
	}
	return told
}

// isWhatIsListed fails where an agency was sent what it would not find in its list.
func (b *mailbox) isWhatIsListed(t *testing.T, a *area, agency string) {
	t.Helper()
	c := identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	list, err := irtv1.NewEventServiceClient(a.conn).ListEvents(a.as(t, c), &irtv1.ListEventsRequest{PageSize: 1000})
	if err != nil || list.GetNextPageToken() != "" {
		t.Fatal(list, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.got[agency].events {
		if !slices.ContainsFunc(list.GetEvents(), func(l *irtv1.Event) bool { return l.GetName() == e.Data.Name }) {
			t.Errorf("%s was sent %v, which it is not told of in a list", agency, e)
		}
	}
}
