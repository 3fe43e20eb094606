package identity

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Config says whose tokens and certificates are believed. The funcs are asked on
// every call, so they must answer from memory, kept fresh within seconds.
type Config struct {
	Own      *SigningKey // the hub's own key; nil: its tokens are refused
	Issuers  []Issuer    // OpenID Connect issuers
	Agencies AgencyFacts // needed

	// Left says that a practitioner may no longer use the hub; nil: nobody has left.
	Left func(agencyID, practitionerID string) bool
	// Registered says that a practitioner is in the directory. Mediators act for those
	// only; it is asked of their calls alone, and may ask the database. nil: everybody is.
	Registered func(ctx context.Context, agencyID, practitionerID string) (bool, error)
	// CertificateAgency gives the agency that a name in a client certificate is of;
	// nil: certificates alone identify nobody.
	CertificateAgency func(name string) (agencyID string, known bool)
	// Revoked says that a token or certificate has been revoked; nil: none has.
	Revoked func(issuer, tokenID string) bool
	// Rejected hears of each call that was refused because it was not known who
	// called; nil: nobody does.
	Rejected func(ctx context.Context, err error)

	Transport http.RoundTripper // to the issuers; http.DefaultTransport if nil
}

// Authenticator finds out who is calling.
type Authenticator struct {
	own      *SigningKey
	issuers  map[string]*issuer
	asked    Config
	verified cache
	now      func() time.Time
}

// NewAuthenticator makes an Authenticator. It asks the issuers nothing yet.
func NewAuthenticator(c Config) (*Authenticator, error) {
	if c.Agencies == nil {
		return nil, errors.New("identity: no agency facts")
	}
	if c.Own == nil && len(c.Issuers) == 0 {
		return nil, errors.New("identity: neither an own key nor an issuer: nobody could call")
	}
	c.fillIn()
	a := &Authenticator{own: c.Own, issuers: map[string]*issuer{}, asked: c, now: time.Now}
	for _, i := range c.Issuers {
		if err := i.check(); err != nil {
			return nil, err
		}
		if _, twice := a.issuers[i.URL]; twice {
			return nil, fmt.Errorf("identity: the issuer %q is given twice", i.URL)
		}
		a.issuers[i.URL] = newIssuer(i, c.Transport, func() time.Time { return a.now() })
	}
	return a, nil
}

// fillIn puts the plainest answer in the place of each func that is not given.
func (c *Config) fillIn() {
	if c.Left == nil {
		c.Left = func(string, string) bool { return false }
	}
	if c.Registered == nil {
		c.Registered = func(context.Context, string, string) (bool, error) { return true, nil }
	}
	if c.CertificateAgency == nil {
		c.CertificateAgency = func(string) (string, bool) { return "", false }
	}
	if c.Revoked == nil {
		c.Revoked = func(string, string) bool { return false }
	}
	if c.Rejected == nil {
		c.Rejected = func(context.Context, error) {}
	}
}

// Unary finds out who makes a unary call, and puts the Caller into its context. A
// call of a public method passes without one. A caller who is known but may not
// call passes too: the audit that follows must record it, and Authorise refuses it.
func (a *Authenticator) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := a.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// authenticate returns ctx with the caller, or as it is for public methods.
func (a *Authenticator) authenticate(ctx context.Context, method string) (context.Context, error) {
	access, exists := Access(method)
	if !exists {
		return nil, rpc.NoSuchMethod()
	}
	if access.GetPublic() {
		return ctx, nil
	}
	cert := clientCertificate(ctx)
	t, err := a.credential(ctx, cert)
	if err != nil {
		a.asked.Rejected(ctx, err)
		return nil, err
	}
	rpc.SetAgency(ctx, t.agency)
	k := &known{token: t, caller: Caller{
		Agency: t.agency, Practitioner: t.practitioner, Role: t.role,
		TokenID: t.id, Issuer: t.issuer, Address: Address(ctx),
	}}
	if cert != nil {
		k.thumbprint = cert.thumbprint
	}
	k.statement = state(ctx, &k.caller)
	if k.statement == nil && t.role == irtv1.Role_ROLE_MEDIATOR {
		if k.statement, err = a.mediated(ctx, k.caller.OnBehalfOf); err != nil {
			return nil, err
		}
	}
	if k.refused, err = a.standing(ctx, k); err != nil {
		return nil, err
	}
	return context.WithValue(ctx, callerKey{}, k), nil
}

// standing says why the caller is shut out, if it is: its token or certificate was
// revoked, its agency is not active, it has left, or whom it acts for has. It
// completes what the directory knows of the caller.
func (a *Authenticator) standing(ctx context.Context, k *known) (refused, err error) {
	c := &k.caller
	var active bool
	c.Kind, c.Sensitive, active, err = a.asked.Agencies(ctx, c.Agency)
	switch {
	case err != nil:
		return nil, fmt.Errorf("identity: looking up the agency: %w", err)
	case a.asked.Revoked(c.Issuer, c.TokenID), k.thumbprint != "" && a.asked.Revoked(CertificateIssuer, k.thumbprint):
		return errRevoked(), nil
	case !active:
		return errInactive(), nil
	case c.Practitioner != "" && a.asked.Left(c.Agency, c.Practitioner):
		return errLeft(), nil
	}
	if parts := practitionerName.FindStringSubmatch(c.OnBehalfOf); parts != nil && a.asked.Left(parts[1], parts[2]) {
		return errLeft(), nil
	}
	return nil, nil
}

// mediated says why a mediator may not act for the practitioner named: the directory
// does not have such a one.
func (a *Authenticator) mediated(ctx context.Context, name string) (refused, err error) {
	parts := practitionerName.FindStringSubmatch(name)
	known, err := a.asked.Registered(ctx, parts[1], parts[2])
	if err != nil {
		return nil, fmt.Errorf("identity: looking up the practitioner acted for: %w", err)
	}
	if known {
		return nil, nil
	}
	return rpc.Invalid([]standard.Fault{{
		Field: OnBehalfOfKey, RuleID: "ON_BEHALF_OF_UNKNOWN", Description: "The directory has no such practitioner.",
		Action: "Name a practitioner of the directory, or have the agency register the practitioner.",
	}}), nil
}

// credential returns what identifies the caller, in its time: a token, held to the
// certificate where there is one, or a certificate alone.
func (a *Authenticator) credential(ctx context.Context, cert *presented) (*token, error) {
	raw, given, err := bearer(ctx)
	switch {
	case err != nil:
		return nil, err
	case !given && cert == nil:
		return nil, errNoToken()
	case !given:
		return a.ofCertificate(cert)
	}
	t, err := a.token(ctx, raw)
	if err != nil {
		return nil, err
	}
	return t, a.holdToCertificate(t, cert)
}

// token returns the verified token, in its time.
func (a *Authenticator) token(ctx context.Context, raw string) (*token, error) {
	now := a.now()
	sum := sha256.Sum256([]byte(raw))
	t, ok := a.verified.get(sum, now)
	if !ok {
		var err error
		if t, err = a.verify(ctx, raw); err != nil {
			return nil, err
		}
		a.verified.put(sum, t, now)
	}
	if err := t.checkTime(now); err != nil {
		return nil, err
	}
	return t, nil
}

// bearer takes the token out of the authorization metadata (RFC 6750); given is
// false where there is no such metadata.
func bearer(ctx context.Context) (raw string, given bool, err error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) == 0 {
		return "", false, nil
	}
	scheme, raw, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	raw = strings.TrimSpace(raw)
	switch {
	case len(values) > 1:
		return "", true, errToken("there are several")
	case !strings.EqualFold(scheme, "bearer") || raw == "":
		return "", true, errNoToken()
	case len(raw) > maxToken:
		return "", true, errToken("it is too long")
	}
	return raw, true, nil
}

// algorithms are the signatures accepted: asymmetric ones only, whatever a token
// says of itself and whatever an issuer claims to support.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256, jose.EdDSA}

// verify checks signature, issuer, audience and claims. Only the choice of the
// issuer rests on the token's own word.
func (a *Authenticator) verify(ctx context.Context, raw string) (*token, error) {
	signed, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return nil, errToken("it is not a JWT signed with RS256, ES256, PS256 or EdDSA")
	}
	var claimed struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claimed); err != nil {
		return nil, errToken("its claims cannot be read")
	}
	if claimed.Issuer == OwnIssuer && a.own != nil {
		payload, err := a.own.verify(raw)
		if err != nil {
			return nil, err
		}
		return readClaims(payload, raw, nil)
	}
	if i, ok := a.issuers[claimed.Issuer]; ok {
		return i.verify(ctx, signed, raw)
	}
	return nil, errToken("this hub does not know its issuer (iss)")
}
