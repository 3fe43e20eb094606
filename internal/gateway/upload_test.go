package gateway_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

type importStream = grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]

// countingImport answers with what it was sent.
func countingImport(s importStream) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	largest, total := 0, 0
	for {
		part, err := s.Recv()
		if errors.Is(err, io.EOF) {
			h := first.GetHeader()
			return s.SendAndClose(&irtv1.Import{
				Name: h.GetParent(), Format: h.GetFormat(), ValidateOnly: h.GetValidateOnly(),
				Rows: int32(total), Accepted: int32(largest),
			})
		}
		if err != nil {
			return err
		}
		total += len(part.GetChunk())
		largest = max(largest, len(part.GetChunk()))
	}
}

// form is a multipart body with a field before and a file after the file.
func form(t *testing.T, content string) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	_ = w.WriteField("note", "ignored")
	for _, name := range []string{"file", "second"} {
		f, err := w.CreateFormFile(name, name+".csv")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(content))
		content = "not sent"
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return body, w.FormDataContentType()
}

func TestUpload(t *testing.T) {
	t.Parallel()
	h := start(t, &services{createImport: countingImport})
	file := strings.Repeat("0123456789", 100_000)
	body, formType := form(t, file)
	for _, tt := range []struct {
		name, query, contentType string
		body                     io.Reader
		want                     []string
	}{
		{
			"raw", "format=school-cohort&validateOnly=true", "text/csv; charset=utf-8", strings.NewReader(file),
			[]string{`"rows":1000000`, `"accepted":262144`, `"validateOnly":true`, `"name":"agencies/a"`, "IMPORT_FORMAT_SCHOOL_COHORT"},
		},
		{
			"octets, chunked", "format=gp-practices", "application/octet-stream",
			struct{ io.Reader }{strings.NewReader(file)},
			[]string{`"rows":1000000`, "IMPORT_FORMAT_GP_PRACTICES"},
		},
		{"form", "format=IMPORT_FORMAT_SCHOOL_COHORT", formType, body, []string{`"rows":1000000`, `"accepted":262144`}},
		{"empty", "format=school-cohort", "text/csv", strings.NewReader(""), []string{`"name":"agencies/a"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := h.send(t, "POST", "/v1/agencies/a/imports?"+tt.query, tt.body, "Content-Type", tt.contentType, "Irt-Purpose", "EDUCATION")
			for _, want := range tt.want {
				if !strings.Contains(strings.ReplaceAll(a.body, " ", ""), want) {
					t.Errorf("no %s in %d %s", want, a.status, a.body)
				}
			}
			calls := h.reached()
			if got := calls[len(calls)-1].metadata.Get("irt-purpose"); len(got) != 1 || got[0] != "EDUCATION" {
				t.Errorf("irt-purpose is %v", got)
			}
		})
	}
}

func TestUploadRefused(t *testing.T) {
	t.Parallel()
	h := start(t, &services{createImport: func(s importStream) error {
		_ = s.SetHeader(metadata.Pairs("irt-import", "agencies/a/imports/1"))
		return status.Error(codes.PermissionDenied, "no")
	}})
	large := strings.Repeat("x", 20<<20)
	const path = "/v1/agencies/a/imports"
	for _, tt := range []struct {
		name, query, contentType, body string
		status                         int
		says                           string
	}{
		{"no format", "", "text/csv", "x", 400, "format"},
		{"unknown format", "?format=cohort", "text/csv", "x", 400, "one of school-cohort, "},
		{"bad flag", "?format=school-cohort&validateOnly=perhaps", "text/csv", "x", 400, "validateOnly"},
		{"unknown parameter", "?format=school-cohort&dryRun=true", "text/csv", "x", 400, "dryRun"},
		{"by the service, while much is still to be sent", "?format=school-cohort", "text/csv", large, 403, "no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := h.do(t, "POST", path+tt.query, tt.body, "Content-Type", tt.contentType)
			body, _ := a.failure(t)
			if a.status != tt.status || !strings.Contains(body.Error.Message, tt.says) {
				t.Errorf("%d %s, want %d and %q", a.status, body.Error.Message, tt.status, tt.says)
			}
			if a.status == 403 && a.header.Get("Irt-Import") != "agencies/a/imports/1" {
				t.Errorf("the import's name is not told: %v", a.header)
			}
		})
	}
	counting := start(t, &services{createImport: countingImport})
	for _, tt := range []struct{ name, contentType, body string }{
		{"JSON", "application/json", "{}"},
		{"urlencoded", "application/x-www-form-urlencoded", "x"},
		{"form without boundary", "multipart/form-data", "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := counting.do(t, "POST", path+"?format=school-cohort", tt.body, "Content-Type", tt.contentType)
			if a.failure(t); a.status != 415 {
				t.Errorf("status %d, want 415: %s", a.status, a.body)
			}
		})
	}
}

// A form without its end is a broken upload, not a short file.
func TestUploadBrokenForm(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	h := start(t, &services{createImport: func(s importStream) error {
		_, err := readAll(s)
		ended <- err
		return err
	}})
	body, contentType := form(t, "a,b\n1,2\n")
	half := body.String()[:strings.Index(body.String(), "1,2")]
	a := h.do(t, "POST", "/v1/agencies/a/imports?format=school-cohort", half, "Content-Type", contentType)
	if a.failure(t); a.status != 400 {
		t.Errorf("status %d, want 400: %s", a.status, a.body)
	}
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Errorf("the service saw %v, want CANCELLED", err)
	}
}

// What comes slowly goes on as it comes, so that the service sees that it moves.
func TestUploadSlowly(t *testing.T) {
	t.Parallel()
	first := make(chan struct{})
	h := start(t, &services{createImport: func(s importStream) error {
		for n := 0; ; n++ {
			if _, err := s.Recv(); err != nil {
				return s.SendAndClose(&irtv1.Import{})
			}
			if n == 1 {
				close(first)
			}
		}
	}})
	body, w := io.Pipe()
	go func() {
		defer w.Close()
		for {
			select {
			case <-first:
				return
			case <-time.After(100 * time.Millisecond):
				_, _ = io.WriteString(w, "a")
			case <-t.Context().Done():
				return
			}
		}
	}()
	answered := make(chan answer, 1)
	go func() {
		answered <- h.send(t, "POST", "/v1/agencies/a/imports?format=school-cohort", body, "Content-Type", "text/csv")
	}()
	select {
	case a := <-answered:
		if a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing goes on before a chunk is full")
	}
}

// How large a file may be is the service's to say: it hears of all that it asks for, and
// the caller of its answer.
func TestFaultUploadOverItsBound(t *testing.T) {
	t.Parallel()
	if os.Getenv("IRTHUB_FAULTS") != "all" {
		t.Skip("a GiB takes a while")
	}
	const bound = 1 << 30
	h := start(t, &services{createImport: func(s importStream) error {
		for total := 0; ; {
			part, err := s.Recv()
			if err != nil {
				return err
			}
			if total += len(part.GetChunk()); total > bound {
				return rpc.Error(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_TOO_LARGE, "the service's bound")
			}
		}
	}})
	zeros := io.LimitReader(readerFunc(func(p []byte) (int, error) { return len(p), nil }), 2*bound)
	r := httptest.NewRequest(http.MethodPost, "/v1/agencies/a/imports?format=school-cohort", zeros)
	r.Header.Set("Content-Type", "text/csv")
	w := httptest.NewRecorder() // a socket would take ten times as long
	h.Config.Handler.ServeHTTP(w, r)
	if w.Code != 413 || !strings.Contains(w.Body.String(), "the service's bound") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A client that goes away in the middle is no end of file either.
func TestUploadHangUp(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	h := start(t, &services{createImport: func(s importStream) error {
		_, err := readAll(s)
		ended <- err
		return err
	}})
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "POST /v1/agencies/a/imports?format=school-cohort HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 100\r\n\r\na,b\n")
	_ = conn.Close()
	select {
	case err := <-ended:
		if status.Code(err) != codes.Canceled {
			t.Errorf("the service saw %v, want CANCELLED", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the service still waits")
	}
}

// A slow service slows the sender down: the file does not pile up in the hub.
func TestUploadBackPressure(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{})
	h := start(t, &services{createImport: func(s importStream) error {
		<-proceed
		return countingImport(s)
	}})
	var sent atomic.Int64
	const size = 64 << 20
	body := io.LimitReader(readerFunc(func(p []byte) (int, error) {
		sent.Add(int64(len(p)))
		return len(p), nil
	}), size)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/v1/agencies/a/imports?format=school-cohort", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/csv")
	done := make(chan int, 1)
	go func() {
		defer close(done)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
		done <- resp.StatusCode
	}()
	standsStill(t, &sent)
	if got := sent.Load(); got > size/2 {
		t.Errorf("%d of %d bytes were taken before the service read one", got, size)
	}
	close(proceed)
	if status := <-done; status != http.StatusOK || sent.Load() != size {
		t.Errorf("status %d after %d bytes", status, sent.Load())
	}
}

// standsStill waits until a counter has begun and stopped.
func standsStill(t *testing.T, n *atomic.Int64) {
	t.Helper()
	last, tick := int64(-1), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		now := n.Load()
		if now > 0 && now == last {
			return
		}
		last = now
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
