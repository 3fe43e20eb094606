package batch

import (
	"context"
	"errors"
	"io"
)

// Window bounds what Ordered holds at once.
type Window[In any] struct {
	Inputs int // how many are under way
	// Hold waits until there is room for one more input beside all that is held
	// elsewhere, and says how to leave it; nil where there always is. It fails where
	// ctx ends.
	Hold func(ctx context.Context, in In) (leave func(), err error)
}

// Ordered works on a sequence, up to a window of inputs at once, and hands on the
// results in the order of the inputs: how a stream or a file keeps a Batcher
// busy without holding more than a window in memory. next gives the inputs and
// ends with io.EOF; begin takes one up and returns what waits for its result;
// emit takes each result. Inputs are begun one after the other, in their order:
// with Batcher.Begin and NewApart those that share something are also processed in it.
//
// When next fails, the results of the inputs before are handed on first. When
// emit fails, Ordered returns at once, and a next that waits for input (of a
// stream that ends when its handler returns) is left to end by itself; nothing
// it then gives is worked on.
func Ordered[In, Out any](ctx context.Context, window Window[In], next func() (In, error),
	begin func(context.Context, In) func() Out, emit func(Out) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan pending[Out], window.Inputs) // its capacity is the window
	ended := make(chan error, 1)
	go func() {
		defer close(results)
		ended <- feed(ctx, window, results, next, begin)
	}()
	for p := range results {
		err := p.handOn(ctx, emit)
		p.leave()
		if err != nil {
			go leaveAll(results) // next may not have ended yet
			return err
		}
	}
	return <-ended
}

// pending is an input under way.
type pending[Out any] struct {
	result chan Out
	leave  func() // the room that it takes
}

func (p pending[Out]) handOn(ctx context.Context, emit func(Out) error) error {
	select {
	case out := <-p.result:
		return emit(out)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func leaveAll[Out any](results <-chan pending[Out]) {
	for p := range results {
		p.leave()
	}
}

func feed[In, Out any](ctx context.Context, window Window[In], results chan<- pending[Out],
	next func() (In, error), begin func(context.Context, In) func() Out,
) error {
	for {
		in, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p := pending[Out]{result: make(chan Out, 1), leave: func() {}}
		if window.Hold != nil {
			if p.leave, err = window.Hold(ctx, in); err != nil {
				return err
			}
		}
		select {
		case results <- p:
		case <-ctx.Done():
			p.leave()
			return ctx.Err()
		}
		wait := begin(ctx, in)
		go func() { p.result <- wait() }()
	}
}
