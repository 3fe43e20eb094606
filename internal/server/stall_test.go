package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/pg"
	"irthub/internal/server"
)

// restCall is a REST call whose two directions a test has in its hands. It takes in
// little that it does not read.
type restCall struct {
	t     *testing.T
	conn  net.Conn
	token string
	body  io.Reader // the answer's, once line has been called
	scan  *bufio.Reader
}

// dial begins a POST of lines, or a GET.
func (h *hub) dial(t *testing.T, path, token string, headers ...string) *restCall {
	t.Helper()
	conn, err := (&net.Dialer{Control: smallWindow}).DialContext(t.Context(), "tcp", h.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &restCall{t: t, conn: conn, token: token}
	head := "GET " + path + " HTTP/1.1\r\nIrt-Purpose: SAFEGUARDING\r\n"
	if strings.HasSuffix(path, ":submit") {
		head = "POST " + path + " HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"
	}
	for _, one := range headers {
		head += one + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"Host: hub\r\nAuthorization: Bearer "+token+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// write writes a part of the body.
func (c *restCall) write(text string) error {
	w := httputil.NewChunkedWriter(c.conn)
	_, err := io.WriteString(w, text)
	return err
}

func (c *restCall) send(text string) {
	c.t.Helper()
	if err := c.write(text); err != nil {
		c.t.Fatal(err)
	}
}

// end ends the body.
func (c *restCall) end() {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, "0\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// read gives the next line of the answer.
func (c *restCall) read() (string, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * patience)) // a test that waits in vain ends
	if c.scan == nil {
		resp, err := http.ReadResponse(bufio.NewReader(c.conn), nil) //nolint:bodyclose // the connection is closed in the end
		if err != nil {
			return "", err
		}
		if resp.StatusCode != http.StatusOK {
			return "", fmt.Errorf("status %d", resp.StatusCode)
		}
		c.body = resp.Body
		c.scan = bufio.NewReaderSize(resp.Body, 1<<20)
	}
	return c.scan.ReadString('\n')
}

func (c *restCall) line() string {
	c.t.Helper()
	line, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return line
}

// patience is how long streams may stand still in these tests.
const patience = 3 * time.Second

// shortSilence is long enough to see that something stands still, and not too long.
const shortSilence = patience / 4

// one submits a record of the GP practice's, which must not be held up by others.
func (h *hub) one(t *testing.T, id string) {
	t.Helper()
	began := time.Now()
	code, answer := h.rest(t, "PUT", "/v1/agencies/gp-1/childRecords/"+id, `{"givenName":"Bo","familyName":"Reed","dateOfBirth":"2016-05-06"}`,
		h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM), nil)
	if code != 200 || time.Since(began) > 10*time.Second {
		t.Errorf("a single record: %d after %v: %s", code, time.Since(began), answer)
	}
}

// Who does not read answers is held up: the hub takes in no more than it has room for.
// After a while it is cut off. Others notice nothing.
func TestFaultClientDoesNotReadOverREST(t *testing.T) {
	t.Parallel()
	h := startWith(t, server.Config{Patience: patience})
	c := h.dial(t, "/v1/childRecords:submit", h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM))
	sent, stood := 0, time.Time{}
	var err error
	for n := 0; err == nil; n++ {
		_ = c.conn.SetWriteDeadline(time.Now().Add(shortSilence))
		if err = c.write(strings.Replace(record(fmt.Sprint(n), "p", ""), `"childRecord"`, `"validateOnly":true,"childRecord"`, 1) + "\n"); err == nil {
			sent++
		}
		if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			if stood.IsZero() {
				stood = time.Now()
				h.one(t, "while-it-stands")
			}
			if time.Since(stood) > 10*patience {
				t.Fatalf("it is still connected %v after it stood still, with %d records", time.Since(stood), sent)
			}
			err = nil // a part of a chunk may have gone: what follows is for the hub to refuse, were it read
		}
		if sent > 200_000 {
			t.Fatal("the hub takes in whatever comes")
		}
	}
	if stood.IsZero() {
		t.Fatalf("it never stood still: %d records, then %v", sent, err)
	}
	if took := time.Since(stood); took < patience/4 {
		t.Errorf("it was cut off after %v", took)
	}
	t.Logf("%d records went before it stood still; cut off %v after that", sent, time.Since(stood))
	h.one(t, "afterwards")
	h.stored(t, "gp-1", 2)
	h.stored(t, "school-1", 0) // it only asked whether they would do
	h.whole(t)
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Who sends nothing for a while but moves is not cut off, and the answer has its end.
func TestRESTStreamOutlastsPatience(t *testing.T) {
	t.Parallel()
	h := startWith(t, server.Config{Patience: patience})
	c := h.dial(t, "/v1/childRecords:submit", h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM))
	c.send(record("1", "p-1", "") + "\n")
	if answer := c.line(); !strings.Contains(answer, `"requestId":"1"`) {
		t.Fatal(answer)
	}
	for began := time.Now(); time.Since(began) < 3*patience/2; <-time.After(shortSilence) {
		c.send("\n")
	}
	c.end()
	if rest, err := c.read(); rest != "" || !errors.Is(err, io.EOF) {
		t.Errorf("the answer ended with %q, %v", rest, err)
	}
}

// Who stops sending in the middle of a line is cut off, too, and told why.
func TestFaultClientStopsSending(t *testing.T) {
	t.Parallel()
	h := startWith(t, server.Config{Patience: patience})
	c := h.dial(t, "/v1/childRecords:submit", h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM))
	c.send(record("1", "p-1", "") + "\n" + record("2", "p-2", "")[:40])
	began := time.Now()
	var a answered
	if err := json.Unmarshal([]byte(c.line()), &a); err != nil || a.RequestID != "1" || a.Error != nil {
		t.Fatalf("%v %+v", err, a)
	}
	if err := json.Unmarshal([]byte(c.line()), &a); err != nil || a.Error == nil {
		t.Fatalf("%v %+v", err, a)
	}
	if took := time.Since(began); took < patience/2 || took > 5*patience {
		t.Errorf("it was cut off after %v", took)
	}
	h.stored(t, "school-1", 1) // what was answered, and no half of a line
	h.whole(t)
}

// The same over gRPC, where a receiver that takes nothing in is told so once it reads.
func TestFaultClientDoesNotReadOverGRPC(t *testing.T) {
	t.Parallel()
	h := startWith(t, server.Config{Patience: patience})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM))
	stream, err := irtv1.NewChildServiceClient(h.conn).SubmitChildRecords(ctx)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			err := stream.Send(&irtv1.SubmitChildRecordsRequest{RequestId: fmt.Sprint(n), ValidateOnly: true, ChildRecord: &irtv1.ChildRecord{
				Name: "agencies/school-1/childRecords/p", GivenName: "Ada", FamilyName: "Quill", DateOfBirth: "2015-03-04",
			}})
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	h.cutOff(t, "ChildService/SubmitChildRecords", 1)
	h.one(t, "meanwhile")
	took := time.Since(began)
	answers := 0
	for err = nil; err == nil; answers++ {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted || fromGRPC(err).Reason != "SLOW_CONSUMER" || took < patience {
		t.Errorf("after %v and %d answers it ended with %v", took, answers, err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("sending ended with %v", err)
	}
	h.stored(t, "gp-1", 1)
	h.whole(t)
}

// cutOff waits until the hub has let go of so many streams of a method, which it says in
// the access log.
func (h *hub) cutOff(t *testing.T, method string, n int) {
	t.Helper()
	for end := time.Now().Add(20 * patience); ; time.Sleep(100 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		var recorded int
		err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_entries WHERE method = $1 AND status_code = $2`,
			"/irt.v1."+method, int(codes.ResourceExhausted)).Scan(&recorded)
		if err == nil && recorded == n {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("the hub let go of %d of %d: %v", recorded, n, err)
		}
	}
}

// happen commits so many changes of the child of a record of the school's.
func (h *hub) happen(t *testing.T, id string, n int) {
	t.Helper()
	var child [16]byte
	err := h.pool.QueryRow(t.Context(), `SELECT child_id FROM child_records WHERE agency_id = 'school-1' AND local_id = $1`, id).Scan(&child)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]events.Event, n)
	for i := range all {
		all[i] = events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_CHILD_UPDATED, Child: uuid.UUID(child), Agency: "school-1",
			Resource: "agencies/school-1/childRecords/" + id, Time: time.Now(),
		}
	}
	if err := pg.InTx(t.Context(), h.pool, func(tx pgx.Tx) error { return events.Append(t.Context(), tx, all) }); err != nil {
		t.Fatal(err)
	}
}

// watched is what of a stream of events, in either form, has come.
type watched struct {
	names  map[string]bool
	cursor string // of the last answer that was taken in
	reason string // why it ended
	told   string // the cursor that its end tells
}

// readWatch reads a watch until it ends, or until so many events have come.
func readWatch(t *testing.T, c *restCall, until int) *watched {
	t.Helper()
	w := &watched{names: map[string]bool{}}
	failing := false
	for until == 0 || len(w.names) < until {
		line, err := c.read()
		if err != nil {
			return w
		}
		line = strings.TrimSpace(line)
		switch {
		case line == "event: error":
			failing = true
			continue
		case strings.HasPrefix(line, "id: "):
			w.cursor = strings.TrimPrefix(line, "id: ")
			continue
		}
		line = strings.TrimPrefix(line, "data: ")
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var m struct {
			answered
			Name   string
			Cursor string
			Events []struct{ Name string }
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %.200s", err, line)
		}
		if m.Error != nil {
			w.reason, w.told = m.reason(), m.Error.Details[0].Metadata["cursor"]
			continue // it must be the last line
		}
		if failing || w.reason != "" {
			t.Errorf("after the error came %.200s", line)
		}
		if m.Name != "" {
			w.names[m.Name] = true
		}
		for _, e := range m.Events {
			w.names[e.Name] = true
		}
		if m.Cursor != "" {
			w.cursor = m.Cursor
		}
	}
	return w
}

// A watcher over REST that takes nothing in is cut off; what it then reads ends by
// saying why, and where to come back misses nothing.
func TestFaultSlowWatchersOverREST(t *testing.T) {
	t.Parallel()
	h := startWith(t, server.Config{Patience: 4 * patience}) // watchers have half of it
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	if code, answer := h.rest(t, "PUT", "/v1/agencies/school-1/childRecords/p", `{"givenName":"A","familyName":"B","dateOfBirth":"2015-03-04"}`, school, nil); code != 200 {
		t.Fatalf("%d %s", code, answer)
	}
	forms := map[string]string{"lines": "Accept: application/x-ndjson", "server-sent": "Accept: text/event-stream"}
	slow := map[string]*restCall{}
	for name, accept := range forms {
		slow[name] = h.dial(t, "/v1/events:watch", school, accept)
		slow[name].line() // it has begun
	}
	const n = 40_000 // more than sockets hold
	for range 4 {
		h.happen(t, "p", n/4)
	}
	h.cutOff(t, "EventService/Watch", len(slow))
	ends := map[string]*watched{}
	for name, c := range slow { // both at once: who reads too late is cut off without a word
		ends[name] = readWatch(t, c, 0)
	}
	for name, got := range ends {
		t.Run(name, func(t *testing.T) {
			if got.reason != "SLOW_CONSUMER" || got.told == "" || len(got.names) >= n {
				t.Fatalf("%d events, then %q and the cursor %q", len(got.names), got.reason, got.told)
			}
			for from, cursor := range map[string]string{"the end told": got.told, "the last answer had": got.cursor} {
				again := h.dial(t, "/v1/events:watch?cursor="+cursor, school, forms[name])
				rest := readWatch(t, again, n-len(got.names))
				seen := len(rest.names)
				for e := range got.names {
					if !rest.names[e] {
						seen++
					}
				}
				for end := time.Now().Add(time.Minute); seen < n && time.Now().Before(end); { // some came twice
					more := readWatch(t, again, 1)
					for e := range more.names {
						if !rest.names[e] && !got.names[e] {
							seen++
						}
						rest.names[e] = true
					}
				}
				if seen < n { // the child's first may be among them
					t.Errorf("from the cursor that %s: %d events of %d", from, seen, n)
				}
			}
		})
	}
}

// Who never reads at all is cut off without a word.
func TestFaultWatcherNeverReads(t *testing.T) {
	t.Parallel()
	h := startWith(t, server.Config{Patience: patience})
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	if code, answer := h.rest(t, "PUT", "/v1/agencies/school-1/childRecords/p", `{"givenName":"A","familyName":"B","dateOfBirth":"2015-03-04"}`, school, nil); code != 200 {
		t.Fatalf("%d %s", code, answer)
	}
	c := h.dial(t, "/v1/events:watch", school)
	c.line()
	h.happen(t, "p", 40_000)
	// A write to a connection that the other side has closed fails, the second at the latest.
	var err error
	for end := time.Now().Add(20 * patience); err == nil && time.Now().Before(end); time.Sleep(shortSilence) { //nolint:forbidigo // a wait with a deadline
		_, err = io.WriteString(c.conn, "\r\n")
	}
	if err == nil {
		t.Error("it is still connected")
	}
}
