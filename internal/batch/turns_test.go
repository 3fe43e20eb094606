package batch_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"irthub/internal/batch"
)

// Versions of one thing follow each other in the order in which they entered; others
// wait for none.
func TestTurnsKeepTheOrderOfOneThing(t *testing.T) {
	t.Parallel()
	var turns batch.Turns
	var all sync.WaitGroup
	var mu sync.Mutex
	got := map[string][]int{}
	for n := range 50 {
		for _, name := range []string{"a", "b"} {
			wait, leave := turns.Enter(name)
			all.Go(func() {
				defer leave()
				if err := wait(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[name] = append(got[name], n)
			})
		}
	}
	all.Wait()
	for name, order := range got {
		for i, n := range order {
			if n != i {
				t.Fatalf("%s: %v", name, order)
			}
		}
	}
}

func TestTurnsGiveUp(t *testing.T) {
	t.Parallel()
	var turns batch.Turns
	_, leave := turns.Enter("a")
	wait, leaveSecond := turns.Enter("a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waited: %v", err)
	}
	leaveSecond()
	leave()
	third, leaveThird := turns.Enter("a")
	defer leaveThird()
	if err := third(t.Context()); err != nil {
		t.Error(err)
	}
}
