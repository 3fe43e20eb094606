package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/server"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// issue makes a certificate for a client or server with the names.
func (a authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// dns and uri name a certificate.
func dns(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func uri(t *testing.T, text string) func(*x509.Certificate) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) { c.URIs = []*url.URL{u} }
}

// write puts a certificate and its key where a hub reads them.
func write(t *testing.T, c tls.Certificate, certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, "PRIVATE KEY", der)
	writePEM(t, certFile, "CERTIFICATE", c.Certificate[0])
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// tlsHub is a hub that asks its clients for certificates of one authority.
type tlsHub struct {
	*hub
	authority         authority
	roots             *x509.CertPool
	certFile, keyFile string
}

func startTLS(t *testing.T, c server.Config) *tlsHub {
	t.Helper()
	dir := t.TempDir()
	h := &tlsHub{authority: newAuthority(t), roots: x509.NewCertPool(), certFile: filepath.Join(dir, "hub.pem"), keyFile: filepath.Join(dir, "hub.key")}
	h.roots.AddCert(h.authority.cert)
	write(t, h.authority.issue(t, dns("localhost")), h.certFile, h.keyFile)
	c.TLSCert, c.TLSKey, c.ClientCA = h.certFile, h.keyFile, filepath.Join(dir, "clients.pem")
	writePEM(t, c.ClientCA, "CERTIFICATE", h.authority.cert.Raw)
	h.hub = startWith(t, c)
	return h
}

// answers is how both doors answer who reads the directory with a certificate, if
// any, and a token, if any: the reason of the refusal, or the caller's door to the
// directory.
func (h *tlsHub) answers(t *testing.T, cert *tls.Certificate, token string) (overGRPC, overREST string) {
	t.Helper()
	config := &tls.Config{RootCAs: h.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	return h.grpcAnswer(t, config, token), h.restAnswer(t, config, token)
}

func (h *tlsHub) grpcAnswer(t *testing.T, config *tls.Config, token string) string {
	t.Helper()
	conn, err := grpc.NewClient(h.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(config.Clone())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	_, err = irtv1.NewChildServiceClient(conn).SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{ChildRecord: &irtv1.ChildRecord{
		Name: "agencies/school-1/childRecords/1", GivenName: "Ada", FamilyName: "Byron", DateOfBirth: "2015-03-04",
	}})
	if status.Code(err) == codes.Unavailable {
		return "NO CONNECTION"
	}
	return fromGRPC(err).Reason
}

func (h *tlsHub) restAnswer(t *testing.T, config *tls.Config, token string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+h.HTTP+"/v1/agencies/school-1/childRecords/1",
		bytes.NewBufferString(`{"givenName":"Ada","familyName":"Byron","dateOfBirth":"2015-03-04"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-Client-Cert", "By=spiffe://test/school-1;URI=spiffe://test/school-1") // believed by nobody
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		return "NO CONNECTION"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	return fromREST(t, body).Reason
}

// giveNames writes the names of certificates into the directory, as the operator of
// the hub does; and waits until the hub knows them.
func (h *tlsHub) giveNames(t *testing.T, agency string, names ...string) {
	t.Helper()
	operator := h.token(t, "gp-1", irtv1.Role_ROLE_HUB_OPERATOR)
	config := &tls.Config{RootCAs: h.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	conn, err := grpc.NewClient(h.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+operator)
	if _, err := irtv1.NewAgencyServiceClient(conn).UpdateAgency(ctx, &irtv1.UpdateAgencyRequest{
		Agency: &irtv1.Agency{Name: agencies.Name(agency), CertificateNames: names},
	}); err != nil {
		t.Fatal(err)
	}
}

// A client certificate identifies its agency's system at both doors, by itself and
// together with a token.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	h := startTLS(t, server.Config{})
	h.giveNames(t, "school-1", "MIS.school.example", "spiffe://test/school-1")
	h.giveNames(t, "gp-1", "gp.example")
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	issue := func(change func(*x509.Certificate)) *tls.Certificate {
		c := h.authority.issue(t, change)
		return &c
	}
	mine, lookalike := issue(dns("mis.school.example")), issue(dns("mis.school.example"))
	bound, err := h.key.Issue(identity.Claims{Agency: "school-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, BoundTo: identity.Thumbprint(mine.Leaf)})
	if err != nil {
		t.Fatal(err)
	}
	stranger := newAuthority(t).issue(t, dns("mis.school.example"))
	for name, c := range map[string]struct {
		cert  *tls.Certificate
		token string
		want  string
	}{
		"neither":                            {nil, "", "TOKEN_MISSING"},
		"a token alone":                      {nil, school, ""},
		"a DNS name":                         {mine, "", ""},
		"a URI":                              {issue(uri(t, "spiffe://test/school-1")), "", ""},
		"another URI":                        {issue(uri(t, "spiffe://test/school-10")), "", "CERTIFICATE_REFUSED"},
		"another agency's certificate":       {issue(dns("gp.example")), "", "ACCESS_DENIED"},
		"a name of nobody":                   {issue(dns("nobody.example")), "", "CERTIFICATE_REFUSED"},
		"a common name only":                 {issue(func(c *x509.Certificate) { c.Subject.CommonName = "mis.school.example" }), "", "CERTIFICATE_REFUSED"},
		"names of two agencies":              {issue(dns("mis.school.example", "gp.example")), "", "CERTIFICATE_REFUSED"},
		"signed by somebody else":            {&stranger, "", "NO CONNECTION"},
		"expired":                            {issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "", "NO CONNECTION"},
		"for servers only":                   {issue(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), "", "NO CONNECTION"},
		"with a token":                       {mine, school, ""},
		"with a token, of nobody":            {issue(dns("nobody.example")), school, ""},
		"with a token of another agency":     {issue(dns("gp.example")), school, "CERTIFICATE_REFUSED"},
		"with a bad token":                   {mine, "forged", "TOKEN_INVALID"},
		"with the token bound to it":         {mine, bound, ""},
		"a bound token without":              {nil, bound, "CERTIFICATE_REFUSED"},
		"a bound token with another's":       {issue(dns("gp.example")), bound, "CERTIFICATE_REFUSED"},
		"a bound token with one of the name": {lookalike, bound, "CERTIFICATE_REFUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			if grpc, rest := h.answers(t, c.cert, c.token); grpc != c.want || rest != c.want {
				t.Errorf("gRPC answers %q and REST %q, want %q", grpc, rest, c.want)
			}
		})
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE agencies SET certificate_names = '{}', update_time = clock_timestamp(), revision = revision + 1
		WHERE agency_id = 'school-1'`); err != nil {
		t.Fatal(err)
	}
	h.untilAnswers(t, "a certificate whose name was taken from the directory", mine, "CERTIFICATE_REFUSED")
}

// untilAnswers waits, for five seconds as is promised, until both doors answer so.
func (h *tlsHub) untilAnswers(t *testing.T, what string, cert *tls.Certificate, want string) {
	t.Helper()
	until(t, 5*time.Second, func() string {
		grpc, rest := h.answers(t, cert, "")
		if grpc == want && rest == want {
			return ""
		}
		return what + ": gRPC answers " + grpc + " and REST " + rest
	})
}

// until asks again until the answer is "", and fails with the last at the deadline.
func until(t *testing.T, limit time.Duration, ask func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		answer := ask()
		if answer == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(answer)
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // until the deadline
	}
}

// A hub that requires client certificates has no connection for who has none.
func TestClientCertificatesCanBeRequired(t *testing.T) {
	t.Parallel()
	h := startTLS(t, server.Config{RequireClientCert: true})
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	if grpc, rest := h.answers(t, nil, school); grpc != "NO CONNECTION" || rest != "NO CONNECTION" {
		t.Errorf("without one gRPC answers %q and REST %q", grpc, rest)
	}
	c := h.authority.issue(t, dns("anybody.example"))
	if grpc, rest := h.answers(t, &c, school); grpc != "" || rest != "" {
		t.Errorf("with one gRPC answers %q and REST %q", grpc, rest)
	}
}

// A new certificate in the place of the old is served without a restart; one that
// does not fit its key changes nothing.
func TestCertificatesAreLoadedAgain(t *testing.T) {
	t.Parallel()
	h := startTLS(t, server.Config{})
	served := func() string {
		conn, err := tls.Dial("tcp", h.HTTP, &tls.Config{RootCAs: h.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return identity.Thumbprint(conn.ConnectionState().PeerCertificates[0])
	}
	before := served()
	unfit := h.authority.issue(t, dns("localhost"))
	writePEM(t, h.certFile, "CERTIFICATE", unfit.Certificate[0]) // its key is not there yet
	next := h.authority.issue(t, dns("localhost"))
	if got := served(); got != before {
		t.Error("a certificate without its key is served")
	}
	write(t, next, h.certFile, h.keyFile)
	until(t, 10*time.Second, func() string {
		if served() == identity.Thumbprint(next.Leaf) {
			return ""
		}
		return "the new certificate is not served"
	})
}

// No two agencies are known by one name.
func TestACertificateNameIsOfOneAgency(t *testing.T) {
	t.Parallel()
	h := start(t)
	operator := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+h.token(t, "gp-1", irtv1.Role_ROLE_HUB_OPERATOR))
	directory := irtv1.NewAgencyServiceClient(h.conn)
	set := func(agency string, names ...string) error {
		_, err := directory.UpdateAgency(operator, &irtv1.UpdateAgencyRequest{Agency: &irtv1.Agency{Name: "agencies/" + agency, CertificateNames: names}})
		return err
	}
	if err := set("school-1", "a.example", "spiffe://x/A"); err != nil {
		t.Fatal(err)
	}
	if f := fromGRPC(set("gp-1", "b.example", "A.example")); f.Violations["agency.certificateNames"] != "CERTIFICATE_NAME_TAKEN" {
		t.Errorf("another agency's name: %+v", f)
	}
	if err := set("gp-1", "spiffe://x/a"); err != nil {
		t.Errorf("a URI in other letters is another: %v", err)
	}
	if f := fromGRPC(set("gp-1", "*.example")); f.Violations["agency.certificateNames[0]"] != "STRING_PATTERN" {
		t.Errorf("a name for many: %+v", f)
	}
	school := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM))
	_, err := directory.UpdateAgency(school, &irtv1.UpdateAgencyRequest{Agency: &irtv1.Agency{Name: "agencies/school-1", CertificateNames: []string{"c.example"}}})
	if f := fromGRPC(err); f.Reason != "ACCESS_DENIED" {
		t.Errorf("an agency that names its own: %+v", f)
	}
}
