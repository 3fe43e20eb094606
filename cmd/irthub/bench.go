package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"irthub/internal/bench"
)

type benchCommand struct {
	Form        string        `arg:"" optional:"" enum:"quick,full,match,soak" default:"quick" help:"quick: 100 thousand children, under three minutes; full: 100 thousand and a million, half an hour; match: what matching costs, at both; soak: 20 minutes of mixed load, for memory, errors and what must be so afterwards (exit status 4 if it is not)."`
	Children    []int         `placeholder:"N,…" help:"Sizes of the index to measure at, in place of those of the form."`
	Concurrency int           `placeholder:"N" default:"256" help:"Calls under way at once (default: 256); submissions and searches have 64."`
	Duration    time.Duration `placeholder:"TIME" help:"How long each side of a figure is measured, in place of the form's."`
	Rate        int           `placeholder:"N" help:"Make N calls a second, whether or not those before are answered (an open loop), in place of calling again upon each answer."`
	ImportRows  int           `placeholder:"N" help:"Rows of the file that import_vs_copy imports, at most 1,000,000, in place of a fifth of the size of the index."`
	Only        []string      `placeholder:"ID,…" help:"Take only these figures."`
	Dir         string        `placeholder:"DIR" type:"existingdir" help:"Where to make the temporary directory: its disk is measured too."`
	Keep        string        `placeholder:"DIR" type:"path" help:"Keep the database in DIR, and take up what an earlier run left there: filling it is what takes time."`
	Plots       string        `placeholder:"DIR" type:"path" help:"Draw the figures there, as SVG."`
	JSON        bool          `name:"json" help:"As one JSON object."`
}

// Help is shown by irthub bench --help.
func (benchCommand) Help() string {
	return `Measures this hub on this machine: it starts one on a private PostgreSQL in a temporary directory, fills it with invented children, measures it beside references in the same run, and removes all of it again. It never touches other data.

docs/PERFORMANCE.md says what each figure means.

Examples:

  irthub bench
  irthub bench full --json > figures.json
  irthub bench soak --duration 5m
  irthub bench --children 50000 --only get_vs_pgx,rest_vs_grpc --duration 10s
  irthub bench --children 1000000 --import-rows 1000000 --only import_vs_copy`
}

// benchForms are what the forms measure, where the flags do not say otherwise.
var benchForms = map[string]bench.Options{
	"quick": {Children: []int{100_000}, Duration: 1500 * time.Millisecond},
	"full":  {Children: []int{100_000, 1_000_000}, Duration: 5 * time.Second},
	"match": {Children: []int{100_000, 1_000_000}, Duration: 5 * time.Second, Only: bench.MatchIDs()},
	"soak":  {Children: []int{20_000}},
}

// benchReport is what a form comes to.
type benchReport interface {
	WriteJSON(w io.Writer) error
	WriteTable(w io.Writer) error
}

// Run takes the figures and prints them.
func (c *benchCommand) Run(ctx context.Context, s streams) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if c.Plots != "" { // before half an hour has gone
		if err := os.MkdirAll(c.Plots, 0o755); err != nil { //nolint:gosec // pictures to be looked at
			return usage(fmt.Errorf("a directory for the pictures: %w", err))
		}
	}
	o := benchForms[c.Form]
	o.Hub, o.Version = []string{self, "serve"}, version()
	o.Dir, o.Keep, o.Concurrency, o.Rate, o.ImportRows = c.Dir, c.Keep, c.Concurrency, c.Rate, c.ImportRows
	if len(c.Only) > 0 {
		o.Only = c.Only
	}
	if len(c.Children) > 0 {
		o.Children = c.Children
	}
	if c.Duration != 0 {
		o.Duration = c.Duration
	}
	started := time.Now()
	o.Progress = func(what string) { fmt.Fprintf(s.err, "%5.1f s  %s\n", time.Since(started).Seconds(), what) }
	report, err := c.measure(ctx, o)
	if errors.Is(err, bench.ErrOptions) {
		return usage(err)
	}
	notWhole := errors.Is(err, bench.ErrNotWhole)
	if err != nil && !notWhole {
		return err
	}
	write := report.WriteTable
	if c.JSON {
		write = report.WriteJSON
	}
	if written := write(s.out); written != nil || !notWhole {
		return written
	}
	return status{err, exitNotWhole}
}

func (c *benchCommand) measure(ctx context.Context, o bench.Options) (benchReport, error) {
	if c.Form == "soak" {
		return bench.Soak(ctx, o)
	}
	report, err := bench.Run(ctx, o)
	if err == nil && c.Plots != "" {
		err = report.WritePlots(c.Plots)
	}
	return report, err
}
