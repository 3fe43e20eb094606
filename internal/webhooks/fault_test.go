package webhooks_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/webhooks"
)

// faulty is a way out at which the hub itself fails for the events of one child, for
// as long as broken is set. Others pass it.
type faulty struct {
	http.RoundTripper
	child  string
	broken atomic.Bool
	failed atomic.Int32
}

// RoundTrip implements http.RoundTripper.
func (f *faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if f.broken.Load() && strings.Contains(string(text), f.child) {
		f.failed.Add(1)
		panic("what was sent: " + string(text))
	}
	return f.RoundTripper.RoundTrip(r)
}

// An event at which the hub panics is attempted as often as any other, holds up no
// other event, and ends as a dead letter that can be replayed.
func TestFaultPanicEndsAsADeadLetter(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(8*time.Millisecond, time.Minute)
	poison, fine := h.child("school"), h.child("school")
	way := &faulty{RoundTripper: g.Client().Transport, child: rpc.ChildName(poison)}
	way.broken.Store(true)
	h.SendThrough(way)
	h.start()
	sub := h.subscribe(g.URL)
	h.happen(poison, 1)
	h.eventually("it is a dead letter", func() bool { return len(h.deadLetters(sub.GetName())) == 1 })
	hubFailed := irtv1.DeliveryOutcome_DELIVERY_OUTCOME_HUB_FAILED
	if d := h.deadLetters(sub.GetName())[0]; d.GetAttempts() != webhooks.Attempts || d.GetOutcome() != hubFailed || d.GetHttpStatus() != 0 {
		t.Errorf("the dead letter is %v", d)
	}
	if n := way.failed.Load(); n != webhooks.Attempts {
		t.Errorf("it was attempted %d times", n)
	}
	attempts := h.deliveries(sub.GetName())
	if len(attempts) != webhooks.Attempts {
		t.Errorf("%d attempts are listed", len(attempts))
	}
	for i, d := range attempts { // the newest first
		if d.GetOutcome() != hubFailed || d.GetAttempt() != int32(webhooks.Attempts-i) || d.GetEvent() == "" {
			t.Errorf("an attempt is %v", d)
		}
	}
	if again := h.get(sub.GetName()); again.GetFailingSince() != nil || again.GetState() != irtv1.SubscriptionState_SUBSCRIPTION_STATE_ENABLED {
		t.Errorf("the hub's fault is held against the address: %v", again)
	}
	h.happen(fine, 1)
	h.eventually("another child's event arrives", func() bool { return len(g.received()) == 1 })
	way.broken.Store(false)
	replayed, err := h.ReplayDeadLetters(h.school(), &irtv1.ReplayDeadLettersRequest{Parent: sub.GetName()})
	if err != nil || replayed.GetReplayed() != 1 {
		t.Fatalf("%v, %v", replayed, err)
	}
	h.eventually("the replayed event arrives", func() bool { return len(g.received()) == 2 })
	if e := g.received()[1].event; e.Subject != rpc.ChildName(poison) {
		t.Errorf("what arrived is about %s", e.Subject)
	}
	if left := h.deadLetters(sub.GetName()); len(left) > 0 {
		t.Errorf("dead letters are left: %v", left)
	}
}

// What a process died over in its last attempt is thrown away by the queue, and
// becomes a dead letter all the same.
func TestFaultWhatTheQueueGaveUpIsADeadLetter(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(time.Minute, time.Minute)
	h.start()
	sub := h.subscribe(g.URL)
	g.answers(status(http.StatusInternalServerError))
	h.happen(h.child("school"), 1)
	h.eventually("it waits for its next attempt", func() bool {
		tag, err := h.pool.Exec(t.Context(), `UPDATE river_job SET state = 'discarded', finalized_at = now(), attempt = max_attempts WHERE state = 'retryable'`)
		return err == nil && tag.RowsAffected() == 1
	})
	if n := len(h.deadLetters(sub.GetName())); n != 0 {
		t.Fatalf("%d dead letters", n)
	}
	for range 2 { // the second time there is nothing left to do
		if err := h.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		letters := h.deadLetters(sub.GetName())
		if len(letters) != 1 || letters[0].GetAttempts() != webhooks.Attempts || letters[0].GetOutcome() != irtv1.DeliveryOutcome_DELIVERY_OUTCOME_HUB_FAILED {
			t.Fatalf("dead letters: %v", letters)
		}
	}
	g.answers(nil)
	h.exec(`UPDATE webhook_subscriptions SET failures = 7, failing_since = now(), hold_until = now() + interval '6 hours'`)
	if replayed, err := h.ReplayDeadLetters(h.school(), &irtv1.ReplayDeadLettersRequest{Parent: sub.GetName()}); err != nil || replayed.GetReplayed() != 1 {
		t.Fatalf("%v, %v", replayed, err)
	}
	h.eventually("it arrives", func() bool {
		return h.deliveries(sub.GetName())[0].GetOutcome() == irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED
	})
}

// hijacked answers with bytes that are no answer of net/http's making.
func hijacked(t *testing.T, say func(net.Conn)) func(http.ResponseWriter, *http.Request) {
	t.Helper()
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		say(conn)
	}
}

// What is answered is believed only as far as it is HTTP, however it lies.
func TestFaultAnswersLie(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(time.Minute, 2*time.Second)
	const broken, delivered = irtv1.DeliveryOutcome_DELIVERY_OUTCOME_BROKEN_ANSWER, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED
	endless := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
			}
		}
	}
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) { _, _ = io.WriteString(c, text) }
	}
	for _, tt := range []struct {
		name    string
		say     func(net.Conn)
		outcome irtv1.DeliveryOutcome
		status  int32
	}{
		{"garbage", say("\x00\x01\x02 200 OK everything is fine\r\n\r\n"), broken, 0},
		{"garbage without end", endless("all is well "), broken, 0},
		{"a header without end", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			endless("X: y\r\n")(c)
		}, broken, 0},
		{"only ever informs", endless("HTTP/1.1 103 Early Hints\r\n\r\n"), broken, 0},
		{"changes the protocol", say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), irtv1.DeliveryOutcome_DELIVERY_OUTCOME_REFUSED, 101},
		{"no status", say("HTTP/1.1 two hundred\r\n\r\n"), broken, 0},
		{"two lengths", say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), broken, 0},
		// Its status has come, and that is all that is asked for.
		{"a length that is not so", say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nx"), delivered, 200},
		{"chunks that are none", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"), delivered, 200},
		{"a body that breaks off without a length", say("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 x\r\n\r\n"), delivered, 204},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.answers(hijacked(t, tt.say))
			sub := h.subscribe(g.URL)
			d, err := h.TestSubscription(h.school(), &irtv1.TestSubscriptionRequest{Name: sub.GetName()})
			if err != nil || d.GetOutcome() != tt.outcome || d.GetHttpStatus() != tt.status {
				t.Errorf("%v, %v", d, err)
			}
			if d.GetLatency().AsDuration() > 10*time.Second {
				t.Errorf("it took %v", d.GetLatency().AsDuration())
			}
			if _, err := h.DeleteSubscription(h.school(), &irtv1.DeleteSubscriptionRequest{Name: sub.GetName()}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A certificate that is over is none, whoever signed it; nor is TLS as it was before 1.2.
func TestFaultTLSIsNoGood(t *testing.T) {
	t.Parallel()
	expired := certificate(t, time.Now().Add(-time.Hour))
	good := certificate(t, time.Now().Add(time.Hour))
	roots := x509.NewCertPool()
	for _, c := range []tls.Certificate{expired, good} {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(leaf)
	}
	h := newHub(t, webhooks.Options{AllowPrivate: true, RootCAs: roots})
	h.Hurry(time.Minute, 2*time.Second)
	for _, tt := range []struct {
		name    string
		config  *tls.Config
		outcome irtv1.DeliveryOutcome
	}{
		{"good", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS12}, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED},
		{"expired", &tls.Config{Certificates: []tls.Certificate{expired}, MinVersion: tls.VersionTLS12}, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TLS_FAILED},
		{"old", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TLS_FAILED},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(status(http.StatusOK)))
			server.TLS = tt.config
			server.StartTLS()
			t.Cleanup(server.Close)
			sub := h.subscribe(server.URL)
			d, err := h.TestSubscription(h.school(), &irtv1.TestSubscriptionRequest{Name: sub.GetName()})
			if err != nil || d.GetOutcome() != tt.outcome {
				t.Errorf("%v, %v", d, err)
			}
		})
	}
	t.Run("never ends its handshake", func(t *testing.T) {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = bufio.NewReader(conn).WriteTo(io.Discard) }()
			}
		}()
		sub := h.subscribe("https://" + listener.Addr().String())
		d, err := h.TestSubscription(h.school(), &irtv1.TestSubscriptionRequest{Name: sub.GetName()})
		if err != nil || d.GetOutcome() != irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TIMED_OUT {
			t.Errorf("%v, %v", d, err)
		}
	})
}

// certificate is one for 127.0.0.1 that is its own authority, good until a time.
func certificate(t *testing.T, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(until.UnixNano()), NotBefore: until.Add(-2 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
