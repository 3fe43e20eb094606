package rpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

// children is a service whose methods do what a test says.
type children struct {
	irtv1.UnimplementedChildServiceServer
	get    func(context.Context, *irtv1.GetChildRequest) (*irtv1.Child, error)
	submit func(context.Context, *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error)
	stream func(grpc.BidiStreamingServer[irtv1.SubmitChildRecordsRequest, irtv1.SubmitChildRecordsResponse]) error
}

func (c children) GetChild(ctx context.Context, r *irtv1.GetChildRequest) (*irtv1.Child, error) {
	return c.get(ctx, r)
}

func (c children) SubmitChildRecord(ctx context.Context, r *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
	return c.submit(ctx, r)
}

func (c children) SubmitChildRecords(s grpc.BidiStreamingServer[irtv1.SubmitChildRecordsRequest, irtv1.SubmitChildRecordsResponse]) error {
	return c.stream(s)
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

type testBundle struct {
	conn *grpc.ClientConn
	log  *lines
}

func (b *testBundle) client() irtv1.ChildServiceClient { return irtv1.NewChildServiceClient(b.conn) }

// setup serves a ChildService with the interceptors of this package, over a real
// gRPC connection.
func setup(t testing.TB, service children, limits rpc.Limits, opts ...grpc.DialOption) *testBundle {
	t.Helper()
	b := &testBundle{log: &lines{}}
	log := slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server := grpc.NewServer(append(rpc.ServerOptions(),
		grpc.ChainUnaryInterceptor(rpc.UnaryCall(log, limits), rpc.UnaryValidate),
		grpc.ChainStreamInterceptor(rpc.StreamCall(log), rpc.StreamValidate))...)
	irtv1.RegisterChildServiceServer(server, service)
	lis := bufconn.Listen(1 << 20)
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///hub", append(opts,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	b.conn = conn
	return b
}

// reason is the ErrorInfo's reason, and fails the test where the details are not
// as they must always be.
func reason(t *testing.T, err error) string {
	t.Helper()
	var found []*errdetails.ErrorInfo
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			found = append(found, info)
		}
	}
	if len(found) != 1 || found[0].GetDomain() != "irt" {
		t.Fatalf("%v: want one ErrorInfo of the domain irt, got %v", err, found)
	}
	return found[0].GetReason()
}

func wantError(t *testing.T, err error, code codes.Code, want string) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("got %v, want code %v", err, code)
	}
	if got := reason(t, err); got != want {
		t.Fatalf("%v: reason %q, want %q", err, got, want)
	}
}

func violations(err error) map[string]string {
	found := map[string]string{}
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				found[v.GetField()] = v.GetReason()
			}
		}
	}
	return found
}
