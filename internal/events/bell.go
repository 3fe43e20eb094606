package events

import "sync"

// appended rings when this process has put events into an outbox. It does not know
// into which database: whoever listens looks into its own.
var appended bells

// bells wake who listens; several rings may be one.
type bells struct {
	mu  sync.Mutex
	all map[chan struct{}]bool
}

func (b *bells) listen() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[chan struct{}]bool{}
	}
	bell := make(chan struct{}, 1)
	b.all[bell] = true
	return bell
}

func (b *bells) leave(bell chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, bell)
}

func (b *bells) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for bell := range b.all {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}
