package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

// watched is a hub whose Watch says it has begun, tells two events, waits for more
// from the test, and ends with an error when there are none.
func watched(t *testing.T) (h *hub, more chan *irtv1.WatchResponse) {
	t.Helper()
	more = make(chan *irtv1.WatchResponse)
	return start(t, &services{watch: func(_ *irtv1.WatchRequest, stream grpc.ServerStreamingServer[irtv1.WatchResponse]) error {
		for _, answer := range []*irtv1.WatchResponse{
			{Cursor: "c0"},
			{Cursor: "c2", Events: []*irtv1.Event{
				{Name: "events/1", Kind: irtv1.EventKind_EVENT_KIND_CHILD_CREATED},
				{Name: "events/2", Kind: irtv1.EventKind_EVENT_KIND_CHILD_UPDATED},
			}},
		} {
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
		for answer := range more {
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
		return rpc.ErrorWith(codes.Unavailable, irtv1.ErrorReason_ERROR_REASON_UNAVAILABLE, map[string]string{"cursor": "c9"}, "The hub is stopping.")
	}}), more
}

// open opens the stream and reads it line by line.
func open(t *testing.T, h *hub, path string, headers ...string) (header http.Header, line func() string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := h.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	scan := bufio.NewScanner(resp.Body)
	return resp.Header, func() string {
		if !scan.Scan() {
			t.Fatalf("the stream ended: %v", scan.Err())
		}
		return scan.Text()
	}
}

// Each answer is a line as soon as it comes, and the end says why.
func TestWatchLines(t *testing.T) {
	t.Parallel()
	h, more := watched(t)
	header, line := open(t, h, "/v1/events:watch?kinds=EVENT_KIND_CHILD_CREATED&cursor=x")
	if got := header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("Content-Type %q", got)
	}
	var answer struct {
		Cursor string
		Events []struct{ Name, Kind string }
		Error  struct {
			Code    int
			Details []struct{ Metadata map[string]string }
		}
	}
	next := func() {
		t.Helper()
		answer.Events = nil
		if err := json.Unmarshal([]byte(line()), &answer); err != nil {
			t.Fatal(err)
		}
	}
	if next(); answer.Cursor != "c0" || len(answer.Events) != 0 {
		t.Errorf("it begins with %+v", answer)
	}
	if next(); answer.Cursor != "c2" || len(answer.Events) != 2 || answer.Events[1].Name != "events/2" {
		t.Errorf("then comes %+v", answer)
	}
	more <- &irtv1.WatchResponse{Cursor: "c3"}
	if next(); answer.Cursor != "c3" || len(answer.Events) != 0 {
		t.Errorf("a sign of life is %+v", answer)
	}
	close(more)
	if next(); answer.Error.Code != http.StatusServiceUnavailable || answer.Error.Details[0].Metadata["cursor"] != "c9" {
		t.Errorf("it ends with %+v", answer)
	}
	got := h.reached()
	if len(got) != 1 || got[0].method != irtv1.EventService_Watch_FullMethodName {
		t.Errorf("calls %+v", got)
	}
}

// The ids of server-sent events are cursors, of which only the last of an answer
// says that all before it has come.
func TestWatchServerSent(t *testing.T) {
	t.Parallel()
	h, more := watched(t)
	header, line := open(t, h, "/v1/events:watch", "Accept", "text/event-stream", "Last-Event-ID", "seen")
	if got := header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %q", got)
	}
	close(more)
	for _, want := range []string{
		": still here", "id: c0", "",
		`data: {"name":"events/1","kind":"EVENT_KIND_CHILD_CREATED"}`, "",
		"id: c2", `data: {"name":"events/2","kind":"EVENT_KIND_CHILD_UPDATED"}`, "",
		"event: error",
	} {
		if got := strings.ReplaceAll(line(), ", ", ","); strings.ReplaceAll(got, `": "`, `":"`) != want {
			t.Errorf("the line is %q, not %q", got, want)
		}
	}
	if got := line(); !strings.HasPrefix(got, `data: {"error":{"code":503,`) {
		t.Errorf("the error is %q", got)
	}
}

// Where a client got to is in the header when it comes back by itself.
func TestWatchResumes(t *testing.T) {
	t.Parallel()
	asked := make(chan *irtv1.WatchRequest, 1)
	h := start(t, &services{watch: func(r *irtv1.WatchRequest, _ grpc.ServerStreamingServer[irtv1.WatchResponse]) error {
		asked <- r
		return rpc.Denied()
	}})
	a := h.do(t, http.MethodGet, "/v1/events:watch?cursor=old&children=children/a&children=children/b&agencies=agencies/x", "",
		"Accept", "text/event-stream", "Last-Event-ID", "new")
	if _, reason := a.failure(t); a.status != http.StatusForbidden || reason != "ACCESS_DENIED" {
		t.Errorf("status %d, reason %s", a.status, reason)
	}
	r := <-asked
	if r.GetCursor() != "new" || len(r.GetChildren()) != 2 || len(r.GetAgencies()) != 1 {
		t.Errorf("asked for %v", r)
	}
}

func TestWatchRefused(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for _, query := range []string{"?kind=x", "?kinds=NO_SUCH", "?cursor=a&cursor=b"} {
		a := h.do(t, http.MethodGet, "/v1/events:watch"+query, "")
		if _, reason := a.failure(t); a.status != http.StatusBadRequest || reason != "MALFORMED_REQUEST" {
			t.Errorf("%s: status %d, reason %s", query, a.status, reason)
		}
	}
	if a := h.do(t, http.MethodPost, "/v1/events:watch", ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", a.status)
	}
	if a := h.do(t, http.MethodHead, "/v1/events:watch", ""); a.status != http.StatusOK || len(h.reached()) != 0 {
		t.Errorf("HEAD: status %d, %d calls", a.status, len(h.reached()))
	}
}

// A caller who goes away ends the call.
func TestWatchHangUp(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	h := start(t, &services{watch: func(_ *irtv1.WatchRequest, stream grpc.ServerStreamingServer[irtv1.WatchResponse]) error {
		if err := stream.Send(&irtv1.WatchResponse{Cursor: "c"}); err != nil {
			return err
		}
		<-stream.Context().Done()
		ended <- stream.Context().Err()
		return stream.Context().Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/v1/events:watch", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	if err := <-ended; err == nil {
		t.Error("the call goes on")
	}
}
