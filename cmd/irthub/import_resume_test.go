package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange"
	"irthub/internal/rpc"
)

// failing is a hub that ends every import with the next of its errors, or the last again,
// and each time has come further.
type failing struct {
	irtv1.UnimplementedImportServiceServer
	full  int // how often it has no room to begin
	errs  []error
	calls int
}

const failingImport = "agencies/school-1/imports/1"

func (f *failing) CreateImport(stream grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) error {
	if f.full > 0 {
		f.full--
		return rpc.Overloaded()
	}
	_ = stream.SendHeader(metadata.Pairs(exchange.ImportKey, failingImport))
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	err := f.errs[min(f.calls, len(f.errs)-1)]
	if f.calls++; err != nil {
		return err
	}
	return stream.SendAndClose(&irtv1.Import{Name: failingImport})
}

func (f *failing) GetImport(context.Context, *irtv1.GetImportRequest) (*irtv1.Import, error) {
	return &irtv1.Import{Name: failingImport, AcknowledgedRow: int32(f.calls)}, nil
}

// importInto imports a file into a hub, without long waits.
func importInto(t *testing.T, hub *failing) error {
	t.Helper()
	server, listener := grpc.NewServer(), bufconn.Listen(1<<20)
	irtv1.RegisterImportServiceServer(server, hub)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///hub", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f := &importFlags{File: write(t, "roll.csv", "a,b", "1,2")}
	header := &irtv1.ImportHeader{Parent: "agencies/-"}
	_, err = f.send(t.Context(), streams{io.Discard, io.Discard}, irtv1.NewImportServiceClient(conn), header, time.Microsecond)
	if err != nil {
		return f.brokenOff(t.Context(), header.GetImport(), err)
	}
	return nil
}

// What passes is gone by; what does not, and what does not end, is told with how to go on.
func TestImportThatBreaksOff(t *testing.T) {
	t.Parallel()
	slow, fault := grpcstatus.Error(codes.DeadlineExceeded, "slow"), grpcstatus.Error(codes.Internal, "a fault")
	const resume = "--resume " + failingImport
	for name, tt := range map[string]struct {
		errs  []error
		calls int
		says  []string
		not   string
	}{
		"passes":                  {[]error{slow, fault, slow, nil}, 4, nil, ""},
		"a hub that always fails": {[]error{fault}, patience + 1, []string{"a fault", resume}, "token"},
		"a token that is over":    {[]error{slow, grpcstatus.Error(codes.Unauthenticated, "over")}, 2, []string{"over", "new token", resume}, ""},
		"a file that is refused":  {[]error{grpcstatus.Error(codes.InvalidArgument, "no")}, 1, []string{"no"}, "--resume"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := &failing{errs: tt.errs}
			err := importInto(t, hub)
			if (err != nil) != (len(tt.says) > 0) || hub.calls != tt.calls {
				t.Fatalf("%d calls, then %v", hub.calls, err)
			}
			for _, say := range tt.says {
				if !strings.Contains(err.Error(), say) {
					t.Errorf("no %q in %v", say, err)
				}
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("%q in %v", tt.not, err)
			}
		})
	}
}

// A hub with too much under way has not begun: it is asked again.
func TestImportWaitsForRoom(t *testing.T) {
	t.Parallel()
	hub := &failing{full: 3, errs: []error{nil}}
	if err := importInto(t, hub); err != nil || hub.full > 0 || hub.calls != 1 {
		t.Errorf("%d refusals to come, %d imports: %v", hub.full, hub.calls, err)
	}
	if err := importInto(t, &failing{full: patience + 1, errs: []error{nil}}); err == nil || strings.Contains(err.Error(), "--resume") {
		t.Errorf("a hub without room for long: %v", err)
	}
}

func TestResumption(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"irthub import school-cohort roll.csv --json --resume NAME":     {"import", "school-cohort", "roll.csv", "--resume", "old", "--json"},
		`irthub import school-cohort 'the roll'\''s.csv' --resume NAME`: {"import", "school-cohort", "the roll's.csv", "--resume=old"},
		"irthub import school-cohort --resume NAME -- -x.csv":           {"import", "school-cohort", "--", "-x.csv"},
	} {
		if got := resumption(args, "NAME"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
