package batch

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// PanicError is what the callers of a batch get when its Run panicked. The
// value is kept out of the message because it may hold a person's data.
type PanicError struct {
	Name  string // the batcher's
	Value any    // what Run panicked with
	Stack []byte
}

// Error names the batcher and the type of the value only.
func (e *PanicError) Error() string {
	return fmt.Sprintf("batch: the %s panicked with a %T", e.Name, e.Value)
}

// serve takes batch after batch until the Batcher is closed and drained.
func (b *Batcher[In, Out]) serve() {
	calls := make([]*call[In, Out], 0, b.o.MaxBatch)
	ins := make([]In, 0, b.o.MaxBatch)
	var ran lastRun[In]
	for {
		if len(ran.ins) > 0 {
			// Whoever was just answered, or is about to ask, goes first if it can
			// run: the next batch is larger by those who then ask. Where nobody
			// can, this costs nothing.
			runtime.Gosched()
		}
		var whose turn
		calls, whose = b.take(calls[:0], ran)
		if len(calls) == 0 {
			return
		}
		began := time.Now()
		ins = ins[:0]
		for _, c := range calls {
			b.release(c.lane)
			ins = append(ins, c.in)
		}
		b.process(calls, ins)
		clear(calls)
		ran = lastRun[In]{ins: ins, whose: whose, took: time.Since(began)}
	}
}

// lastRun is the Run that a worker has behind it; of no inputs, if it has none.
type lastRun[In any] struct {
	ins   []In
	whose turn
	took  time.Duration
}

// take waits until a Run is due and moves up to MaxBatch calls into batch, and tells
// whose it is; it returns none when the Batcher is closed and the queue is empty.
func (b *Batcher[In, Out]) take(batch []*call[In, Out], ran lastRun[In]) (taken []*call[In, Out], whose turn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end(ran)
	for len(batch) == 0 {
		for whose = b.due(); whose == nobodys && !(b.closed && b.waiting.empty()); whose = b.due() {
			b.work.Wait()
		}
		if b.waiting.empty() {
			return batch, nobodys
		}
		batch = b.waiting.take(batch, whose, b.o.MaxBatch)
	}
	b.alarms[whose].Reset(stuck + time.Millisecond)
	if b.due() != nobodys { // another beside it
		b.work.Signal()
	}
	return batch, whose
}

// end is what follows a Run. It clears the inputs: a worker that then waits must not keep
// records alive.
func (b *Batcher[In, Out]) end(ran lastRun[In]) {
	switch ran.whose {
	case nobodys:
		return
	case singles:
		b.waiting.serving--
	case loads:
		if rest := b.waiting.end(ran.ins, ran.took); rest > 0 {
			b.alarms[nobodys].Reset(rest)
		}
		b.waiting.took(len(ran.ins), ran.took, b.o.MaxBatch)
	}
	clear(ran.ins)
	if b.closed {
		b.work.Broadcast() // who waits to see that all is done
	}
}

// stuck is how long a Run takes that should not hold up everybody: it waits for a
// lock, or its connection has gone and does not say so.
const stuck = time.Second

// due tells whose Run should begin, if any.
func (b *Batcher[In, Out]) due() turn {
	if b.waiting.empty() {
		return nobodys
	}
	return b.waiting.next(&b.o, b.closed)
}

func (b *Batcher[In, Out]) process(calls []*call[In, Out], ins []In) {
	outs, err := b.runOnce(ins)
	switch {
	case err == nil:
		for i, c := range calls {
			c.done <- outs[i]
		}
	case b.o.RetrySingly && len(calls) > 1 && !b.o.Hopeless(err):
		b.processSingly(calls, ins)
	default:
		fail(calls, err)
	}
}

func (b *Batcher[In, Out]) processSingly(calls []*call[In, Out], ins []In) {
	for i, c := range calls {
		outs, err := b.runOnce(ins[i : i+1 : i+1])
		if err == nil {
			c.done <- outs[0]
			continue
		}
		if b.o.Hopeless(err) {
			fail(calls[i:], err)
			return
		}
		c.done <- Outcome[Out]{Err: err}
	}
}

func fail[In, Out any](calls []*call[In, Out], err error) {
	for _, c := range calls {
		c.done <- Outcome[Out]{Err: err}
	}
}

// runOnce calls Run under the batch's own context and turns what it must not
// do, a panic or a wrong number of outcomes, into errors.
func (b *Batcher[In, Out]) runOnce(ins []In) (outs []Outcome[Out], err error) {
	ctx, cancel := context.WithTimeout(context.Background(), b.o.Timeout)
	defer cancel()
	// A span of its own, since a batch belongs to many calls; nothing is done
	// where nobody traces.
	ctx, span := otel.Tracer("irthub/batch").Start(ctx, b.o.Name, trace.WithAttributes(attribute.Int("inputs", len(ins))))
	start := time.Now()
	defer func() {
		b.done.add(len(ins), time.Since(start), err)
		if err != nil {
			span.SetStatus(codes.Error, "failed")
		}
		span.End()
	}()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Name: b.o.Name, Value: v, Stack: debug.Stack()}
		}
	}()
	outs, err = b.run(ctx, ins)
	if err == nil && len(outs) != len(ins) {
		err = fmt.Errorf("batch: the %s gave %d outcomes for %d inputs", b.o.Name, len(outs), len(ins))
	}
	return outs, err
}
