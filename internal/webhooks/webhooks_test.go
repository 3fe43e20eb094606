package webhooks_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/webhooks"
)

// signedBy says whether a message is signed with a secret, as Standard Webhooks has it.
func (m received) signedBy(t *testing.T, secret string) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < 24 {
		t.Fatalf("a secret of %d bytes: %v", len(key), err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(m.header.Get("webhook-id") + "." + m.header.Get("webhook-timestamp") + "." + string(m.body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for one := range strings.SplitSeq(m.header.Get("webhook-signature"), " ") {
		if one == want {
			return true
		}
	}
	return false
}

// An event arrives as a CloudEvent that the secret has signed; the access log and
// the log of attempts have it. What is not for the agency does not arrive.
func TestDelivery(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options).start()
	sub := h.subscribe(g.URL + "/hook")
	child := h.child("school")
	h.happen(h.child("gp"), 1)
	h.happen(child, 1)
	h.eventually("the message comes", func() bool { return len(g.received()) == 1 })
	m := g.received()[0]
	if e := m.event; e.SpecVersion != "1.0" || e.Type != "irt.v1.CHILD_UPDATED" || e.Source == "" || e.Time == "" ||
		e.Subject != rpc.ChildName(child) || e.Data.Child != e.Subject || e.Data.Name != "events/"+e.ID || m.header.Get("webhook-id") != e.ID {
		t.Errorf("the event is %+v, its headers %v", e, m.header)
	}
	if got := m.header.Get("Content-Type"); got != "application/cloudevents+json" {
		t.Errorf("Content-Type %q", got)
	}
	if !m.signedBy(t, sub.GetSecret()) || m.signedBy(t, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))) {
		t.Error("it is not signed with the secret, or with any")
	}
	if again := h.get(sub.GetName()); again.GetSecret() != "" || again.GetFailingSince() != nil {
		t.Errorf("asked for again it is %v", again)
	}
	h.eventually("the attempt is logged", func() bool { return len(h.deliveries(sub.GetName())) == 1 })
	d := h.deliveries(sub.GetName())[0]
	if d.GetEvent() != m.event.Data.Name || d.GetAttempt() != 1 || d.GetHttpStatus() != 200 || d.GetOutcome() != irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED {
		t.Errorf("the attempt is %v", d)
	}
	var n int
	err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_entries WHERE agency_id = 'school' AND purpose = 'SAFEGUARDING'
		AND children = ARRAY[$1::uuid] AND returned = ARRAY[$2, $3]`, [16]byte(child), d.GetEvent(), sub.GetName()).Scan(&n)
	if err != nil || n != 1 {
		t.Errorf("%d entries in the access log: %v", n, err)
	}
}

// Two processes work on one queue; each event comes once.
func TestFaultTwoProcesses(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	first := newHub(t, g.options).start()
	second := first.join(t, g.options).start()
	first.subscribe(g.URL)
	child := first.child("school")
	const n = 150
	for range n / 50 {
		first.happen(child, 25)
		second.happen(child, 25)
	}
	first.eventually("all come", func() bool { return len(g.received()) >= n })
	seen := map[string]bool{}
	for _, m := range g.received() {
		if seen[m.event.ID] {
			t.Errorf("%s came twice", m.event.ID)
		}
		seen[m.event.ID] = true
	}
}

// With a new secret both sign until the old one's time is over.
func TestRotation(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	sub := h.subscribe(g.URL)
	test := func() received {
		t.Helper()
		d, err := h.TestSubscription(h.school(), &irtv1.TestSubscriptionRequest{Name: sub.GetName()})
		if err != nil || d.GetOutcome() != irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED {
			t.Fatalf("%v, %v", d, err)
		}
		all := g.received()
		return all[len(all)-1]
	}
	second, err := h.RotateSubscriptionSecret(h.school(), &irtv1.RotateSubscriptionSecretRequest{Name: sub.GetName()})
	if err != nil || second.GetSecret() == sub.GetSecret() || second.GetPreviousSecretExpireTime() == nil {
		t.Fatalf("%v, %v", second, err)
	}
	if m := test(); !m.signedBy(t, sub.GetSecret()) || !m.signedBy(t, second.GetSecret()) || m.event.Type != "irt.v1.TEST" {
		t.Error("within the grace period not both sign")
	}
	third, err := h.RotateSubscriptionSecret(h.school(), &irtv1.RotateSubscriptionSecretRequest{Name: sub.GetName(), GracePeriod: &durationpb.Duration{}})
	if err != nil || third.GetPreviousSecretExpireTime() != nil {
		t.Fatalf("%v, %v", third, err)
	}
	if m := test(); m.signedBy(t, sub.GetSecret()) || m.signedBy(t, second.GetSecret()) || !m.signedBy(t, third.GetSecret()) {
		t.Error("without a grace period another than the new one signs")
	}
	_, err = h.RotateSubscriptionSecret(h.school(), &irtv1.RotateSubscriptionSecretRequest{Name: sub.GetName(), GracePeriod: durationpb.New(8 * 24 * time.Hour)})
	if grpcstatus.Code(err) != codes.InvalidArgument {
		t.Errorf("a long grace period: %v", err)
	}
	var plain int
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(third.GetSecret(), "whsec_"))
	if err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM webhook_subscriptions WHERE position($1::bytea in secret) > 0`, raw).Scan(&plain); err != nil || plain > 0 {
		t.Errorf("the secret stands in the database: %v", err)
	}
}

// What fails is tried again until it is taken in, and no longer.
func TestRetry(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(40*time.Millisecond, time.Minute)
	h.start()
	sub := h.subscribe(g.URL)
	g.answers(status(http.StatusServiceUnavailable))
	h.happen(h.child("school"), 1)
	h.eventually("three attempts", func() bool { return len(h.deliveries(sub.GetName())) >= 3 })
	if h.get(sub.GetName()).GetFailingSince() == nil {
		t.Error("it is not said to be failing")
	}
	g.answers(nil)
	h.eventually("it is not failing any more", func() bool { return h.get(sub.GetName()).GetFailingSince() == nil })
	n := len(g.received())
	if last := h.deliveries(sub.GetName())[0]; last.GetAttempt() != int32(n) || last.GetHttpStatus() != 200 {
		t.Errorf("after %d messages the last attempt is %v", n, last)
	}
	first := g.received()[0]
	for _, m := range g.received() {
		if string(m.body) != string(first.body) || m.header.Get("webhook-id") != first.header.Get("webhook-id") {
			t.Error("a message was another when it was tried again")
		}
	}
}

// After so many attempts an event is a dead letter, which can be replayed.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(8*time.Millisecond, time.Minute)
	h.start()
	sub := h.subscribe(g.URL)
	g.answers(status(http.StatusInternalServerError))
	h.happen(h.child("school"), 2)
	h.eventually("both are dead letters", func() bool { return len(h.deadLetters(sub.GetName())) == 2 })
	for _, d := range h.deadLetters(sub.GetName()) {
		if d.GetAttempts() != webhooks.Attempts || d.GetHttpStatus() != 500 || d.GetKind() != irtv1.EventKind_EVENT_KIND_CHILD_UPDATED {
			t.Errorf("%v", d)
		}
	}
	if n := len(g.received()); n != 2*webhooks.Attempts {
		t.Errorf("%d messages came of two events", n)
	}
	g.answers(nil)
	one := h.deadLetters(sub.GetName())[1].GetEvent()
	replayed, err := h.ReplayDeadLetters(h.school(), &irtv1.ReplayDeadLettersRequest{Parent: sub.GetName(), Events: []string{one}})
	if err != nil || replayed.GetReplayed() != 1 {
		t.Fatalf("%v, %v", replayed, err)
	}
	replayed, err = h.ReplayDeadLetters(h.school(), &irtv1.ReplayDeadLettersRequest{Parent: sub.GetName()})
	if err != nil || replayed.GetReplayed() != 1 {
		t.Fatalf("%v, %v", replayed, err)
	}
	h.eventually("both arrive", func() bool { return len(g.received()) == 2*webhooks.Attempts+2 })
	if etag := h.get(sub.GetName()).GetEtag(); etag != sub.GetEtag() {
		t.Errorf("the etag was %s and is %s, though nothing was set", sub.GetEtag(), etag)
	}
	if left := h.deadLetters(sub.GetName()); len(left) > 0 {
		t.Errorf("dead letters are left: %v", left)
	}
}

// An address that is gone is left alone: its agency is told, and what waited is not lost.
func TestGone(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(40*time.Millisecond, time.Minute)
	h.start()
	sub := h.subscribe(g.URL)
	g.answers(status(http.StatusGone))
	child := h.child("school")
	h.happen(child, 3)
	failed := irtv1.SubscriptionState_SUBSCRIPTION_STATE_FAILED
	h.eventually("it is disabled", func() bool { return h.get(sub.GetName()).GetState() == failed })
	h.eventually("all are dead letters", func() bool { return len(h.deadLetters(sub.GetName())) == 3 })
	var told int
	h.eventually("its agency is told", func() bool {
		err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE kind = $1 AND agencies = '{school}' AND resource = $2`,
			int16(irtv1.EventKind_EVENT_KIND_SUBSCRIPTION_FAILED), sub.GetName()).Scan(&told)
		return err == nil && told == 1
	})
	_, err := h.ReplayDeadLetters(h.school(), &irtv1.ReplayDeadLettersRequest{Parent: sub.GetName()})
	if grpcstatus.Code(err) != codes.FailedPrecondition {
		t.Errorf("replaying while it is disabled: %v", err)
	}
	g.answers(nil)
	h.happen(child, 1) // not for it
	before := len(g.received())
	_, err = h.UpdateSubscription(h.school(), &irtv1.UpdateSubscriptionRequest{
		Subscription: &irtv1.Subscription{Name: sub.GetName(), State: irtv1.SubscriptionState_SUBSCRIPTION_STATE_ENABLED},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"state"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if replayed, err := h.ReplayDeadLetters(h.school(), &irtv1.ReplayDeadLettersRequest{Parent: sub.GetName()}); err != nil || replayed.GetReplayed() != 3 {
		t.Fatalf("%v, %v", replayed, err)
	}
	h.eventually("the three arrive", func() bool { return len(g.received()) >= before+3 })
}

// An address that failed days ago, and once more now, is not given up: it takes ten
// attempts, all of which failed.
func TestFailsForDays(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(time.Minute, time.Minute)
	h.start()
	sub, child := h.subscribe(g.URL), h.child("school")
	g.answers(status(http.StatusInternalServerError))
	state := func(earlier, attempts int) irtv1.SubscriptionState {
		t.Helper()
		h.exec(`UPDATE webhook_subscriptions SET failures = $1, failing_since = now() - interval '4 days', hold_until = NULL`, earlier)
		h.happen(child, 1)
		var noted int
		h.eventually("it is attempted, and what came of it is noted", func() bool {
			err := h.pool.QueryRow(t.Context(), `SELECT failures FROM webhook_subscriptions`).Scan(&noted)
			return err == nil && noted > earlier && len(h.deliveries(sub.GetName())) == attempts
		})
		h.eventually("the job is settled", func() bool {
			var running int
			err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE state = 'running'`).Scan(&running)
			return err == nil && running == 0
		})
		return h.get(sub.GetName()).GetState()
	}
	if got := state(1, 1); got != irtv1.SubscriptionState_SUBSCRIPTION_STATE_ENABLED {
		t.Errorf("after two failures it is %v", got)
	}
	if got := state(9, 2); got != irtv1.SubscriptionState_SUBSCRIPTION_STATE_FAILED {
		t.Errorf("after ten failures it is %v", got)
	}
}

// What an agency may no longer know when its turn comes is not sent.
func TestNoLongerForThem(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(40*time.Millisecond, time.Minute)
	h.start()
	sub := h.subscribe(g.URL)
	g.answers(status(http.StatusInternalServerError))
	child := h.child("school")
	h.happen(child, 1)
	h.eventually("it is attempted", func() bool { return len(h.deliveries(sub.GetName())) > 0 })
	h.exec(`UPDATE child_records SET state = 2 WHERE child_id = $1`, [16]byte(child))
	h.eventually("nothing waits", func() bool {
		var waiting int
		err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE state NOT IN ('cancelled', 'completed')`).Scan(&waiting)
		return err == nil && waiting == 0
	})
	if letters := h.deadLetters(sub.GetName()); len(letters) > 0 {
		t.Errorf("it is a dead letter: %v", letters)
	}
}

// An agency keeps its own subscriptions, and nobody else's.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	sub := h.subscribe(g.URL)
	gp := as(t.Context(), "gp")
	for what, call := range map[string]func() error{
		"get": func() error {
			_, err := h.GetSubscription(gp, &irtv1.GetSubscriptionRequest{Name: sub.GetName()})
			return err
		},
		"list": func() error {
			_, err := h.ListSubscriptions(gp, &irtv1.ListSubscriptionsRequest{Parent: "agencies/school"})
			return err
		},
		"delete": func() error {
			_, err := h.DeleteSubscription(gp, &irtv1.DeleteSubscriptionRequest{Name: sub.GetName()})
			return err
		},
		"rotate": func() error {
			_, err := h.RotateSubscriptionSecret(gp, &irtv1.RotateSubscriptionSecretRequest{Name: sub.GetName()})
			return err
		},
		"test": func() error {
			_, err := h.TestSubscription(gp, &irtv1.TestSubscriptionRequest{Name: sub.GetName()})
			return err
		},
		"log": func() error {
			_, err := h.ListDeliveries(gp, &irtv1.ListDeliveriesRequest{Parent: sub.GetName()})
			return err
		},
		"dead": func() error {
			_, err := h.ListDeadLetters(gp, &irtv1.ListDeadLettersRequest{Parent: sub.GetName()})
			return err
		},
		"replay": func() error {
			_, err := h.ReplayDeadLetters(gp, &irtv1.ReplayDeadLettersRequest{Parent: sub.GetName()})
			return err
		},
		"create": func() error {
			_, err := h.CreateSubscription(gp, &irtv1.CreateSubscriptionRequest{Parent: "agencies/school", Subscription: &irtv1.Subscription{Url: g.URL}})
			return err
		},
		"update": func() error {
			_, err := h.UpdateSubscription(gp, &irtv1.UpdateSubscriptionRequest{Subscription: &irtv1.Subscription{Name: sub.GetName()}})
			return err
		},
	} {
		if err := call(); grpcstatus.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 19 {
		h.subscribe(g.URL)
	}
	_, err := h.CreateSubscription(h.school(), &irtv1.CreateSubscriptionRequest{Parent: "agencies/school", Subscription: &irtv1.Subscription{Url: g.URL}})
	if grpcstatus.Code(err) != codes.ResourceExhausted {
		t.Errorf("the twenty-first: %v", err)
	}
	var listed []string
	req := &irtv1.ListSubscriptionsRequest{Parent: "agencies/school", PageSize: 7}
	for page := true; page; page = req.GetPageToken() != "" {
		answer, err := h.ListSubscriptions(h.school(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range answer.GetSubscriptions() {
			listed = append(listed, s.GetName())
		}
		req.PageToken = answer.GetNextPageToken()
	}
	if len(listed) != 20 || listed[0] != sub.GetName() {
		t.Errorf("%d are listed", len(listed))
	}
	_, err = h.UpdateSubscription(h.school(), &irtv1.UpdateSubscriptionRequest{
		Subscription: &irtv1.Subscription{Name: sub.GetName(), DisplayName: "ours", Etag: `"other"`},
	})
	if grpcstatus.Code(err) != codes.Aborted {
		t.Errorf("with another etag: %v", err)
	}
	changed, err := h.UpdateSubscription(h.school(), &irtv1.UpdateSubscriptionRequest{
		Subscription: &irtv1.Subscription{Name: sub.GetName(), DisplayName: "ours", Etag: sub.GetEtag()},
	})
	if err != nil || changed.GetDisplayName() != "ours" || changed.GetUrl() != g.URL || changed.GetEtag() == sub.GetEtag() {
		t.Errorf("changed: %v, %v", changed, err)
	}
	if _, err := h.DeleteSubscription(h.school(), &irtv1.DeleteSubscriptionRequest{Name: sub.GetName()}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.GetSubscription(h.school(), &irtv1.GetSubscriptionRequest{Name: sub.GetName()}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("deleted: %v", err)
	}
}
