package gateway_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"irthub/internal/gateway"
)

// fuzzed is a gateway without a socket.
func fuzzed(f *testing.F) *gateway.Gateway {
	f.Helper()
	g, err := gateway.New(gateway.Options{Conn: newConn(&services{}, func(call) {}), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	return g
}

// holds checks what every answer must be: JSON, and no fault of the hub.
func holds(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= 500 && w.Code != http.StatusNotImplemented { // what the test's services do not have
		t.Errorf("%d %s", w.Code, w.Body)
	}
	isJSON := w.Header().Get("Content-Type") == "application/json"
	if isJSON && (!json.Valid(w.Body.Bytes()) || !utf8.Valid(w.Body.Bytes())) {
		t.Errorf("the answer is not JSON: %q", w.Body)
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{`{"givenName":"Zoë"}`, `{"carers":[{"telephone":""}]}`, `{"x":1}`, `{"givenName":1}`, "{\"givenName\":\"\xff\"}", `[`, ``, `{} {}`} {
		f.Add([]byte(s))
	}
	g := fuzzed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, to := range []struct{ method, path string }{
			{"PUT", "/v1/agencies/a/childRecords/1"}, {"POST", "/v1/children:search"}, {"PATCH", "/v1/agencies/a"},
		} {
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), to.method, to.path, strings.NewReader(string(body))))
			holds(t, w)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"/v1/children/x", "/v1/children/x?knownAt=2026-01-01T00:00:00Z", "/v1/agencies/a/childRecords/b:withdraw", "/v1/agencies/a%2Fb", "//", "/v1/:search", "/docs/../v1", "/v1/agencies?pageSize=-1&pageSize[a]=b"} {
		f.Add("GET", s)
		f.Add("POST", s)
	}
	g := fuzzed(f)
	f.Fuzz(func(t *testing.T, method, address string) {
		u, err := url.ParseRequestURI(address)
		if err != nil || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || strings.Contains(address, "/imports") {
			return
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Method, r.URL = method, u
		g.ServeHTTP(w, r)
		holds(t, w)
	})
}
