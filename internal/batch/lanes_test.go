package batch_test

import (
	"context"
	"errors"
	"math/rand/v2"
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
			{-101, -201},              // a quarter of a batch, one of each load
			{101, 201, 301, 102, 103}, // single calls of three agencies in turns
			{-102, -103},
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

// A single call shares the database with the batch of loads that it comes beside, which is
// therefore small where the database is slow, and as large as any where it is quick.
func TestLoadsTakeSmallerBatchesWhereTheyAreSlow(t *testing.T) {
	for each, want := range map[time.Duration]int{100 * time.Microsecond: 256, 500 * time.Microsecond: 100, 10 * time.Millisecond: 64} {
		synctest.Test(t, func(t *testing.T) {
			var largest atomic.Int64 // batch of late: where many wait, as large as may be
			run := func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
				largest.Store(max(largest.Load(), int64(len(in))))
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
			<-time.After(20 * time.Second)
			largest.Store(0)
			<-time.After(10 * time.Second)
			if got := int(largest.Load()); got < want*9/10 || got > want*11/10 {
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

// Loads that would only wait for each other leave the other workers to single calls.
func TestLoadsThatShareSomethingAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewApart(batch.Options{Name: "test", MaxBatch: 4}, laneOf, func(int) []uint64 { return []uint64{1} }, g.run)
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

// Two batches of loads are under way at once where they share nothing, and no more: the
// third worker is for single calls.
func TestLoadsThatShareNothingRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		household := func(in int) []uint64 { return []uint64{uint64(-in / 10)} }
		b := batch.NewApart(batch.Options{Name: "test", MaxBatch: 4}, laneOf, household, g.run)
		for _, in := range []int{-101, -111, -102, -121, -131, -141} {
			a.call(t.Context(), b.Do, in)
		}
		a.call(t.Context(), b.TryDo, 101)
		want := [][]int{{-101}, {-111, -121}, {101}} // as soon as two are free, which is half a batch
		if !slices.EqualFunc(g.batches, want, slices.Equal) {
			t.Errorf("batches %v, want %v", g.batches, want)
		}
		close(g.let)
		a.wg.Wait()
		a.wantDoubled(t, 101, -101, -102, -111, -121, -131, -141)
		mustClose(t, b)
	})
}

// Single calls by themselves have two Runs at once, as without loads.
func TestSingleCallsDoNotTakeTheWorkerBesideLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newGate(), newAnswers()
		b := batch.NewApart(batch.Options{Name: "test", Second: 2}, laneOf, func(int) []uint64 { return nil }, g.run)
		for in := 101; in <= 107; in++ {
			a.call(t.Context(), b.TryDo, in)
		}
		if want := [][]int{{101}, {102, 103}}; !slices.EqualFunc(g.batches, want, slices.Equal) {
			t.Errorf("batches %v, want %v", g.batches, want)
		}
		close(g.let)
		a.wg.Wait()
		a.wantDoubled(t, 101, 102, 103, 104, 105, 106, 107)
		mustClose(t, b)
	})
}

// Loads that share too much to be in two Runs are in large ones every other time, and the
// others have room for one beside them.
func TestLoadsThatShareMuchAreInLargeBatches(t *testing.T) {
	for name, c := range map[string]struct {
		shares func(int) []uint64
		want   []int
	}{
		"all share something": {func(in int) []uint64 { return []uint64{0, uint64(-in)} }, []int{1, 16, 4, 16, 4}},
		"none do":             {func(in int) []uint64 { return []uint64{uint64(-in), 1<<32 + uint64(-in)} }, []int{1, 4, 4, 4, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var sizes []int
				run := func(_ context.Context, in []int) ([]batch.Outcome[int], error) {
					mu.Lock()
					sizes = append(sizes, len(in))
					mu.Unlock()
					<-time.After(10 * time.Millisecond)
					return make([]batch.Outcome[int], len(in)), nil
				}
				a := newAnswers()
				b := batch.NewApart(batch.Options{Name: "test", MaxBatch: 16, Room: 8}, laneOf, c.shares, run)
				for in := -1; in >= -60; in-- {
					a.call(t.Context(), b.Do, in)
				}
				a.wg.Wait()
				if len(sizes) < len(c.want) || !slices.Equal(sizes[:len(c.want)], c.want) {
					t.Errorf("batches of %v, want %v first", sizes, c.want)
				}
				mustClose(t, b)
			})
		})
	}
}

// Whatever they share, and when the Batcher is closed: calls of loads that share something
// are never in two Runs at once, whatever single calls come, those of one lane keep their
// order, and all are answered.
func TestLoadsKeepApartAndInOrder(t *testing.T) {
	atOnce := 0 // seeds with few things in common and two Runs at once
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			kinds := 2 + r.Uint64N(60)
			shares := make([][]uint64, 300)
			for i := range shares {
				shares[i] = []uint64{r.Uint64N(kinds), r.Uint64N(kinds)}
			}
			l := newLedger(t, shares)
			b := batch.NewApart(batch.Options{Name: "test", MaxBatch: 16}, l.lane, l.shares, l.run)
			var waits []func() (int, error)
			for in := range shares {
				wait, err := b.Begin(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				waits = append(waits, wait)
				if r.IntN(40) == 0 {
					<-time.After(time.Duration(r.IntN(200)) * time.Millisecond)
				}
			}
			mustClose(t, b)
			for in, wait := range waits {
				if _, err := wait(); err != nil {
					t.Errorf("seed %d: call %d: %v", seed, in, err)
				}
			}
			if l.most > 2 {
				t.Errorf("seed %d: up to %d Runs at once", seed, l.most)
			}
			if kinds > 40 && l.most == 2 {
				atOnce++
			}
		})
	}
	if atOnce < 5 {
		t.Errorf("two Runs at once with %d seeds only", atOnce)
	}
}

// ledger watches what Runs of loads share.
type ledger struct {
	t    *testing.T
	of   [][]uint64 // by input
	mu   sync.Mutex
	runs map[*[]int]bool // under way
	most int             // of them at once
	last map[[2]uint64]int
}

func newLedger(t *testing.T, of [][]uint64) *ledger {
	t.Helper()
	return &ledger{t: t, of: of, runs: map[*[]int]bool{}, last: map[[2]uint64]int{}}
}

func (l *ledger) lane(in int) batch.Lane {
	return batch.Lane{Key: string(rune('a' + in%3)), Bulk: l.load(in)}
}

// load tells the calls of loads: most come in long rows, with single ones between some.
func (l *ledger) load(in int) bool { return in%100 < 60 || in%5 > 0 }

func (l *ledger) shares(in int) []uint64 { return l.of[in] }

func (l *ledger) run(_ context.Context, all []int) ([]batch.Outcome[int], error) {
	l.mu.Lock()
	in := slices.DeleteFunc(slices.Clone(all), func(n int) bool { return !l.load(n) })
	for other := range l.runs {
		for _, n := range in {
			for _, m := range *other {
				if slices.ContainsFunc(l.of[n], func(k uint64) bool { return slices.Contains(l.of[m], k) }) {
					l.t.Errorf("%d runs beside %d, and they share %v and %v", n, m, l.of[n], l.of[m])
				}
			}
		}
	}
	for _, n := range in {
		for _, k := range l.of[n] {
			at := [2]uint64{k, uint64(n % 3)}
			if n < l.last[at] {
				l.t.Errorf("%d ran after %d, of its lane, and they share %d", n, l.last[at], k)
			}
			l.last[at] = n
		}
	}
	if len(in) > 0 {
		l.runs[&in] = true
		l.most = max(l.most, len(l.runs))
	}
	l.mu.Unlock()
	<-time.After(time.Duration(1+(all[0]*7919)%80) * time.Millisecond)
	l.mu.Lock()
	delete(l.runs, &in)
	l.mu.Unlock()
	return make([]batch.Outcome[int], len(all)), nil
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
