package identity_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// An issuer speaks for the agencies and in the roles that it was given, whatever it
// signs.
func TestAnIssuerSpeaksForItsOwnOnly(t *testing.T) {
	t.Parallel()
	schools, health := newOIDCIssuer(t), newOIDCIssuer(t)
	b := setupWith(t, identity.Config{Issuers: []identity.Issuer{
		{URL: schools.server.URL, Agencies: []string{"st-*", "pru-1"}},
		{URL: health.server.URL, Agencies: []string{"gp-1"}, Roles: []irtv1.Role{manager}},
	}})
	key := jwk(t, "k", jose.ES256)
	schools.publish(key)
	health.publish(key)
	for name, c := range map[string]struct {
		issuer *oidcIssuer
		claims map[string]any
		ok     bool
	}{
		"a beginning that fits":        {schools, map[string]any{"irt_agency": "st-marys"}, true},
		"an agency by its whole id":    {schools, map[string]any{"irt_agency": "pru-1"}, true},
		"a practitioner":               {schools, map[string]any{"irt_role": "practitioner", "irt_practitioner": "p"}, true},
		"a longer id":                  {schools, map[string]any{"irt_agency": "pru-10"}, false},
		"another's agency":             {schools, map[string]any{"irt_agency": "gp-1"}, false},
		"a role it was not given":      {schools, map[string]any{"irt_role": "data-manager"}, false},
		"hub operator":                 {schools, map[string]any{"irt_role": "hub-operator"}, false},
		"auditor":                      {schools, map[string]any{"irt_role": "auditor"}, false},
		"the role it was given":        {health, map[string]any{"irt_agency": "gp-1", "irt_role": "data-manager"}, true},
		"not the usual role with that": {health, map[string]any{"irt_agency": "gp-1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := b.getChild(t.Context(), c.issuer.token(t, key, c.claims))
			if c.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, codes.Unauthenticated, "TOKEN_INVALID")
			if !strings.Contains(err.Error(), "may not speak for") {
				t.Errorf("%v does not say why", err)
			}
		})
	}
}

// The one key does not make one issuer's token the other's.
func TestATokenIsOfTheIssuerItNames(t *testing.T) {
	t.Parallel()
	one, other := newOIDCIssuer(t), newOIDCIssuer(t)
	b := setup(t, one.server.URL, other.server.URL)
	mine, theirs := jwk(t, "k", jose.ES256), jwk(t, "k", jose.ES256)
	one.publish(mine)
	other.publish(theirs)
	wantError(t, b.getChild(t.Context(), one.token(t, theirs, nil)), codes.Unauthenticated, "TOKEN_INVALID")
	// json takes ISS for iss; the hub must not.
	wantError(t, b.getChild(t.Context(), one.token(t, mine, map[string]any{"iss": nil, "ISS": one.server.URL})),
		codes.Unauthenticated, "TOKEN_INVALID")
	wantError(t, b.getChild(t.Context(), one.token(t, mine, map[string]any{"exp": nil, "EXP": time.Now().Add(time.Hour).Unix()})),
		codes.Unauthenticated, "TOKEN_INVALID")
}

func TestClaimsOfAnotherName(t *testing.T) {
	t.Parallel()
	issuer := newOIDCIssuer(t)
	issuers, err := identity.ReadIssuers([]byte(`{"issuers": [{
		"url": "` + issuer.server.URL + `", "audiences": ["api://hub", "irthub"], "agencies": ["*"],
		"roles": ["agency-system", "practitioner", "auditor"],
		"claims": {"agency": "organisation.id", "role": "roles", "practitioner": "https://example.org/staff"},
		"clients": {"mis-7": {"agency": "school-7", "role": "agency-system"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	b := setupWith(t, identity.Config{Issuers: issuers})
	key := jwk(t, "k", jose.ES256)
	issuer.publish(key)
	plain := map[string]any{"irt_agency": nil, "irt_role": nil, "organisation": map[string]any{"id": "st-marys"}, "roles": "agency-system"}
	for name, c := range map[string]struct {
		with   map[string]any
		caller string // "" is refused
	}{
		"as configured":               {nil, "st-marys  agency-system"},
		"the other audience":          {map[string]any{"aud": "api://hub"}, "st-marys  agency-system"},
		"another audience":            {map[string]any{"aud": "api://other"}, ""},
		"one role of the hub in many": {map[string]any{"roles": []string{"offline_access", "practitioner"}, "https://example.org/staff": "p"}, "st-marys p practitioner"},
		"two roles of the hub":        {map[string]any{"roles": []string{"auditor", "agency-system"}}, ""},
		"no role of the hub":          {map[string]any{"roles": []string{"offline_access"}}, ""},
		"two agencies":                {map[string]any{"organisation": map[string]any{"id": []string{"a", "b"}}}, ""},
		"the hub's own claims":        {map[string]any{"organisation": nil, "irt_agency": "st-marys"}, ""},
		"a client that is known":      {map[string]any{"organisation": nil, "roles": nil, "client_id": "mis-7"}, "school-7  agency-system"},
		"a client's word on itself":   {map[string]any{"client_id": "mis-7", "roles": "auditor"}, "school-7  agency-system"},
		"a client that is not known":  {map[string]any{"organisation": nil, "roles": nil, "client_id": "mis-8"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			claims := maps.Clone(plain)
			maps.Copy(claims, c.with)
			err := b.getChild(t.Context(), issuer.token(t, key, claims), "irt-purpose", "AUDIT")
			if c.caller == "" {
				wantError(t, err, codes.Unauthenticated, "TOKEN_INVALID")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := <-b.called
			if text := got.Agency + " " + got.Practitioner + " " + identity.RoleText(got.Role); text != c.caller {
				t.Errorf("the caller is %q, want %q", text, c.caller)
			}
		})
	}
}

func TestIssuersThatAreNotTakenUp(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"not JSON":               `issuers:`,
		"none":                   `{"issuers": []}`,
		"a misspelt restriction": `{"issuers": [{"url": "https://a.example", "agency": ["x"]}]}`,
		"no agency":              `{"issuers": [{"url": "https://a.example"}]}`,
		"a star within":          `{"issuers": [{"url": "https://a.example", "agencies": ["a*b"]}]}`,
		"an unknown role":        `{"issuers": [{"url": "https://a.example", "agencies": ["*"], "roles": ["admin"]}]}`,
		"plain text":             `{"issuers": [{"url": "http://a.example", "agencies": ["*"]}]}`,
		"a client beyond it":     `{"issuers": [{"url": "https://a.example", "agencies": ["a"], "clients": {"c": {"agency": "b", "role": "agency-system"}}}]}`,
		"two values":             `{"issuers": [{"url": "https://a.example", "agencies": ["*"]}]} {}`,
	} {
		if issuers, err := identity.ReadIssuers([]byte(file)); err == nil {
			t.Errorf("%s: read as %+v", name, issuers)
		}
	}
}

// What an issuer signs for other uses opens nothing here.
func TestOnlyAccessTokensAreAccepted(t *testing.T) {
	t.Parallel()
	issuer := newOIDCIssuer(t)
	strict := newOIDCIssuer(t)
	b := setupWith(t, identity.Config{Issuers: []identity.Issuer{
		{URL: issuer.server.URL, Agencies: []string{"*"}}, {URL: strict.server.URL, Agencies: []string{"*"}, AccessTokensOnly: true},
	}})
	key := jwk(t, "k", jose.ES256)
	issuer.publish(key)
	strict.publish(key)
	for name, c := range map[string]struct {
		issuer *oidcIssuer
		typ    string
		claims map[string]any
		ok     bool
	}{
		"an access token":             {issuer, "at+jwt", nil, true},
		"in full":                     {issuer, "application/at+jwt", nil, true},
		"untyped":                     {issuer, "", nil, true},
		"a JWT":                       {issuer, "JWT", nil, true},
		"a logout token":              {issuer, "logout+jwt", nil, false},
		"an ID token, by its nonce":   {issuer, "JWT", map[string]any{"nonce": "n"}, false},
		"an ID token, by its at_hash": {issuer, "", map[string]any{"at_hash": "h"}, false},
		"an access token, strictly":   {strict, "at+jwt", nil, true},
		"a JWT, strictly":             {strict, "JWT", nil, false},
		"untyped, strictly":           {strict, "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			claims := good(c.claims)
			claims["iss"] = c.issuer.server.URL
			err := b.getChild(t.Context(), signTyped(t, c.typ, key, claims))
			if c.ok && err != nil {
				t.Error(err)
			}
			if !c.ok {
				wantError(t, err, codes.Unauthenticated, "TOKEN_INVALID")
			}
		})
	}
}

// A key that the issuer has taken back stops working within minutes, also where no
// token with another key ever makes the hub ask for the new ones.
func TestAWithdrawnKeyStopsWorking(t *testing.T) {
	t.Parallel()
	issuer := newOIDCIssuer(t)
	b := setup(t, issuer.server.URL)
	stolen := jwk(t, "stolen", jose.ES256)
	issuer.publish(stolen)
	if err := b.getChild(t.Context(), issuer.token(t, stolen, nil)); err != nil {
		t.Fatal(err)
	}
	issuer.publish(jwk(t, "new", jose.ES256))
	b.clock.pass(identity.KeysStale + time.Second)
	fresh := issuer.token(t, stolen, map[string]any{"jti": "never seen before"})
	wantError(t, b.getChild(t.Context(), fresh), codes.Unauthenticated, "TOKEN_INVALID")
}

// While its issuer is down for long, the hub does not go on believing for ever.
func TestKeysAreNotBelievedForEver(t *testing.T) {
	t.Parallel()
	issuer := newOIDCIssuer(t)
	b := setup(t, issuer.server.URL)
	key := jwk(t, "k", jose.ES256)
	issuer.publish(key)
	if err := b.getChild(t.Context(), issuer.token(t, key, nil)); err != nil {
		t.Fatal(err)
	}
	issuer.setDown(true)
	b.clock.pass(identity.KeysStale + time.Second)
	if err := b.getChild(t.Context(), issuer.token(t, key, map[string]any{"jti": "2"})); err != nil {
		t.Errorf("a short failure of the issuer shuts everybody out: %v", err)
	}
	b.clock.pass(identity.KeysDead)
	wantError(t, b.getChild(t.Context(), issuer.token(t, key, map[string]any{"jti": "3"})), codes.Unavailable, "UNAVAILABLE")
}

func signTyped(t *testing.T, typ string, key jose.JSONWebKey, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	return signWith(t, options, jose.SignatureAlgorithm(key.Algorithm), key, claims)
}

// FuzzIssuerClaims holds the translation of an issuer's claims to its promise: what it
// makes of any claims names no agency that the issuer may not speak for.
func FuzzIssuerClaims(f *testing.F) {
	f.Add(`{"irt_agency":"st-marys","irt_role":"agency-system"}`)
	f.Add(`{"irt_agency":["st-marys"],"irt_role":["x","auditor"],"IRT_AGENCY":"gp-1"}`)
	f.Add(`{"client_id":"c","irt_role":null}`)
	f.Fuzz(func(t *testing.T, payload string) {
		agency, role, err := identity.CallerOf([]byte(payload), identity.Issuer{
			URL: "https://a.example", Agencies: []string{"st-*"}, Clients: map[string]identity.Client{"c": {Agency: "st-c", Role: "agency-system"}},
		})
		if err == nil && (!strings.HasPrefix(agency, "st-") || role != system && role != person) {
			t.Errorf("%s is taken for %s in the role %v", payload, agency, role)
		}
	})
}
