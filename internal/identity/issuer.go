package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"irthub/internal/rpc"
)

// issuerAlgorithms are the signatures accepted of OpenID Connect issuers:
// asymmetric ones only, whatever an issuer claims to support.
var issuerAlgorithms = []string{oidc.RS256, oidc.ES256, oidc.PS256, oidc.EdDSA}

// keysFresh is how long a fetched key set is good enough, also for a token whose
// key it lacks: forged tokens with made-up key ids must not make the hub ask its
// issuer without end. So a new key is accepted at most this much after it appears.
const keysFresh = 10 * time.Second

// issuer is one OpenID Connect issuer. It is discovered when its first token
// comes, so that a hub starts while its issuer is down.
type issuer struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	keys     *keySet
	failed   error // of the last discovery
	retryAt  time.Time
}

func newIssuer(url string, base http.RoundTripper, now func() time.Time) *issuer {
	if base == nil {
		base = http.DefaultTransport
	}
	return &issuer{url: url, now: now, client: &http.Client{
		Timeout:   10 * time.Second,
		Transport: &freshCache{base: base, now: now, answers: map[string]*cachedAnswer{}},
	}}
}

// verify returns the payload of a token signed by the issuer for this hub. Times
// are checked elsewhere.
func (i *issuer) verify(ctx context.Context, raw string) ([]byte, error) {
	verifier, err := i.discovered(ctx)
	if err != nil {
		return nil, errIssuer(err)
	}
	var lost error
	idToken, err := verifier.Verify(context.WithValue(ctx, lostKey{}, &lost), raw)
	if lost != nil {
		return nil, errIssuer(lost)
	}
	if err != nil {
		return nil, errToken(oidcFault(err))
	}
	var payload rawClaims
	if err := idToken.Claims(&payload); err != nil {
		return nil, errToken("its claims are not of the right types")
	}
	return payload, nil
}

// rawClaims takes the claims as they are.
type rawClaims []byte

// UnmarshalJSON implements json.Unmarshaler.
func (r *rawClaims) UnmarshalJSON(b []byte) error {
	*r = bytes.Clone(b)
	return nil
}

// oidcFault tells a refused audience, which is a setting of the issuer, from the rest.
func oidcFault(err error) string {
	if strings.Contains(err.Error(), "expected audience") {
		return "its audience (aud) is not " + Audience
	}
	return "its signature is not its issuer's, or of a kind this hub does not take (it takes RS256, ES256, PS256 and EdDSA)"
}

func errIssuer(cause error) error {
	return rpc.Unavailable(cause, "The hub cannot reach the issuer of your token just now. Nothing was done; send it again.")
}

// discovered returns the verifier, asking the issuer for its configuration if that
// has not succeeded yet, at most every two seconds.
func (i *issuer) discovered(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.verifier != nil {
		return i.verifier, nil
	}
	if i.now().Before(i.retryAt) {
		return nil, i.failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // it is for everybody
	defer cancel()
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.url)
	if err != nil {
		i.failed = fmt.Errorf("identity: discovering the issuer %s: %w", i.url, err)
		i.retryAt = i.now().Add(2 * time.Second)
		return nil, i.failed
	}
	var config struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&config); err != nil || config.KeysURL == "" {
		return nil, fmt.Errorf("identity: the issuer %s names no jwks_uri", i.url)
	}
	i.keys = &keySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), i.client), config.KeysURL)}
	i.verifier = oidc.NewVerifier(i.url, i.keys, &oidc.Config{
		ClientID: Audience, SupportedSigningAlgs: issuerAlgorithms, SkipExpiryCheck: true,
	})
	return i.verifier, nil
}

// keySet notes that a signature could not be checked because the keys could not be
// had, which the verifier's own error does not tell from a wrong signature.
type keySet struct{ remote *oidc.RemoteKeySet }

type lostKey struct{}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, raw)
	if err != nil && (ctx.Err() != nil || strings.HasPrefix(err.Error(), "fetching keys")) {
		if lost, ok := ctx.Value(lostKey{}).(*error); ok {
			*lost = err
		}
	}
	return payload, err
}

// freshCache answers a GET again from memory for keysFresh.
type freshCache struct {
	base    http.RoundTripper
	now     func() time.Time
	mu      sync.Mutex
	answers map[string]*cachedAnswer
}

type cachedAnswer struct {
	at     time.Time
	status int
	header http.Header
	body   []byte
}

// maxAnswer bounds an issuer's answer, in bytes.
const maxAnswer = 1 << 20

// RoundTrip implements http.RoundTripper.
func (c *freshCache) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	known := c.answers[req.URL.String()]
	c.mu.Unlock()
	if known == nil || c.now().Sub(known.at) > keysFresh {
		var err error
		if known, err = c.fetch(req); err != nil {
			return nil, err
		}
	}
	return known.response(req), nil
}

func (c *freshCache) fetch(req *http.Request) (*cachedAnswer, error) {
	resp, err := c.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errors.New("identity: the issuer's answer is too long")
	}
	answer := &cachedAnswer{at: c.now(), status: resp.StatusCode, header: resp.Header, body: body}
	if resp.StatusCode == http.StatusOK {
		c.mu.Lock()
		c.answers[req.URL.String()] = answer
		c.mu.Unlock()
	}
	return answer, nil
}

func (a *cachedAnswer) response(req *http.Request) *http.Response {
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: req,
	}
}
