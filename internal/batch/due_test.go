package batch_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"irthub/internal/batch"
)

// A second Run begins beside another only where half a batch waits, or as many single
// calls as are worth it, or where the other does not come back: so batches are as
// large as they can be.
func TestASecondRunNeedsCause(t *testing.T) {
	for name, c := range map[string]struct {
		maxBatch int
		second   int
		pause    time.Duration
		want     [][]int // once everybody has asked, with the first under way
	}{
		"few wait":         {100, 0, 0, [][]int{{1}}},
		"half a batch":     {4, 0, 0, [][]int{{1}, {2, 3}}},
		"worth a second":   {100, 2, 0, [][]int{{1}, {2, 3}}},
		"the first hangs":  {100, 0, 2 * time.Second, [][]int{{1}, {2}}}, // which nobody has to ask for
		"the first is new": {100, 0, time.Millisecond, [][]int{{1}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, a := newGate(), newAnswers()
				b := batch.New(batch.Options{Name: "test", MaxBatch: c.maxBatch, Second: c.second}, g.run)
				a.call(t.Context(), b.Do, 1)
				a.call(t.Context(), b.Do, 2)
				<-time.After(c.pause)
				a.call(t.Context(), b.Do, 3)
				if !slices.EqualFunc(g.batches, c.want, slices.Equal) {
					t.Errorf("batches %v, want %v", g.batches, c.want)
				}
				close(g.let)
				a.wg.Wait()
				a.wantDoubled(t, 1, 2, 3)
				mustClose(t, b)
			})
		})
	}
}
