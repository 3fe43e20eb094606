package webhooks_test

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/webhooks"
)

// Whatever an address does, an attempt ends in time, and says what came of it.
func TestFaultAddressesMisbehave(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, g.options)
	h.Hurry(time.Minute, 500*time.Millisecond)
	stranger, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Close() })
	go func() {
		for {
			conn, err := stranger.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
			_ = conn.Close()
		}
	}()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	var elsewhere atomic.Int32
	other := newTarget(t)
	other.answers(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, tt := range []struct {
		name, url string
		answer    func(http.ResponseWriter, *http.Request)
		outcome   irtv1.DeliveryOutcome
		status    int32
	}{
		{"refuses", g.URL, status(http.StatusTeapot), irtv1.DeliveryOutcome_DELIVERY_OUTCOME_REFUSED, 418},
		{"redirects", g.URL, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_REFUSED, 307},
		{"hangs", g.URL, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TIMED_OUT, 0},
		{"drips", g.URL, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, ".")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED, 200},
		{"floods", g.URL, func(w http.ResponseWriter, r *http.Request) {
			block := make([]byte, 64<<10)
			for r.Context().Err() == nil {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED, 200},
		{"floods with headers", g.URL, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 100<<10))
		}, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_BROKEN_ANSWER, 0},
		{"breaks off", g.URL, func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_BROKEN_ANSWER, 0},
		{"speaks no TLS", "https://" + stranger.Addr().String(), nil, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TLS_FAILED, 0},
		{"has another name", strings.Replace(g.URL, "127.0.0.1", "localhost", 1), nil, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TLS_FAILED, 0},
		{"is not there", "https://" + closed.Addr().String(), nil, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_UNREACHABLE, 0},
		{"has no address", "https://no-such-name.invalid/", nil, irtv1.DeliveryOutcome_DELIVERY_OUTCOME_UNREACHABLE, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.answers(tt.answer)
			sub := h.subscribe(tt.url)
			d, err := h.TestSubscription(h.school(), &irtv1.TestSubscriptionRequest{Name: sub.GetName()})
			if err != nil || d.GetOutcome() != tt.outcome || d.GetHttpStatus() != tt.status {
				t.Errorf("%v, %v", d, err)
			}
			if logged := h.deliveries(sub.GetName()); len(logged) != 1 || logged[0].GetOutcome() != tt.outcome {
				t.Errorf("logged %v", logged)
			}
		})
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

// Names that lead to this machine, and certificates of nobody, are found out when
// the connection is made.
func TestFaultAddressesAreNotReached(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	h := newHub(t, webhooks.Options{RootCAs: g.options.RootCAs})
	u, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	sub := h.subscribe("https://localhost:" + u.Port() + "/")
	d, err := h.TestSubscription(h.school(), &irtv1.TestSubscriptionRequest{Name: sub.GetName()})
	if err != nil || d.GetOutcome() != irtv1.DeliveryOutcome_DELIVERY_OUTCOME_ADDRESS_FORBIDDEN {
		t.Errorf("%v, %v", d, err)
	}
	unknown := newHub(t, webhooks.Options{AllowPrivate: true, RootCAs: x509.NewCertPool()})
	sub = unknown.subscribe(g.URL)
	d, err = unknown.TestSubscription(unknown.school(), &irtv1.TestSubscriptionRequest{Name: sub.GetName()})
	if err != nil || d.GetOutcome() != irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TLS_FAILED {
		t.Errorf("%v, %v", d, err)
	}
	if len(g.received()) > 0 {
		t.Error("something was sent")
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1:248:1893:25c8:1946": true, "::ffff:93.184.216.34": true,
		"127.0.0.1": false, "127.8.8.8": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "198.18.0.1": false, "224.0.0.1": false, "239.1.1.1": false,
		"255.255.255.255": false, "240.0.0.1": false, "192.0.2.1": false, "192.0.0.1": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false, "fec0::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a00:1": false, "2002:7f00:1::": false, "2001::1": false, "2001:db8::1": false, "100::1": false,
	} {
		if got := webhooks.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// Whatever is taken for an address is https, has no user, and is not plainly private.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{
		"https://example.org/hook", "http://example.org", "https://", "https://user@example.org", "https://127.0.0.1/", "https://[::1]:8/",
		"https://[::ffff:10.0.0.1]/", "HTTPS://10.0.0.1", "https:example.org", "//example.org", "https://example.org/#x", "https://0x7f.1/", "\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(webhooks.CheckURL(text, false)) > 0 {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			t.Errorf("%q was accepted", text)
		}
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !webhooks.Public(ip) {
			t.Errorf("%q was accepted", text)
		}
	})
}
