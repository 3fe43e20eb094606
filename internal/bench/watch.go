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
	// concernRate is how many concerns a second are shared while their events are awaited.
	concernRate = 200
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
	return w.measure(ctx, watchers, running, stop, "watch_p99_ms", int(w.watchers()), w.submit)
}

// measure has changes made while all who watch are listening, and takes their events'
// latencies as a figure.
func (w *watching) measure(ctx, watchers context.Context, running *errgroup.Group, stop context.CancelFunc,
	id string, listening int, change func(context.Context) (int, error),
) ([]*Figure, error) {
	w.ready.Wait()
	began, before := time.Now(), w.l.meter.read()
	sent, err := change(ctx)
	if err != nil {
		return nil, err
	}
	rate := float64(sent) / time.Since(began).Seconds()
	w.l.o.Progress(fmt.Sprintf("%.0f changes a second were made", rate))
	err = w.settle(ctx, sent)
	stop()
	if ended := running.Wait(); err == nil && ctx.Err() == nil && watchers.Err() == nil {
		err = ended
	}
	if err != nil {
		return nil, err
	}
	w.load.elapsed, w.load.cpu = time.Since(began), w.l.meter.read().minus(before)
	f := figure(trial{id: id, unit: milliseconds}, listening, []side{{sum: w.load}}, nil)
	f.Value, f.Absolute, f.Rate = f.P99, f.P99, &rate
	return []*Figure{f}, nil
}

// concernEvents has one agency share concerns about children with whom ten work, and
// takes how long it is from when the hub came to know of each, before it committed,
// until each of the other nine has the event.
func concernEvents(ctx context.Context, l *lab) ([]*Figure, error) {
	w := &watching{l: l, load: newLoad()}
	watchers, stop := context.WithCancel(ctx)
	defer stop()
	running, watchers := errgroup.WithContext(watchers)
	for n, i := range involved[1:] {
		md, err := l.callers.headers(i.agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
		if err != nil {
			return nil, err
		}
		w.start(watchers, running, n, md, irtv1.EventKind_EVENT_KIND_CONCERN_SUBMITTED)
	}
	return w.measure(ctx, watchers, running, stop, "concern_event_p99_ms", len(involved)-1, w.shareConcerns)
}

// shareConcerns sends concerns over a stream, at the rate and no faster.
func (w *watching) shareConcerns(ctx context.Context) (sent int, err error) {
	agency := involved[0].agency
	ctx, err = w.l.callers.as(ctx, agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return 0, err
	}
	stream, err := irtv1.NewConcernServiceClient(w.l.conn(0)).SubmitConcerns(ctx)
	if err != nil {
		return 0, err
	}
	running := errgroup.Group{}
	running.Go(func() error { return receive(stream.Recv) })
	run, today := time.Now().UnixMilli(), w.l.people.today.Format(time.DateOnly)
	sent, whole := w.pace(concernRate, func(n int) error {
		return stream.Send(&irtv1.SubmitConcernsRequest{Concern: &irtv1.Concern{
			Name: fmt.Sprintf("agencies/%s/concerns/b%d-%d", agency, run, n), Child: w.l.busy[n%len(w.l.busy)].name,
			Category: "ATTENDANCE", Level: "UNIVERSAL", StartDate: today,
		}})
	})
	if !whole {
		return sent, running.Wait()
	}
	if err := stream.CloseSend(); err != nil {
		return sent, err
	}
	return sent, running.Wait()
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
	running.Go(func() error { return receive(stream.Recv) })
	sent, whole := w.pace(watchRate, func(int) error {
		return stream.Send(&irtv1.SubmitChildRecordsRequest{ChildRecord: w.l.people.next().records[0]})
	})
	if !whole {
		return sent, running.Wait()
	}
	if err := stream.CloseSend(); err != nil {
		return sent, err
	}
	return sent, running.Wait()
}

// pace sends at a rate and no faster, as long as a side is measured; not whole where
// sending failed, of which the other direction tells more.
func (w *watching) pace(rate float64, send func(n int) error) (sent int, whole bool) {
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < w.l.o.Duration; {
		<-tick.C
		for due := int(time.Since(began).Seconds() * rate); sent < due; sent++ {
			if send(sent) != nil {
				return sent, false
			}
		}
	}
	return sent, true
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
