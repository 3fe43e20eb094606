package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/bench"
	"irthub/internal/limits"
	"irthub/internal/server"
	"irthub/internal/webhooks"
)

// asHub in the environment makes the test binary the hub that is measured.
const asHub = "BENCH_TEST_HUB"

func TestMain(m *testing.M) {
	if os.Getenv(asHub) == "" {
		os.Exit(m.Run())
	}
	if err := serve(os.Args[1:]); err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

// serve is irthub serve, as far as the bench needs it.
func serve(args []string) error {
	most := limits.Limit{Children: 9_000_000, Searches: 9_000_000}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	flags := map[string]string{}
	for i := 0; i+1 < len(args); i++ {
		flags[args[i]] = args[i+1]
	}
	return server.Run(ctx, server.Config{
		AuditEach: slices.Contains(args, "--audit-each"),
		Data:      flags["--data"], GRPCAddr: flags["--grpc-addr"], HTTPAddr: flags["--http-addr"], MetricsAddr: flags["--metrics-addr"],
		Webhooks: webhooks.Options{AllowPrivate: slices.Contains(args, "--webhook-allow-private")},
		Log:      slog.New(slog.DiscardHandler),
		// As the bench asks: its readers read more than anyone may.
		AccessLimits: map[irtv1.Role]limits.Limit{
			irtv1.Role_ROLE_PRACTITIONER: most, irtv1.Role_ROLE_AGENCY_SYSTEM: most, irtv1.Role_ROLE_DATA_MANAGER: most,
		},
		Ready: func(a server.Addresses) {
			_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"ready": true, "grpc": a.GRPC, "http": a.HTTP, "metrics": a.Metrics})
		},
	})
}

// tiny measures next to nothing, quickly, in a directory of the test's own.
func tiny(t *testing.T) bench.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Options{
		Hub: []string{"/usr/bin/env", asHub + "=1", self}, Dir: passable(t),
		Children: []int{3000, 100}, Concurrency: 8, Duration: 200 * time.Millisecond, Version: "test",
	}
}

// passable is a temporary directory that PostgreSQL's user can enter, as it could
// not enter t.TempDir's when the test runs as root.
func passable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "irthub-bench-test-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRunTakesEveryFigureAtEverySize(t *testing.T) {
	t.Parallel()
	o := tiny(t)
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(o.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	checkPlots(t, report)
	var asJSON, asTable bytes.Buffer
	if err := report.WriteJSON(&asJSON); err != nil {
		t.Fatal(err)
	}
	if err := report.WriteTable(&asTable); err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(asJSON.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	var sizes map[string]struct {
		Rows    map[string]int
		Figures map[string]json.RawMessage
	}
	if err := json.Unmarshal(got["sizes"], &sizes); err != nil || len(sizes) != 2 {
		t.Fatalf("sizes: %v, %v", sizes, err)
	}
	if n := sizes["3000"].Rows["children"]; n < 2900 {
		t.Errorf("the index of 3,000 children has %d", n)
	}
	for _, id := range bench.IDs() {
		checkFigure(t, id, got[id])
		for size := range sizes {
			checkFigure(t, id+" at "+size, sizes[size].Figures[id])
		}
		if n := strings.Count(asTable.String(), " "+id+" "); n != 2 {
			t.Errorf("the table has %s %d times", id, n)
		}
	}
}

// checkPlots has the plots drawn, and reads them as XML.
func checkPlots(t *testing.T, report *bench.Report) {
	t.Helper()
	dir := t.TempDir()
	if err := report.WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ratios.100.svg", "latencies.100.svg", "ratios.3000.svg", "latencies.3000.svg"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var svg struct {
			XMLName xml.Name   `xml:"svg"`
			Bars    []struct{} `xml:"rect"`
		}
		if err := xml.Unmarshal(b, &svg); err != nil || len(svg.Bars) < 5 {
			t.Errorf("%s: %d bars, %v", name, len(svg.Bars), err)
		}
	}
}

// TestAnImportHasAsManyRowsAsAreAskedFor.
func TestAnImportHasAsManyRowsAsAreAskedFor(t *testing.T) {
	t.Parallel()
	o := tiny(t)
	o.Children, o.ImportRows, o.Only = []int{100}, 321, []string{"import_vs_copy"}
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Sizes[0].Figures {
		if f.Operations != 321 {
			t.Errorf("%s is of %d rows", f.ID, f.Operations)
		}
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestAnOpenLoopKeepsItsRate: no more calls are made than asked for.
func TestAnOpenLoopKeepsItsRate(t *testing.T) {
	t.Parallel()
	o := tiny(t)
	o.Children, o.Rate, o.Duration, o.Only = []int{100}, 40, time.Second, []string{"grpc_echo"}
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if n := report.Sizes[0].Figures[0].Operations; n == 0 || n > 60 {
		t.Errorf("%d calls in a second, of 40", n)
	}
}

// checkFigure looks at what a figure says, never at how fast anything was.
func checkFigure(t *testing.T, id string, raw json.RawMessage) {
	t.Helper()
	var f struct {
		Value, Absolute         float64
		Reference               *float64
		Unit                    string
		CPU                     *float64 `json:"cpu_us_per_op"`
		P50                     float64  `json:"p50_ms"`
		Operations, Concurrency int
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Errorf("%s: %v in %s", id, err, raw)
		return
	}
	// On a machine with no time for it a turn may be over before any call in it is:
	// there is no rate then, and still a latency.
	rated := f.Absolute > 0 && f.Operations > 0 && (f.Value > 0 || f.Reference != nil && *f.Reference == 0)
	if !rated && f.P50 <= 0 || f.Unit == "" || f.Concurrency == 0 {
		t.Errorf("%s: %s", id, raw)
	}
	if strings.Contains(id, "_vs_") != (f.Reference != nil && strings.HasSuffix(f.Unit, "s/s")) {
		t.Errorf("%s has the wrong reference: %s", id, raw)
	}
}

// TestRunStopped is what Ctrl-C does.
func TestRunStopped(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"starting", "filling", "get_vs_pgx"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := tiny(t)
			o.Duration, o.Only = time.Minute, []string{"get_vs_pgx"}
			o.Progress = func(what string) {
				if strings.Contains(what, at) {
					time.AfterFunc(50*time.Millisecond, cancel)
				}
			}
			if _, err := bench.Run(ctx, o); !errors.Is(err, context.Canceled) {
				t.Errorf("it was stopped and ended with: %v", err)
			}
			if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestRunHubThatFails has a hub that ends before it is ready.
func TestRunHubThatFails(t *testing.T) {
	t.Parallel()
	o := tiny(t)
	o.Hub = []string{"/bin/sh", "-c", "echo it is broken >&2; exit 1", "hub"}
	_, err := bench.Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "it is broken") {
		t.Errorf("the hub's words are not in the error: %v", err)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRunRefusesWhatWouldNotEnd(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*bench.Options){
		"too many children": func(o *bench.Options) { o.Children = []int{1_000_000_000} },
		"too few children":  func(o *bench.Options) { o.Children = []int{1} },
		"too long":          func(o *bench.Options) { o.Duration = time.Hour },
		"too many callers":  func(o *bench.Options) { o.Concurrency = 1 << 20 },
		"too fast":          func(o *bench.Options) { o.Rate = -1 },
		"too long a file":   func(o *bench.Options) { o.ImportRows = 1_000_001 },
		"no such figure":    func(o *bench.Options) { o.Only = []string{"speed"} },
		"no hub":            func(o *bench.Options) { o.Hub = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := tiny(t)
			change(&o)
			if _, err := bench.Run(t.Context(), o); !errors.Is(err, bench.ErrOptions) {
				t.Errorf("not refused: %v", err)
			}
		})
	}
}

// A soak asks everything, counts what failed and looks at the hub meanwhile.
func TestSoakCountsWhatItAsks(t *testing.T) {
	t.Parallel()
	o := tiny(t)
	o.Children, o.Duration = []int{200}, 6*time.Second
	report, err := bench.Soak(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"GetChild", "GetChild over REST", "SearchChildren", "ListInvolvements", "SubmitChildRecord", "SubmitChildRecord refused"} {
		if c := report.Calls[name]; c == nil || c.Done == 0 || c.P99 <= 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for name, c := range report.Calls { // what is seldom asked may not be there in so short a time
		if len(c.Errors) > 0 {
			t.Errorf("%s failed: %v", name, c.Errors)
		}
	}
	for _, c := range report.Checks {
		if !c.Whole {
			t.Error(c.Words)
		}
	}
	if len(report.Samples) < 4 || report.Samples[0].Memory <= 0 || report.MemoryGrowth <= 0 || report.GoroutineGrowth <= 0 {
		t.Errorf("samples: %+v", report.Samples)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	var table bytes.Buffer
	if err := report.WriteTable(&table); err != nil || !strings.Contains(table.String(), "goroutines") || !strings.Contains(table.String(), "access log verified: ") {
		t.Errorf("table: %q, %v", table.String(), err)
	}
}
