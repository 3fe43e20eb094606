package identity

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"irthub/internal/rpc"
)

// Config says whose tokens are believed.
type Config struct {
	Own       *SigningKey       // the hub's own key; nil: its tokens are refused
	Issuers   []string          // URLs of OpenID Connect issuers, as in their tokens' iss
	Agencies  AgencyFacts       // needed
	Transport http.RoundTripper // to the issuers; http.DefaultTransport if nil
}

// Authenticator finds out who is calling.
type Authenticator struct {
	own      *SigningKey
	issuers  map[string]*issuer
	agencies AgencyFacts
	verified cache
	now      func() time.Time
}

// NewAuthenticator makes an Authenticator. It asks the issuers nothing yet. An
// issuer must be reached by https, unless it is on this machine.
func NewAuthenticator(c Config) (*Authenticator, error) {
	if c.Agencies == nil {
		return nil, errors.New("identity: no agency facts")
	}
	if c.Own == nil && len(c.Issuers) == 0 {
		return nil, errors.New("identity: neither an own key nor an issuer: nobody could call")
	}
	a := &Authenticator{own: c.Own, issuers: map[string]*issuer{}, agencies: c.Agencies, now: time.Now}
	for _, u := range c.Issuers {
		if err := checkIssuerURL(u); err != nil {
			return nil, err
		}
		a.issuers[u] = newIssuer(u, c.Transport, func() time.Time { return a.now() })
	}
	return a, nil
}

func checkIssuerURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return fmt.Errorf("identity: the issuer %q is not a URL", s)
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("identity: the issuer %q must be reached by https", s)
	}
	return nil
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

// Stream is Unary for streams. While the stream lasts, every message the caller
// sends is refused once the token has expired or the agency is no longer active.
func (a *Authenticator) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := a.authenticate(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	if k, ok := ctx.Value(callerKey{}).(*known); ok {
		ss = &watchedStream{ServerStream: rpc.WithContext(ss, ctx), a: a, known: k}
	}
	return handler(srv, ss)
}

type watchedStream struct {
	grpc.ServerStream
	a     *Authenticator
	known *known
}

// RecvMsg implements grpc.ServerStream.
func (s *watchedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if err := s.known.token.checkTime(s.a.now()); err != nil {
		return err
	}
	_, _, active, err := s.a.agencies(s.Context(), s.known.caller.Agency)
	if err != nil {
		return fmt.Errorf("identity: looking up the agency: %w", err)
	}
	if !active {
		return errInactive()
	}
	return nil
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
	t, err := a.token(ctx)
	if err != nil {
		return nil, err
	}
	rpc.SetAgency(ctx, t.agency)
	k := &known{token: t, caller: Caller{
		Agency: t.agency, Practitioner: t.practitioner, Role: t.role,
		TokenID: t.id, Issuer: t.issuer, Address: address(ctx),
	}}
	k.caller.Kind, k.caller.Sensitive, k.active, err = a.agencies(ctx, t.agency)
	if err != nil {
		return nil, fmt.Errorf("identity: looking up the agency: %w", err)
	}
	k.statement = state(ctx, &k.caller)
	return context.WithValue(ctx, callerKey{}, k), nil
}

// token returns the verified token of the call, in its time.
func (a *Authenticator) token(ctx context.Context) (*token, error) {
	raw, err := bearer(ctx)
	if err != nil {
		return nil, err
	}
	now := a.now()
	sum := sha256.Sum256([]byte(raw))
	t, ok := a.verified.get(sum, now)
	if !ok {
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

// bearer takes the token out of the authorization metadata (RFC 6750).
func bearer(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) == 0 {
		return "", errNoToken()
	}
	scheme, raw, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	raw = strings.TrimSpace(raw)
	switch {
	case len(values) > 1:
		return "", errToken("there are several")
	case !strings.EqualFold(scheme, "bearer") || raw == "":
		return "", errNoToken()
	case len(raw) > maxToken:
		return "", errToken("it is too long")
	}
	return raw, nil
}

// verify checks signature, issuer, audience and claims. Only the choice of the
// issuer rests on the token's own word.
func (a *Authenticator) verify(ctx context.Context, raw string) (*token, error) {
	algorithms := []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256, jose.EdDSA}
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
	payload, err := a.verifyBy(ctx, claimed.Issuer, raw)
	if err != nil {
		return nil, err
	}
	return readClaims(payload, raw)
}

func (a *Authenticator) verifyBy(ctx context.Context, issuer, raw string) ([]byte, error) {
	if issuer == OwnIssuer && a.own != nil {
		return a.own.verify(raw)
	}
	if i, ok := a.issuers[issuer]; ok {
		return i.verify(ctx, raw)
	}
	return nil, errToken("this hub does not know its issuer (iss)")
}
