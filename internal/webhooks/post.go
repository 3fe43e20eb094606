package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

const (
	// postTimeout bounds an attempt as a whole, whatever the other side does.
	postTimeout = 12 * time.Second
	// connectTimeout and tlsTimeout bound its beginning.
	connectTimeout = 4 * time.Second
	tlsTimeout     = 4 * time.Second
	// maxAnswer is how much of an answer is read: enough to use the connection again.
	maxAnswer = 16 << 10
)

// forbidden are the networks that are not the public internet's, besides those that
// netip tells: shared, documentation's, benchmarks', reserved, and those that carry
// another address inside. https://www.iana.org/assignments/iana-ipv4-special-registry
var forbidden = func() (all []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}()

// public says whether an address is the public internet's, so that whoever answers
// there is not within the hub's own network.
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if ip.Zone() != "" || !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range forbidden {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// errForbidden refuses an address that is not the public internet's.
var errForbidden = errors.New("webhooks: the address is on a private network")

// newClient makes the client that all messages are sent with. Where an address leads
// is looked at when it is connected to, so that a name cannot lead elsewhere by then.
func newClient(o Options) *http.Client {
	dialer := &net.Dialer{Timeout: connectTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !o.AllowPrivate && !public(at.Addr()) {
			return errForbidden
		}
		return nil
	}}
	return &http.Client{
		Timeout:       postTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // no Proxy: it would connect for us
			DialContext: dialer.DialContext, TLSHandshakeTimeout: tlsTimeout, ForceAttemptHTTP2: true,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
			MaxIdleConns: 100, MaxIdleConnsPerHost: atOnceEach, IdleConnTimeout: 30 * time.Second,
		},
	}
}

// checkURL finds what is wrong with the address of a subscription.
func checkURL(text string, allowPrivate bool) []standard.Fault {
	fault := func(what, action string) []standard.Fault {
		return []standard.Fault{{Field: "url", RuleID: "STRING_PATTERN", Description: what, Action: action}}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return fault("The address is not one of https.", "Send an address such as https://example.org/hook; docs/EVENTS.md says how to try one on this machine.")
	case u.User != nil || u.Fragment != "":
		return fault("The address holds a user's name, a password or a fragment.", "Leave them out: messages are signed.")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !allowPrivate && !public(ip) {
		return fault("The address is on a private network.", "Send one that can be reached from the internet, or ask the hub's operator.")
	}
	return nil
}

// result is what came of an attempt.
type result struct {
	outcome irtv1.DeliveryOutcome
	status  int
	took    time.Duration
}

func (r result) delivered() bool {
	return r.outcome == irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED
}

// gone says that the address wants nothing more, as Standard Webhooks has it.
func (r result) gone() bool { return r.status == http.StatusGone }

// post sends a message once.
func (s *Service) post(ctx context.Context, to string, m message, secrets [][]byte) result {
	began := time.Now()
	r := result{outcome: irtv1.DeliveryOutcome_DELIVERY_OUTCOME_BROKEN_ANSWER}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(m.body))
	if err != nil {
		return r
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "irthub")
	m.sign(req.Header, secrets, began)
	resp, err := s.client.Do(req)
	if err != nil {
		r.outcome, r.took = outcomeOf(err), time.Since(began)
		return r
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // the status has said it all
	_ = resp.Body.Close()
	r.status, r.took = resp.StatusCode, time.Since(began)
	r.outcome = irtv1.DeliveryOutcome_DELIVERY_OUTCOME_REFUSED
	if r.status >= 200 && r.status < 300 {
		r.outcome = irtv1.DeliveryOutcome_DELIVERY_OUTCOME_DELIVERED
	}
	return r
}

// outcomeOf sorts the errors of an attempt that got no answer.
func outcomeOf(err error) irtv1.DeliveryOutcome {
	if errors.Is(err, errForbidden) {
		return irtv1.DeliveryOutcome_DELIVERY_OUTCOME_ADDRESS_FORBIDDEN
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TIMED_OUT
	}
	if isTLS(err) {
		return irtv1.DeliveryOutcome_DELIVERY_OUTCOME_TLS_FAILED
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return irtv1.DeliveryOutcome_DELIVERY_OUTCOME_UNREACHABLE
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return irtv1.DeliveryOutcome_DELIVERY_OUTCOME_UNREACHABLE
	}
	return irtv1.DeliveryOutcome_DELIVERY_OUTCOME_BROKEN_ANSWER
}

func isTLS(err error) bool {
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	op, ok := errors.AsType[*net.OpError](err)
	told := ok && op.Op == "remote error" // crypto/tls has no other name for the alerts it gets
	return verify || record || alert || unknown || told
}
