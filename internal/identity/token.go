package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

// Leeway is how far the clocks of hub and issuer may differ.
const Leeway = 30 * time.Second

// MaxLifetime is the longest time from iat to exp that a token may have: a lost
// token must not open the index for long.
const MaxLifetime = 24 * time.Hour

// maxToken bounds what is looked at, in bytes.
const maxToken = 8 << 10

// claims are what the hub reads of a token. Those of its own begin with irt_.
type claims struct {
	Issuer       string           `json:"iss"`
	Subject      string           `json:"sub,omitempty"`
	Audience     jwt.Audience     `json:"aud"`
	IssuedAt     *jwt.NumericDate `json:"iat"`
	NotBefore    *jwt.NumericDate `json:"nbf,omitempty"`
	Expiry       *jwt.NumericDate `json:"exp"`
	ID           string           `json:"jti,omitempty"`
	Agency       string           `json:"irt_agency"`
	Practitioner string           `json:"irt_practitioner,omitempty"`
	Role         string           `json:"irt_role"`
	Confirmation *confirmation    `json:"cnf,omitempty"`
}

// confirmation says what a caller must hold besides the token (RFC 7800).
type confirmation struct {
	Certificate string `json:"x5t#S256,omitempty"` // its thumbprint (RFC 8705)
}

// token is a token that has been verified, save that its time may have come to an end.
type token struct {
	agency, practitioner string
	role                 irtv1.Role
	id, issuer           string
	boundTo              string // the thumbprint of a certificate, or ""
	notBefore, expiry    time.Time
}

var resourceID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// readClaims turns the payload of a token whose signature is right into what the
// hub needs of it; by is who issued it, nil for the hub itself.
func readClaims(payload []byte, raw string, by *issuer) (*token, error) {
	var c claims
	audiences := []string{Audience}
	if by != nil {
		audiences = by.Audiences
		var err error
		if payload, err = by.translate(payload); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, errToken("its claims are not of the right types")
	}
	if by != nil && c.Issuer != by.URL {
		return nil, errToken("this hub does not know its issuer (iss)")
	}
	if !slices.ContainsFunc(audiences, c.Audience.Contains) {
		return nil, errToken("its audience (aud) is not " + strings.Join(audiences, " or "))
	}
	for _, claim := range []struct {
		name    string
		missing bool
	}{
		{"exp", c.Expiry == nil},
		{"iat", c.IssuedAt == nil},
		{"irt_agency", c.Agency == ""},
		{"irt_role", c.Role == ""},
	} {
		if claim.missing {
			return nil, errToken("it lacks the claim " + claim.name)
		}
	}
	role, ok := ParseRole(c.Role)
	switch {
	case !ok:
		return nil, errToken("its irt_role is not a role of the hub")
	case !resourceID.MatchString(c.Agency):
		return nil, errToken("its irt_agency is not an agency's id")
	case c.Practitioner != "" && !resourceID.MatchString(c.Practitioner):
		return nil, errToken("its irt_practitioner is not a practitioner's id")
	case role == irtv1.Role_ROLE_PRACTITIONER && c.Practitioner == "":
		return nil, errToken("it lacks the claim irt_practitioner, which the role practitioner needs")
	case c.Confirmation != nil && c.Confirmation.Certificate == "":
		return nil, errToken("it is bound (cnf) to something that this hub cannot check")
	case c.Expiry.Time().Sub(c.IssuedAt.Time()) > MaxLifetime:
		return nil, errToken(fmt.Sprintf("it is valid for longer than %v", MaxLifetime))
	}
	t := &token{
		agency: c.Agency, practitioner: c.Practitioner, role: role, id: c.ID, issuer: c.Issuer,
		notBefore: c.IssuedAt.Time(), expiry: c.Expiry.Time(),
	}
	if c.NotBefore != nil && c.NotBefore.Time().After(t.notBefore) {
		t.notBefore = c.NotBefore.Time()
	}
	if t.id == "" {
		t.id = idOf(raw)
	}
	if c.Confirmation != nil {
		t.boundTo = c.Confirmation.Certificate
	}
	return t, nil
}

// idOf is the id of a token that has none of its own. It leaves out the signature,
// of which there may be several for one token.
func idOf(raw string) string {
	signed := raw[:max(strings.LastIndexByte(raw, '.'), 0)]
	sum := sha256.Sum256([]byte(signed))
	return hex.EncodeToString(sum[:8])
}

// TokenName says by which issuer and id a token is revoked. It verifies nothing.
func TokenName(raw string) (issuer, id string, err error) {
	raw = strings.TrimSpace(raw)
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", "", errors.New("identity: not a JWT")
	}
	var c claims
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	if err != nil || c.Issuer == "" { // the cause might quote it
		return "", "", errors.New("identity: not a JWT with an issuer (iss)")
	}
	if c.ID == "" {
		c.ID = idOf(raw)
	}
	return c.Issuer, c.ID, nil
}

// checkTime says whether the token is in its time, give or take Leeway.
func (t *token) checkTime(now time.Time) error {
	switch {
	case t.issuer == CertificateIssuer && (now.After(t.expiry) || now.Before(t.notBefore)):
		return errCertificate("The client certificate is not in its time.")
	case now.After(t.expiry.Add(Leeway)):
		return rpc.Error(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_TOKEN_EXPIRED,
			"The bearer token has expired. Get a new one and send the request again.")
	case now.Before(t.notBefore.Add(-Leeway)):
		return rpc.Error(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_TOKEN_EXPIRED,
			"The bearer token is not valid yet. Compare the clocks of its issuer and of the hub.")
	}
	return nil
}

// errToken says why a token is refused. why is about the token only, so it may be told.
func errToken(why string) error {
	return rpc.Error(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_TOKEN_INVALID,
		"The bearer token is not accepted: "+why+". Get a new one from an issuer that this hub trusts.")
}

func errNoToken() error {
	return rpc.Error(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_TOKEN_MISSING,
		"A bearer token is needed. Send it as authorization: Bearer TOKEN.")
}
