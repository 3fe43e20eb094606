package feed

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
)

// eventsOfAMessage bounds a message, and with it an entry of the access log.
const eventsOfAMessage = 200

// times are how long things take; tests have less of it.
type times struct {
	// heartbeat is how often a watcher hears something. A token that has expired, or
	// an agency that is no longer active, is noticed no later than that.
	heartbeat time.Duration
	// stalled is how long a message may wait to be taken in, and check how often that
	// is looked at.
	stalled, check time.Duration
}

// heartbeat is how often a watcher hears something where nothing happens.
const heartbeat = 15 * time.Second

// Watch implements irtv1.EventServiceServer.
func (s *Service) Watch(req *irtv1.WatchRequest, stream grpc.ServerStreamingServer[irtv1.WatchResponse]) error {
	ctx := stream.Context()
	f, err := NewFilter(req)
	if err != nil {
		return err
	}
	at, err := s.begin(ctx, req.GetCursor(), now)
	if err != nil {
		return err
	}
	to := ReceiverOf(identity.FromContext(ctx))
	g, missed, err := s.tail.join(ctx, to.group())
	if err != nil {
		return err
	}
	defer s.tail.leave(to.group(), g)
	w := &watcher{s: s, stream: stream, access: audit.FromContext(ctx), to: to, filter: f, group: g, at: at, missed: missed}
	return w.watch(ctx)
}

// watcher is one stream. What it sends it sends from a goroutine of its own, since
// a receiver that takes nothing in holds the sending up, and only the end of the
// call lets go of it.
type watcher struct {
	s      *Service
	stream grpc.ServerStreamingServer[irtv1.WatchResponse]
	access *audit.Entry
	to     Receiver
	filter *Filter
	group  *group
	at     events.Position // everything up to here was sent, or was not for it
	missed events.Position // what was there before it came is read again: who is told of it is decided anew

	heartbeat *time.Ticker
	sending   atomic.Int64 // when the sending of a message began, by the clock in µs; 0: none; givenUp
	cursor    atomic.Pointer[string]
}

const givenUp = -1

// watch returns when the stream ends, or the receiver takes nothing in.
func (w *watcher) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	check := time.NewTicker(w.s.times.check)
	defer check.Stop()
	over, patience := ctx.Done(), w.s.times.stalled
	for {
		select {
		case err := <-ended:
			return err
		case <-over: // the caller has gone, or may no longer watch
			over, patience = nil, 0
		case <-check.C:
		}
		since := w.sending.Load()
		if since > 0 && time.Since(time.UnixMicro(since)) >= patience && w.sending.CompareAndSwap(since, givenUp) {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.errSlow() // the goroutine touches the stream no more
		}
	}
}

// run sends until something fails or the hub stops.
func (w *watcher) run(ctx context.Context) error {
	w.heartbeat = time.NewTicker(w.s.times.heartbeat)
	defer w.heartbeat.Stop()
	if err := w.send(nil); err != nil { // the cursor to begin with
		return err
	}
	for {
		entries, end, news, behind := w.s.tail.next(w.group, w.at)
		if behind = behind || w.at.N < w.missed.N; behind {
			var err error
			if entries, end, err = w.s.past(ctx, w.to, w.filter, w.at); err != nil {
				return err
			}
			if n := len(entries); n == readAtOnce {
				end = entries[n-1].At
			}
		}
		if len(entries) > 0 {
			if err := w.tell(entries, end); err != nil {
				return err
			}
			continue
		}
		w.at = end
		if behind {
			continue
		}
		select {
		case <-news:
		case <-w.heartbeat.C:
			if err := w.send(nil); err != nil {
				return err
			}
		case <-w.s.stopping:
			return w.errStopping()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tell sends what of the entries is for the receiver, which are all there are up to
// end.
func (w *watcher) tell(entries []*Entry, end events.Position) error {
	for len(entries) > 0 {
		select {
		case <-w.s.stopping:
			return w.errStopping()
		default:
		}
		var told []*Entry
		var messages []*irtv1.Event
		for len(entries) > 0 && len(messages) < eventsOfAMessage {
			e := entries[0]
			entries, w.at = entries[1:], e.At
			if m := w.to.Message(e, w.filter, w.s.directory); m != nil {
				redact.Pass(w.stream.Context(), m) // message says what the receiver may know, and no more
				told, messages = append(told, e), append(messages, m)
			}
		}
		if len(entries) == 0 {
			w.at = end
		}
		if len(messages) == 0 {
			return nil
		}
		record(w.access, told)
		if err := w.send(messages); err != nil {
			return err
		}
	}
	return nil
}

// send sends events, or none as a sign of life.
func (w *watcher) send(messages []*irtv1.Event) error {
	cursor, err := w.s.cursor(w.at)
	if err != nil {
		return err
	}
	began := time.Now().UnixMicro()
	if !w.sending.CompareAndSwap(0, began) {
		return w.errSlow()
	}
	err = w.stream.Send(&irtv1.WatchResponse{Events: messages, Cursor: cursor})
	if !w.sending.CompareAndSwap(began, 0) {
		return w.errSlow()
	}
	if err == nil {
		w.cursor.Store(&cursor)
		w.heartbeat.Reset(w.s.times.heartbeat)
	}
	return err
}

// lastCursor is that of the last message that was sent.
func (w *watcher) lastCursor() map[string]string {
	if c := w.cursor.Load(); c != nil {
		return map[string]string{"cursor": *c}
	}
	return nil
}

func (w *watcher) errSlow() error {
	return rpc.ErrorWith(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_SLOW_CONSUMER, w.lastCursor(),
		"You took nothing in for too long. Come back with the cursor of the last answer you took in.")
}

func (w *watcher) errStopping() error {
	return rpc.ErrorWith(codes.Unavailable, irtv1.ErrorReason_ERROR_REASON_UNAVAILABLE, w.lastCursor(),
		"The hub is stopping. Come back with the cursor of the last answer you took in.")
}
