package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

// CertificateIssuer is the Issuer of a caller who is identified by a client
// certificate alone; its TokenID is then the certificate's thumbprint.
const CertificateIssuer = "certificate"

// presented is the client certificate of a connection, which TLS has verified: its
// chain ends in a certificate of --client-ca, and the caller holds its key.
type presented struct {
	*x509.Certificate
	thumbprint string
}

// clientCertificate is what the connection presented, or nil. REST callers have
// theirs from the gateway, which takes it from the connection and from no header.
func clientCertificate(ctx context.Context) *presented {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return nil
	}
	leaf := info.State.VerifiedChains[0][0]
	return &presented{leaf, Thumbprint(leaf)}
}

// Thumbprint is how a token names the certificate it is bound to (RFC 8705,
// x5t#S256): base64url of the SHA-256 of its DER form.
func Thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ofCertificate identifies a caller by its certificate alone: the system of the
// agency whose name it bears.
func (a *Authenticator) ofCertificate(c *presented) (*token, error) {
	agency, err := a.agencyOf(c)
	if err != nil {
		return nil, err
	}
	if agency == "" {
		return nil, errCertificate("No agency of this hub's directory is known by a name in the client certificate. " +
			"Have the data manager of the hub add the name to certificate_names, or send a bearer token.")
	}
	t := &token{
		agency: agency, role: irtv1.Role_ROLE_AGENCY_SYSTEM, issuer: CertificateIssuer, id: c.thumbprint,
		notBefore: c.NotBefore, expiry: c.NotAfter,
	}
	return t, t.checkTime(a.now())
}

// holdToCertificate refuses a token that is bound to a certificate other than the
// one presented, and one of another agency than the certificate's.
func (a *Authenticator) holdToCertificate(t *token, c *presented) error {
	if t.boundTo != "" && (c == nil || c.thumbprint != t.boundTo) {
		return errCertificate("The token is bound to a client certificate (cnf), and the connection does not present that one.")
	}
	if c == nil {
		return nil
	}
	agency, err := a.agencyOf(c)
	if err != nil {
		return err
	}
	if agency != "" && agency != t.agency {
		return errCertificate("The client certificate is of another agency than the token.")
	}
	return nil
}

// agencyOf is the agency that the certificate's names are of; "" if of none.
// Common names do not count, nor do addresses.
func (a *Authenticator) agencyOf(c *presented) (string, error) {
	found := ""
	for name := range certificateNames(c.Certificate) {
		agency, known := a.asked.CertificateAgency(name)
		switch {
		case !known || agency == found:
		case found == "":
			found = agency
		default:
			return "", errCertificate("The client certificate bears names of more than one agency.")
		}
	}
	return found, nil
}

// certificateNames yields the DNS names, in lower case, and the URIs.
func certificateNames(c *x509.Certificate) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, name := range c.DNSNames {
			if !yield(strings.ToLower(name)) {
				return
			}
		}
		for _, u := range c.URIs {
			if !yield(u.String()) {
				return
			}
		}
	}
}

func errCertificate(why string) error {
	return rpc.Error(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_CERTIFICATE_REFUSED, why)
}
