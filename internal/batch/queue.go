package batch

// call is one caller's input on its way through a Batcher.
type call[In, Out any] struct {
	in   In
	lane *lane[In, Out]
	done chan Outcome[Out] // holds one, so that a worker never waits for a caller

	// Guarded by the Batcher's mu.
	queued     bool
	prev, next *call[In, Out]
}

// queue is a list of calls, first in first out, from which a caller that gives
// up can be taken out at once: a queue of dead calls must not keep living ones
// waiting for a place.
type queue[In, Out any] struct {
	first, last *call[In, Out]
}

func (q *queue[In, Out]) empty() bool { return q.first == nil }

func (q *queue[In, Out]) push(c *call[In, Out]) {
	c.queued, c.prev = true, q.last
	if q.last == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
}

func (q *queue[In, Out]) remove(c *call[In, Out]) {
	if c.prev == nil {
		q.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.queued, c.prev, c.next = false, nil, nil
}
