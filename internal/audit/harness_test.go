package audit_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

// service is a ChildService whose methods do what a test says.
type service struct {
	irtv1.UnimplementedChildServiceServer
	irtv1.UnimplementedStandardServiceServer
	get    func(context.Context, *irtv1.GetChildRequest) (*irtv1.Child, error)
	submit func(context.Context, *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error)
	stream func(recordStream) error
}

type recordStream = grpc.BidiStreamingServer[irtv1.SubmitChildRecordsRequest, irtv1.SubmitChildRecordsResponse]

func (s *service) GetChild(ctx context.Context, r *irtv1.GetChildRequest) (*irtv1.Child, error) {
	return s.get(ctx, r)
}

func (s *service) SubmitChildRecord(ctx context.Context, r *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
	return s.submit(ctx, r)
}

func (s *service) SubmitChildRecords(stream recordStream) error { return s.stream(stream) }

func (s *service) SearchChildren(context.Context, *irtv1.SearchChildrenRequest) (*irtv1.SearchChildrenResponse, error) {
	return &irtv1.SearchChildrenResponse{}, nil
}

func (s *service) GetStandard(context.Context, *irtv1.GetStandardRequest) (*irtv1.Standard, error) {
	return &irtv1.Standard{}, nil
}

type testBundle struct {
	pool     *pgxpool.Pool
	writer   *audit.Writer
	conn     *grpc.ClientConn
	children irtv1.ChildServiceClient
	key      *identity.SigningKey
}

// setup serves s over TCP with every interceptor of the hub, on a database of its own.
func setup(t *testing.T, s *service) *testBundle {
	t.Helper()
	b := &testBundle{pool: pgtest.New(t)}
	b.writer = audit.NewWriter(b.pool)
	t.Cleanup(func() { _ = b.writer.Close(context.Background()) })
	var err error
	if b.key, err = identity.LoadOrCreateKey(t.TempDir() + "/keys"); err != nil {
		t.Fatal(err)
	}
	auth, err := identity.NewAuthenticator(identity.Config{
		Own: b.key,
		Agencies: func(context.Context, string) (irtv1.AgencyKind, bool, bool, error) {
			return irtv1.AgencyKind_AGENCY_KIND_SCHOOL, false, true, nil
		},
		Rejected: audit.NewRejections(b.writer).Record,
	})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	server := grpc.NewServer(append(rpc.ServerOptions(),
		grpc.ChainUnaryInterceptor(rpc.UnaryCall(log, rpc.Limits{}), auth.Unary, audit.UnaryInterceptor(b.writer),
			identity.AuthoriseUnary, rpc.UnaryValidate),
		grpc.ChainStreamInterceptor(rpc.StreamCall(log), auth.Stream, audit.StreamInterceptor(b.writer),
			identity.AuthoriseStream, rpc.StreamValidate))...)
	irtv1.RegisterChildServiceServer(server, s)
	irtv1.RegisterStandardServiceServer(server, s)
	healthpb.RegisterHealthServer(server, health.NewServer())
	b.serve(t, server)
	return b
}

func (b *testBundle) serve(t *testing.T, server *grpc.Server) {
	t.Helper()
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

// as is a context of a caller, with further metadata.
func (b *testBundle) as(t *testing.T, role irtv1.Role, md ...string) context.Context {
	t.Helper()
	raw, err := b.key.Issue(identity.Claims{Agency: "st-marys", Practitioner: "p-1", Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(t.Context(), append([]string{"authorization", "Bearer " + raw}, md...)...)
}

// reader is a caller who may read children.
func (b *testBundle) reader(t *testing.T) context.Context {
	t.Helper()
	return b.as(t, irtv1.Role_ROLE_PRACTITIONER, "irt-purpose", "SAFEGUARDING")
}

// row is an entry as it stands in the table.
type row struct {
	EntryID        uuid.UUID `db:"entry_id"`
	EntryTime      time.Time `db:"entry_time"`
	AgencyID       string    `db:"agency_id"`
	PractitionerID string    `db:"practitioner_id"`
	Role           string    `db:"role"`
	OnBehalfOf     string    `db:"on_behalf_of"`
	Purpose        string    `db:"purpose"`
	Reason         string    `db:"reason"`
	Method         string    `db:"method"`
	Decision       string    `db:"decision"`
	StatusCode     int       `db:"status_code"`
	Children       []string  `db:"children"`
	Query          string    `db:"query"`
	Returned       []string  `db:"returned"`
	Withheld       []string  `db:"withheld"`
	ClientAddress  string    `db:"client_address"`
	RequestID      string    `db:"request_id"`
}

func (r row) query(t *testing.T) map[string]any {
	t.Helper()
	var q map[string]any
	if err := json.Unmarshal([]byte(r.Query), &q); err != nil {
		t.Fatalf("query %q: %v", r.Query, err)
	}
	return q
}

// entries are all there are, oldest first.
func (b *testBundle) entries(t *testing.T) []row {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `SELECT entry_id, entry_time, agency_id, practitioner_id, role, on_behalf_of,
		purpose, reason, method, decision, status_code, children::text[], coalesce(query::text, '') AS query, returned, withheld,
		client_address, request_id FROM audit_entries ORDER BY entry_id`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// only is the one entry there is.
func (b *testBundle) only(t *testing.T) row {
	t.Helper()
	all := b.entries(t)
	if len(all) != 1 {
		t.Fatalf("want one entry, got %d: %+v", len(all), all)
	}
	return all[0]
}
