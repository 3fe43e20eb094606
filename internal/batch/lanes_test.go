package batch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"irthub/internal/batch"
)

// Inputs of the tests below: the agency in the hundreds, negative for a load.
func laneOf(in int) batch.Lane {
	if in < 0 {
		return batch.Lane{Key: string(rune('a' - in/100)), Bulk: true}
	}
	return batch.Lane{Key: string(rune('a' + in/100))}
}

func TestEveryLaneHasATurnInEveryBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewFair(batch.Options{Name: "test", Workers: 1, MaxBatch: 8}, laneOf, g.run)
		a.call(t.Context(), b.Do, 999) // holds the worker while the others queue
		for _, in := range []int{-101, -102, -103, -104, -105, -106, -107, -108, -109, -110} {
			a.call(t.Context(), b.Do, in)
		}
		a.call(t.Context(), b.Do, -201)
		for _, in := range []int{101, 102, 103, 201, 301} {
			a.call(t.Context(), b.TryDo, in)
		}
		close(g.let)
		a.wg.Wait()
		want := [][]int{
			{999},
			// Single calls of three agencies in turns, and of the loads one in eight, which
			// is the first in turn.
			{101, 201, 301, 102, 103, -101},
			{-201}, // the load that came last has the next turn
			{-102}, // loads keep to their share for a while
		}
		if len(g.batches) < len(want) || !slices.EqualFunc(g.batches[:len(want)], want, slices.Equal) {
			t.Errorf("batches %v, want %v first", g.batches, want)
		}
		mustClose(t, b)
	})
}

func TestLoadsTakeWholeBatchesWhereNoSingleCallsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewFair(batch.Options{Name: "test", Workers: 1, MaxBatch: 8}, laneOf, g.run)
		for in := -101; in >= -118; in-- {
			a.call(t.Context(), b.Do, in)
		}
		close(g.let)
		a.wg.Wait()
		var sizes []int
		for _, one := range g.batches {
			sizes = append(sizes, len(one))
		}
		if !slices.Equal(sizes, []int{1, 8, 8, 1}) {
			t.Errorf("batches of %v, want 1, 8, 8, 1", sizes)
		}
		mustClose(t, b)
	})
}

// Who calls every now and then while another loads waits for small batches all the
// while, and loads are back at whole ones when nobody has called for a second.
func TestLoadsKeepToTheirShareForASecondAfterASingleCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		run := func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
			sizes = append(sizes, len(in))
			<-time.After(100 * time.Millisecond)
			return make([]batch.Outcome[int], len(in)), nil
		}
		a, load := newAnswers(), 0
		b := batch.NewFair(batch.Options{Name: "test", Workers: 1, MaxBatch: 8}, laneOf, run)
		for range 40 {
			load--
			a.call(t.Context(), b.Do, load)
		}
		a.call(t.Context(), b.TryDo, 1)
		a.wg.Wait()
		// The first load was alone; the single call has one load beside it, and one each
		// comes after it for a second.
		want := []int{1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 8}
		if len(sizes) < len(want) || !slices.Equal(sizes[:len(want)], want) {
			t.Errorf("batches of %v, want %v first", sizes, want)
		}
		mustClose(t, b)
	})
}

// A single call that comes at any time waits for a batch of loads, which is therefore
// small where a database is slow, and as large as any where it is quick.
func TestLoadsTakeSmallerBatchesWhereTheyAreSlow(t *testing.T) {
	for each, want := range map[time.Duration]int{100 * time.Microsecond: 256, 500 * time.Microsecond: 100, 10 * time.Millisecond: 64} {
		synctest.Test(t, func(t *testing.T) {
			var last atomic.Int64
			run := func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
				last.Store(int64(len(in)))
				<-time.After(time.Duration(len(in)) * each)
				return make([]batch.Outcome[int], len(in)), nil
			}
			b := batch.NewFair(batch.Options{Name: "test", Workers: 1, MaxBatch: 256, MaxQueue: 4 * 300}, laneOf, run)
			calls, stop := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for range 300 {
				callers.Go(func() {
					for calls.Err() == nil {
						_, _ = b.Do(calls, -1)
					}
				})
			}
			<-time.After(30 * time.Second)
			if got := int(last.Load()); got < want*9/10 || got > want*11/10 {
				t.Errorf("%v each: batches of %d, want about %d", each, got, want)
			}
			stop()
			callers.Wait()
			mustClose(t, b)
		})
	}
}

// A single call begins at once, and without loads beside it, where only loads are under
// way; the next waits for it.
func TestASingleCallDoesNotWaitForALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewFair(batch.Options{Name: "test", Workers: 2, MaxBatch: 32}, laneOf, g.run)
		for in := -101; in >= -110; in-- {
			a.call(t.Context(), b.Do, in)
		}
		a.call(t.Context(), b.TryDo, 101)
		a.call(t.Context(), b.TryDo, 102)
		if want := [][]int{{-101}, {101}}; !slices.EqualFunc(g.batches, want, slices.Equal) {
			t.Errorf("batches %v, want %v", g.batches, want)
		}
		close(g.let)
		a.wg.Wait()
		a.wantDoubled(t, 101, 102, -101, -110)
		mustClose(t, b)
	})
}

// Loads that would only wait for each other leave the second worker to single calls.
func TestLoadsApartLeaveAWorkerToSingleCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewFair(batch.Options{Name: "test", Workers: 2, MaxBatch: 4, LoadsApart: true}, laneOf, g.run)
		for in := -101; in >= -110; in-- {
			a.call(t.Context(), b.Do, in)
		}
		<-time.After(2 * time.Second) // also where the first is stuck
		a.call(t.Context(), b.Do, -111)
		a.call(t.Context(), b.TryDo, 101)
		if want := [][]int{{-101}, {101}}; !slices.EqualFunc(g.batches, want, slices.Equal) {
			t.Errorf("batches %v, want %v", g.batches, want)
		}
		close(g.let)
		a.wg.Wait()
		a.wantDoubled(t, 101, -101, -111)
		mustClose(t, b)
	})
}

func TestSingleCallsDoNotStopLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewFair(batch.Options{Name: "test", Workers: 1, MaxBatch: 8}, laneOf, g.run)
		a.call(t.Context(), b.Do, 999)
		for in := 101; in <= 116; in++ {
			a.call(t.Context(), b.TryDo, in)
		}
		a.call(t.Context(), b.Do, -101)
		close(g.let)
		a.wg.Wait()
		if second := g.batches[1]; len(second) != 8 || second[7] != -101 {
			t.Errorf("the first batch after the load came is %v, want seven single calls and the load's", second)
		}
		mustClose(t, b)
	})
}

// One agency that sends as much as it can, both ways, is refused and slowed down
// itself, while others still find a place.
func TestNoLaneFillsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewFair(batch.Options{Name: "test", Workers: 1, MaxQueue: 8}, laneOf, g.run)
		a.call(t.Context(), b.Do, 999)
		for in := 101; in <= 104; in++ {
			a.call(t.Context(), b.TryDo, in)
		}
		a.call(t.Context(), b.TryDo, 105)
		a.wantErr(t, batch.ErrFull, 105)
		a.call(t.Context(), b.TryDo, 201) // another agency has its place
		for in := -101; in >= -104; in-- {
			a.call(t.Context(), b.Do, in) // two have places, two wait for one
		}
		a.call(t.Context(), b.TryDo, -201)
		gone, cancel := context.WithCancel(t.Context())
		a.call(gone, b.Do, -105)
		cancel()
		synctest.Wait()
		a.wantErr(t, context.Canceled, -105)
		for in, err := range a.err {
			if in != 105 && in != -105 {
				t.Errorf("caller %d was answered: %v", in, err)
			}
		}
		close(g.let)
		a.wg.Wait()
		a.wantDoubled(t, 101, 102, 103, 104, 201, -101, -102, -103, -104, -201)
		mustClose(t, b)
		if _, err := b.TryDo(t.Context(), 101); !errors.Is(err, batch.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
