package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"irthub/internal/pg/pgtest"
)

// receiver takes webhooks in, and can keep them waiting for their answer.
type receiver struct {
	*httptest.Server
	t      *testing.T
	secret []byte

	mu   sync.Mutex
	hold chan struct{}     // until it is closed nothing is answered; nil: everything is
	held map[string]bool   // ids of messages that were never answered
	body map[string]string // of messages that came, by id
	came int               // messages, each time that they came
}

func newReceiver(t *testing.T) (r *receiver, certFile string) {
	t.Helper()
	certFile, keyFile := certificate(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	r = &receiver{t: t, held: map[string]bool{}, body: map[string]string{}}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(r.take))
	r.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	r.StartTLS()
	t.Cleanup(r.Close)
	return r, certFile
}

func (r *receiver) take(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // it did not come as a whole: the hub was killed
	}
	id := req.Header.Get("Webhook-Id")
	mac := hmac.New(sha256.New, r.secret)
	mac.Write([]byte(id + "." + req.Header.Get("Webhook-Timestamp") + "." + string(body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); req.Header.Get("Webhook-Signature") != want {
		r.t.Errorf("%s is signed %q, not %q", id, req.Header.Get("Webhook-Signature"), want)
	}
	r.mu.Lock()
	if before, again := r.body[id]; again && before != string(body) {
		r.t.Errorf("under one id came %s and %s", before, body)
	}
	r.body[id] = string(body)
	r.came++
	delete(r.held, id)
	hold := r.hold
	if hold != nil {
		r.held[id] = true
	}
	r.mu.Unlock()
	if hold != nil {
		<-hold
	}
}

// holdBack has nothing answered until the end is called, and returns once messages wait.
func (r *receiver) holdBack() (end func()) {
	r.t.Helper()
	hold := make(chan struct{})
	r.mu.Lock()
	r.hold = hold
	r.mu.Unlock()
	for end := time.Now().Add(2 * time.Minute); r.waiting() == 0; time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			close(hold) // or the server would never end
			r.t.Fatal("no message came within two minutes")
		}
	}
	return func() {
		r.mu.Lock()
		r.hold = nil
		r.mu.Unlock()
		close(hold)
	}
}

func (r *receiver) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held)
}

// subscribe has the school's events sent to a receiver.
func (a *area) subscribe(t *testing.T, hub *process, r *receiver) (name string) {
	t.Helper()
	status, answer := hub.call(t, http.MethodPost, "/v1/agencies/school-1/subscriptions", a.token, `{"url":"`+r.URL+`"}`)
	var sub struct{ Name, Secret string }
	if err := json.Unmarshal([]byte(answer), &sub); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, answer, err)
	}
	var err error
	if r.secret, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(sub.Secret, "whsec_")); err != nil || len(r.secret) == 0 {
		t.Fatalf("a secret of %d bytes: %v", len(r.secret), err)
	}
	return sub.Name
}

// kill -9 of the hub while it sends webhooks: those that the receiver had and could
// not answer come again under the same id, none is lost, and none is given up.
func TestFaultHubKilledWhileItSendsWebhooks(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	a := newArea(t, pgtest.DataDir(t), pool.Config().ConnString())
	r, certFile := newReceiver(t)
	a.env = append(a.env, "SSL_CERT_FILE="+certFile, "IRTHUB_WEBHOOK_ALLOW_PRIVATE=true")
	hub := a.serve(t)
	a.register(t, pool)
	name := a.subscribe(t, hub, r)
	for strike := range strikes(1, 5) {
		stop := a.load(t, "w"+letters(strike), 4)
		a.until(t, 20+rand.IntN(50))
		answer := r.holdBack()
		_ = hub.Process.Signal(syscall.SIGKILL)
		stop()
		hub.end(t, syscall.SIGKILL)
		answer()
		if strikes(0, 1) == 0 { // what the hub had under way is another's after two minutes: let them be over
			if tag, err := pool.Exec(t.Context(), `UPDATE river_job SET attempted_at = attempted_at - interval '2 minutes'
				WHERE state = 'running'`); err != nil || tag.RowsAffected() == 0 {
				t.Fatalf("the hub died with %d messages under way: %v", tag.RowsAffected(), err)
			}
		}
		hub = a.serve(t)
	}
	a.accounted(t, pool)

	events := namesOf(t, pool, `SELECT event_id::text FROM events WHERE audience = 1`)
	missing := 0
	for end := time.Now().Add(6 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		missing = r.waiting()
		r.mu.Lock()
		for id := range events {
			if _, came := r.body[id]; !came {
				missing++
			}
		}
		r.mu.Unlock()
		if missing == 0 && countRows(t, pool, `SELECT count(*) FROM river_job WHERE finalized_at IS NULL`) == 0 {
			break
		}
	}
	if missing > 0 {
		t.Errorf("%d events never came, or not again though their first answer was lost", missing)
	}
	for what, sql := range map[string]string{
		"messages wait":          `SELECT count(*) FROM river_job WHERE finalized_at IS NULL`,
		"messages were given up": `SELECT count(*) FROM river_job WHERE finalized_at IS NOT NULL AND state <> 'completed'`,
		"dead letters":           `SELECT count(*) FROM webhook_dead_letters`,
		"subscriptions fail, though the hub was killed": `SELECT count(*) FROM webhook_subscriptions WHERE state <> 1 OR failures > 0`,
	} {
		if n := countRows(t, pool, sql); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	told := namesOf(t, pool, `SELECT unnest(returned) FROM audit_entries WHERE method LIKE '%/Deliver' AND decision = 'ALLOWED'`)
	for id := range r.body {
		if events[id] != 1 || told["events/"+id] == 0 {
			t.Errorf("%s came, and is %d times in the log of events, %d times in the access log", id, events[id], told["events/"+id])
		}
	}
	if told[name] < r.came {
		t.Errorf("%d messages came, and %d are in the access log", r.came, told[name])
	}
	verifies(t, a.env)
	t.Logf("%d events, %d messages", len(r.body), r.came)
}
