package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// SoakReport is what a soak came to.
type SoakReport struct {
	Run     Description       `json:"run"`
	Seconds float64           `json:"seconds"`
	Calls   map[string]*Calls `json:"calls"` // by what was asked
	Samples []Sample          `json:"samples"`
	// MemoryGrowth and GoroutineGrowth are the median of the last quarter of the
	// samples by that of the second: about 1 where nothing leaks.
	MemoryGrowth    float64 `json:"memory_growth"`
	GoroutineGrowth float64 `json:"goroutine_growth"`
	// Checks are what was looked at when the load was over.
	Checks []Check `json:"checks"`
}

// Check is one thing that must be so after a soak.
type Check struct {
	Words string `json:"words"` // what was found
	Whole bool   `json:"whole"` // it is so
}

// Calls are those of one kind.
type Calls struct {
	Done   int64            `json:"done"`
	Errors map[string]int64 `json:"errors"` // by gRPC code; those that were asked for apart
	P50    float64          `json:"p50_ms"`
	P99    float64          `json:"p99_ms"`

	latencies *hdrhistogram.Histogram
}

// Sample is the hub at one moment.
type Sample struct {
	Second     float64 `json:"second"`
	Memory     float64 `json:"memory_mib"` // resident
	Goroutines float64 `json:"goroutines"`
}

func (r *SoakReport) sum() {
	for _, c := range r.Calls {
		c.P50 = float64(c.latencies.ValueAtQuantile(50)) / 1000
		c.P99 = float64(c.latencies.ValueAtQuantile(99)) / 1000
	}
	quarter := len(r.Samples) / 4
	if quarter == 0 {
		return
	}
	second, last := r.Samples[quarter:2*quarter], r.Samples[len(r.Samples)-quarter:]
	grown := func(of func(Sample) float64) float64 { return median(last, of) / median(second, of) }
	r.MemoryGrowth = grown(func(s Sample) float64 { return s.Memory })
	r.GoroutineGrowth = grown(func(s Sample) float64 { return s.Goroutines })
}

func median(samples []Sample, of func(Sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// WriteJSON writes the report as one object.
func (r *SoakReport) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable writes the report for people.
func (r *SoakReport) WriteTable(w io.Writer) error {
	if _, err := fmt.Fprint(w, r.Run.words()); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%.0f s of mixed load, %d callers\n", r.Seconds, soakWorkers)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "asked\tcalls\ta second\tp50 ms\tp99 ms\terrors\t")
	for _, ask := range asks {
		c := r.Calls[ask.name]
		if c == nil {
			continue
		}
		var errs []string
		for _, code := range slices.Sorted(maps.Keys(c.Errors)) {
			errs = append(errs, fmt.Sprintf("%d %s", c.Errors[code], code))
		}
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%s\t\n", ask.name, c.Done, float64(c.Done)/r.Seconds, c.P50, c.P99, cmp.Or(strings.Join(errs, ", "), "none"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range r.Checks {
		fmt.Fprintln(w, c.Words)
	}
	if len(r.Samples) == 0 {
		return nil
	}
	first, last := r.Samples[0], r.Samples[len(r.Samples)-1]
	_, err := fmt.Fprintf(w, "memory %.0f MiB at first, %.0f at last (last quarter by second: %.2f); goroutines %.0f, %.0f (%.2f)\n",
		first.Memory, last.Memory, r.MemoryGrowth, first.Goroutines, last.Goroutines, r.GoroutineGrowth)
	return err
}
