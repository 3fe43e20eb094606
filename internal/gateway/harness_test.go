package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway"
)

// hub is a gateway in front of services whose methods a test gives, and a record
// of the calls that reached them.
type hub struct {
	*httptest.Server
	services *services

	mu    sync.Mutex
	calls []call
}

// call is one call as an interceptor of the hub saw it.
type call struct {
	method   string
	metadata metadata.MD
	address  string
	request  any
}

// services answer what a test sets, and otherwise that they do not implement it.
type services struct {
	irtv1.UnimplementedAgencyServiceServer
	irtv1.UnimplementedChildServiceServer
	irtv1.UnimplementedEmergencyAccessServiceServer
	irtv1.UnimplementedEventServiceServer
	irtv1.UnimplementedConcernServiceServer
	irtv1.UnimplementedConsentServiceServer
	irtv1.UnimplementedContactServiceServer
	irtv1.UnimplementedReferralServiceServer
	irtv1.UnimplementedTimelineServiceServer
	irtv1.UnimplementedExportServiceServer
	irtv1.UnimplementedImportServiceServer
	irtv1.UnimplementedInvolvementServiceServer
	irtv1.UnimplementedMatchServiceServer
	irtv1.UnimplementedRetentionServiceServer
	irtv1.UnimplementedShieldServiceServer
	irtv1.UnimplementedStandardServiceServer
	irtv1.UnimplementedSubscriptionServiceServer
	irtv1.UnimplementedAuditServiceServer
	irtv1.UnimplementedPlanServiceServer
	irtv1.UnimplementedQualityServiceServer
	irtv1.UnimplementedRevocationServiceServer
	irtv1.UnimplementedLeadNominationServiceServer
	irtv1.UnimplementedLimitServiceServer

	getChild     func(context.Context, *irtv1.GetChildRequest) (*irtv1.Child, error)
	submitRecord func(context.Context, *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error)
	createImport func(grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) error
	watch        func(*irtv1.WatchRequest, grpc.ServerStreamingServer[irtv1.WatchResponse]) error
	streamAfter  func(error) error // what the stream interceptor makes of a handler's end
}

func (s *services) GetChild(ctx context.Context, r *irtv1.GetChildRequest) (*irtv1.Child, error) {
	if s.getChild == nil {
		return &irtv1.Child{Name: r.GetName(), GivenName: "Aoife", Etag: `"v1"`}, nil
	}
	return s.getChild(ctx, r)
}

func (s *services) PinChildField(_ context.Context, r *irtv1.PinChildFieldRequest) (*irtv1.ChildPin, error) {
	return &irtv1.ChildPin{Name: r.GetChild() + "/pins/given_name", Fields: []string{"given_name"}}, nil
}

func (s *services) SubmitChildRecord(ctx context.Context, r *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
	if s.submitRecord == nil {
		return &irtv1.SubmitChildRecordResponse{ChildRecord: r.GetChildRecord()}, nil
	}
	return s.submitRecord(ctx, r)
}

func (s *services) CreateImport(stream grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) error {
	return s.createImport(stream)
}

func (s *services) Watch(r *irtv1.WatchRequest, stream grpc.ServerStreamingServer[irtv1.WatchResponse]) error {
	if s.watch == nil {
		return s.UnimplementedEventServiceServer.Watch(r, stream)
	}
	return s.watch(r, stream)
}

func (*services) SearchChildren(context.Context, *irtv1.SearchChildrenRequest) (*irtv1.SearchChildrenResponse, error) {
	return &irtv1.SearchChildrenResponse{}, nil
}

func (*services) ListInvolvements(context.Context, *irtv1.ListInvolvementsRequest) (*irtv1.ListInvolvementsResponse, error) {
	return &irtv1.ListInvolvementsResponse{}, nil
}

func (*services) UpdateAgency(_ context.Context, r *irtv1.UpdateAgencyRequest) (*irtv1.Agency, error) {
	return r.GetAgency(), nil
}

func newConn(s *services, seen func(call)) *gateway.Conn {
	note := func(ctx context.Context, method string, request any) {
		c := call{method: method, request: request}
		c.metadata, _ = metadata.FromIncomingContext(ctx)
		if p, ok := peer.FromContext(ctx); ok {
			c.address = p.Addr.String()
		}
		seen(c)
	}
	conn := gateway.NewConn(
		[]grpc.UnaryServerInterceptor{func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			note(ctx, info.FullMethod, req)
			return next(ctx, req)
		}},
		[]grpc.StreamServerInterceptor{func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			note(ss.Context(), info.FullMethod, nil)
			err := next(srv, ss)
			if s.streamAfter != nil {
				return s.streamAfter(err)
			}
			return err
		}},
	)
	irtv1.RegisterAgencyServiceServer(conn, s)
	irtv1.RegisterAuditServiceServer(conn, s)
	irtv1.RegisterChildServiceServer(conn, s)
	irtv1.RegisterEmergencyAccessServiceServer(conn, s)
	irtv1.RegisterEventServiceServer(conn, s)
	irtv1.RegisterConcernServiceServer(conn, s)
	irtv1.RegisterConsentServiceServer(conn, s)
	irtv1.RegisterContactServiceServer(conn, s)
	irtv1.RegisterReferralServiceServer(conn, s)
	irtv1.RegisterTimelineServiceServer(conn, s)
	irtv1.RegisterExportServiceServer(conn, s)
	irtv1.RegisterImportServiceServer(conn, s)
	irtv1.RegisterInvolvementServiceServer(conn, s)
	irtv1.RegisterLeadNominationServiceServer(conn, s)
	irtv1.RegisterLimitServiceServer(conn, s)
	irtv1.RegisterMatchServiceServer(conn, s)
	irtv1.RegisterPlanServiceServer(conn, s)
	irtv1.RegisterQualityServiceServer(conn, s)
	irtv1.RegisterRevocationServiceServer(conn, s)
	irtv1.RegisterRetentionServiceServer(conn, s)
	irtv1.RegisterShieldServiceServer(conn, s)
	irtv1.RegisterStandardServiceServer(conn, s)
	irtv1.RegisterSubscriptionServiceServer(conn, s)
	return conn
}

// start starts a gateway; nil services answer by themselves.
func start(t testing.TB, s *services) *hub {
	t.Helper()
	if s == nil {
		s = &services{}
	}
	h := &hub{services: s}
	conn := newConn(s, func(c call) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.calls = append(h.calls, c)
	})
	g, err := gateway.New(gateway.Options{
		Conn: conn, Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Ready: func(context.Context) error { return errors.New("secret cause") },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = httptest.NewServer(g)
	t.Cleanup(h.Close)
	return h
}

// reached are the calls so far.
func (h *hub) reached() []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

// answer is an HTTP answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// errorBody is the body of a failed call.
type errorBody struct {
	Error struct {
		Code    int
		Message string
		Status  string
		Details []struct {
			Type            string `json:"@type"`
			Reason          string
			Domain          string
			FieldViolations []struct{ Field, Reason, Description string }
		}
	}
}

// failure reads the answer as an error, which must be complete.
func (a answer) failure(t *testing.T) (body errorBody, reason string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(a.body))
	if err := d.Decode(&body); err != nil {
		t.Fatalf("status %d, the body is no error: %v: %.200s", a.status, err, a.body)
	}
	if a.header.Get("Content-Type") != "application/json" || body.Error.Code != a.status || body.Error.Message == "" {
		t.Errorf("status %d, Content-Type %q, error %+v: they do not fit together", a.status, a.header.Get("Content-Type"), body.Error)
	}
	for _, detail := range body.Error.Details {
		if detail.Reason != "" {
			reason = detail.Reason
			if detail.Domain != "irt" || detail.Type != "type.googleapis.com/google.rpc.ErrorInfo" {
				t.Errorf("ErrorInfo is %+v", detail)
			}
		}
	}
	return body, reason
}

func (h *hub) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	return h.send(t, method, path, strings.NewReader(body), headers...)
}

// send sends a request; headers are names and values in turn. A body is said to
// be JSON unless a header says otherwise.
func (h *hub) send(t *testing.T, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Content-Type" {
			r.Header.Set("Content-Type", headers[i+1])
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}
