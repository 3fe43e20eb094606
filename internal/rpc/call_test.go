package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

func answering(err error) children {
	return children{get: func(context.Context, *irtv1.GetChildRequest) (*irtv1.Child, error) { return &irtv1.Child{}, err }}
}

func TestCallsHaveADeadlineAlways(t *testing.T) {
	t.Parallel()
	var left time.Duration
	service := children{get: func(ctx context.Context, _ *irtv1.GetChildRequest) (*irtv1.Child, error) {
		at, ok := ctx.Deadline()
		if !ok {
			return nil, errors.New("no deadline")
		}
		left = time.Until(at)
		return &irtv1.Child{}, nil
	}}
	b := setup(t, service, rpc.Limits{Default: time.Minute, Max: 2 * time.Minute})
	for _, c := range []struct {
		asked, atMost, atLeast time.Duration
	}{{0, time.Minute, 50 * time.Second}, {time.Hour, 2 * time.Minute, 110 * time.Second}, {90 * time.Second, 90 * time.Second, 80 * time.Second}} {
		ctx := t.Context()
		if c.asked > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.asked)
			defer cancel()
		}
		if _, err := b.client().GetChild(ctx, &irtv1.GetChildRequest{Name: "children/x"}); err != nil {
			t.Fatal(err)
		}
		if left > c.atMost || left < c.atLeast {
			t.Errorf("asked for %v: %v are left, want between %v and %v", c.asked, left, c.atLeast, c.atMost)
		}
	}
}

func TestAnswersCarryTheRequestID(t *testing.T) {
	t.Parallel()
	b := setup(t, answering(nil), rpc.Limits{})
	for _, c := range []struct{ sent, want string }{
		{"", ""},
		{"0198c0de-0000-7000-8000-000000000001", "0198c0de-0000-7000-8000-000000000001"},
		{"4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"},
		{"9990000018", ""},    // might be an NHS number
		{"Aoife O'Neill", ""}, // is a name
		{strings.Repeat("a", 65), ""},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), rpc.RequestIDKey, c.sent)
		var header metadata.MD
		if _, err := b.client().GetChild(ctx, &irtv1.GetChildRequest{Name: "children/x"}, grpc.Header(&header)); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(header.Get(rpc.RequestIDKey), "|")
		if c.want != "" && got != c.want || c.want == "" && (len(got) != 32 || got == c.sent) {
			t.Errorf("sent %q: answered with %q", c.sent, got)
		}
	}
}

// The log must be enough to find a fault by what its caller was told, and hold no
// personal data even then.
func TestAFaultIsInTheLogAndItsDataIsNot(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func() error{
		"an error of the database about data": func() error {
			return fmt.Errorf("children: reading: %w", &pgconn.PgError{Code: "22007", Message: "invalid input syntax: " + secret, ColumnName: "date_of_birth"})
		},
		"a panic": func() error { panic(secret) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, children{get: func(ctx context.Context, _ *irtv1.GetChildRequest) (*irtv1.Child, error) {
				rpc.SetAgency(ctx, "st-marys")
				return nil, handler()
			}}, rpc.Limits{})
			_, err := b.client().GetChild(t.Context(), &irtv1.GetChildRequest{Name: "children/" + "x"})
			wantError(t, err, codes.Internal, "INTERNAL")
			id := status.Convert(err).Details()[0].(*errdetails.ErrorInfo).GetMetadata()["id"]
			if id == "" || !strings.Contains(status.Convert(err).Message(), id) {
				t.Errorf("the caller is not told the id: %v", err)
			}
			line := b.log.String()
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatalf("want one line of JSON, got %q", line)
			}
			for key, want := range map[string]string{
				"method": "/irt.v1.ChildService/GetChild", "code": "Internal", "agency": "st-marys", "error_id": id, "level": "ERROR",
			} {
				if fields[key] != want {
					t.Errorf("%s is %v, want %s", key, fields[key], want)
				}
			}
			if fields["cause"] == nil || fields["request_id"] == nil {
				t.Errorf("the line lacks the cause or the request id: %s", line)
			}
			if strings.Contains(line, "O'Neill") || strings.Contains(line, "children/x") || strings.Contains(err.Error(), "O'Neill") {
				t.Errorf("personal data: %s; %v", line, err)
			}
		})
	}
}

func TestAPanicInAStreamIsAnError(t *testing.T) {
	t.Parallel()
	b := setup(t, children{stream: func(grpc.BidiStreamingServer[irtv1.SubmitChildRecordsRequest, irtv1.SubmitChildRecordsResponse]) error {
		panic(secret)
	}}, rpc.Limits{})
	s, err := b.client().SubmitChildRecords(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Recv()
	wantError(t, err, codes.Internal, "INTERNAL")
	if !strings.Contains(b.log.String(), "call_test.go") || strings.Contains(b.log.String(), secret) {
		t.Errorf("want the stack and not the value in the log: %s", b.log)
	}
}

// A denial leaves on a beat counted from when its call came, however long it took
// to find; everything else leaves at once.
func TestDenialsLeaveOnTheBeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		unary := rpc.UnaryCall(slog.New(slog.DiscardHandler), rpc.Limits{})
		took := func(work time.Duration, answer error) time.Duration {
			start := time.Now()
			_, err := unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/irt.v1.ChildService/GetChild"},
				func(context.Context, any) (any, error) {
					time.Sleep(work) //nolint:forbidigo // the bubble's own time
					return nil, answer
				})
			if status.Code(err) != status.Code(rpc.Edge(answer)) {
				t.Errorf("answered with %v", err)
			}
			return time.Since(start)
		}
		for _, work := range []time.Duration{0, time.Millisecond, 24 * time.Millisecond} {
			for _, no := range []error{rpc.Denied(), rpc.NotFound("child")} {
				if got := took(work, no); got != 25*time.Millisecond {
					t.Errorf("%v, which took %v, left after %v", status.Code(no), work, got)
				}
			}
			if got := took(work, nil); got != work {
				t.Errorf("an answer that took %v left after %v", work, got)
			}
		}
		if got := took(30*time.Millisecond, rpc.Denied()); got != 50*time.Millisecond {
			t.Errorf("a denial that took 30 ms left after %v", got)
		}
	})
}
