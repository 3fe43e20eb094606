package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// hookedAgencies have what happens sent to them by webhooks.
var hookedAgencies = []string{schoolID(0), practiceID(0), "social-care", "health"}

// hooks receives the webhooks of a hub that believes its certificate.
type hooks struct {
	certificate string // the file, PEM
	server      *http.Server
	address     string
	received    atomic.Int64
	invalid     atomic.Int64 // of those, whose signature or time is wrong

	mu      sync.RWMutex
	secrets map[string][]byte // by agency
	names   []string          // of the subscriptions
}

// listenForWebhooks answers https on this machine, and leaves its certificate in dir;
// it must be there when the hub starts.
func listenForWebhooks(dir string) (*hooks, error) {
	der, key, err := ownCertificate()
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(dir, "irthub-bench-*.pem")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(pem.Encode(file, &pem.Block{Type: "CERTIFICATE", Bytes: der}), file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file.Name()))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the server
	if err != nil {
		return nil, errors.Join(err, os.Remove(file.Name()))
	}
	h := &hooks{certificate: file.Name(), address: listener.Addr().String(), secrets: map[string][]byte{}}
	h.server = &http.Server{Handler: http.HandlerFunc(h.take), ReadTimeout: 10 * time.Second, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12,
	}}
	go func() { _ = h.server.ServeTLS(listener, "", "") }() // until close
	return h, nil
}

// ownCertificate is one for this machine, signed by itself.
func ownCertificate() (der []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err = x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	return der, key, err
}

func (h *hooks) close() error { return errors.Join(h.server.Close(), os.Remove(h.certificate)) }

// subscribe makes the agencies' subscriptions. Nothing is taken before all are known.
func (h *hooks) subscribe(ctx context.Context, l *lab) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, agency := range hookedAgencies {
		ctx, err := l.callers.as(ctx, agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
		if err != nil {
			return err
		}
		made, err := irtv1.NewSubscriptionServiceClient(l.conn(0)).CreateSubscription(ctx, &irtv1.CreateSubscriptionRequest{
			Parent: "agencies/" + agency, Subscription: &irtv1.Subscription{Url: "https://" + h.address + "/" + agency},
		})
		if err != nil {
			return err
		}
		if h.secrets[agency], err = base64.StdEncoding.DecodeString(strings.TrimPrefix(made.GetSecret(), "whsec_")); err != nil {
			return fmt.Errorf("the secret of a subscription: %w", err)
		}
		h.names = append(h.names, made.GetName())
	}
	return nil
}

// unsubscribe deletes them: a database that is kept would have them fail for days.
func (h *hooks) unsubscribe(ctx context.Context, l *lab) error {
	for i, name := range h.names {
		ctx, err := l.callers.as(ctx, hookedAgencies[i], irtv1.Role_ROLE_AGENCY_SYSTEM)
		if err != nil {
			return err
		}
		if _, err := irtv1.NewSubscriptionServiceClient(l.conn(0)).DeleteSubscription(ctx, &irtv1.DeleteSubscriptionRequest{Name: name}); err != nil {
			return err
		}
	}
	return nil
}

// take takes a message, and counts it before it answers.
func (h *hooks) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.RLock()
	secret := h.secrets[strings.TrimPrefix(r.URL.Path, "/")]
	h.mu.RUnlock()
	h.received.Add(1)
	if !genuine(secret, r.Header, body) {
		h.invalid.Add(1)
	}
	w.WriteHeader(http.StatusNoContent)
}

// genuine says whether a message is signed with the secret, as Standard Webhooks has it,
// and of now.
func genuine(secret []byte, header http.Header, body []byte) bool {
	sent := header.Get("Webhook-Timestamp")
	at, err := strconv.ParseInt(sent, 10, 64)
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute || len(secret) == 0 {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(header.Get("Webhook-Id") + "." + sent + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for one := range strings.FieldsSeq(header.Get("Webhook-Signature")) {
		if hmac.Equal([]byte(one), []byte(want)) {
			return true
		}
	}
	return false
}
