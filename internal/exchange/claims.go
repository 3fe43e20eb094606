package exchange

import (
	"context"
	"sync"
	"sync/atomic"
)

// claims remember which row of a file stands for which record, so that a second
// row of one child that says something else is refused and not taken for a
// correction. A row that was itself refused claims nothing.
//
// Rows are settled concurrently. Each that meets an earlier row of the same
// record waits for that one, and for nothing else. What is kept for a settled
// record is 24 bytes, and what a map costs.
type claims struct {
	remembered *atomic.Int64 // rows that the files of this process have claims of

	mu      sync.Mutex
	settled map[claimKey]claim
	pending map[claimKey]*turn // the last row of a record whose outcome is open
	entered int64              // rows
	closed  bool
}

// maxRemembered bounds the rows that the files of a process have claims of, some 50
// bytes each: four files as large as files may be, or any number of small ones.
const maxRemembered = 4 * maxRows

type claimKey [16]byte

// claim is a row and a sum of its content; row 0 is none. Sums of 32 bits are
// enough to tell a row that was sent twice from a corrected one.
type claim struct {
	row uint32 // of a million at most
	sum uint32
}

// turn is a row's place among the rows of one record.
type turn struct {
	key    claimKey
	own    claim
	before *turn // the row to wait for, or nil
	holder claim // who has the record, once done is closed
	done   chan struct{}
}

func newClaims(remembered *atomic.Int64) *claims {
	return &claims{remembered: remembered, settled: map[claimKey]claim{}, pending: map[claimKey]*turn{}}
}

// close forgets what was claimed. A row may still enter: of a file that ended while one
// was read.
func (c *claims) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.remembered.Add(-c.entered)
}

// full tells whether the process has no room for another row.
func (c *claims) full() bool { return c.remembered.Load() >= maxRemembered }

// enter takes the turn of a row, in the order of the file.
func (c *claims) enter(key claimKey, own claim) *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.entered++
		c.remembered.Add(1)
	}
	t := &turn{key: key, own: own, before: c.pending[key], done: make(chan struct{})}
	if t.before == nil {
		t.holder = c.settled[key]
	}
	c.pending[key] = t
	return t
}

// wait returns the claim of the row that has the record, if one has.
func (t *turn) wait(ctx context.Context) (claim, error) {
	if t.before == nil {
		return t.holder, nil
	}
	select {
	case <-t.before.done:
		t.holder = t.before.holder
		t.before = nil // lets go of the rows before
		return t.holder, nil
	case <-ctx.Done():
		return claim{}, ctx.Err()
	}
}

// leave ends the turn: the row has the record now if it was accepted, and else
// whoever had it before.
func (c *claims) leave(t *turn, accepted bool) {
	if accepted && t.holder.row == 0 {
		t.holder = t.own
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[t.key] == t {
		delete(c.pending, t.key)
	}
	if t.holder.row != 0 {
		c.settled[t.key] = t.holder
	}
	close(t.done)
}
