package batch_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"irthub/internal/batch"
)

func counter(n int) func() (int, error) {
	i := 0
	return func() (int, error) {
		if i == n {
			return 0, io.EOF
		}
		i++
		return i, nil
	}
}

func TestOrderedKeepsOrderWithinItsWindow(t *testing.T) {
	t.Parallel()
	const window = 8
	var working, most atomic.Int64
	begun := 0
	begin := func(_ context.Context, i int) func() int {
		if begun++; i != begun {
			t.Errorf("input %d was begun as number %d", i, begun)
		}
		if n := working.Add(1); n > most.Load() {
			most.Store(n)
		}
		return func() int {
			defer working.Add(-1)
			time.Sleep(rand.N(time.Millisecond)) //nolint:forbidigo // work that takes a while, differently each time
			return i
		}
	}
	want := 1
	err := batch.Ordered(t.Context(), batch.Window[int]{Inputs: window}, counter(500), begin, func(i int) error {
		if i != want {
			t.Errorf("result %d came when %d was due", i, want)
		}
		want++
		return nil
	})
	if err != nil || want != 501 {
		t.Fatalf("got %d results, error %v", want-1, err)
	}
	// One more than the window may be in work: the one whose result is awaited.
	if most.Load() > window+2 {
		t.Errorf("%d inputs were in work at once, with a window of %d", most.Load(), window)
	}
}

func TestOrderedEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	begin := func(_ context.Context, i int) func() int { return func() int { return i } }
	err := batch.Ordered(t.Context(), batch.Window[int]{Inputs: 4}, counter(1000), begin, func(i int) error {
		if i == 10 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) {
		t.Errorf("emit failed with %v, Ordered returned %v", full, err)
	}
	broken := errors.New("broken off")
	err = batch.Ordered(t.Context(), batch.Window[int]{Inputs: 4}, func() (int, error) { return 0, broken }, begin, func(int) error { return nil })
	if !errors.Is(err, broken) {
		t.Errorf("next failed with %v, Ordered returned %v", broken, err)
	}
}

// What an input takes is left once its result is handed on, or the sequence has ended,
// however it did.
func TestOrderedLeavesTheRoomItHeld(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken off")
	for name, c := range map[string]struct {
		next func() (int, error)
		emit func(int) error
		want error
	}{
		"to the end": {counter(100), func(int) error { return nil }, nil},
		"emit fails": {counter(100), func(i int) error {
			if i == 50 {
				return broken
			}
			return nil
		}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var held, most atomic.Int64
			window := batch.Window[int]{Inputs: 100, Hold: func(ctx context.Context, _ int) (func(), error) {
				for held.Load() >= 5 {
					if ctx.Err() != nil {
						return nil, ctx.Err()
					}
					runtime.Gosched()
				}
				most.Store(max(most.Load(), held.Add(1)))
				return func() { held.Add(-1) }, nil
			}}
			begin := func(_ context.Context, i int) func() int { return func() int { return i } }
			if err := batch.Ordered(t.Context(), window, c.next, begin, c.emit); !errors.Is(err, c.want) {
				t.Error(err)
			}
			for held.Load() > 0 { // what was still to come ends by itself
				if t.Context().Err() != nil {
					t.Fatal("held for ever")
				}
				runtime.Gosched()
			}
			if most.Load() > 5 {
				t.Errorf("%d were held at once", most.Load())
			}
		})
	}
}
