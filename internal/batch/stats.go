package batch

import (
	"sync/atomic"
	"time"
)

// Stats are what a Batcher has done since it was started.
type Stats struct {
	Name     string
	Waiting  int           // inputs queued now
	Inputs   int64         // taken into batches
	Batches  int64         // run
	Failures int64         // batches that failed as a whole
	Time     time.Duration // spent in batches
}

// counters are updated once a batch.
type counters struct{ inputs, batches, failures, nanoseconds atomic.Int64 }

func (c *counters) add(inputs int, took time.Duration, err error) {
	c.inputs.Add(int64(inputs))
	c.batches.Add(1)
	c.nanoseconds.Add(int64(took))
	if err != nil {
		c.failures.Add(1)
	}
}

// Stats may be called at any time.
func (b *Batcher[In, Out]) Stats() Stats {
	b.mu.Lock()
	waiting := b.waiting.single.calls + b.waiting.bulk.calls
	b.mu.Unlock()
	return Stats{
		Name: b.o.Name, Waiting: waiting,
		Inputs: b.done.inputs.Load(), Batches: b.done.batches.Load(), Failures: b.done.failures.Load(),
		Time: time.Duration(b.done.nanoseconds.Load()),
	}
}
