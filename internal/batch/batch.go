// Package batch commits what many callers ask for in groups.
//
// A durable commit costs one fsync and a query one round trip and one plan,
// however many records they carry, so the hub's write pipeline, its read
// coalescer and its audit writer all have this shape: callers queue, a free
// worker takes whatever has queued, and every caller waits for its own outcome.
//
// There is no timer. A lone caller is served at once, and batches grow by
// themselves exactly when the database is what everybody waits for.
package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrFull is what TryDo returns when the queue has no place. Nothing was
// accepted; the caller may try again later (over gRPC: RESOURCE_EXHAUSTED).
var ErrFull = errors.New("batch: queue is full")

// ErrClosed is returned to calls that come after Close. Nothing was accepted.
var ErrClosed = errors.New("batch: closed")

// Outcome is what a batch has to say to one of its callers.
type Outcome[Out any] struct {
	Value Out
	Err   error
}

// Run processes one batch. It returns one outcome per input, in order, or an
// error that fails them all. It must not keep in after it returns: the slice is
// used again for the next batch. Its context is the batch's own, never a
// caller's; it ends with Options.Timeout.
//
// With Options.RetrySingly a Run that failed is called again with the same
// inputs, so it must leave nothing behind when it returns an error.
type Run[In, Out any] func(ctx context.Context, in []In) ([]Outcome[Out], error)

// Options shape a Batcher. Zero values take the defaults that measured best.
type Options struct {
	Name     string        // for errors, e.g. "audit writer"
	MaxBatch int           // inputs per Run at most; default 256
	MaxQueue int           // inputs waiting for a Run at most; default 4096
	Workers  int           // Runs at the same time at most, where there is cause (see next); default 2, of a NewApart 3
	Second   int           // how many single calls that wait are worth a Run beside another; default half of MaxBatch
	Timeout  time.Duration // bound on one Run; default 30 s

	// Room is how many things the calls of loads in one Run of NewApart may share where
	// another may be beside it; default 1024.
	Room int

	// RetrySingly runs each input alone when a batch of several fails with an
	// error or a panic, so that one bad record cannot fail its neighbours.
	RetrySingly bool
	// Hopeless says that an error would meet every input alike (a lost
	// database): then nothing is tried singly, or the rest of it is not.
	Hopeless func(error) bool
}

func (o Options) withDefaults() Options {
	o.MaxBatch = orDefault(o.MaxBatch, 256)
	o.MaxQueue = orDefault(o.MaxQueue, 4096)
	o.Workers = orDefault(o.Workers, 2)
	o.Second = orDefault(o.Second, o.MaxBatch/2)
	o.Room = orDefault(o.Room, 1024)
	o.Timeout = orDefault(o.Timeout, 30*time.Second)
	if o.Hopeless == nil {
		o.Hopeless = func(error) bool { return false }
	}
	return o
}

func orDefault[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Batcher gathers concurrent calls into batches. Make one with New; all its
// methods may be called by many goroutines at once.
type Batcher[In, Out any] struct {
	o      Options
	run    Run[In, Out]
	laneOf func(In) Lane // nil: all are in one

	places  chan struct{} // one token per queued call: the bound, and its waiters in order
	loads   chan struct{} // the same for calls of loads
	closing chan struct{} // closed by Close
	drained chan struct{} // closed when the last worker has gone
	calls   sync.Pool     // of *call[In, Out]
	only    *lane[In, Out]
	done    counters

	mu      sync.Mutex
	work    sync.Cond // something waits, or closed
	lanes   map[Lane]*lane[In, Out]
	waiting lanes[In, Out]
	alarms  [loads + 1]*time.Timer // each has a worker look: when the last Run of that turn may be stuck, and nobodys when loads have rested
	closed  bool
}

// New starts a Batcher's workers; Close ends them.
func New[In, Out any](o Options, run Run[In, Out]) *Batcher[In, Out] {
	return NewFair(o, nil, run)
}

// NewFair starts a Batcher that shares itself out among lanes: every batch takes
// from them in turns, and is of single calls or of loads, which take turns, too, and have
// Runs of their own beside each other. While single calls come, and for a second after,
// loads are polite: they have one Run at a time, of a quarter of a batch, and rest after it
// for half as long as it took if a single call came meanwhile. While none come, a Run has as
// many as take some 50 ms.
// A lane has at most half the places for single calls and a quarter of those for
// loads (each kind has MaxQueue of its own). Calls of one lane keep their order.
func NewFair[In, Out any](o Options, laneOf func(In) Lane, run Run[In, Out]) *Batcher[In, Out] {
	return newFair(o, laneOf, nil, run)
}

// NewApart is NewFair for inputs that share things, such as locks: shares gives those of
// an input, and is called often and under a lock, so it should return what it has.
// Of two Runs at once with calls of loads none shares anything with one of the other,
// since they would only wait for each other, and there are no more than two, so that a
// single call has a worker. Where too many share something, every other Run with loads is
// as large as without, and alone. Calls of loads that share something and are of one lane are
// run in the order in which they queued.
func NewApart[In, Out any](o Options, laneOf func(In) Lane, shares func(In) []uint64, run Run[In, Out]) *Batcher[In, Out] {
	o.Workers = orDefault(o.Workers, loadsAtOnce+1)
	return newFair(o, laneOf, shares, run)
}

func newFair[In, Out any](o Options, laneOf func(In) Lane, shares func(In) []uint64, run Run[In, Out]) *Batcher[In, Out] {
	o = o.withDefaults()
	b := &Batcher[In, Out]{
		o: o, run: run, laneOf: laneOf,
		only:    &lane[In, Out]{},
		lanes:   map[Lane]*lane[In, Out]{},
		places:  make(chan struct{}, o.MaxQueue),
		loads:   make(chan struct{}, o.MaxQueue),
		closing: make(chan struct{}),
		drained: make(chan struct{}),
	}
	b.work.L = &b.mu
	for i := range b.alarms {
		b.alarms[i] = time.AfterFunc(stuck, b.work.Signal)
	}
	b.waiting.shares, b.waiting.room, b.waiting.underWay = shares, o.Room, map[uint64]int{}
	b.calls.New = func() any { return &call[In, Out]{done: make(chan Outcome[Out], 1)} }
	b.startWorkers()
	return b
}

func (b *Batcher[In, Out]) startWorkers() {
	var workers sync.WaitGroup
	for range b.o.Workers {
		workers.Go(b.serve)
	}
	go func() {
		workers.Wait()
		for _, alarm := range b.alarms {
			alarm.Stop()
		}
		close(b.drained)
	}()
}

// Do queues in, waiting for a place while the queue is full (back-pressure),
// and returns its outcome. When ctx ends first, Do returns ctx.Err(): an input
// that was still queued is then taken out and never run; one already in flight
// goes on, and its outcome is unknown to this caller.
func (b *Batcher[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	l := b.laneFor(in)
	if err := b.waitForPlace(ctx, l); err != nil {
		var none Out
		return none, err
	}
	return b.submit(ctx, in, l)
}

// Begin is Do in two steps: it queues in, waiting for a place, and returns what
// waits for the outcome. Who begins one input after the other has them queued in
// that order. Every wait must be called.
func (b *Batcher[In, Out]) Begin(ctx context.Context, in In) (wait func() (Out, error), err error) {
	l := b.laneFor(in)
	if err := b.waitForPlace(ctx, l); err != nil {
		return nil, err
	}
	c, err := b.put(ctx, in, l)
	if err != nil {
		return nil, err
	}
	return func() (Out, error) { return b.await(ctx, c) }, nil
}

// TryDo is Do for a caller that would rather be refused than wait for a place:
// it returns ErrFull at once when the queue is full.
func (b *Batcher[In, Out]) TryDo(ctx context.Context, in In) (Out, error) {
	l := b.laneFor(in)
	if b.tryPlace(l) {
		return b.submit(ctx, in, l)
	}
	var none Out
	select {
	case <-b.closing:
		return none, ErrClosed
	default:
		return none, ErrFull
	}
}

// laneFor is the lane that an input queues in.
func (b *Batcher[In, Out]) laneFor(in In) *lane[In, Out] {
	if b.laneOf == nil {
		return b.only
	}
	key := b.laneOf(in)
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[key]
	if l == nil {
		bound := b.o.MaxQueue / 2
		if key.Bulk {
			bound = b.o.MaxQueue / 4
		}
		l = &lane[In, Out]{bulk: key.Bulk, places: make(chan struct{}, max(bound, 1))}
		b.lanes[key] = l
	}
	return l
}

// shared are the places that a lane takes from beside its own.
func (b *Batcher[In, Out]) shared(l *lane[In, Out]) chan struct{} {
	if l.bulk {
		return b.loads
	}
	return b.places
}

// tryPlace takes a place of the lane and one of those shared, if both are free.
func (b *Batcher[In, Out]) tryPlace(l *lane[In, Out]) bool {
	if l.places != nil {
		select {
		case l.places <- struct{}{}:
		default:
			return false
		}
	}
	select {
	case b.shared(l) <- struct{}{}: // the usual case, at a third of the cost of waiting
		return true
	default:
	}
	if l.places != nil {
		<-l.places
	}
	return false
}

// release gives the places of one call back.
func (b *Batcher[In, Out]) release(l *lane[In, Out]) {
	<-b.shared(l)
	if l.places != nil {
		<-l.places
	}
}

// waitForPlace waits in the lane before it waits among all: so a lane never has
// more in that line than its own bound, however many wait behind it.
func (b *Batcher[In, Out]) waitForPlace(ctx context.Context, l *lane[In, Out]) error {
	if b.tryPlace(l) {
		return nil
	}
	if l.places != nil {
		if err := b.waitFor(ctx, l.places); err != nil {
			return err
		}
	}
	err := b.waitFor(ctx, b.shared(l))
	if err != nil && l.places != nil {
		<-l.places
	}
	return err
}

func (b *Batcher[In, Out]) waitFor(ctx context.Context, places chan<- struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.closing:
		return ErrClosed
	}
}

// submit queues in, for which the caller holds a place, and waits for its outcome.
func (b *Batcher[In, Out]) submit(ctx context.Context, in In, l *lane[In, Out]) (Out, error) {
	c, err := b.put(ctx, in, l)
	if err != nil {
		var none Out
		return none, err
	}
	return b.await(ctx, c)
}

// put queues in, or gives back the place that the caller holds.
func (b *Batcher[In, Out]) put(ctx context.Context, in In, l *lane[In, Out]) (*call[In, Out], error) {
	c := b.calls.Get().(*call[In, Out])
	c.in, c.lane = in, l
	if err := b.enqueue(ctx, c); err != nil {
		b.release(l)
		b.recycle(c)
		return nil, err
	}
	return c, nil
}

func (b *Batcher[In, Out]) await(ctx context.Context, c *call[In, Out]) (Out, error) {
	select {
	case out := <-c.done:
		b.recycle(c)
		return out.Value, out.Err
	case <-ctx.Done():
		return b.abandon(ctx, c)
	}
}

func (b *Batcher[In, Out]) enqueue(ctx context.Context, c *call[In, Out]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	b.waiting.of(c.lane).push(c.lane, c)
	if b.due() != nobodys {
		b.work.Signal()
	}
	return nil
}

// abandon answers a caller whose ctx has ended: with the outcome if it is
// there by now, else with ctx.Err().
func (b *Batcher[In, Out]) abandon(ctx context.Context, c *call[In, Out]) (Out, error) {
	b.mu.Lock()
	queued := c.queued
	if queued {
		b.waiting.of(c.lane).remove(c)
	}
	b.mu.Unlock()
	var none Out
	if queued {
		b.release(c.lane)
		b.recycle(c)
		return none, ctx.Err()
	}
	select {
	case out := <-c.done:
		b.recycle(c)
		return out.Value, out.Err
	default: // in flight: its worker still holds c, which therefore is not recycled
		return none, ctx.Err()
	}
}

func (b *Batcher[In, Out]) recycle(c *call[In, Out]) {
	var none In
	c.in = none // a pooled call must not keep a record alive
	b.calls.Put(c)
}

// Close refuses new calls with ErrClosed, those waiting for a place included,
// and returns when everything accepted has its outcome and the workers have
// gone. When ctx ends first it returns an error, and the draining goes on.
func (b *Batcher[In, Out]) Close(ctx context.Context) error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.closing)
		b.work.Broadcast()
	}
	b.mu.Unlock()
	select {
	case <-b.drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("batch: draining the %s: %w", b.o.Name, ctx.Err())
	}
}
