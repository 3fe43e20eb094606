// Package bench is the product's own load generator, and the source of every
// figure that is stated about it. It runs the hub as it is shipped, in a process
// of its own, on a private PostgreSQL in a temporary directory; fills it through
// the hub's own write path; and measures each thing against a reference in the
// same run, taking turns, so that a busy machine slows both.
//
// docs/PERFORMANCE.md says what each figure means.
package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Options say what is measured. The zero value of each but Hub has a default.
type Options struct {
	// Hub is the command that runs a hub, such as irthub serve. It is given the
	// flags --data, --grpc-addr, --http-addr and --log-level, and says where it
	// answers as irthub serve does.
	Hub []string
	// Dir is where the temporary directory is made; the system's place for those
	// if empty. Its disk is measured along with everything else.
	Dir string
	// Keep is a directory whose database is kept: filled by the first run and taken
	// up by those that follow, which begin measuring sooner. Empty for a temporary one.
	Keep string
	// Children are the sizes of the index at which figures are taken; 10 thousand
	// if empty.
	Children []int
	// Concurrency is how many calls are under way at once where a figure does not
	// fix that itself; 256 if zero.
	Concurrency int
	// Duration is how long each side of a figure is measured, in all its rounds;
	// 2 s if zero.
	Duration time.Duration
	// Rate, if not zero, makes calls at that many a second, whether or not those
	// before have been answered (an open loop), as far as Concurrency allows; a
	// call that had to wait for its turn has waited since it was due. Zero: each
	// caller calls again as soon as it has its answer (a closed loop).
	Rate int
	// Only names the figures to take, by id; all if empty.
	Only []string
	// ImportRows is how many rows the file of import_vs_copy has, a million at most; a
	// fifth as many as the index has children if zero.
	ImportRows int
	// Version of the hub, for the report.
	Version string
	// Progress is told, in words, what is being done; nil for nobody.
	Progress func(string)

	environment []string // of the hub, beside this program's
}

const (
	childrenAtMost    = 5_000_000
	concurrencyAtMost = 4096
	durationAtMost    = 10 * time.Minute
	rateAtMost        = 1_000_000
)

// ErrOptions is wrapped by errors that are the options' fault.
var ErrOptions = errors.New("bench: options")

// withDefaults fills in what was left out, and refuses what would never end.
func (o Options) withDefaults() (Options, error) {
	if len(o.Children) == 0 {
		o.Children = []int{10_000}
	}
	if o.Concurrency == 0 {
		o.Concurrency = 256
	}
	if o.Duration == 0 {
		o.Duration = 2 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	o.Children = slices.Compact(slices.Sorted(slices.Values(o.Children)))
	switch least, most := o.Children[0], o.Children[len(o.Children)-1]; {
	case least < 100 || most > childrenAtMost:
		return o, fmt.Errorf("%w: the number of children is from 100 to %d", ErrOptions, childrenAtMost)
	case o.Concurrency < 1 || o.Concurrency > concurrencyAtMost:
		return o, fmt.Errorf("%w: the concurrency is from 1 to %d", ErrOptions, concurrencyAtMost)
	case o.Duration < 10*time.Millisecond || o.Duration > durationAtMost:
		return o, fmt.Errorf("%w: the duration is from 10ms to %v", ErrOptions, durationAtMost)
	case o.Rate < 0 || o.Rate > rateAtMost:
		return o, fmt.Errorf("%w: the rate is from 1 to %d a second", ErrOptions, rateAtMost)
	case o.ImportRows < 0 || o.ImportRows > importAtMost:
		return o, fmt.Errorf("%w: an import is from 1 to %d rows", ErrOptions, importAtMost)
	case len(o.Hub) == 0:
		return o, fmt.Errorf("%w: no command to run a hub", ErrOptions)
	}
	for _, id := range o.Only {
		if !slices.Contains(IDs(), id) {
			return o, fmt.Errorf("%w: there is no figure %q; there are %s", ErrOptions, id, strings.Join(IDs(), ", "))
		}
	}
	return o, nil
}

// Run takes the figures. It ends early, leaving nothing behind, when ctx does;
// and with an error when any operation fails, since a rate with failures in it
// means nothing.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && ctx.Err() != nil { // whatever else it looks like
			err = fmt.Errorf("bench: stopped: %w", context.Cause(ctx))
		}
	}()
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	o.Progress("starting a hub of its own")
	l, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("bench: starting a hub: %w", err)
	}
	defer func() { err = errors.Join(err, l.close()) }()
	report := &Report{Run: l.describe(ctx)}
	for _, size := range o.Children {
		at, err := l.measure(ctx, size)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bench: at %d children: %w", size, err), l.hub.lastWords())
		}
		report.Sizes = append(report.Sizes, at)
	}
	report.Growth = growth(report.Sizes)
	return report, nil
}

// garbage is how far the heap of this process grows between collections, in
// percent: the load, and the references with it, take less of the machine that
// they share with the hub than they would with Go's 100.
const garbage = 400

// measure fills the index to a size and takes every figure there.
func (l *lab) measure(ctx context.Context, size int) (*Size, error) {
	at, err := l.fill(ctx, size)
	if err != nil {
		return nil, fmt.Errorf("filling the index: %w", err)
	}
	for _, t := range trials {
		if len(l.o.Only) > 0 && !slices.ContainsFunc(t.ids(), func(id string) bool { return slices.Contains(l.o.Only, id) }) {
			continue
		}
		l.o.Progress(fmt.Sprintf("%d children: %s", size, t.id))
		f, err := l.take(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.id, err)
		}
		at.Figures = append(at.Figures, f...)
	}
	return at, nil
}
