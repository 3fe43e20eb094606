package batch

import (
	"context"
	"sync"
)

// Turns make the versions of one thing in a stream follow each other where a Batcher
// has several workers. Different things wait for none. The zero value is ready.
type Turns struct {
	mu   sync.Mutex
	last map[string]chan struct{} // closed when the last version of a thing so far is settled
}

// Enter takes the next turn of the thing of that name: wait waits for the one
// before, and leave, which must be called, ends it.
func (t *Turns) Enter(name string) (wait func(context.Context) error, leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = map[string]chan struct{}{}
	}
	own, before := make(chan struct{}), t.last[name]
	t.last[name] = own
	wait = func(ctx context.Context) error {
		if before == nil {
			return nil
		}
		select {
		case <-before:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return wait, func() {
		close(own)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.last[name] == own {
			delete(t.last, name)
		}
	}
}
