package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
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
	events []cloudEvent
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
	for _, step := range []struct {
		what, agency, method, path, body string
		kind                             string
		to                               []string
	}{
		{
			"contact is asked", "social-1", "POST", "/v1/" + plain.name + ":requestContact", `{"involvement": "agencies/school-1/involvements/iAqschool-1", "text": "Ring us."}`,
			"CONTACT_REQUESTED",
			[]string{"school-1", "social-1"},
		},
		{"and answered", "school-1", "POST", ":answer", `{"text": "At three."}`, "CONTACT_ANSWERED", []string{"social-1"}},
		{
			"brokered contact is asked", "school-1", "POST", "/v1/" + sensitive.name + ":requestContact", `{"audience": "CONTACT_AUDIENCE_SENSITIVE_SERVICES", "text": "May we talk?"}`,
			"CONTACT_REQUESTED",
			[]string{"clinic-1", "school-1"},
		},
		{"and answered", "clinic-1", "POST", ":answer", `{"text": "Write to me here."}`, "CONTACT_ANSWERED", []string{"school-1"}},
		{"a concern is shared", "school-1", "PUT", "/v1/agencies/school-1/concerns/w", concern, "CONCERN_SUBMITTED", []string{"school-1", "social-1"}},
		{"and joined", "social-1", "PUT", "/v1/agencies/social-1/concerns/w", concern, "CONCERN_ESCALATED", []string{"school-1", "social-1"}},
		{
			"a referral is sent", "school-1", "PUT", "/v1/agencies/school-1/referrals/w",
			`{"childRecord": "agencies/school-1/childRecords/rAq", "recipient": "agencies/charity-1", "reason": "SAFEGUARDING", "urgency": "REFERRAL_URGENCY_ROUTINE"}`,
			"REFERRAL_SENT",
			[]string{"charity-1", "school-1"},
		},
		{"and accepted", "charity-1", "POST", "/v1/agencies/school-1/referrals/w:accept", `{"role": "VOLUNTARY_WORKER"}`, "REFERRAL_ACCEPTED", []string{"charity-1", "school-1"}},
		{
			"its worker is named", "charity-1", "PUT", "/v1/agencies/charity-1/involvements/w",
			fmt.Sprintf(`{"child": %q, "role": "VOLUNTARY_WORKER", "practitioner": "agencies/charity-1/practitioners/p1", "startDate": %q}`, plain.name, today),
			"INVOLVEMENT_SUBMITTED",
			[]string{"charity-1", "school-1", "social-1"},
		},
		{
			"and nominated to lead", "social-1", "POST", "/v1/" + plain.name + ":nominateLeadProfessional", `{"involvement": "agencies/charity-1/involvements/w"}`,
			"LEAD_PROFESSIONAL_NOMINATED",
			[]string{"charity-1", "social-1"},
		},
		{"the child on a plan is seen", "gp-1", "GET", "/v1/" + plain.name, "", "PLAN_CHILD_SEEN", []string{"social-1"}},
	} {
		path, headers := step.path, system(step.agency)
		if strings.HasPrefix(path, ":") {
			path = "/v1/" + asked + path
		}
		if step.kind == "PLAN_CHILD_SEEN" {
			headers["irt-purpose"] = "UNSCHEDULED_CARE"
		}
		before := box.counts(step.kind)
		status, answer := a.rest(t, step.method, path, step.body, "", headers)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", step.what, status, answer)
		}
		var named struct{ Name string }
		decode(t, answer, &named)
		asked = named.Name
		box.until(t, step.what, func() bool {
			return !slices.ContainsFunc(step.to, func(agency string) bool { return box.counts(step.kind)[agency] <= before[agency] })
		})
		for agency, n := range box.counts(step.kind) {
			if n != before[agency] && !slices.Contains(step.to, agency) {
				t.Errorf("%s: %s is told", step.what, agency)
			}
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
		to.events = append(to.events, e)
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

// counts are how many events of a kind each agency was sent.
func (b *mailbox) counts(kind string) map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := map[string]int{}
	for agency, to := range b.got {
		for _, e := range to.events {
			if e.Type == "irt.v1."+kind {
				n[agency]++
			}
		}
	}
	return n
}

func (b *mailbox) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			t.Fatalf("%s: not everybody whom it is for was told within a minute", what)
		}
	}
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
