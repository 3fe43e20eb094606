package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/pg/pgtest"
	"irthub/internal/telemetry"
)

// What a search asks for, which must stand in no metric and no trace.
var personal = []string{"Ottoline", "Quillfeather", "2014-03-09", "NR23 1AH"}

const search = `{"givenName": "Ottoline", "familyName": "Quillfeather", "dateOfBirth": "2014-03-09", "postcode": "NR23 1AH"}`

func (h *hub) scrape(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.Metrics+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	h := start(t)
	token := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	purpose := map[string]string{"Irt-Purpose": "SAFEGUARDING"}
	if status, body := h.rest(t, "POST", "/v1/children:search", search, token, purpose); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	h.rest(t, "POST", "/v1/children:search", search, token, nil) // refused: no purpose
	got := h.scrape(t)
	for _, line := range []string{
		`irthub_calls_total{code="OK",method="ChildService/SearchChildren"} 1`,
		`irthub_calls_total{code="InvalidArgument",method="ChildService/SearchChildren"} 1`,
		`irthub_call_seconds_count{method="ChildService/SearchChildren"} 2`,
		`irthub_build_info{version="test"} 1`,
		`irthub_pipeline_waiting{pipeline="audit writer"} 0`,
		`irthub_db_connections{pool="calls",state="most"}`, `irthub_db_connections{pool="submissions",state="most"} 3`, `irthub_access_log_waiting `, `irthub_access_log_size `, `irthub_events_waiting `,
		`go_goroutines `, `process_resident_memory_bytes `,
	} {
		if !strings.Contains(got, "\n"+line) {
			t.Errorf("no line %q", line)
		}
	}
	for _, p := range personal {
		if strings.Contains(got, p) {
			t.Errorf("the metrics hold %q", p)
		}
	}
}

// Every metric is in docs/OPERATIONS.md with its labels, of which none can have a value
// for each person or child, and the document names no other.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.rest(t, "POST", "/v1/children:search", search, h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), map[string]string{"Irt-Purpose": "SAFEGUARDING"})
	doc, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{} // the labels, by name
	for _, m := range regexp.MustCompile("`(irthub_[a-z_]+)(?:{([a-z,]+)})?`").FindAllStringSubmatch(string(doc), -1) {
		if documented[m[1]] == "" {
			documented[m[1]] = m[2]
		}
	}
	got := h.scrape(t)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (irthub_[a-z_]+) `).FindAllStringSubmatch(got, -1) {
		name, labels := m[1], []string{}
		sample := regexp.MustCompile(`(?m)^` + name + `(?:_count)?(?:{(.*)})? `).FindStringSubmatch(got)
		if sample == nil {
			t.Fatalf("no sample of %s", name)
		}
		for _, l := range regexp.MustCompile(`([a-z]+)="`).FindAllStringSubmatch(sample[1], -1) {
			labels = append(labels, l[1])
		}
		want, known := documented[name]
		if fields := strings.FieldsFunc(want, func(r rune) bool { return r == ',' }); !known || !slices.Equal(slices.Sorted(slices.Values(fields)), labels) {
			t.Errorf("%s has the labels %q; docs/OPERATIONS.md has it: %v, with %q", name, labels, known, want)
		}
		for _, l := range labels {
			if !slices.Contains([]string{"code", "method", "pipeline", "pool", "state", "version"}, l) {
				t.Errorf("%s: nobody knows how many values %s may have", name, l)
			}
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/OPERATIONS.md names %s, which is no metric", name)
	}
	pipelinesAreDocumented(t, got, string(doc))
}

// pipelinesAreDocumented fails unless docs/OPERATIONS.md names every pipeline that the
// metrics tell of, once, and no other.
func pipelinesAreDocumented(t *testing.T, got, doc string) {
	t.Helper()
	named := func(pattern, in string) (names []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(in, -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return names
	}
	list := regexp.MustCompile(`(?m)^The pipelines are [^.]*\.`).FindString(doc)
	told, documented := named(`(?m)^irthub_pipeline_waiting{pipeline="(.*)"} `, got), named("`([^`]+)`", list)
	if len(told) == 0 || !slices.Equal(told, documented) {
		t.Errorf("the metrics tell of the pipelines %q; docs/OPERATIONS.md has %q", told, documented)
	}
}

// The age of the last run of the retention rules grows also where there never was one,
// or none that ended, so that an alarm on it fires.
func TestRetentionAgeGrowsUntilARunEnds(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for _, step := range []struct {
		what, sql string
		hours     float64
	}{
		{"no run since the database was made", `UPDATE goose_db_version SET tstamp = now() AT TIME ZONE 'UTC' - interval '50 hours'`, 50},
		{
			"a run that does not end",
			`INSERT INTO retention_runs (run_id, today, start_time) VALUES (gen_random_uuid(), current_date, now() - interval '40 hours')`,
			50,
		},
		{"one that ended", `UPDATE retention_runs SET end_time = now() - interval '30 hours'`, 30},
	} {
		if _, err := pool.Exec(t.Context(), step.sql); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		telemetry.New("test", pool, nil, nil).Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
		sample := regexp.MustCompile(`(?m)^irthub_retention_age_seconds (.*)$`).FindStringSubmatch(w.Body.String())
		if sample == nil {
			t.Fatalf("%s: no age", step.what)
		}
		if age, err := strconv.ParseFloat(sample[1], 64); err != nil || age < step.hours*3600 || age > (step.hours+1)*3600 {
			t.Errorf("%s: the age is %s seconds, want %v hours: %v", step.what, sample[1], step.hours, err)
		}
	}
}

// traces is a collector of traces.
type traces struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	names []string
	text  strings.Builder
}

func (c *traces) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.WriteString(protojson.Format(req))
	for _, r := range req.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				c.names = append(c.names, span.GetName())
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// A call, the batches and the statements it leads to are traced, within the
// caller's trace, and none of it holds a person's data.
func TestTraces(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, s := &traces{}, grpc.NewServer()
	collector.RegisterTraceServiceServer(s, c)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())

	h := start(t)
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	status, body := h.rest(t, "POST", "/v1/children:search", search, h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM),
		map[string]string{"Irt-Purpose": "SAFEGUARDING", "Traceparent": "00-" + traceID + "-00f067aa0ba902b7-01"})
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if err := h.stop(); err != nil { // sends what there is
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{"ChildService/SearchChildren", "audit writer"} {
		if !slices.Contains(c.names, name) {
			t.Errorf("no span %q among %q", name, c.names)
		}
	}
	if text := c.text.String(); !strings.Contains(text, "db.query.text") && !strings.Contains(text, "db.statement") {
		t.Error("no statement was traced")
	}
	for _, p := range personal {
		if strings.Contains(c.text.String(), p) {
			t.Errorf("the traces hold %q", p)
		}
	}
}
