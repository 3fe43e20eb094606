package batch

import "time"

// Lane is whose a call is and how it came, for a Batcher that many share: see
// NewFair.
type Lane struct {
	// Key is whose call it is, such as an agency's id. Keys must be few, for what
	// is known of one is kept.
	Key string
	// Bulk says that it is part of a load, behind which nobody waits for this one
	// call. Loads make room for single calls.
	Bulk bool
}

const (
	// bulkShare is the part of a batch that is for loads while single calls come:
	// one in so many. It is theirs, so that single calls cannot stop them, and no
	// more than that, so that a batch that a single call waits for is a small one.
	bulkShare = 16
	// politeFor is for how long after a single call loads keep to their share, since
	// the next such call must wait for the batch under way.
	politeFor = time.Second
	// loadFor is how long a batch of loads alone should take: a single call that comes
	// meanwhile waits for it. Where they take longer such batches become smaller, down
	// to one in leastLoad of the most, for each costs some time of its own.
	loadFor   = 50 * time.Millisecond
	leastLoad = 4
)

// lane is the queue of one Lane.
type lane[In, Out any] struct {
	calls  queue[In, Out]
	bulk   bool
	places chan struct{} // bounds it, so that no lane can fill the Batcher; nil where it has only one
	listed bool          // it is in its group's turns
}

// group is all lanes of one kind, served in turns of one call each. Guarded by
// the Batcher's mu.
type group[In, Out any] struct {
	turns []*lane[In, Out]
	calls int
}

func (g *group[In, Out]) push(l *lane[In, Out], c *call[In, Out]) {
	l.calls.push(c)
	g.calls++
	if !l.listed {
		l.listed = true
		g.turns = append(g.turns, l)
	}
}

func (g *group[In, Out]) remove(c *call[In, Out]) {
	c.lane.calls.remove(c)
	g.calls--
}

// take moves at most so many calls into batch, one of each lane in turn. It
// takes up where it stopped the last time.
func (g *group[In, Out]) take(batch []*call[In, Out], most int) []*call[In, Out] {
	for n := 0; n < most && len(g.turns) > 0; {
		l := g.turns[0]
		if c := l.calls.first; c != nil {
			g.remove(c)
			batch = append(batch, c)
			n++
		}
		l.listed = !l.calls.empty()
		switch {
		case !l.listed:
			g.turns = g.turns[1:]
		case len(g.turns) > 1: // a lane that is alone has every turn
			g.turns = append(g.turns[1:], l)
		}
	}
	return batch
}

// lanes are all that waits in a Batcher.
type lanes[In, Out any] struct {
	single, bulk group[In, Out]
	politeUntil  time.Time // loads keep to their share
	alone        int       // how many calls a batch of loads alone may have; 0: as many as any
}

func (s *lanes[In, Out]) of(l *lane[In, Out]) *group[In, Out] {
	if l.bulk {
		return &s.bulk
	}
	return &s.single
}

func (s *lanes[In, Out]) calls() int { return s.single.calls + s.bulk.calls }

// ready is how many calls the next batch has to choose from; the rest as for take.
func (s *lanes[In, Out]) ready(most int, loading, apart bool) int {
	return s.single.calls + min(s.bulk.calls, s.loadsWith(s.single.calls, most, loading, apart))
}

// loadsWith is how many calls of loads a batch may have beside so many single calls.
func (s *lanes[In, Out]) loadsWith(singles, most int, loading, apart bool) int {
	switch {
	case loading && (singles > 0 || apart):
		return 0
	case time.Now().Before(s.politeUntil):
		return min(most-singles, loadsBeside(most))
	}
	return max(s.loadsAlone(most)-singles, 0)
}

// loadsAlone is how many calls a batch of loads alone may have.
func (s *lanes[In, Out]) loadsAlone(most int) int {
	if s.alone == 0 {
		return most
	}
	return s.alone
}

// took learns how many calls a batch of loads alone should have, from one of so many
// that took so long. From one much smaller nothing is learnt.
func (s *lanes[In, Out]) took(calls int, d time.Duration, most int) {
	now := s.loadsAlone(most)
	if calls < now/2 {
		return
	}
	fit := int(min(int64(calls)*int64(loadFor)/max(int64(d), 1), int64(most)))
	s.alone = max((now+fit)/2, most/leastLoad, 1)
}

// loadsBeside is how many calls of loads a batch may take while single calls come.
func loadsBeside(most int) int { return max(most/bulkShare, 1) }

func (s *lanes[In, Out]) empty() bool { return s.calls() == 0 }

// take composes a batch: single calls first, in turns among the lanes, and of the
// loads their share or, where no single calls come, all that has room. While loading,
// which says that another batch with loads is under way, single calls have none beside
// them, and with apart there are none at all. It tells whether any are in the batch.
func (s *lanes[In, Out]) take(batch []*call[In, Out], most int, loading, apart bool) (taken []*call[In, Out], loads bool) {
	batch = s.single.take(batch, max(most-min(s.bulk.calls, loadsBeside(most)), 1))
	singles := len(batch)
	if singles > 0 {
		s.politeUntil = time.Now().Add(politeFor)
	}
	batch = s.bulk.take(batch, s.loadsWith(singles, most, loading, apart))
	return batch, len(batch) > singles
}
