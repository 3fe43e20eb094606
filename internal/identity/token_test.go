package identity_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

func TestATokenOfTheHubIsAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := b.token(t, "clinic", "dr-ahmed", irtv1.Role_ROLE_PRACTITIONER)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "bearer "+raw,
		"irt-purpose", "EMERGENCY", "irt-reason", "Fell from a window", "x-forwarded-for", "203.0.113.9")
	if _, err := b.children.GetChild(ctx, &irtv1.GetChildRequest{Name: "children/x"}); err != nil {
		t.Fatal(err)
	}
	got := <-b.called
	if got.TokenID == "" {
		t.Error("the token has no id")
	}
	got.TokenID = ""
	want := identity.Caller{
		Agency: "clinic", Practitioner: "dr-ahmed", Role: irtv1.Role_ROLE_PRACTITIONER,
		Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL, Sensitive: true, Issuer: "irthub",
		Purpose: irtv1.Purpose_PURPOSE_EMERGENCY, Reason: "Fell from a window", Address: "127.0.0.1",
	}
	if got != want {
		t.Errorf("the handler sees\n%+v, want\n%+v", got, want)
	}
	if got.PractitionerName() != "agencies/clinic/practitioners/dr-ahmed" || (identity.Caller{}).PractitionerName() != "" {
		t.Errorf("named %q", got.PractitionerName())
	}
}

func TestTokensThatAreNotAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now()
	own := func(with map[string]any) string { return sign(t, jose.ES256, b.private, good(with)) }
	for name, c := range map[string]struct{ token, reason, says string }{
		"none":                         {"", "TOKEN_MISSING", "Bearer"},
		"not a token":                  {"abc", "TOKEN_INVALID", ""},
		"too long":                     {own(map[string]any{"pad": strings.Repeat("x", 7000)}), "TOKEN_INVALID", "long"},
		"another key":                  {sign(t, jose.ES256, newECKey(t), good(nil)), "TOKEN_INVALID", "signature"},
		"alg none":                     {algNone(t, good(nil)), "TOKEN_INVALID", ""},
		"HS256 of the public key":      {hs256OfPublicKey(t, b), "TOKEN_INVALID", ""},
		"claims changed":               {withOtherClaims(t, own(nil), good(map[string]any{"irt_role": "data-manager"})), "TOKEN_INVALID", "signature"},
		"signature cut off":            {strings.TrimRight(own(nil)[:strings.LastIndex(own(nil), ".")+1], "x"), "TOKEN_INVALID", ""},
		"wrong audience":               {own(map[string]any{"aud": "other"}), "TOKEN_INVALID", "aud"},
		"wrong audiences":              {own(map[string]any{"aud": []string{"other", "irthub2"}}), "TOKEN_INVALID", "aud"},
		"unknown issuer":               {own(map[string]any{"iss": "https://elsewhere.example"}), "TOKEN_INVALID", "iss"},
		"without iss":                  {own(map[string]any{"iss": nil}), "TOKEN_INVALID", "iss"},
		"without aud":                  {own(map[string]any{"aud": nil}), "TOKEN_INVALID", "aud"},
		"without exp":                  {own(map[string]any{"exp": nil}), "TOKEN_INVALID", "exp"},
		"without iat":                  {own(map[string]any{"iat": nil}), "TOKEN_INVALID", "iat"},
		"without irt_agency":           {own(map[string]any{"irt_agency": nil}), "TOKEN_INVALID", "irt_agency"},
		"without irt_role":             {own(map[string]any{"irt_role": nil}), "TOKEN_INVALID", "irt_role"},
		"unknown role":                 {own(map[string]any{"irt_role": "ROLE_DATA_MANAGER"}), "TOKEN_INVALID", "irt_role"},
		"no role":                      {own(map[string]any{"irt_role": "unspecified"}), "TOKEN_INVALID", "irt_role"},
		"role of a wrong type":         {own(map[string]any{"irt_role": []string{"auditor"}}), "TOKEN_INVALID", "type"},
		"agency of another form":       {own(map[string]any{"irt_agency": "agencies/st-marys"}), "TOKEN_INVALID", "irt_agency"},
		"practitioner of another form": {own(map[string]any{"irt_practitioner": "a/b"}), "TOKEN_INVALID", "irt_practitioner"},
		"a practitioner unnamed":       {own(map[string]any{"irt_role": "practitioner"}), "TOKEN_INVALID", "irt_practitioner"},
		"valid for too long":           {own(map[string]any{"exp": now.Add(25 * time.Hour).Unix()}), "TOKEN_INVALID", "longer"},
		"expired":                      {own(map[string]any{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(-time.Minute).Unix()}), "TOKEN_EXPIRED", "expired"},
		"not yet valid":                {own(map[string]any{"nbf": now.Add(time.Minute).Unix()}), "TOKEN_EXPIRED", "not valid yet"},
		"issued in the future":         {own(map[string]any{"iat": now.Add(time.Minute).Unix()}), "TOKEN_EXPIRED", "not valid yet"},
	} {
		t.Run(name, func(t *testing.T) {
			err := b.getChild(t.Context(), c.token)
			wantError(t, err, codes.Unauthenticated, c.reason)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
	if n := len(b.called); n > 0 {
		t.Errorf("the handler was called %d times", n)
	}
}

func TestTokensThatAreAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now()
	for name, with := range map[string]map[string]any{
		"several audiences":          {"aud": []string{"other", "irthub"}},
		"no jti":                     {"jti": nil},
		"fractions of seconds":       {"iat": float64(now.UnixMilli()) / 1000},
		"expired, within the leeway": {"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(-20 * time.Second).Unix()},
		"early, within the leeway":   {"nbf": now.Add(20 * time.Second).Unix()},
		"as long as may be":          {"iat": now.Unix(), "exp": now.Unix() + 24*3600},
	} {
		t.Run(name, func(t *testing.T) {
			if err := b.getChild(t.Context(), sign(t, jose.ES256, b.private, good(with))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAuthorizationMetadata(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := b.token(t, "st-marys", "", irtv1.Role_ROLE_AGENCY_SYSTEM)
	for name, c := range map[string]struct {
		values []string
		reason string
	}{
		"another scheme":  {[]string{"Basic " + raw}, "TOKEN_MISSING"},
		"no scheme":       {[]string{raw}, "TOKEN_MISSING"},
		"nothing in it":   {[]string{"Bearer "}, "TOKEN_MISSING"},
		"two of them":     {[]string{"Bearer " + raw, "Bearer " + raw}, "TOKEN_INVALID"},
		"something added": {[]string{"Bearer " + raw + " x"}, "TOKEN_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"authorization": c.values, "irt-purpose": {"AUDIT"}})
			_, err := b.children.GetChild(ctx, &irtv1.GetChildRequest{Name: "children/x"})
			wantError(t, err, codes.Unauthenticated, c.reason)
		})
	}
}

// A verified token is believed without verifying it again, and must still end in time.
func TestACachedTokenExpires(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := sign(t, jose.ES256, b.private, good(map[string]any{"exp": time.Now().Add(2 * time.Minute).Unix()}))
	for range 2 {
		if err := b.getChild(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.auth.CachedTokens(); n != 1 {
		t.Errorf("%d tokens are cached", n)
	}
	b.clock.pass(2*time.Minute + identity.Leeway + time.Second)
	wantError(t, b.getChild(t.Context(), raw), codes.Unauthenticated, "TOKEN_EXPIRED")
}

func TestIssueRefusesWhatTheHubWould(t *testing.T) {
	t.Parallel()
	key, err := identity.LoadOrCreateKey(t.TempDir() + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	ok := identity.Claims{Agency: "st-marys", Role: irtv1.Role_ROLE_AGENCY_SYSTEM}
	for name, change := range map[string]func(*identity.Claims){
		"no agency":                 func(c *identity.Claims) { c.Agency = "" },
		"an agency's resource name": func(c *identity.Claims) { c.Agency = "agencies/x" },
		"no role":                   func(c *identity.Claims) { c.Role = 0 },
		"a role that is not":        func(c *identity.Claims) { c.Role = 99 },
		"practitioner without one":  func(c *identity.Claims) { c.Role = irtv1.Role_ROLE_PRACTITIONER },
		"too long":                  func(c *identity.Claims) { c.TTL = 25 * time.Hour },
		"negative":                  func(c *identity.Claims) { c.TTL = -time.Hour },
	} {
		c := ok
		change(&c)
		if raw, err := key.Issue(c); err == nil {
			t.Errorf("%s: issued %s", name, raw)
		}
	}
	if _, err := key.Issue(ok); err != nil {
		t.Error(err)
	}
}

// FuzzBearer sends any text as a token: it is refused as unauthenticated.
func FuzzBearer(f *testing.F) {
	b := setup(f)
	f.Add("abc")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(sign(f, jose.ES256, newECKey(f), good(nil)))
	f.Fuzz(func(t *testing.T, raw string) {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+raw))
		_, err := b.auth.Unary(ctx, &irtv1.GetChildRequest{}, getChildInfo, func(context.Context, any) (any, error) { return nil, nil })
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

func algNone(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

// hs256OfPublicKey signs with the public key as if it were a shared secret, which
// verifiers that let the token choose its algorithm accept.
func hs256OfPublicKey(t *testing.T, b *testBundle) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(b.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return sign(t, jose.HS256, secret, good(map[string]any{"irt_role": "data-manager"}))
}

func withOtherClaims(t *testing.T, raw string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(raw, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString(payload)
	return strings.Join(parts, ".")
}
