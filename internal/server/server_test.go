package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/server"
)

// hub is a running hub with two agencies, and a way in by each door.
type hub struct {
	server.Addresses
	data string
	pool *pgxpool.Pool // on its database
	key  *identity.SigningKey
	conn *grpc.ClientConn
	stop func() error
}

func start(t *testing.T) *hub {
	t.Helper()
	return startWith(t, server.Config{})
}

// startWith is start with settings, which it completes.
func startWith(t *testing.T, c server.Config) *hub {
	t.Helper()
	h := &hub{data: t.TempDir()}
	c.DatabaseURL = pgtest.URL(t)
	h.pool = pgtest.Open(t, c.DatabaseURL)
	for _, a := range []*irtv1.Agency{
		{Name: "agencies/school-1", DisplayName: "School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/gp-1", DisplayName: "GP", Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE},
	} {
		if _, _, _, err := agencies.UpsertAgencies(t.Context(), h.pool, []*irtv1.Agency{a}); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if h.key, err = identity.LoadOrCreateKey(h.data); err != nil {
		t.Fatal(err)
	}
	c.Data, c.GRPCAddr, c.HTTPAddr, c.MetricsAddr, c.Version = h.data, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "test"
	h.Addresses, h.stop = run(t, c)
	h.conn, err = grpc.NewClient(h.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.conn.Close() })
	return h
}

// run runs a hub until stop or the end of the test.
func run(t *testing.T, c server.Config) (at server.Addresses, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan server.Addresses, 1), make(chan error, 1)
	c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	c.Ready = func(a server.Addresses) { ready <- a }
	go func() { ended <- server.Run(ctx, c) }()
	stopped := false
	stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		return <-ended
	}
	select {
	case at = <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("the hub ended: %v", err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return at, stop
}

func (h *hub) token(t *testing.T, agency string, role irtv1.Role) string {
	t.Helper()
	token, err := h.key.Issue(identity.Claims{Agency: agency, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// expired is a token of the hub's own key whose time is over.
func expired(t *testing.T, data string) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(data, "token-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, key, time.Now().Add(-2*time.Hour))
}

// forged is a token that looks right and is signed by another key.
func forged(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, key, time.Now())
}

// sign makes a data manager's token that is good for ten minutes from a time on.
func sign(t *testing.T, key any, from time.Time) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": identity.OwnIssuer, "aud": identity.Audience, "iat": from.Unix(), "exp": from.Unix() + 600,
		"irt_agency": "school-1", "irt_role": "data-manager",
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// failure is what a caller is told, whichever the door.
type failure struct {
	Code, Reason, Message string
	Violations            map[string]string // rule by field, as JSON names it
}

func fromGRPC(err error) failure {
	st := status.Convert(err)
	f := failure{Code: code.Code_name[int32(st.Code())], Message: st.Message(), Violations: map[string]string{}}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			f.Reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				f.Violations[camel(v.GetField())] = v.GetReason()
				if len(d.GetFieldViolations()) == 1 {
					f.Message = strings.Replace(f.Message, v.GetField(), camel(v.GetField()), 1)
				}
			}
		}
	}
	return f
}

// camel writes a_b.c_d as aB.cD.
func camel(path string) string {
	parts := strings.Split(path, "_")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
	}
	return strings.Join(parts, "")
}

func fromREST(t *testing.T, body []byte) failure {
	t.Helper()
	var e struct {
		Error struct {
			Status, Message string
			Details         []struct {
				Reason          string
				FieldViolations []struct{ Field, Reason string }
			}
		}
	}
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	f := failure{Code: e.Error.Status, Message: e.Error.Message, Violations: map[string]string{}}
	for _, d := range e.Error.Details {
		if d.Reason != "" {
			f.Reason = d.Reason
		}
		for _, v := range d.FieldViolations {
			f.Violations[v.Field] = v.Reason
		}
	}
	return f
}

// rest sends a request to the REST door.
func (h *hub) rest(t *testing.T, method, path, body, token string, headers map[string]string) (status int, answer []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+h.HTTP+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// What is wrong means the same through both doors: code, reason, words and the
// rules that are broken.
func TestSameMeaningThroughBothDoors(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	record := &irtv1.ChildRecord{Name: "agencies/school-1/childRecords/1", GivenName: "A", FamilyName: "B", DateOfBirth: "2015-03-04"}
	const recordJSON = `{"givenName":"A","familyName":"B","dateOfBirth":"2015-03-04"}`
	wrong := proto.CloneOf(record)
	wrong.NhsNumber, wrong.Upn, wrong.DateOfBirth = "9990000019", "x", "2015-02-30"
	const wrongJSON = `{"givenName":"A","familyName":"B","dateOfBirth":"2015-02-30","nhsNumber":"9990000019","upn":"x"}`
	oneWrong := proto.CloneOf(record)
	oneWrong.NhsNumber = "9990000019"

	children, directory := irtv1.NewChildServiceClient(h.conn), irtv1.NewAgencyServiceClient(h.conn)
	submit := func(r *irtv1.ChildRecord) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := children.SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{ChildRecord: r})
			return err
		}
	}
	getChild := func(ctx context.Context) error {
		_, err := children.GetChild(ctx, &irtv1.GetChildRequest{Name: "children/01m83423r9e2ysht6q6eqg8m7gy"})
		return err
	}
	const child, put = "/v1/children/01m83423r9e2ysht6q6eqg8m7gy", "/v1/agencies/school-1/childRecords/1"
	purpose := map[string]string{"irt-purpose": "EDUCATION"}
	for _, tt := range []struct {
		name               string
		token              string
		headers            map[string]string
		grpc               func(context.Context) error
		method, path, body string
		httpStatus         int
		code, reason       string
	}{
		{"no token", "", purpose, getChild, "GET", child, "", 401, "UNAUTHENTICATED", "TOKEN_MISSING"},
		{"no JWT", "x", purpose, getChild, "GET", child, "", 401, "UNAUTHENTICATED", "TOKEN_INVALID"},
		{"forged token", forged(t), purpose, getChild, "GET", child, "", 401, "UNAUTHENTICATED", "TOKEN_INVALID"},
		{"expired token", expired(t, h.data), purpose, getChild, "GET", child, "", 401, "UNAUTHENTICATED", "TOKEN_EXPIRED"},
		{"unknown agency", h.token(t, "nobody", irtv1.Role_ROLE_AGENCY_SYSTEM), purpose, getChild, "GET", child, "", 403, "PERMISSION_DENIED", "ACCESS_DENIED"},
		{"role", h.token(t, "school-1", irtv1.Role_ROLE_AUDITOR), purpose, getChild, "GET", child, "", 403, "PERMISSION_DENIED", "ACCESS_DENIED"},
		{"no purpose", school, nil, getChild, "GET", child, "", 400, "INVALID_ARGUMENT", "PURPOSE_REQUIRED"},
		{"unknown purpose", school, map[string]string{"irt-purpose": "CURIOSITY"}, getChild, "GET", child, "", 400, "INVALID_ARGUMENT", "PURPOSE_UNKNOWN"},
		{"not there", school, purpose, getChild, "GET", child, "", 404, "NOT_FOUND", "NOT_FOUND"},
		{"another's record", h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM), nil, submit(record), "PUT", put, recordJSON, 403, "PERMISSION_DENIED", "ACCESS_DENIED"},
		{"one broken rule", school, nil, submit(oneWrong), "PUT", put, `{"givenName":"A","familyName":"B","dateOfBirth":"2015-03-04","nhsNumber":"9990000019"}`, 400, "INVALID_ARGUMENT", "VALIDATION_FAILED"},
		{"broken rules", school, nil, submit(wrong), "PUT", put, wrongJSON, 400, "INVALID_ARGUMENT", "VALIDATION_FAILED"},
		{"bad page token", school, nil, func(ctx context.Context) error {
			_, err := directory.ListAgencies(ctx, &irtv1.ListAgenciesRequest{PageToken: "x"})
			return err
		}, "GET", "/v1/agencies?pageToken=x", "", 400, "INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			md := metadata.New(tt.headers)
			if tt.token != "" {
				md.Set("authorization", "Bearer "+tt.token)
			}
			ctx := metadata.NewOutgoingContext(t.Context(), md)
			overGRPC := fromGRPC(tt.grpc(ctx))
			httpStatus, answer := h.rest(t, tt.method, tt.path, tt.body, tt.token, tt.headers)
			overREST := fromREST(t, answer)
			if overGRPC.Code != tt.code || overGRPC.Reason != tt.reason || overGRPC.Message == "" {
				t.Errorf("over gRPC %+v, want %s %s", overGRPC, tt.code, tt.reason)
			}
			if httpStatus != tt.httpStatus || overREST.Code != overGRPC.Code || overREST.Reason != overGRPC.Reason || overREST.Message != overGRPC.Message {
				t.Errorf("over REST %d %+v, want %d %+v", httpStatus, overREST, tt.httpStatus, overGRPC)
			}
			if len(overREST.Violations) != len(overGRPC.Violations) {
				t.Errorf("violations over REST %v, over gRPC %v", overREST.Violations, overGRPC.Violations)
			}
			for field, rule := range overGRPC.Violations {
				if overREST.Violations[field] != rule {
					t.Errorf("violations over REST %v, over gRPC %v", overREST.Violations, overGRPC.Violations)
				}
			}
		})
	}
}

// REST callers are recorded as gRPC callers are, with their own address.
func TestRESTIsAudited(t *testing.T) {
	t.Parallel()
	h := start(t)
	token := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	status, answer := h.rest(t, "PUT", "/v1/agencies/school-1/childRecords/7",
		`{"givenName":"A","familyName":"B","dateOfBirth":"2015-03-04"}`, token, nil)
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	status, _ = h.rest(t, "GET", "/v1/agencies/school-1/childRecords/7", "", token,
		map[string]string{"Irt-Purpose": "EDUCATION", "Irt-Reason": "a test", "X-Forwarded-For": "203.0.113.9"})
	if status != 200 {
		t.Fatalf("status %d", status)
	}
	var address, reason string
	if err := h.pool.QueryRow(t.Context(), `SELECT client_address, reason FROM audit_entries WHERE method LIKE '%GetChildRecord'`).Scan(&address, &reason); err != nil {
		t.Fatal(err)
	}
	if address != "127.0.0.1" || reason != "a test" {
		t.Errorf("recorded with address %q and reason %q", address, reason)
	}
}

func TestPublicServices(t *testing.T) {
	t.Parallel()
	h := start(t)
	t.Run("health", func(t *testing.T) {
		for _, service := range []string{"", "irt.v1.ChildService"} {
			got, err := grpc_health_v1.NewHealthClient(h.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
			if err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("%q: %v, %v", service, got, err)
			}
		}
	})
	t.Run("reflection", func(t *testing.T) {
		stream, err := grpc_reflection_v1.NewServerReflectionClient(h.conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
		}); err != nil {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, s := range got.GetListServicesResponse().GetService() {
			names[s.GetName()] = true
		}
		for _, want := range []string{"AgencyService", "ChildService", "ImportService", "InvolvementService", "MatchService", "StandardService"} {
			if !names["irt.v1."+want] {
				t.Errorf("no %s among %v", want, names)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/docs", "/v1/standard", "/v1/standard/codeLists", "/v1/standard/codeLists/sex"} {
			if status, answer := h.rest(t, "GET", path, "", "", nil); status != 200 {
				t.Errorf("%s: %d %.200s", path, status, answer)
			}
		}
	})
}

// Being told to stop is no failure, however early.
func TestStoppedBeforeReady(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := server.Run(ctx, server.Config{
		Data: t.TempDir(), DatabaseURL: pgtest.URL(t), GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0",
		Log: slog.New(slog.DiscardHandler), Ready: func(server.Addresses) { t.Error("it became ready") },
		Prepare: func(ctx context.Context, _ *server.Hub) error {
			cancel()
			return fmt.Errorf("preparing: %w", ctx.Err())
		},
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStartRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		config server.Config
		says   string
	}{
		{"plain text for others", server.Config{GRPCAddr: "0.0.0.0:0", HTTPAddr: "127.0.0.1:0"}, "needs TLS"},
		{"every interface", server.Config{GRPCAddr: "127.0.0.1:0", HTTPAddr: ":0"}, "needs TLS"},
		{"IPv6", server.Config{GRPCAddr: "127.0.0.1:0", HTTPAddr: "[::]:0"}, "needs TLS"},
		{"a name", server.Config{GRPCAddr: "hub.example:0", HTTPAddr: "127.0.0.1:0"}, "needs TLS"},
		{"no port", server.Config{GRPCAddr: "127.0.0.1", HTTPAddr: "127.0.0.1:0"}, "HOST:PORT"},
		{"half of TLS", server.Config{GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", TLSCert: "x"}, "--tls-key"},
		{"no database", server.Config{GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", DatabaseURL: "postgres://127.0.0.1:1/x"}, "database"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.Log = slog.New(slog.DiscardHandler)
			err := server.Run(t.Context(), tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}
