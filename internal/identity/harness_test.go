package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

// service answers every method it has and remembers who called.
type service struct {
	irtv1.UnimplementedChildServiceServer
	irtv1.UnimplementedStandardServiceServer
	irtv1.UnimplementedAgencyServiceServer
	called chan identity.Caller
}

func (s service) GetChild(ctx context.Context, _ *irtv1.GetChildRequest) (*irtv1.Child, error) {
	s.called <- identity.FromContext(ctx)
	return &irtv1.Child{}, nil
}

func (s service) SubmitChildRecord(ctx context.Context, _ *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
	s.called <- identity.FromContext(ctx)
	return &irtv1.SubmitChildRecordResponse{}, nil
}

func (s service) GetStandard(ctx context.Context, _ *irtv1.GetStandardRequest) (*irtv1.Standard, error) {
	s.called <- identity.FromContext(ctx)
	return &irtv1.Standard{}, nil
}

func (s service) SubmitChildRecords(stream grpc.BidiStreamingServer[irtv1.SubmitChildRecordsRequest, irtv1.SubmitChildRecordsResponse]) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&irtv1.SubmitChildRecordsResponse{RequestId: r.GetRequestId()}); err != nil {
			return err
		}
		if r.GetRequestId() == "then wait" { // as one who watches for events does
			<-stream.Context().Done()
			return stream.Context().Err()
		}
	}
}

// directory is what the hub knows of agencies, as a test sets it.
type directory struct {
	mu           sync.Mutex
	inactive     map[string]bool // agencies, "agency/practitioner" and "issuer token"
	certificates map[string]string
	rejected     int
	err          error
}

func (d *directory) has(text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inactive[text]
}

func (d *directory) hasLeft(agency, practitioner string) bool {
	return d.has(agency + "/" + practitioner)
}

func (d *directory) isRevoked(issuer, id string) bool { return d.has(issuer + " " + id) }

func (d *directory) certificateAgency(name string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	agency, ok := d.certificates[name]
	return agency, ok
}

func (d *directory) noteRejected(context.Context, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rejected++
}

func (d *directory) facts(_ context.Context, agency string) (irtv1.AgencyKind, bool, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return irtv1.AgencyKind_AGENCY_KIND_SCHOOL, agency == "clinic", !d.inactive[agency], d.err
}

func (d *directory) deactivate(agency string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inactive[agency] = true
}

// clock is the time, moved on by a test.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

type testBundle struct {
	auth      *identity.Authenticator
	key       *identity.SigningKey
	private   *ecdsa.PrivateKey
	directory *directory
	clock     *clock
	conn      *grpc.ClientConn
	children  irtv1.ChildServiceClient
	called    chan identity.Caller
}

// setup serves over TCP with the interceptors of identity, and trusts its own key
// and the given issuers, who may speak for all.
func setup(t testing.TB, issuers ...string) *testBundle {
	t.Helper()
	var all []identity.Issuer
	for _, u := range issuers {
		all = append(all, identity.IssuerOf(u))
	}
	return setupWith(t, identity.Config{Issuers: all})
}

// setupWith is setup with a configuration, which it completes.
func setupWith(t testing.TB, c identity.Config) *testBundle {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	key, err := identity.LoadOrCreateKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := &testBundle{
		key: key, private: readKey(t, dir), clock: &clock{},
		directory: &directory{inactive: map[string]bool{}, certificates: map[string]string{}}, called: make(chan identity.Caller, 100),
	}
	c.Own, c.Agencies, c.Left = key, b.directory.facts, b.directory.hasLeft
	c.Registered = func(_ context.Context, _, practitioner string) (bool, error) { return practitioner != "nobody", nil }
	c.Revoked, c.CertificateAgency, c.Rejected = b.directory.isRevoked, b.directory.certificateAgency, b.directory.noteRejected
	b.auth, err = identity.NewAuthenticator(c)
	if err != nil {
		t.Fatal(err)
	}
	b.auth.SetClock(b.clock.now)
	b.serve(t)
	return b
}

func (b *testBundle) serve(t testing.TB) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	server := grpc.NewServer(append(rpc.ServerOptions(),
		grpc.ChainUnaryInterceptor(rpc.UnaryCall(log, rpc.Limits{}), b.auth.Unary, identity.AuthoriseUnary, rpc.UnaryValidate),
		grpc.ChainStreamInterceptor(rpc.StreamCall(log), b.auth.Stream, identity.AuthoriseStream, rpc.StreamValidate))...)
	s := service{called: b.called}
	irtv1.RegisterChildServiceServer(server, s)
	irtv1.RegisterStandardServiceServer(server, s)
	irtv1.RegisterAgencyServiceServer(server, s)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	b.conn, err = grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.conn.Close() })
	b.children = irtv1.NewChildServiceClient(b.conn)
}

// readKey reads the hub's key file as a thief would.
func readKey(t testing.TB, dir string) *ecdsa.PrivateKey {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil || len(files) != 1 {
		t.Fatalf("want one key file in %s, got %v", dir, files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.(*ecdsa.PrivateKey)
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign makes a token of any claims with any key.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	return signWith(t, nil, alg, key, claims)
}

func signWith(t testing.TB, options *jose.SignerOptions, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// good are claims that are accepted; with changes them, a nil removing a claim.
func good(with map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": "irthub", "aud": "irthub", "sub": "agencies/st-marys", "jti": "1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "irt_agency": "st-marys", "irt_role": "agency-system",
	}
	maps.Copy(c, with)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// getChild calls a method that every role but auditor and operator may call, with
// a purpose.
func (b *testBundle) getChild(ctx context.Context, token string, md ...string) error {
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	if len(md) == 0 {
		md = []string{"irt-purpose", "SAFEGUARDING"}
	}
	_, err := b.children.GetChild(metadata.AppendToOutgoingContext(ctx, md...), &irtv1.GetChildRequest{Name: "children/x"})
	return err
}

func (b *testBundle) token(t testing.TB, agency, practitioner string, role irtv1.Role) string {
	t.Helper()
	raw, err := b.key.Issue(identity.Claims{Agency: agency, Practitioner: practitioner, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func wantError(t testing.TB, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("got %v, want %v %s", err, code, reason)
	}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetReason() == reason {
			return
		}
	}
	t.Fatalf("%v lacks the reason %s", status.Convert(err).Proto(), reason)
}

func wantCode(t testing.TB, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("got %v, want %v", err, code)
	}
}

// claimOf reads a claim of a token.
func claimOf(t testing.TB, raw, name string) any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims[name]
}

func violation(err error) (field, rule, description string) {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			v := bad.GetFieldViolations()[0]
			return v.GetField(), v.GetReason(), v.GetDescription()
		}
	}
	return "", "", ""
}
