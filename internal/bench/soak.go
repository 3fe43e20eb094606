package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

const (
	soakDefault = 20 * time.Minute
	soakAtMost  = 2 * time.Hour
	soakWorkers = 32
	// soakSamples is how often memory and goroutines are looked at in all.
	soakSamples = 60
	// soakRecords is how many records stay in use: they are submitted again and
	// again, changed, so that the index does not grow while its history does.
	soakRecords = 5000
	// pauseAfterError is how long a worker waits that was refused.
	pauseAfterError = 10 * time.Millisecond
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

// Soak has a hub under mixed load for a time (20 minutes if Duration is zero):
// reads over both doors, searches, new and changed records, records that are
// refused, and watchers that come and go. It counts every error and goes on; it
// fails only where the hub ends, or nothing can be measured. Ctrl-C ends it early,
// with a report of what was.
func Soak(ctx context.Context, o Options) (_ *SoakReport, err error) {
	lasts := cmp.Or(o.Duration, soakDefault)
	if lasts > soakAtMost {
		return nil, fmt.Errorf("%w: a soak lasts %v at most", ErrOptions, soakAtMost)
	}
	o.Duration = 0
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	o.Progress("starting a hub of its own")
	o.Hub = append(slices.Clone(o.Hub), "--metrics-addr", "127.0.0.1:0")
	l, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("bench: starting a hub: %w", err)
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if _, err := l.fill(ctx, o.Children[0]); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: filling the index: %w", err), l.hub.lastWords())
	}
	s := &soak{l: l, report: &SoakReport{Run: l.describe(ctx), Calls: map[string]*Calls{}}}
	for range soakRecords {
		s.records = append(s.records, l.people.next().records[0])
	}
	if err := s.run(ctx, lasts); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: soak: %w", err), l.hub.lastWords())
	}
	return s.report, nil
}

type soak struct {
	l       *lab
	records []*irtv1.ChildRecord

	mu     sync.Mutex
	report *SoakReport
}

func (s *soak) run(ctx context.Context, lasts time.Duration) error {
	operations := make([]operation, len(asks))
	for i, ask := range asks {
		var err error
		if operations[i], err = ask.begin(ctx, s); err != nil {
			return err
		}
	}
	s.l.o.Progress(fmt.Sprintf("%v of mixed load", lasts))
	// Not a deadline, which the hub would be told of: its calls would seem to fail.
	load, stop := context.WithCancel(ctx)
	defer stop()
	defer time.AfterFunc(lasts, stop).Stop()
	began := time.Now()
	var running errgroup.Group
	for worker := range soakWorkers {
		running.Go(func() error {
			s.work(load, worker, operations)
			return nil
		})
	}
	running.Go(func() error {
		defer stop()
		return s.sample(load, began, lasts/soakSamples)
	})
	err := running.Wait()
	s.report.Seconds = time.Since(began).Seconds()
	s.report.sum()
	return err
}

// asks are what workers ask, each as often as its share of the sum.
var asks = []struct {
	name  string
	share int
	begin func(context.Context, *soak) (operation, error)
}{
	{"GetChild", 45, ofLab(getChild)},
	{"GetChild over REST", 10, ofLab(getChildREST)},
	{"SearchChildren", 10, ofLab(searchChildren)},
	{"ListInvolvements", 15, ofLab(listInvolvements)},
	{"SubmitChildRecord", 15, ofSoak((*soak).submit)},
	{"SubmitChildRecord refused", 3, ofSoak((*soak).submitBad)},
	{"Watch for a second", 2, ofSoak((*soak).watch)},
}

// ofLab asks what a figure is taken with.
func ofLab(product func(context.Context, *lab) (operation, error)) func(context.Context, *soak) (operation, error) {
	return func(ctx context.Context, s *soak) (operation, error) { return product(ctx, s.l) }
}

// ofSoak asks what only a soak does.
func ofSoak(do func(*soak, context.Context, *asker) error) func(context.Context, *soak) (operation, error) {
	return func(_ context.Context, s *soak) (operation, error) {
		return func(worker int) func(context.Context) error {
			a := &asker{Rand: chance(worker), worker: worker}
			return func(ctx context.Context) error { return do(s, ctx, a) }
		}, nil
	}
}

// asker is one worker.
type asker struct {
	*rand.Rand

	worker int
}

// work asks, each thing as often as its share, until ctx ends.
func (s *soak) work(ctx context.Context, worker int, operations []operation) {
	r, all := chance(worker), 0
	do := make([]func(context.Context) error, len(asks))
	for i, ask := range asks {
		do[i] = operations[i](worker)
		all += ask.share
	}
	for ctx.Err() == nil {
		n, which := r.IntN(all), 0
		for n >= asks[which].share {
			n, which = n-asks[which].share, which+1
		}
		began := time.Now()
		failed := do[which](ctx)
		if ctx.Err() == nil { // otherwise it was cut short
			s.count(asks[which].name, time.Since(began), failed)
		}
		if failed != nil { // a hub that is down is not asked as fast as it refuses
			select {
			case <-time.After(pauseAfterError):
			case <-ctx.Done():
			}
		}
	}
}

func (s *soak) count(name string, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.report.Calls[name]
	if c == nil {
		c = &Calls{Errors: map[string]int64{}, latencies: newLoad().latencies}
		s.report.Calls[name] = c
	}
	c.Done++
	_ = c.latencies.RecordValue(min(max(took.Microseconds(), leastLatency), mostLatency))
	if err != nil {
		c.Errors[status.Code(err).String()]++
	}
}

// submit sends a record of those in use, moved to another house.
func (s *soak) submit(ctx context.Context, a *asker) error {
	r := s.records[a.IntN(len(s.records))]
	changed := &irtv1.ChildRecord{
		Name: r.GetName(), GivenName: r.GetGivenName(), FamilyName: r.GetFamilyName(), DateOfBirth: r.GetDateOfBirth(), Sex: r.GetSex(),
		NhsNumber: r.GetNhsNumber(), Upn: r.GetUpn(), Postcode: r.GetPostcode(),
		AddressLines: []string{strconv.Itoa(1+a.IntN(200)) + " Station Road", "Norwich"},
	}
	return s.send(ctx, a, changed)
}

// submitBad sends a record that must be refused.
func (s *soak) submitBad(ctx context.Context, a *asker) error {
	r := s.records[a.IntN(len(s.records))]
	err := s.send(ctx, a, &irtv1.ChildRecord{Name: r.GetName(), GivenName: r.GetGivenName(), DateOfBirth: "2014-02-30"})
	switch status.Code(err) {
	case codes.InvalidArgument:
		return nil
	case codes.OK:
		return errors.New("a record with a day that does not exist was accepted")
	}
	return err
}

func (s *soak) send(ctx context.Context, a *asker, r *irtv1.ChildRecord) error {
	ctx, err := s.l.callers.as(ctx, agencyOf(r), irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return err
	}
	_, err = irtv1.NewChildServiceClient(s.l.conn(a.worker)).SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{ChildRecord: r})
	return err
}

// watch takes in a second of events and goes.
func (s *soak) watch(ctx context.Context, a *asker) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	md, err := s.l.callers.reader(a.worker)
	if err != nil {
		return err
	}
	stream, err := irtv1.NewEventServiceClient(s.l.conn(a.worker)).Watch(metadata.NewOutgoingContext(ctx, md), &irtv1.WatchRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sample looks at the hub every so often.
func (s *soak) sample(ctx context.Context, began time.Time, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.l.hub.exited:
			return errors.New("the hub ended")
		case <-tick.C:
		}
		one, err := s.l.hub.sample(ctx, s.l.web)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("asking for metrics: %w", err)
		}
		one.Second = time.Since(began).Seconds()
		s.mu.Lock()
		s.report.Samples = append(s.report.Samples, one)
		s.mu.Unlock()
	}
}

// sample reads the hub's own metrics.
func (h *hubProcess) sample(ctx context.Context, web *http.Client) (one Sample, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.metrics+"/metrics", http.NoBody)
	if err != nil {
		return one, err
	}
	resp, err := web.Do(req)
	if err != nil {
		return one, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		v, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "process_resident_memory_bytes":
			one.Memory = v / (1 << 20)
		case "go_goroutines":
			one.Goroutines = v
		}
	}
	if one.Goroutines == 0 {
		return one, errors.New("the hub's metrics have no go_goroutines")
	}
	return one, nil
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
	if len(r.Samples) == 0 {
		return nil
	}
	first, last := r.Samples[0], r.Samples[len(r.Samples)-1]
	_, err := fmt.Fprintf(w, "memory %.0f MiB at first, %.0f at last (last quarter by second: %.2f); goroutines %.0f, %.0f (%.2f)\n",
		first.Memory, last.Memory, r.MemoryGrowth, first.Goroutines, last.Goroutines, r.GoroutineGrowth)
	return err
}
