package bench

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/status"
)

const (
	soakDefault = 20 * time.Minute
	soakAtMost  = 2 * time.Hour
	soakWorkers = 32
	// soakSamples is how often memory and goroutines are looked at in all.
	soakSamples = 60
	// soakRecords is how many records at most are in use: they are submitted again and
	// again, changed, so that the index does not grow while its history does.
	soakRecords = 20_000
	// pauseAfterError is how long a worker waits that was refused.
	pauseAfterError = 10 * time.Millisecond
)

// ErrNotWhole is wrapped by the error of a soak after which something is not as it
// must be. There is a report, too.
var ErrNotWhole = errors.New("bench: after the soak something is not as it must be")

// Soak has a hub under mixed load for a time (20 minutes if Duration is zero): reads
// over both doors, searches, timelines, exports, events, changed records one by one, in
// streams and in files, records that are refused, concerns, involvements, webhooks, and
// watchers that come and go. It counts every error and goes on; it fails only where the
// hub ends, nothing can be measured, or a check at its end does (ErrNotWhole). Ctrl-C
// ends it early, with a report of what was.
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
	hooks, err := listenForWebhooks(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("bench: listening for webhooks: %w", err)
	}
	defer func() { err = errors.Join(err, hooks.close()) }()
	o.Hub = append(slices.Clone(o.Hub), "--metrics-addr", "127.0.0.1:0", "--webhook-allow-private")
	o.environment = []string{"SSL_CERT_FILE=" + hooks.certificate}
	l, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("bench: starting a hub: %w", err)
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if _, err := l.fill(ctx, o.Children[0]); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: filling the index: %w", err), l.hub.lastWords())
	}
	s := &soak{l: l, hooks: hooks, report: &SoakReport{Run: l.describe(ctx), Calls: map[string]*Calls{}}}
	if err := s.deal(ctx); err != nil {
		return nil, err
	}
	if err := s.run(ctx, lasts); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: soak: %w", err), l.hub.lastWords())
	}
	return s.report, s.check(ctx)
}

type soak struct {
	l      *lab
	hooks  *hooks
	askers []*asker

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
	if err := s.hooks.subscribe(ctx, s.l); err != nil {
		return fmt.Errorf("subscribing webhooks: %w", err)
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
