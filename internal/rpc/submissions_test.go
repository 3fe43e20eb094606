package rpc_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"irthub/internal/rpc"
)

// wordStream is a stream of requests and answers that are texts.
type wordStream struct {
	grpc.ServerStream
	ctx      context.Context
	requests []string
	answers  []string
}

func (l *wordStream) Context() context.Context { return l.ctx }

func (l *wordStream) SetHeader(metadata.MD) error { return nil }

func (l *wordStream) Recv() (*string, error) {
	if len(l.requests) == 0 {
		return nil, io.EOF
	}
	next := l.requests[0]
	l.requests = l.requests[1:]
	return &next, nil
}

func (l *wordStream) Send(answer *string) error {
	l.answers = append(l.answers, *answer)
	return nil
}

// A request that the hub fails at, even by a panic, is answered in its place, and those
// after it are done, also where they are about the same thing. The log has its cause, as
// it has that of a call.
func TestSubmissionsGoOnAfterAPanic(t *testing.T) {
	t.Parallel()
	stream := &wordStream{ctx: t.Context(), requests: []string{"a", "boom", "boom", "refused", "b"}}
	panicked := false // by turns: the second boom waits for the first
	var log bytes.Buffer
	call := rpc.StreamCall(slog.New(slog.NewTextHandler(&log, nil)))
	submit := func(_ context.Context, name *string) (string, error) {
		switch {
		case *name == "refused":
			return "", rpc.NotFound("thing")
		case *name == "boom" && !panicked:
			panicked = true
			panic("a fault of the hub")
		}
		return "did " + *name, nil
	}
	answer := func(_ *string, shown string, refused *rpcstatus.Status) *string {
		if refused != nil {
			shown = fmt.Sprint(codes.Code(refused.GetCode()))
		}
		return &shown
	}
	err := call(nil, stream, &grpc.StreamServerInfo{FullMethod: "/irt.v1.PlanService/SubmitPlans"}, func(_ any, ss grpc.ServerStream) error {
		stream.ctx = ss.Context()
		return rpc.Submissions(stream, func(name *string) string { return *name }, submit, answer)
	})
	if want := []string{"did a", "Internal", "did boom", "NotFound", "did b"}; err != nil || !slices.Equal(stream.answers, want) {
		t.Errorf("answered %q, want %q: %v", stream.answers, want, err)
	}
	if words := log.String(); strings.Count(words, "error_id") != 1 || !strings.Contains(words, "submissions_test.go") || strings.Contains(words, "a fault of the hub") {
		t.Errorf("want the stack of one fault and not its value in the log: %s", words)
	}
}
