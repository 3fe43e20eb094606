package server_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/server"
)

const clientSecret = "a secret of the client's"

// authorisationServer is a real OAuth 2 server (zitadel/oidc) that gives tokens to
// clients by their credentials. What it says of them is the test's to set.
type authorisationServer struct {
	*storage.Storage
	url string

	mu       sync.Mutex
	keys     []signingKey // the last one signs
	audience string
	life     time.Duration
	claims   map[string]map[string]any // by client
}

type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

func (k signingKey) ID() string                                { return k.id }
func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                  { return k.key }

// publicKey is what the server publishes of one.
type publicKey struct{ signingKey }

func (publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                         { return k.key.Public() }

func newAuthorisationServer(t *testing.T) *authorisationServer {
	t.Helper()
	s := &authorisationServer{audience: identity.Audience, life: 5 * time.Minute, claims: map[string]map[string]any{}}
	mux := http.NewServeMux()
	http := httptest.NewServer(mux)
	t.Cleanup(http.Close)
	s.url = http.URL
	s.Storage = storage.NewStorage(storage.NewUserStore(s.url))
	s.roll(t, "first")
	provider, err := op.NewProvider(&op.Config{CryptoKey: [32]byte{1}, SupportedScopes: []string{"hub"}}, s,
		op.StaticIssuer(s.url), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", provider)
	return s
}

// roll makes a new key, which signs from now on and is the only one published.
func (s *authorisationServer) roll(t *testing.T, id string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.set(func() { s.keys = []signingKey{{id, key}} })
}

func (s *authorisationServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *authorisationServer) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1], nil
}

func (s *authorisationServer) KeySet(context.Context) (all []op.Key, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		all = append(all, publicKey{k})
	}
	return all, nil
}

// client is a client whose access tokens are JWTs.
type client struct{ op.Client }

func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// named has another id than the one client that the library's store knows.
type named struct {
	client
	id string
}

func (n named) GetID() string { return n.id }

func (s *authorisationServer) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	s.mu.Lock()
	_, known := s.claims[id]
	s.mu.Unlock()
	if !known || secret != clientSecret {
		return nil, errors.New("no such client")
	}
	stored, err := s.Storage.ClientCredentials(ctx, "sid1", "verysecret")
	return named{client{stored}, id}, err
}

func (s *authorisationServer) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{s.audience}, Scopes: scopes}, nil
}

func (s *authorisationServer) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	id, _, err := s.Storage.CreateAccessToken(ctx, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	return id, time.Now().Add(s.life), err
}

func (s *authorisationServer) GetPrivateClaimsFromScopes(_ context.Context, _, id string, _ []string) (map[string]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims[id], nil
}

// token asks the token endpoint, as an agency's system does.
func (s *authorisationServer) token(t *testing.T, id string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"hub"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, url.QueryEscape(clientSecret))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("the token endpoint answers %d: %v", resp.StatusCode, err)
	}
	return answer.AccessToken
}

// From the token endpoint of a real OAuth 2 server to the hub's answer, at both doors:
// and what the hub refuses of what such a server issues.
func TestTokensOfAnOAuthServer(t *testing.T) {
	t.Parallel()
	issuer, other := newAuthorisationServer(t), newAuthorisationServer(t)
	school := map[string]any{"irt_agency": "school-1", "irt_role": "agency-system"}
	issuer.claims["mis-1"] = school
	issuer.claims["mis-2"] = map[string]any{"irt_agency": "gp-1", "irt_role": "agency-system"}
	issuer.claims["mis-3"] = map[string]any{"irt_agency": "school-1", "irt_role": "data-manager"}
	issuer.claims["mis-4"] = map[string]any{} // says nothing: the hub is configured to know it
	other.claims["mis-1"] = school
	h := startWith(t, server.Config{Issuers: []identity.Issuer{{
		URL: issuer.url, Agencies: []string{"school-*"},
		Clients: map[string]identity.Client{"mis-4": {Agency: "school-1", Role: "agency-system"}},
	}}})

	first := issuer.token(t, "mis-1")
	h.wantBoth(t, "a token for the hub", first, "")
	h.wantBoth(t, "a client that the hub is configured to know", issuer.token(t, "mis-4"), "")
	h.wantBoth(t, "another agency than the issuer may speak for", issuer.token(t, "mis-2"), "TOKEN_INVALID")
	h.wantBoth(t, "a role the issuer may not give", issuer.token(t, "mis-3"), "TOKEN_INVALID")
	h.wantBoth(t, "another issuer", other.token(t, "mis-1"), "TOKEN_INVALID")
	h.wantBoth(t, "the hub's own key, which is off", h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), "TOKEN_INVALID")
	issuer.set(func() { issuer.audience = "another-service" })
	h.wantBoth(t, "another audience", issuer.token(t, "mis-1"), "TOKEN_INVALID")
	issuer.set(func() { issuer.audience, issuer.life = identity.Audience, -time.Minute })
	h.wantBoth(t, "an expired token", issuer.token(t, "mis-1"), "TOKEN_EXPIRED")
	issuer.set(func() { issuer.life = 5 * time.Minute })

	kept := issuer.token(t, "mis-1")
	issuer.roll(t, "second")
	rolled := issuer.token(t, "mis-1")
	h.eventually(t, "a token of the new key", rolled, "")
	h.wantBoth(t, "the new key", rolled, "")
	h.wantBoth(t, "the old key", kept, "TOKEN_INVALID")
}

// reason is how each door answers who reads the directory with a token: "" is an
// answer.
func (h *hub) reason(t *testing.T, token string) (overGRPC, overREST string) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	_, err := irtv1.NewAgencyServiceClient(h.conn).GetAgency(ctx, &irtv1.GetAgencyRequest{Name: "agencies/school-1"})
	status, body := h.rest(t, http.MethodGet, "/v1/agencies/school-1", "", token, nil)
	if status != http.StatusOK {
		overREST = fromREST(t, body).Reason
	}
	return fromGRPC(err).Reason, overREST
}

func (h *hub) wantBoth(t *testing.T, what, token, want string) {
	t.Helper()
	if grpc, rest := h.reason(t, token); grpc != want || rest != want {
		t.Errorf("%s: gRPC answers %q and REST %q, want %q", what, grpc, rest, want)
	}
}

// eventually waits until both doors answer a token so.
func (h *hub) eventually(t *testing.T, what, token, want string) {
	t.Helper()
	until(t, 20*time.Second, func() string {
		grpc, rest := h.reason(t, token)
		if grpc == want && rest == want {
			return ""
		}
		return what + ": gRPC answers " + grpc + " and REST " + rest
	})
}
