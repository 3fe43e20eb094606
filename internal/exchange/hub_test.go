package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesses"
	"irthub/internal/accesslog"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/concerns"
	"irthub/internal/consent"
	"irthub/internal/exchange"
	"irthub/internal/identity"
	"irthub/internal/involvement"
	"irthub/internal/pg/pgtest"
	"irthub/internal/plans"
	"irthub/internal/referrals"
	"irthub/internal/rpc"
)

// hub is a hub behind a real gRPC connection. Who calls is said in metadata
// instead of a token.
type hub struct {
	t       testing.TB
	pool    *pgxpool.Pool
	imports irtv1.ImportServiceClient
	exports irtv1.ExportServiceClient
	caller  string // "agency role"
}

func newHub(t testing.TB) *hub {
	t.Helper()
	return newHubWith(t, exchange.Options{})
}

// newHubWith is newHub with bounds of its own.
func newHubWith(t testing.TB, o exchange.Options) *hub {
	t.Helper()
	pool := pgtest.New(t)
	register(t, pool)
	directory, err := agencies.NewDirectory(t.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := rpc.LoadPageTokens(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	writer := audit.NewWriter(pool)
	records := children.New(pool, directory, tokens, writer)
	involved := involvement.New(pool, directory, tokens, writer)
	worried := concerns.New(pool, directory, tokens, writer, concerns.Options{})
	referred := referrals.New(pool, directory, tokens, writer, involved.Involve)
	planned := plans.New(pool, directory, tokens, writer)
	agreed := consent.New(pool, directory, tokens, writer)
	keys, err := accesslog.LoadOrCreateKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Pool, o.Directory, o.Tokens, o.Log = pool, directory, tokens, slog.New(slog.DiscardHandler)
	o.Records, o.Involvements, o.Concerns, o.Referrals, o.Plans, o.Consents = records, involved, worried, referred, planned, agreed
	o.Services, o.Accesses = agencies.New(pool, directory, tokens, writer), accesses.New(pool, directory, tokens, keys)
	service := exchange.New(o)
	server := grpc.NewServer(append(rpc.ServerOptions(),
		grpc.ChainUnaryInterceptor(callerUnary, audit.UnaryInterceptor(writer), identity.AuthoriseUnary, rpc.UnaryValidate),
		grpc.ChainStreamInterceptor(callerStream, audit.StreamInterceptor(writer), identity.AuthoriseStream, rpc.StreamValidate))...)
	irtv1.RegisterImportServiceServer(server, service)
	irtv1.RegisterExportServiceServer(server, service)
	listener := bufconn.Listen(1 << 20)
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///hub", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.GracefulStop()
		service.Close()
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(records.Close(ctx), worried.Close(ctx), referred.Close(ctx), involved.Close(ctx), planned.Close(ctx), agreed.Close(ctx)); err != nil {
			t.Errorf("closing the write pipeline: %v", err)
		}
		if err := writer.Close(ctx); err != nil {
			t.Errorf("closing the access log: %v", err)
		}
		directory.Close()
	})
	return &hub{t, pool, irtv1.NewImportServiceClient(conn), irtv1.NewExportServiceClient(conn), "school ROLE_AGENCY_SYSTEM"}
}

func register(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	_, _, _, err := agencies.UpsertAgencies(t.Context(), pool, []*irtv1.Agency{
		{Name: "agencies/school", DisplayName: "A school", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL, Urn: "654321"},
		{Name: "agencies/other", DisplayName: "Another school", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/social", DisplayName: "Social care", Kind: irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE},
		{Name: "agencies/hub", DisplayName: "The hub", Kind: irtv1.AgencyKind_AGENCY_KIND_HUB_OPERATOR},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// as is the same hub for another caller.
func (h *hub) as(agency, role string) *hub {
	other := *h
	other.caller = agency + " " + role
	return &other
}

func identified(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	agency, role, _ := strings.Cut(md.Get("caller")[0], " ")
	caller := identity.Caller{Agency: agency, Role: irtv1.Role(irtv1.Role_value[role])}
	if purpose := md.Get("irt-purpose"); len(purpose) > 0 {
		caller.Purpose, _ = identity.ParsePurpose(purpose[0])
	}
	return identity.NewContext(ctx, caller)
}

func callerUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	out, err := handler(identified(ctx), req)
	return out, rpc.Edge(err)
}

func callerStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return rpc.Edge(handler(srv, rpc.WithContext(ss, identified(ss.Context()))))
}

func (h *hub) ctx() context.Context {
	return metadata.AppendToOutgoingContext(h.t.Context(), "caller", h.caller)
}

const (
	cohort    = irtv1.ImportFormat_IMPORT_FORMAT_SCHOOL_COHORT
	practices = irtv1.ImportFormat_IMPORT_FORMAT_GP_PRACTICES
)

// header is what is uploaded of the caller's own agency.
func (h *hub) header(format irtv1.ImportFormat) *irtv1.ImportHeader {
	agency, _, _ := strings.Cut(h.caller, " ")
	return &irtv1.ImportHeader{Parent: "agencies/" + agency, Format: format}
}

// upload sends a file in chunks that break in the middle of rows.
func (h *hub) upload(header *irtv1.ImportHeader, file []byte) (*irtv1.Import, error) {
	h.t.Helper()
	stream, err := h.imports.CreateImport(h.ctx())
	if err != nil {
		h.t.Fatal(err)
	}
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: header}})
	size := max(97, len(file)/50)
	for rest := file; len(rest) > 0; rest = rest[min(size, len(rest)):] {
		chunk := rest[:min(size, len(rest))]
		if stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: chunk}}) != nil {
			break // the answer says why
		}
	}
	return stream.CloseAndRecv()
}

// send uploads a file of the caller's own agency, and must succeed.
func (h *hub) send(format irtv1.ImportFormat, file []byte) *irtv1.Import {
	h.t.Helper()
	done, err := h.upload(h.header(format), file)
	if err != nil {
		h.t.Fatalf("importing: %v", err)
	}
	if done.GetState() != irtv1.ImportState_IMPORT_STATE_SUCCEEDED {
		h.t.Errorf("the import ended as %v", done.GetState())
	}
	for _, c := range done.GetRuleCounts() {
		if c.GetDescription() == "" {
			h.t.Errorf("the summary does not say what %s is", c.GetRuleId())
		}
	}
	return done
}

// rejects are those of an import, over as many pages as there are.
func (h *hub) rejects(name string) (all []*irtv1.ImportReject) {
	h.t.Helper()
	for token := ""; ; {
		page, err := h.imports.ListImportRejects(h.ctx(), &irtv1.ListImportRejectsRequest{Parent: name, PageSize: 7, PageToken: token})
		if err != nil {
			h.t.Fatalf("listing rejects: %v", err)
		}
		all = append(all, page.GetImportRejects()...)
		if token = page.GetNextPageToken(); token == "" {
			return all
		}
	}
}

func (h *hub) count(sql string) (n int) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), sql).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// brokenRules are the rules that an error names.
func brokenRules(err error) (rules []string) {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				rules = append(rules, v.GetReason())
			}
		}
	}
	return rules
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// shared is a file of the data beside the project, or the end of the test.
func shared(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(sharedData(t), name))
	if err != nil {
		t.Skipf("there is no %s beside the project: %v", name, err)
	}
	return b
}

func sharedData(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "..", "shared", "data")
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// file is lines, each with a line break.
func file(lines ...string) []byte {
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	return b.Bytes()
}

// purpose is the context of a call that reads personal data.
func (h *hub) purpose() context.Context {
	return metadata.AppendToOutgoingContext(h.ctx(), "irt-purpose", "DATA_QUALITY")
}
