package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"irthub/internal/batch"
)

// gate is a Run that doubles its inputs, one batch each time it is let go, and
// remembers the batches it was given. Tests run it in a synctest bubble, where
// "everybody waits" is a fact and not a matter of time.
type gate struct {
	mu      sync.Mutex
	batches [][]int
	let     chan struct{}
}

func newGate() *gate { return &gate{let: make(chan struct{})} }

func (g *gate) run(_ context.Context, in []int) ([]batch.Outcome[int], error) {
	g.mu.Lock()
	g.batches = append(g.batches, slices.Clone(in))
	g.mu.Unlock()
	<-g.let
	return doubled(in), nil
}

func doubled(in []int) []batch.Outcome[int] {
	outs := make([]batch.Outcome[int], len(in))
	for i, v := range in {
		outs[i].Value = 2 * v
	}
	return outs
}

// answers collects what callers started by go_ were told, by input.
type answers struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	out map[int]int
	err map[int]error
}

func newAnswers() *answers { return &answers{out: map[int]int{}, err: map[int]error{}} }

// call starts one caller and returns when it waits for something.
func (a *answers) call(ctx context.Context, do func(context.Context, int) (int, error), in int) {
	a.wg.Go(func() {
		out, err := do(ctx, in)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.out[in], a.err[in] = out, err
	})
	synctest.Wait()
}

func (a *answers) wantDoubled(t *testing.T, ins ...int) {
	t.Helper()
	for _, in := range ins {
		if a.err[in] != nil || a.out[in] != 2*in {
			t.Errorf("caller %d got (%d, %v), want %d", in, a.out[in], a.err[in], 2*in)
		}
	}
}

func (a *answers) wantErr(t *testing.T, want error, ins ...int) {
	t.Helper()
	for _, in := range ins {
		if err, answered := a.err[in]; !answered || !errors.Is(err, want) {
			t.Errorf("caller %d got error %v (answered: %t), want %v", in, err, answered, want)
		}
	}
}

func mustClose[In, Out any](t *testing.T, b *batch.Batcher[In, Out]) {
	t.Helper()
	if err := b.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestTakesWhatHasQueuedInOrderAndAnswersEachItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.New(batch.Options{Name: "test", Workers: 1, MaxBatch: 4}, g.run)
		for in := 1; in <= 8; in++ {
			a.call(t.Context(), b.Do, in)
		}
		close(g.let)
		a.wg.Wait()
		a.wantDoubled(t, 1, 2, 3, 4, 5, 6, 7, 8)
		want := [][]int{{1}, {2, 3, 4, 5}, {6, 7, 8}}
		if !slices.EqualFunc(g.batches, want, slices.Equal) {
			t.Errorf("batches %v, want %v: the first alone at once, then what queued, at most 4", g.batches, want)
		}
		mustClose(t, b)
	})
}

func TestFullQueueHoldsDoAndRefusesTryDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.New(batch.Options{Name: "test", Workers: 1, MaxQueue: 2}, g.run)
		for in := 1; in <= 3; in++ { // one in flight, two queued
			a.call(t.Context(), b.TryDo, in)
		}
		a.call(t.Context(), b.TryDo, 4)
		a.wantErr(t, batch.ErrFull, 4)
		a.call(t.Context(), b.Do, 5)
		if _, answered := a.err[5]; answered {
			t.Error("Do was answered while the queue was full")
		}
		gone, cancel := context.WithCancel(t.Context())
		a.call(gone, b.Do, 6)
		cancel()
		synctest.Wait()
		a.wantErr(t, context.Canceled, 6)
		close(g.let)
		a.wg.Wait()
		a.wantDoubled(t, 1, 2, 3, 5)
		mustClose(t, b)
		if got := slices.Concat(g.batches...); slices.Contains(got, 4) || slices.Contains(got, 6) {
			t.Errorf("refused inputs were run: %v", got)
		}
	})
}

func TestCallerThatGivesUpWhileQueuedIsNotRunAndFreesItsPlace(t *testing.T) {
	for _, gone := range []int{2, 3, 4} { // first, middle and last of the queue
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, a := newGate(), newAnswers()
				b := batch.New(batch.Options{Name: "test", Workers: 1, MaxQueue: 3}, g.run)
				cancels := map[int]context.CancelFunc{}
				for in := 1; in <= 4; in++ {
					ctx, cancel := context.WithCancel(t.Context())
					cancels[in] = cancel
					a.call(ctx, b.Do, in)
				}
				cancels[gone]()
				synctest.Wait()
				a.wantErr(t, context.Canceled, gone)
				a.call(t.Context(), b.TryDo, 5) // takes the place given up
				close(g.let)
				a.wg.Wait()
				a.wantDoubled(t, 5)
				if slices.Contains(slices.Concat(g.batches...), gone) {
					t.Errorf("batches %v hold %d, whose caller had gone", g.batches, gone)
				}
				for _, cancel := range cancels {
					cancel()
				}
				mustClose(t, b)
			})
		})
	}
}

func TestCallerThatGivesUpInFlightLeavesTheBatchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, let, finished := newAnswers(), make(chan struct{}), false
		b := batch.New(batch.Options{Name: "test", Workers: 1}, func(ctx context.Context, in []int) ([]batch.Outcome[int], error) {
			<-let
			finished = ctx.Err() == nil
			return doubled(in), ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		a.call(ctx, b.Do, 1)
		cancel()
		synctest.Wait()
		a.wantErr(t, context.Canceled, 1)
		close(let)
		mustClose(t, b)
		if !finished {
			t.Error("the caller's cancellation reached the batch")
		}
	})
}

func TestEndedContextIsNotAccepted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := batch.New(batch.Options{Name: "test"}, func(context.Context, []int) ([]batch.Outcome[int], error) {
		t.Error("ran an input whose caller had gone before it asked")
		return nil, nil
	})
	for range 100 { // a select that picks either way would pass once
		if _, err := b.Do(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Fatalf("Do: %v, want context.Canceled", err)
		}
	}
	mustClose(t, b)
}

func TestTimeoutBoundsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batch.New(batch.Options{Name: "test", Timeout: time.Second},
			func(ctx context.Context, _ []int) ([]batch.Outcome[int], error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		if _, err := b.Do(t.Context(), 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do: %v, want the batch's deadline", err)
		}
		mustClose(t, b)
	})
}

func TestCloseDrainsWhatWasAcceptedAndRefusesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.New(batch.Options{Name: "test", Workers: 1, MaxQueue: 2}, g.run)
		for in := 1; in <= 3; in++ {
			a.call(t.Context(), b.Do, in)
		}
		a.call(t.Context(), b.Do, 4) // waits for a place
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Close(impatient); !errors.Is(err, context.Canceled) {
			t.Errorf("Close with an ended context: %v", err)
		}
		synctest.Wait()
		a.call(t.Context(), b.Do, 5)
		a.call(t.Context(), b.TryDo, 6)
		close(g.let)
		mustClose(t, b)
		mustClose(t, b) // closing twice is harmless
		a.wg.Wait()
		a.wantDoubled(t, 1, 2, 3)
		a.wantErr(t, batch.ErrClosed, 4, 5, 6)
	})
}

func TestPanicFailsItsBatchOnlyAndHidesTheValue(t *testing.T) {
	b := batch.New(batch.Options{Name: "audit writer"}, func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
		if in[0] == 13 {
			panic("Ada Lovelace, 943 476 5919")
		}
		return doubled(in), nil
	})
	_, err := b.Do(t.Context(), 13)
	var p *batch.PanicError
	if !errors.As(err, &p) || len(p.Stack) == 0 {
		t.Fatalf("Do: %v, want a PanicError with its stack", err)
	}
	if strings.Contains(err.Error(), "Ada") || !strings.Contains(err.Error(), "audit writer") {
		t.Errorf("error %q must name the batcher and not the value", err)
	}
	if out, err := b.Do(t.Context(), 4); err != nil || out != 8 {
		t.Errorf("after a panic: (%d, %v), want 8", out, err)
	}
	mustClose(t, b)
}

func TestWrongNumberOfOutcomesIsAnError(t *testing.T) {
	b := batch.New(batch.Options{Name: "test"}, func(context.Context, []int) ([]batch.Outcome[int], error) {
		return nil, nil
	})
	if _, err := b.Do(t.Context(), 1); err == nil {
		t.Error("a Run that forgot an input answered its caller with success")
	}
	mustClose(t, b)
}

var errBad, errLost = errors.New("bad record"), errors.New("database lost")

// failing fails whole batches: those that hold 3 with errBad, or by a panic,
// and those that hold 4 with errLost.
func failing(batches *[][]int, byPanic bool) batch.Run[int, int] {
	return func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
		*batches = append(*batches, slices.Clone(in))
		switch {
		case slices.Contains(in, 3) && byPanic:
			panic(errBad)
		case slices.Contains(in, 3):
			return nil, errBad
		case slices.Contains(in, 4):
			return nil, errLost
		}
		return doubled(in), nil
	}
}

func TestRetrySingly(t *testing.T) {
	lost := func(err error) bool { return errors.Is(err, errLost) }
	tests := []struct {
		name    string
		o       batch.Options
		byPanic bool
		ins     []int
		want    [][]int // batches
		doubled []int
		failed  map[int]error
	}{
		{
			"one bad record fails alone",
			batch.Options{RetrySingly: true},
			false,
			[]int{2, 3, 5},
			[][]int{{2, 3, 5}, {2}, {3}, {5}},
			[]int{2, 5},
			map[int]error{3: errBad},
		},
		{
			"one panicking record fails alone",
			batch.Options{RetrySingly: true},
			true,
			[]int{2, 3, 5},
			[][]int{{2, 3, 5}, {2}, {3}, {5}},
			[]int{2, 5},
			nil,
		},
		{
			"off: all fail",
			batch.Options{},
			false,
			[]int{2, 3, 5},
			[][]int{{2, 3, 5}},
			nil,
			map[int]error{2: errBad, 3: errBad, 5: errBad},
		},
		{
			"hopeless: not tried",
			batch.Options{RetrySingly: true, Hopeless: lost},
			false,
			[]int{2, 4, 5},
			[][]int{{2, 4, 5}},
			nil,
			map[int]error{2: errLost, 4: errLost, 5: errLost},
		},
		{
			"hopeless on the way: the rest not tried",
			batch.Options{RetrySingly: true, Hopeless: lost},
			false,
			[]int{2, 3, 4, 5},
			[][]int{{2, 3, 4, 5}, {2}, {3}, {4}},
			[]int{2},
			map[int]error{3: errBad, 4: errLost, 5: errLost},
		},
		{
			"alone already: not tried again",
			batch.Options{RetrySingly: true},
			false,
			[]int{3},
			[][]int{{3}},
			nil,
			map[int]error{3: errBad},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, let := newAnswers(), make(chan struct{})
				var batches [][]int
				run := failing(&batches, tt.byPanic)
				tt.o.Name, tt.o.Workers = "test", 1
				b := batch.New(tt.o, func(ctx context.Context, in []int) ([]batch.Outcome[int], error) {
					if in[0] == 0 { // holds the worker while the test's batch queues up
						<-let
						return doubled(in), nil
					}
					return run(ctx, in)
				})
				for _, in := range append([]int{0}, tt.ins...) {
					a.call(t.Context(), b.Do, in)
				}
				close(let)
				a.wg.Wait()
				mustClose(t, b)
				if !slices.EqualFunc(batches, tt.want, slices.Equal) {
					t.Errorf("batches %v, want %v", batches, tt.want)
				}
				a.wantDoubled(t, tt.doubled...)
				for in, want := range tt.failed {
					a.wantErr(t, want, in)
				}
				if tt.byPanic && a.err[3] == nil {
					t.Error("the panicking record was answered with success")
				}
			})
		})
	}
}

// TestCloseUnderLoad has 64 callers that give up at random moments while the
// Batcher is closed under them: every call is answered, no input is run twice,
// and every success was run. That synctest.Test returns shows that no
// goroutine was left.
func TestCloseUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran, succeeded sync.Map
		b := batch.New(batch.Options{Name: "test", MaxBatch: 8, MaxQueue: 16}, func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
			for _, v := range in {
				if _, twice := ran.LoadOrStore(v, true); twice {
					t.Errorf("%d was run twice", v)
				}
			}
			<-time.After(time.Millisecond) // of the bubble's clock
			return doubled(in), nil
		})
		var callers sync.WaitGroup
		var next, refused atomic.Int64
		for caller := range 64 {
			callers.Go(func() {
				for refused.Load() == 0 {
					in := int(next.Add(1))
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(caller+1)*time.Millisecond/4)
					out, err := b.Do(ctx, in)
					cancel()
					switch {
					case err == nil && out == 2*in:
						succeeded.Store(in, true)
					case errors.Is(err, batch.ErrClosed):
						refused.Add(1)
					case !errors.Is(err, context.DeadlineExceeded):
						t.Errorf("%d: (%d, %v)", in, out, err)
					}
				}
			})
		}
		<-time.After(50 * time.Millisecond)
		mustClose(t, b)
		callers.Wait()
		n := 0
		succeeded.Range(func(in, _ any) bool {
			n++
			if _, ok := ran.Load(in); !ok {
				t.Errorf("%v was answered with success and never run", in)
			}
			return true
		})
		if n == 0 || refused.Load() == 0 {
			t.Errorf("%d successes, %d refusals: the test did not load the batcher", n, refused.Load())
		}
	})
}
