package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
)

// watch answers GET /v1/events:watch: the answers of Watch as they come, a line of
// JSON each; or server-sent events for those who accept them.
func (g *Gateway) watch(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	to := body{w, http.NewResponseController(w), g.options.Patience}
	var out eventWriter = &lines{to, newCodec()}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		out = &serverSent{to, newCodec()}
	}
	if requestOf(ctx).Method == http.MethodHead {
		out.begin()
		return
	}
	stream, err := g.openWatch(ctx, r)
	if err != nil {
		g.writeError(w, r, err)
		return
	}
	first, err := stream.Recv()
	if err != nil {
		g.writeError(w, r, err)
		return
	}
	out.begin()
	for answer := first; err == nil; answer, err = stream.Recv() {
		if out.write(answer) != nil {
			return // the caller has gone, or takes nothing in
		}
	}
	if !errors.Is(err, io.EOF) && ctx.Err() == nil {
		_, e := g.errorOf(r, err)
		_ = out.fail(e)
	}
}

// openWatch calls Watch as the address says. A client that reconnects says in
// Last-Event-ID how far it got, which is further than its address does.
func (g *Gateway) openWatch(ctx context.Context, r *http.Request) (irtv1.EventService_WatchClient, error) {
	const method = irtv1.EventService_Watch_FullMethodName
	query := r.URL.Query()
	if err := g.queries[method].check(query); err != nil {
		return nil, err
	}
	req := &irtv1.WatchRequest{}
	if err := (queryParser{}).Parse(req, query, utilities.NewDoubleArray(nil)); err != nil {
		return nil, rpc.Malformed(err.Error())
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		req.Cursor = id
	}
	ctx, err := runtime.AnnotateContext(ctx, g.api, r, method)
	if err != nil {
		return nil, err
	}
	return g.events.Watch(ctx, req)
}

// eventWriter writes the answers of Watch in one form.
type eventWriter interface {
	begin()
	write(answer *irtv1.WatchResponse) error
	fail(e errorBody) error
}

// body is an answer that goes on.
type body struct {
	w        http.ResponseWriter
	rc       *http.ResponseController
	patience time.Duration // longer than the hub's with a watcher, whose last line says why it ended
}

func (b body) start(contentType string) {
	h := b.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Accel-Buffering", "no") // some proxies hold back what they pass on
	b.w.WriteHeader(http.StatusOK)
	_ = b.rc.SetWriteDeadline(time.Time{}) // not every ResponseWriter can
}

// send sends text now. Only while it does is there a deadline.
func (b body) send(text []byte) error {
	_ = b.rc.SetWriteDeadline(time.Now().Add(b.patience))
	if _, err := b.w.Write(text); err != nil { //nolint:gosec // JSON, said to be, and nosniff
		return err
	}
	err := b.rc.Flush()
	_ = b.rc.SetWriteDeadline(time.Time{})
	return err
}

// lines is newline-delimited JSON.
type lines struct {
	body
	codec *codec
}

func (l *lines) begin() { l.start(reference.LinesType) }

func (l *lines) write(answer *irtv1.WatchResponse) error {
	line, err := l.codec.Marshal(answer)
	if err != nil {
		return err
	}
	return l.send(line)
}

func (l *lines) fail(e errorBody) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return l.send(append(line, '\n'))
}

// serverSent is server-sent events, as browsers know them: one for each event, of
// which the last of an answer holds the cursor as its id.
type serverSent struct {
	body
	codec *codec
}

func (s *serverSent) begin() { s.start(reference.ServerSentType) }

func (s *serverSent) write(answer *irtv1.WatchResponse) error {
	var b strings.Builder
	all := answer.GetEvents()
	if len(all) == 0 {
		b.WriteString(": still here\nid: " + answer.GetCursor() + "\n\n")
	}
	for i, e := range all {
		data, err := s.codec.Marshal(e)
		if err != nil {
			return err
		}
		if i == len(all)-1 {
			b.WriteString("id: " + answer.GetCursor() + "\n")
		}
		b.WriteString("data: " + string(data) + "\n") // data ends its line
	}
	return s.send([]byte(b.String()))
}

func (s *serverSent) fail(e errorBody) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return s.send([]byte("event: error\ndata: " + string(data) + "\n\n"))
}
