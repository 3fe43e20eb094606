package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

// Issuer is an OpenID Connect issuer whose tokens are believed, and how far.
type Issuer struct {
	// URL is its iss. It must be reached by https, unless it is on this machine.
	URL string
	// Audiences are the values of aud of which a token must have one; the hub's own
	// Audience if empty.
	Audiences []string
	// Agencies are the ids of those it may speak for. A star at the end stands for
	// any rest. An issuer without any may speak for none.
	Agencies []string
	// Roles are those it may give; agency-system and practitioner if empty.
	Roles []irtv1.Role
	// Claims are the names of the claims that say who the caller is.
	Claims ClaimNames
	// Clients says who a client is whose tokens do not say so themselves, by the
	// client's id (the claim client_id or azp).
	Clients map[string]Client
	// AccessTokensOnly refuses tokens that are not typed at+jwt (RFC 9068).
	AccessTokensOnly bool
}

// ClaimNames are the names of claims; what is empty has the hub's own name. A name
// with dots is a path into nested claims, unless a claim has that very name.
type ClaimNames struct {
	Agency       string `json:"agency"`       // irt_agency
	Practitioner string `json:"practitioner"` // irt_practitioner
	Role         string `json:"role"`         // irt_role
}

// Client is who calls with a client's tokens.
type Client struct {
	Agency string `json:"agency"`
	Role   string `json:"role"`
}

// usualRoles are those of whom an issuer speaks, if it is not told otherwise: who
// keeps watch over the hub, and who runs it, comes from no issuer by accident.
var usualRoles = []irtv1.Role{irtv1.Role_ROLE_AGENCY_SYSTEM, irtv1.Role_ROLE_PRACTITIONER}

// AnyAgency is the pattern that every agency fits.
const AnyAgency = "*"

func (i *Issuer) check() error {
	if err := checkIssuerURL(i.URL); err != nil {
		return err
	}
	if len(i.Agencies) == 0 {
		return fmt.Errorf("identity: the issuer %q may speak for no agency: say for which", i.URL)
	}
	for _, pattern := range i.Agencies {
		if id := strings.TrimSuffix(pattern, "*"); pattern != AnyAgency && !resourceID.MatchString(id) {
			return fmt.Errorf("identity: the issuer %q: %q is neither an agency's id nor the beginning of one with a star", i.URL, pattern)
		}
	}
	for id, client := range i.Clients {
		role, ok := ParseRole(client.Role)
		if !ok || role == irtv1.Role_ROLE_PRACTITIONER || !i.mayName(client.Agency, role) {
			return fmt.Errorf("identity: the issuer %q: the client %q is of an agency or role that the issuer may not speak for, or is a practitioner",
				i.URL, id)
		}
	}
	return nil
}

func checkIssuerURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return fmt.Errorf("identity: the issuer %q is not a URL", s)
	}
	if !reachedSafely(u) {
		return fmt.Errorf("identity: the issuer %q must be reached by https", s)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("identity: the issuer %q has more than a host and a path", u.Redacted())
	}
	return nil
}

// reachedSafely allows plain text within this machine only.
func reachedSafely(u *url.URL) bool {
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	return u.Scheme == "https" || u.Scheme == "http" && local
}

// mayName says whether the issuer may speak for an agency in a role.
func (i *Issuer) mayName(agency string, role irtv1.Role) bool {
	roles := i.Roles
	if len(roles) == 0 {
		roles = usualRoles
	}
	return slices.Contains(roles, role) && slices.ContainsFunc(i.Agencies, func(pattern string) bool {
		beginning, open := strings.CutSuffix(pattern, "*")
		return agency == pattern || open && strings.HasPrefix(agency, beginning)
	})
}

// issuer is an Issuer at work.
type issuer struct {
	Issuer
	keys *keySet
}

func newIssuer(i Issuer, transport http.RoundTripper, now func() time.Time) *issuer {
	if transport == nil {
		transport = http.DefaultTransport
	}
	if len(i.Audiences) == 0 {
		i.Audiences = []string{Audience}
	}
	i.Claims = ClaimNames{
		Agency:       cmp.Or(i.Claims.Agency, "irt_agency"),
		Practitioner: cmp.Or(i.Claims.Practitioner, "irt_practitioner"),
		Role:         cmp.Or(i.Claims.Role, "irt_role"),
	}
	return &issuer{i, &keySet{
		issuer: i.URL, now: now, client: &http.Client{Timeout: fetchTimeout, Transport: transport, CheckRedirect: noRedirect},
	}}
}

// noRedirect keeps an issuer from sending the hub elsewhere for its keys.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// verify returns the token if the issuer signed it for this hub and may speak for
// whom it names. Times are checked elsewhere.
func (i *issuer) verify(ctx context.Context, signed *jose.JSONWebSignature, raw string) (*token, error) {
	payload, err := i.keys.verify(ctx, signed)
	if lost, ok := errors.AsType[*lostError](err); ok {
		return nil, rpc.Unavailable(lost, "The hub cannot reach the issuer of your token just now. Nothing was done; send it again.")
	}
	if err != nil {
		return nil, errToken("its signature is not its issuer's, or of a kind this hub does not take (it takes RS256, ES256, PS256 and EdDSA)")
	}
	if err := i.checkType(signed, payload); err != nil {
		return nil, err
	}
	t, err := readClaims(payload, raw, i)
	if err != nil {
		return nil, err
	}
	if !i.mayName(t.agency, t.role) {
		return nil, errToken("its issuer may not speak for this agency, or not in this role")
	}
	return t, nil
}

// checkType refuses what an issuer signs for other uses, such as the ID token of a
// login, which an application that a person has logged in to could replay here.
func (i *issuer) checkType(signed *jose.JSONWebSignature, payload []byte) error {
	typ, _ := signed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string)
	switch typ = strings.ToLower(path.Base(typ)); { // application/at+jwt is at+jwt in full
	case typ == "at+jwt":
		return nil
	case i.AccessTokensOnly:
		return errToken("it is not typed as an access token (at+jwt)")
	case typ != "jwt" && typ != ".":
		return errToken("it is not an access token, by its type (typ)")
	}
	var login struct {
		Nonce *json.RawMessage `json:"nonce"`
		Hash  *json.RawMessage `json:"at_hash"`
		Code  *json.RawMessage `json:"c_hash"`
	}
	if err := json.Unmarshal(payload, &login); err != nil || login.Nonce != nil || login.Hash != nil || login.Code != nil {
		return errToken("it is the ID token of a login, not an access token")
	}
	return nil
}
