package feed

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/events"
	"irthub/internal/rpc"
)

const (
	// recent is how many of the newest events are held in memory, for all watchers
	// together. Who is further behind reads from the log.
	recent = 8192
	// lookEvery is how often the log is looked at while events come, and idleEvery
	// while none do. Of this process's own rounds the tail is told.
	lookEvery = 20 * time.Millisecond
	idleEvery = 100 * time.Millisecond
	// busyFor is how long after an event more are expected.
	busyFor = 2 * time.Second
	// readTimeout bounds one look, and troubleEvery is the wait after one that failed.
	readTimeout  = 10 * time.Second
	troubleEvery = time.Second

	watchersAtMost         = 4096
	watchersOfAGroupAtMost = 1024
)

// tail follows the log for all watchers of this process: each event is read once,
// and once it is found out who is told of it. It holds the most recent ones, and
// wakes only those watchers for whom there is one.
type tail struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	kick    chan struct{}
	stop    context.CancelFunc
	stopped chan struct{}

	mu       sync.Mutex
	entries  []*Entry        // the most recent, of positions that follow one another up to end
	end      events.Position // everything up to here was seen
	groups   map[string]*group
	watchers int
}

// group is the watchers who are told of the same events.
type group struct {
	watchers int
	last     int64         // position of the last event for them: from there to end there is none
	gone     int64         // position of the last event for them that the tail holds no more
	news     chan struct{} // closed with the next event for them
}

func startTail(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) *tail {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &tail{
		pool: pool, log: log, groups: map[string]*group{},
		kick: make(chan struct{}, 1), stop: stop, stopped: make(chan struct{}),
	}
	go t.run(ctx)
	return t
}

func (t *tail) close() {
	t.stop()
	<-t.stopped
}

// look has the tail look at the log now.
func (t *tail) look() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

func (t *tail) watching() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.watchers
}

// join makes a watcher of a group, and tells where the log ends. The first of all
// begins there.
func (t *tail) join(ctx context.Context, name string) (g *group, end events.Position, err error) {
	end, _, err = events.Head(ctx, t.pool)
	if err != nil {
		return nil, end, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers == 0 {
		t.end, t.entries = end, nil
		t.look()
	}
	g = t.groups[name]
	if g == nil {
		// Of what is held it is not looked up which of it is for them, and what was
		// before is not known.
		g = &group{last: t.end.N, gone: t.end.N - int64(len(t.entries)), news: make(chan struct{})}
	}
	if t.watchers >= watchersAtMost || g.watchers >= watchersOfAGroupAtMost {
		return nil, end, rpc.Overloaded()
	}
	t.groups[name] = g
	t.watchers++
	g.watchers++
	return g, end, nil
}

func (t *tail) leave(name string, g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers--
	if g.watchers--; g.watchers == 0 {
		delete(t.groups, name)
	}
}

// next is what comes after a position, for watchers of a group: entries, among
// which there may be such as are not for them, up to end. Without any, news is
// closed when there are. behind says that it must be read from the log.
func (t *tail) next(g *group, after events.Position) (entries []*Entry, end events.Position, news <-chan struct{}, behind bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.end.N <= after.N: // the tail may be a look behind
		return nil, after, g.news, false
	case g.last <= after.N:
		return nil, t.end, g.news, false
	case g.gone > after.N:
		return nil, after, g.news, true
	}
	first := t.end.N - int64(len(t.entries)) + 1
	return t.entries[max(after.N+1-first, 0):], t.end, g.news, false
}

func (t *tail) run(ctx context.Context) {
	defer close(t.stopped)
	var busyUntil time.Time
	for {
		wait := idleEvery
		switch n, err := t.read(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.log.WarnContext(ctx, "cannot follow the log of events; trying again", "error", err)
			wait = troubleEvery
		case n > 0:
			busyUntil = time.Now().Add(busyFor)
			fallthrough
		case time.Now().Before(busyUntil):
			wait = lookEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-t.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// read takes in what is new, if anybody watches.
func (t *tail) read(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for {
		t.mu.Lock()
		after, watched := t.end, t.watchers > 0
		t.mu.Unlock()
		if !watched {
			return n, nil
		}
		logged, err := events.Read(ctx, t.pool, after, readAtOnce)
		if err != nil || len(logged) == 0 {
			return n, err
		}
		entries, err := SortOut(ctx, t.pool, logged)
		if err != nil {
			return n, err
		}
		if err := t.publish(after, entries); err != nil {
			return n, err
		}
		if n += len(entries); len(entries) < readAtOnce {
			return n, nil
		}
	}
}

// errGap never happens: positions are dense.
var errGap = errors.New("feed: the log has a gap")

// publish holds what was read after a position, and wakes those whom it is for.
func (t *tail) publish(after events.Position, entries []*Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end != after {
		return nil // all watchers left and others came, who began elsewhere
	}
	woken := map[*group]bool{}
	for i, e := range entries {
		if e.At.N != after.N+int64(i)+1 {
			return errGap
		}
		for g := range t.toldOf(e) {
			g.last = e.At.N
			woken[g] = true
		}
	}
	t.end = entries[len(entries)-1].At
	t.entries = append(t.entries, entries...)
	if over := len(t.entries) - recent; over > 0 {
		for _, e := range t.entries[:over] {
			for g := range t.toldOf(e) {
				g.gone = e.At.N
			}
		}
		t.entries = t.entries[over:]
	}
	for g := range woken {
		close(g.news)
		g.news = make(chan struct{})
	}
	return nil
}

// toldOf are the groups, of those that watch, to whom an event may be told.
func (t *tail) toldOf(e *Entry) iter.Seq[*group] {
	return func(yield func(*group) bool) {
		if g := t.groups[managers]; g != nil && !yield(g) {
			return
		}
		for _, agency := range e.agencies {
			if g := t.groups[agency]; g != nil && !yield(g) {
				return
			}
		}
	}
}
