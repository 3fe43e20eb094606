package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
)

const (
	// watchRate is how many changes a second are made while events are awaited, in
	// portions watchTick apart.
	watchRate = 1000
	watchTick = 10 * time.Millisecond
	// quietWatchers hold a stream on which nothing comes: most, most of the time.
	quietWatchers = 900
	// lastEvents is how long the events of the last changes are waited for.
	lastEvents = 5 * time.Second
)

// watching is one round of awaiting events.
type watching struct {
	l     *lab
	ready sync.WaitGroup

	mu   sync.Mutex
	load *load // latencies of events, from when the change was made
}

// watchEvents has new children submitted at a rate, and takes how long it is from
// when the hub came to know of each, before it committed, until a watcher has the
// event: a data manager, who is told of every child, and the system of each of ten
// agencies. Many others watch for what does not happen.
func watchEvents(ctx context.Context, l *lab) ([]*Figure, error) {
	w := &watching{l: l, load: newLoad()}
	watchers, stop := context.WithCancel(ctx)
	defer stop()
	running, watchers := errgroup.WithContext(watchers)
	manager, err := l.callers.headers(dataManager, irtv1.Role_ROLE_DATA_MANAGER)
	if err != nil {
		return nil, err
	}
	w.start(watchers, running, 0, manager, irtv1.EventKind_EVENT_KIND_CHILD_CREATED)
	for n, i := range involved {
		md, err := l.callers.headers(i.agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
		if err != nil {
			return nil, err
		}
		w.start(watchers, running, n, md, irtv1.EventKind_EVENT_KIND_CHILD_CREATED)
		for q := range min(quietWatchers, 4*l.o.Concurrency) / len(involved) {
			w.start(watchers, running, n+q, md, irtv1.EventKind_EVENT_KIND_CHILD_PURGED)
		}
	}
	w.ready.Wait()
	began, before := time.Now(), l.meter.read()
	sent, err := w.submit(ctx)
	if err != nil {
		return nil, err
	}
	rate := float64(sent) / time.Since(began).Seconds()
	l.o.Progress(fmt.Sprintf("%.0f changes a second were made", rate))
	err = w.settle(ctx, sent)
	stop()
	if ended := running.Wait(); err == nil && ctx.Err() == nil && watchers.Err() == nil {
		err = ended
	}
	if err != nil {
		return nil, err
	}
	w.load.elapsed, w.load.cpu = time.Since(began), l.meter.read().minus(before)
	f := figure(trial{id: "watch_p99_ms", unit: milliseconds}, int(w.watchers()), []side{{sum: w.load}}, nil)
	f.Value, f.Absolute, f.Rate = f.P99, f.P99, &rate
	return []*Figure{f}, nil
}

func (w *watching) watchers() int64 {
	return int64(1 + len(involved) + min(quietWatchers, 4*w.l.o.Concurrency)/len(involved)*len(involved))
}

// start opens a watch. It is ready with the first answer, which holds the cursor.
func (w *watching) start(ctx context.Context, running *errgroup.Group, conn int, md metadata.MD, kind irtv1.EventKind) {
	w.ready.Add(1)
	running.Go(func() error {
		ready := sync.OnceFunc(w.ready.Done)
		defer ready()
		stream, err := irtv1.NewEventServiceClient(w.l.conn(conn)).Watch(metadata.NewOutgoingContext(ctx, md),
			&irtv1.WatchRequest{Kinds: []irtv1.EventKind{kind}})
		if err != nil {
			return err
		}
		for {
			answer, err := stream.Recv()
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("a watch ended: %w", err)
			}
			ready()
			w.told(answer.GetEvents())
		}
	})
}

func (w *watching) told(events []*irtv1.Event) {
	if len(events) == 0 {
		return
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		took := now.Sub(e.GetEventTime().AsTime()).Microseconds()
		_ = w.load.latencies.RecordValue(min(max(took, leastLatency), mostLatency))
		w.load.counted++
		w.load.done++
	}
}

// submit sends new children over a stream, at the rate and no faster.
func (w *watching) submit(ctx context.Context) (sent int, err error) {
	ctx, err = w.l.callers.as(ctx, dataManager, irtv1.Role_ROLE_DATA_MANAGER)
	if err != nil {
		return 0, err
	}
	stream, err := irtv1.NewChildServiceClient(w.l.conn(0)).SubmitChildRecords(ctx)
	if err != nil {
		return 0, err
	}
	running := errgroup.Group{}
	running.Go(func() error { return receive(stream) })
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < w.l.o.Duration; {
		<-tick.C
		for due := int(time.Since(began).Seconds() * watchRate); sent < due; sent++ {
			if stream.Send(&irtv1.SubmitChildRecordsRequest{ChildRecord: w.l.people.next().records[0]}) != nil {
				return sent, running.Wait()
			}
		}
	}
	if err := stream.CloseSend(); err != nil {
		return sent, err
	}
	return sent, running.Wait()
}

// settle waits until the data manager at least has been told of all that was sent:
// what links to a child that is there makes none.
func (w *watching) settle(ctx context.Context, sent int) error {
	deadline := time.Now().Add(lastEvents)
	last := int64(-1)
	for time.Now().Before(deadline) {
		w.mu.Lock()
		told := w.load.counted
		w.mu.Unlock()
		if told > 0 && told == last {
			return nil
		}
		last = told
		select {
		case <-time.After(lastEvents / 10):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if last <= 0 {
		return fmt.Errorf("of %d changes no watcher was told", sent)
	}
	return nil
}
