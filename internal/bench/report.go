package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run came to.
type Report struct {
	Run   Description
	Sizes []*Size // from small to large
	// Growth is what became of latencies between the smallest and the largest size.
	Growth []*Figure
}

// Size is what was measured at one size of the index.
type Size struct {
	Children             int              `json:"children"`
	FillSeconds          float64          `json:"fill_seconds"` // submitting the records that were missing
	FillRecordsPerSecond float64          `json:"fill_records_per_second"`
	Rows                 map[string]int64 `json:"rows"` // by table, before anything was measured
	Figures              []*Figure        `json:"-"`
}

// Figure is one thing measured, beside its reference where it has one.
type Figure struct {
	ID string `json:"-"`
	// Value is what is stated: of a figure with a reference the ratio of the two,
	// of one measured as latency their medians' the other way round, so that more
	// is always better; otherwise the absolute.
	Value float64 `json:"value"`
	// Absolute and Reference are the two sides, in Unit.
	Absolute  float64  `json:"absolute"`
	Reference *float64 `json:"reference"`
	Unit      string   `json:"unit"`
	// CPU microseconds of one operation: of the hub, and of PostgreSQL's processes
	// that serve connections; of a raw reference, of the program that takes the
	// hub's place, and PostgreSQL's. Null where the system does not tell.
	CPU          *float64 `json:"cpu_us_per_op"`
	ReferenceCPU *float64 `json:"reference_cpu_us_per_op"`
	// PostgresCPU and ReferencePostgresCPU are PostgreSQL's parts of those.
	PostgresCPU          *float64 `json:"postgres_cpu_us_per_op"`
	ReferencePostgresCPU *float64 `json:"reference_postgres_cpu_us_per_op"`
	// Background is what PostgreSQL spent meanwhile on checkpoints, vacuum and the
	// like: in part put off from before.
	Background          *float64 `json:"background_cpu_us_per_op"`
	ReferenceBackground *float64 `json:"reference_background_cpu_us_per_op"`
	// CPURatio is ReferenceCPU by CPU: what Value is of rates, and what others at
	// work on the machine do not move.
	CPURatio *float64 `json:"cpu_ratio"`
	// ClientCPU is the CPU time of the load itself, which shares the machine.
	ClientCPU *float64 `json:"client_cpu_us_per_op"`
	// Latencies, in milliseconds.
	P50          float64  `json:"p50_ms"`
	P99          float64  `json:"p99_ms"`
	ReferenceP50 *float64 `json:"reference_p50_ms"`
	ReferenceP99 *float64 `json:"reference_p99_ms"`
	// Spread is the least and the greatest ratio of one turn of both sides.
	Spread []float64 `json:"spread,omitempty"`
	// Rate is how many changes a second were made meanwhile, where that is not what
	// is measured.
	Rate        *float64 `json:"rate_per_s,omitempty"`
	Concurrency int      `json:"concurrency"`
	Operations  int64    `json:"operations"` // of the product, that were counted
}

func figure(t trial, workers int, sides []side, ratios []float64) *Figure {
	product := sides[0].sum
	f := &Figure{
		ID: t.id, Unit: t.unit, Absolute: absolute(t, product), P50: product.quantile(50), P99: product.quantile(99),
		Concurrency: workers, Operations: product.counted,
		CPU:         perOperation(product, product.cpu.hub+product.cpu.postgres),
		PostgresCPU: perOperation(product, product.cpu.postgres),
		Background:  perOperation(product, product.cpu.background),
		ClientCPU:   perOperation(product, product.cpu.client),
	}
	f.Value = f.Absolute
	if len(sides) < 2 {
		return f
	}
	reference := sides[1].sum
	f.Value = ratio(t, product, reference)
	f.Reference, f.ReferenceP50, f.ReferenceP99 = new(absolute(t, reference)), new(reference.quantile(50)), new(reference.quantile(99))
	serving := reference.cpu.hub
	if t.inProcess {
		serving = reference.cpu.client
	}
	f.ReferenceCPU = perOperation(reference, serving+reference.cpu.postgres)
	f.ReferencePostgresCPU = perOperation(reference, reference.cpu.postgres)
	f.ReferenceBackground = perOperation(reference, reference.cpu.background)
	if f.CPU != nil && f.ReferenceCPU != nil {
		f.CPURatio = new(*f.ReferenceCPU / *f.CPU)
	}
	f.Spread = []float64{slices.Min(ratios), slices.Max(ratios)}
	return f
}

func absolute(t trial, l *load) float64 {
	if t.latency {
		return l.quantile(50)
	}
	return l.rate()
}

// ratio is how the product does against its reference; more is better.
func ratio(t trial, product, reference *load) float64 {
	if t.latency {
		product, reference = reference, product
	}
	if d := absolute(t, reference); d > 0 {
		return absolute(t, product) / d
	}
	return 0
}

// perOperation is nil where nothing was measured.
func perOperation(l *load, spent time.Duration) *float64 {
	if l.done == 0 || spent == 0 {
		return nil
	}
	return new(float64(spent.Microseconds()) / float64(l.done))
}

// WriteJSON writes one object. Its keys are the ids of the figures at the greatest
// size; "sizes", the same of every size, beside the rows there were; and "run", the
// machine and the versions.
func (r *Report) WriteJSON(w io.Writer) error {
	out := map[string]any{"run": r.Run}
	sizes := make(map[string]any, len(r.Sizes))
	for _, s := range r.Sizes {
		figures := make(map[string]*Figure, len(s.Figures))
		for _, f := range s.Figures {
			figures[f.ID], out[f.ID] = f, f
		}
		sizes[strconv.Itoa(s.Children)] = struct {
			*Size
			Figures map[string]*Figure `json:"figures"`
		}{s, figures}
	}
	for _, f := range r.Growth {
		out[f.ID] = f
	}
	out["sizes"] = sizes
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	if _, err := fmt.Fprint(w, r.Run.words()); err != nil {
		return err
	}
	for _, s := range r.Sizes {
		if err := s.writeTable(w); err != nil {
			return err
		}
	}
	for _, f := range r.Growth {
		if _, err := fmt.Fprintf(w, "%s: %s (%.1f ms, from %.1f)\n", f.ID, plain(&f.Value), f.Absolute, *f.Reference); err != nil {
			return err
		}
	}
	return nil
}

// grown are the figures whose latencies are compared between sizes.
var grown = []struct {
	id, of  string
	latency func(*Figure) float64
}{
	{"p99_growth_get", "get_vs_pgx", p99},
	{"p99_growth_search", "search", p99},
	{"p99_growth_submit", "submit_vs_pgx", p99},
	{"p50_growth_match", "match_alone", p50},
	{"p99_growth_match", "match_alone", p99},
}

func p50(f *Figure) float64 { return f.P50 }
func p99(f *Figure) float64 { return f.P99 }

// growth is, of each, the latency that 99 (or 50) of 100 calls stayed within at the
// largest size by that at the smallest.
func growth(sizes []*Size) (all []*Figure) {
	if len(sizes) < 2 {
		return nil
	}
	small, large := sizes[0], sizes[len(sizes)-1]
	for _, g := range grown {
		before, after := small.figure(g.of), large.figure(g.of)
		if before == nil || after == nil || g.latency(before) == 0 {
			continue
		}
		all = append(all, &Figure{
			ID: g.id, Unit: milliseconds, Value: g.latency(after) / g.latency(before), Absolute: g.latency(after), Reference: new(g.latency(before)),
			CPU: after.CPU, ReferenceCPU: before.CPU, P50: after.P50, P99: after.P99,
			Concurrency: after.Concurrency, Operations: after.Operations,
		})
	}
	return all
}

func (s *Size) figure(id string) *Figure {
	for _, f := range s.Figures {
		if f.ID == id {
			return f
		}
	}
	return nil
}

func (s *Size) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "\n%d children", s.Children)
	if s.FillSeconds > 0 {
		fmt.Fprintf(w, ", filled in %.1f s (%.0f records/s)", s.FillSeconds, s.FillRecordsPerSecond)
	}
	fmt.Fprintf(w, ": %s\n", s.rowsInWords())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "figure\tvalue\t(of turns)\tby CPU\tirthub\treference\tunit\tp50 / p99 ms\treference\tCPU µs/op\treference\tclient's\tcallers\t")
	for _, f := range s.Figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f / %.1f\t%s\t%s\t%s\t%s\t%d\t\n",
			f.ID, plain(&f.Value), f.spreadInWords(), plain(f.CPURatio), plain(&f.Absolute), plain(f.Reference), f.Unit,
			f.P50, f.P99, f.referenceLatency(), cpuInWords(f.CPU, f.PostgresCPU), cpuInWords(f.ReferenceCPU, f.ReferencePostgresCPU),
			plain(f.ClientCPU), f.Concurrency)
	}
	return t.Flush()
}

func (s *Size) rowsInWords() string {
	var words []string
	for _, table := range slices.Sorted(maps.Keys(s.Rows)) {
		words = append(words, fmt.Sprintf("%d %s", s.Rows[table], table))
	}
	return strings.Join(words, ", ")
}

func (f *Figure) spreadInWords() string {
	if len(f.Spread) == 0 {
		return ""
	}
	return fmt.Sprintf("(%.2f–%.2f)", f.Spread[0], f.Spread[1])
}

func (f *Figure) referenceLatency() string {
	if f.ReferenceP50 == nil {
		return ""
	}
	return fmt.Sprintf("%.1f / %.1f", *f.ReferenceP50, *f.ReferenceP99)
}

// cpuInWords gives a sum and, after it, the part that is PostgreSQL's.
func cpuInWords(sum, postgres *float64) string {
	if sum == nil || postgres == nil {
		return plain(sum)
	}
	return fmt.Sprintf("%s (%s)", plain(sum), plain(postgres))
}

// plain writes a number with three digits that matter.
func plain(v *float64) string {
	switch {
	case v == nil:
		return ""
	case *v >= 100:
		return strconv.FormatFloat(*v, 'f', 0, 64)
	case *v >= 10:
		return strconv.FormatFloat(*v, 'f', 1, 64)
	}
	return strconv.FormatFloat(*v, 'f', 2, 64)
}
