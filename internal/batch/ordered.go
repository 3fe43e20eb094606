package batch

import (
	"context"
	"errors"
	"io"
)

// Ordered works on a sequence, up to window inputs at once, and hands on the
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
func Ordered[In, Out any](ctx context.Context, window int, next func() (In, error),
	begin func(context.Context, In) func() Out, emit func(Out) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan chan Out, window) // its capacity is the window
	ended := make(chan error, 1)
	go func() {
		defer close(results)
		ended <- feed(ctx, results, next, begin)
	}()
	for result := range results {
		select {
		case out := <-result:
			if err := emit(out); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return <-ended
}

func feed[In, Out any](ctx context.Context, results chan<- chan Out, next func() (In, error), begin func(context.Context, In) func() Out) error {
	for {
		in, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		result := make(chan Out, 1)
		select {
		case results <- result:
		case <-ctx.Done():
			return ctx.Err()
		}
		wait := begin(ctx, in)
		go func() { result <- wait() }()
	}
}
