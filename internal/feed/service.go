// Package feed is irt.v1.EventService: it tells agencies what changed about the
// children they work with, each what it may know. It reads the log that package
// events keeps.
package feed

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
)

const (
	pageDefault = 100
	pageMost    = 1000
	// readAtOnce is how many events are read from the log, and sorted out, at a time.
	readAtOnce = 500
	// readForAPage is how many events are looked at for one page of a list: of those
	// of a whole hub few may be for the one who asks.
	readForAPage = 10 * readAtOnce
)

// Service is irt.v1.EventService.
type Service struct {
	irtv1.UnimplementedEventServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	tail      *tail
	catchUps  chan struct{} // a token for each reading of what is past
	times     times
	stopOnce  sync.Once
	stopping  chan struct{}
}

// catchUpsAtOnce is how many readers of what is past read at the same time: a
// thousand that come back at once must not take every connection.
const catchUpsAtOnce = 3

// New makes the service. patience is how long a watcher may take nothing in. Stop ends its streams, and then Close the rest.
func New(ctx context.Context, pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, patience time.Duration, log *slog.Logger) *Service {
	return &Service{
		pool: pool, directory: directory, tokens: tokens,
		tail:     startTail(ctx, pool, log),
		catchUps: make(chan struct{}, catchUpsAtOnce), times: times{heartbeat: heartbeat, stalled: patience, check: patience / 8},
		stopping: make(chan struct{}),
	}
}

// Moved tells the service that there are new events in the log. It waits for nothing.
func (s *Service) Moved() { s.tail.look() }

// Stop ends every Watch, each with the cursor to come back by.
func (s *Service) Stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// Close ends what New started.
func (s *Service) Close() {
	s.Stop()
	s.tail.close()
}

// Watching is how many streams there are.
func (s *Service) Watching() int { return s.tail.watching() }

// ListEvents implements irtv1.EventServiceServer.
func (s *Service) ListEvents(ctx context.Context, req *irtv1.ListEventsRequest) (*irtv1.ListEventsResponse, error) {
	const method = irtv1.EventService_ListEvents_FullMethodName
	f, err := NewFilter(req)
	if err != nil {
		return nil, err
	}
	page, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	at, fromPage := events.ParsePosition(page)
	if !fromPage {
		if at, err = s.begin(ctx, req.GetCursor(), oldest); err != nil {
			return nil, err
		}
	}
	l := &listing{s: s, to: ReceiverOf(identity.FromContext(ctx)), filter: f, at: at, most: int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))}
	if err := l.read(ctx); err != nil {
		return nil, err
	}
	out := &irtv1.ListEventsResponse{Events: l.events}
	if out.Cursor, err = s.cursor(l.at); err == nil && !l.ended {
		out.NextPageToken, err = s.tokens.Encode(method, req, l.at.Append(nil))
	}
	record(audit.FromContext(ctx), l.told)
	return out, err
}

// listing is a page of a list while it is made.
type listing struct {
	s      *Service
	to     Receiver
	filter *Filter
	at     events.Position
	most   int

	events []*irtv1.Event
	told   []*Entry
	ended  bool
}

// read reads on until the page is full, the log ends or enough has been looked at.
func (l *listing) read(ctx context.Context) error {
	for looked := 0; looked < readForAPage && len(l.events) < l.most && !l.ended; looked += readAtOnce {
		entries, end, err := l.s.past(ctx, l.to, l.filter, l.at)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if len(l.events) == l.most {
				return nil
			}
			if m := l.to.Message(e, l.filter, l.s.directory); m != nil {
				redact.Pass(ctx, m) // message says what the receiver may know, and no more
				l.events, l.told = append(l.events, m), append(l.told, e)
			}
			l.at = e.At
		}
		if len(entries) < readAtOnce {
			l.at, l.ended = end, true
		}
	}
	return nil
}

// past reads the next events after a position from the log, readAtOnce at most; if
// there are fewer, there are none up to end.
func (s *Service) past(ctx context.Context, to Receiver, f *Filter, after events.Position) (entries []*Entry, end events.Position, err error) {
	select {
	case s.catchUps <- struct{}{}:
		defer func() { <-s.catchUps }()
	case <-ctx.Done():
		return nil, end, ctx.Err()
	}
	if end, err = s.resume(ctx, after); err != nil {
		return nil, end, err
	}
	logged, err := s.logged(ctx, to, f, after)
	if err != nil {
		return nil, end, err
	}
	// What was sequenced since may be about children that are not among those known to
	// be the receiver's: it comes with the next reading.
	logged = slices.DeleteFunc(logged, func(l *events.Logged) bool { return l.At.N > end.N })
	entries, err = SortOut(ctx, s.pool, logged)
	return entries, end, err
}

// logged reads the next events after a position that can be for a receiver with a
// filter. The log's end must have been read before: by then an agency was known to
// work with the children that events up to there are about.
func (s *Service) logged(ctx context.Context, to Receiver, f *Filter, after events.Position) ([]*events.Logged, error) {
	if f.children != nil {
		return events.ReadAbout(ctx, s.pool, f.childIDs(), after, readAtOnce)
	}
	if !to.manager {
		children, few, err := childrenOf(ctx, s.pool, to.caller.Agency)
		if err != nil {
			return nil, err
		}
		if few {
			return events.ReadFor(ctx, s.pool, to.caller.Agency, children, after, readAtOnce)
		}
	}
	return events.Read(ctx, s.pool, after, readAtOnce)
}

// record notes in the access log which events were told, and about which children.
func record(access *audit.Entry, told []*Entry) {
	if len(told) == 0 {
		return
	}
	names := make([]string, len(told))
	for i, e := range told {
		names[i] = e.Name()
		access.AddChild(e.Children()...)
	}
	access.AddReturned(names...)
}
