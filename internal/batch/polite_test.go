package batch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"irthub/internal/batch"
)

// Who calls every now and then while another loads has small batches beside him all the
// while, and loads are back at whole ones when nobody has called for a second.
func TestLoadsArePoliteForASecondAfterASingleCall(t *testing.T) {
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
		// The first load, the single call, and a quarter of a batch of loads at a time.
		want := []int{1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8}
		if len(sizes) < len(want) || !slices.Equal(sizes[:len(want)], want) {
			t.Errorf("batches of %v, want %v first", sizes, want)
		}
		mustClose(t, b)
	})
}

// Where there is one worker only, loads have every other batch.
func TestSingleCallsDoNotStopLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewFair(batch.Options{Name: "test", Workers: 1, MaxBatch: 8}, laneOf, g.run)
		a.call(t.Context(), b.Do, 999)
		for in := 101; in <= 116; in++ {
			a.call(t.Context(), b.TryDo, in)
		}
		for in := -101; in >= -103; in-- {
			a.call(t.Context(), b.Do, in)
		}
		close(g.let)
		a.wg.Wait()
		want := [][]int{{999}, {-101, -102}, {101, 102, 103, 104, 105, 106, 107, 108}, {-103}}
		if len(g.batches) < len(want) || !slices.EqualFunc(g.batches[:len(want)], want, slices.Equal) {
			t.Errorf("batches %v, want %v first", g.batches, want)
		}
		mustClose(t, b)
	})
}

// Loads have a Run of their own beside one of single calls, and no second one.
func TestALoadDoesNotWaitForSingleCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewApart(batch.Options{Name: "test", MaxBatch: 4}, laneOf, func(int) []uint64 { return nil }, g.run)
		for in := 101; in <= 102; in++ {
			a.call(t.Context(), b.TryDo, in)
		}
		for in := -101; in >= -108; in-- {
			a.call(t.Context(), b.Do, in)
		}
		if want := [][]int{{101}, {-101}}; !slices.EqualFunc(g.batches, want, slices.Equal) {
			t.Errorf("batches %v, want %v", g.batches, want)
		}
		close(g.let)
		a.wg.Wait()
		a.wantDoubled(t, 101, 102, -101, -108)
		mustClose(t, b)
	})
}

// Loads rest for half of what their last Run took where somebody called meanwhile.
func TestLoadsRestWhileSingleCallsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Time
		var rests []time.Duration
		run := func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
			if in[0] > 0 {
				<-time.After(time.Millisecond)
				return make([]batch.Outcome[int], len(in)), nil
			}
			if !ended.IsZero() {
				rests = append(rests, time.Since(ended))
			}
			<-time.After(100 * time.Millisecond)
			ended = time.Now()
			return make([]batch.Outcome[int], len(in)), nil
		}
		a := newAnswers()
		b := batch.NewFair(batch.Options{Name: "test", MaxBatch: 4}, laneOf, run)
		a.call(t.Context(), b.TryDo, 101)
		for in := -101; in >= -106; in-- {
			a.call(t.Context(), b.Do, in)
		}
		for start := time.Now(); time.Since(start) < 400*time.Millisecond; {
			if _, err := b.TryDo(t.Context(), 102); err != nil {
				t.Fatal(err)
			}
		}
		a.wg.Wait()
		if want := []time.Duration{50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond, 0, 0}; !slices.Equal(rests, want) {
			t.Errorf("rests of %v, want %v", rests, want)
		}
		mustClose(t, b)
	})
}

// A Run of single calls that hangs holds up single calls for no longer than a second, also
// where loads go on beside it; and one of loads that hung keeps loads away for half a
// second at most.
func TestARunThatHangsBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var began time.Duration // the load that came last
		run := func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
			switch {
			case in[0] == 101 || slices.Contains(in, -199):
				<-time.After(20 * time.Second)
			case in[0] == -100:
				began = time.Since(started)
			default:
				<-time.After(10 * time.Millisecond)
			}
			return make([]batch.Outcome[int], len(in)), nil
		}
		a := newAnswers()
		b := batch.NewApart(batch.Options{Name: "test", MaxBatch: 4}, laneOf, func(int) []uint64 { return nil }, run)
		a.call(t.Context(), b.TryDo, 101)
		for in := -101; in >= -199; in-- {
			a.call(t.Context(), b.Do, in)
		}
		for in := 102; in <= 103; in++ { // the second when the last load hangs
			asked := time.Now()
			if _, err := b.TryDo(t.Context(), in); err != nil || time.Since(asked) > 1100*time.Millisecond {
				t.Errorf("%d was answered after %v: %v", in, time.Since(asked), err)
			}
			<-time.After(10 * time.Second)
		}
		a.call(t.Context(), b.Do, -100)
		a.wg.Wait()
		if began > 23*time.Second {
			t.Errorf("a load began after %v, when the one that hung had ended", began)
		}
		mustClose(t, b)
	})
}
