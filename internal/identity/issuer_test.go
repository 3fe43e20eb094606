package identity_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/codes"

	"irthub/internal/identity"
)

// oidcIssuer is an OpenID Connect issuer: discovery and keys over HTTP.
type oidcIssuer struct {
	server *httptest.Server

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	down    bool
	fetched int // of the keys
}

func newOIDCIssuer(t *testing.T) *oidcIssuer {
	t.Helper()
	i := &oidcIssuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, map[string]any{
			"issuer": i.server.URL, "jwks_uri": i.server.URL + "/keys", "authorization_endpoint": i.server.URL + "/auth",
			"token_endpoint": i.server.URL + "/token", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		i.fetched++
		set := jose.JSONWebKeySet{Keys: i.keys}
		i.mu.Unlock()
		i.answer(w, set)
	})
	i.server = httptest.NewServer(mux)
	t.Cleanup(i.server.Close)
	return i
}

func (i *oidcIssuer) answer(w http.ResponseWriter, v any) {
	i.mu.Lock()
	down := i.down
	i.mu.Unlock()
	if down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (i *oidcIssuer) setDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// publish makes these its keys, in the place of those before.
func (i *oidcIssuer) publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = nil
	for _, k := range keys {
		i.keys = append(i.keys, k.Public())
	}
}

func (i *oidcIssuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetched
}

func (i *oidcIssuer) token(t *testing.T, key jose.JSONWebKey, with map[string]any) string {
	t.Helper()
	claims := good(with)
	if _, ok := with["iss"]; !ok {
		claims["iss"] = i.server.URL
	}
	return sign(t, jose.SignatureAlgorithm(key.Algorithm), key, claims)
}

func jwk(t *testing.T, id string, alg jose.SignatureAlgorithm) jose.JSONWebKey {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.RS256, jose.PS256:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key = newECKey(t)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(alg), Use: "sig"}
}

func TestTokensOfAnIssuer(t *testing.T) {
	t.Parallel()
	issuer := newOIDCIssuer(t)
	b := setup(t, issuer.server.URL)
	algorithms := []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256, jose.EdDSA}
	var keys []jose.JSONWebKey
	for _, alg := range algorithms {
		keys = append(keys, jwk(t, string(alg), alg))
	}
	issuer.publish(keys...)
	for _, key := range keys {
		if err := b.getChild(t.Context(), issuer.token(t, key, nil)); err != nil {
			t.Errorf("%s: %v", key.Algorithm, err)
			continue
		}
		if c := <-b.called; c.Issuer != issuer.server.URL || c.Agency != "st-marys" {
			t.Errorf("%s: the caller is %+v", key.Algorithm, c)
		}
	}
	rs := keys[0]
	for name, raw := range map[string]string{
		"another key of that id": issuer.token(t, jwk(t, rs.KeyID, jose.RS256), nil),
		"wrong audience":         issuer.token(t, rs, map[string]any{"aud": "someone-else"}),
		"without a role":         issuer.token(t, rs, map[string]any{"irt_role": nil}),
		"alg none":               algNone(t, good(map[string]any{"iss": issuer.server.URL})),
		"of the hub's key":       sign(t, jose.ES256, b.private, good(map[string]any{"iss": issuer.server.URL})),
		"in the hub's name":      issuer.token(t, rs, map[string]any{"iss": "irthub"}),
		"a secret's":             sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), good(map[string]any{"iss": issuer.server.URL})),
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, b.getChild(t.Context(), raw), codes.Unauthenticated, "TOKEN_INVALID")
		})
	}
}

func TestAnIssuersKeysChange(t *testing.T) {
	t.Parallel()
	issuer := newOIDCIssuer(t)
	b := setup(t, issuer.server.URL)
	first, second := jwk(t, "first", jose.ES256), jwk(t, "second", jose.RS256)
	issuer.publish(first)
	old := issuer.token(t, first, nil)
	if err := b.getChild(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	issuer.publish(second)
	b.clock.pass(identity.KeysFresh + 1)
	if err := b.getChild(t.Context(), issuer.token(t, second, nil)); err != nil {
		t.Errorf("the new key is not found: %v", err)
	}
	b.clock.pass(identity.CacheFor)
	wantError(t, b.getChild(t.Context(), old), codes.Unauthenticated, "TOKEN_INVALID") // withdrawn
}

// Made-up key ids must not make the hub hammer its issuer.
func TestForgedKeyIDsDoNotReachTheIssuer(t *testing.T) {
	t.Parallel()
	issuer := newOIDCIssuer(t)
	b := setup(t, issuer.server.URL)
	key := jwk(t, "real", jose.ES256)
	issuer.publish(key)
	if err := b.getChild(t.Context(), issuer.token(t, key, nil)); err != nil {
		t.Fatal(err)
	}
	forged := jwk(t, "x", jose.ES256)
	for i := range 50 {
		forged.KeyID = strings.Repeat("x", i+1)
		wantError(t, b.getChild(t.Context(), issuer.token(t, forged, nil)), codes.Unauthenticated, "TOKEN_INVALID")
	}
	if n := issuer.fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestAnIssuerThatIsDown(t *testing.T) {
	t.Parallel()
	issuer := newOIDCIssuer(t)
	issuer.setDown(true)
	b := setup(t, issuer.server.URL) // starts all the same
	key := jwk(t, "one", jose.ES256)
	issuer.publish(key)
	raw := issuer.token(t, key, nil)
	wantError(t, b.getChild(t.Context(), raw), codes.Unavailable, "UNAVAILABLE")
	issuer.setDown(false)
	b.clock.pass(identity.KeysFresh)
	if err := b.getChild(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	issuer.setDown(true)
	b.clock.pass(identity.KeysFresh + 1)
	other := jwk(t, "two", jose.ES256)
	wantError(t, b.getChild(t.Context(), issuer.token(t, other, nil)), codes.Unavailable, "UNAVAILABLE")
	if err := b.getChild(t.Context(), issuer.token(t, key, map[string]any{"jti": "2"})); err != nil {
		t.Errorf("a known key needs no issuer: %v", err)
	}
}

func TestIssuersMustBeReachedSafely(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://issuer.example": true, "http://127.0.0.1:9": true, "http://localhost:9/realm": true,
		"http://issuer.example": false, "issuer.example": false, "ftp://127.0.0.1": false, "": false,
	} {
		_, err := identity.NewAuthenticator(identity.Config{Issuers: []identity.Issuer{identity.IssuerOf(url)}, Agencies: (&directory{}).facts})
		if (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := identity.NewAuthenticator(identity.Config{Agencies: (&directory{}).facts}); err == nil {
		t.Error("a hub that believes nobody was made")
	}
}
