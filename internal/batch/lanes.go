package batch

import (
	"math"
	"slices"
	"time"
)

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
	// politeFor is for how long after a single call loads are polite: one Run of theirs
	// at a time, and a smaller one. The next such call may have to wait for what is under
	// way.
	politeFor = time.Second
	// loadFor is how long a Run of loads should take: a single call that comes meanwhile
	// has the database and the processors beside it. Where they take longer such Runs
	// become smaller, down to one in leastLoad of the most, for each costs some time of its
	// own. Polite ones have that many.
	loadFor   = 50 * time.Millisecond
	leastLoad = 4
	// restPart is for what part of the time that a Run of loads took loads rest, if single
	// calls came meanwhile: of a second at most, since it may have hung.
	restPart = 2
	// loadsAtOnce is how many Runs of NewApart are of loads.
	loadsAtOnce = 2
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

// apart lists at most so many calls, one of each lane in turn, that share nothing with
// those under way, nor with an earlier one that is not listed, and no more than room
// things in all. It looks at no more than twice as many. It tells whether they are as
// many as may be.
func (g *group[In, Out]) apart(most, room int, shares func(In) []uint64, underWay map[uint64]int) (list []*call[In, Out], full bool) {
	next := make([]*call[In, Out], len(g.turns))
	for i, l := range g.turns {
		next[i] = l.calls.first
	}
	left := map[uint64]bool{}
	busy := func(k uint64) bool { return underWay[k] > 0 || left[k] }
	for looked, before := 0, -1; looked != before && looked < 2*most; {
		before = looked
		for i, c := range next {
			if c == nil {
				continue
			}
			looked++
			next[i] = c.next
			all := shares(c.in)
			if slices.ContainsFunc(all, busy) {
				for _, k := range all {
					left[k] = true
				}
				continue
			}
			if room -= len(all); room < 0 && len(list) > 0 {
				return list, true
			}
			if list = append(list, c); len(list) == most {
				return list, true
			}
		}
	}
	return list, false
}

// takeOut moves calls into batch, and gives another lane the first turn.
func (g *group[In, Out]) takeOut(batch, list []*call[In, Out]) []*call[In, Out] {
	if len(list) == 0 {
		return batch
	}
	for _, c := range list {
		g.remove(c)
	}
	g.turns = append(g.turns[1:], g.turns[0])
	g.turns = slices.DeleteFunc(g.turns, func(l *lane[In, Out]) bool {
		l.listed = !l.calls.empty()
		return !l.listed
	})
	return append(batch, list...)
}

// lanes are all that waits in a Batcher, and what they must know of the Runs under way.
type lanes[In, Out any] struct {
	single, bulk group[In, Out]
	serving      int       // Runs of single calls under way
	served       time.Time // when the last of them began
	loading      int       // Runs of loads under way
	loaded       time.Time // when the last of them began
	loadsNext    bool      // where both wait: the Run before was of single calls
	politeUntil  time.Time // loads are polite
	restUntil    time.Time // loads rest
	alone        int       // how many calls a Run of loads may have; 0: as many as any

	shares   func(In) []uint64 // of NewApart, else nil
	room     int               // how many things may be shared in one Run of loads that has another beside it
	underWay map[uint64]int    // what calls of loads in Runs share, and how many of them do
	crossed  int               // how many waited when too many of them shared something with those; 0: none did
	together bool              // they did: the next Run of loads is not bound to room, and then alone
}

// turn is whose the next Run is.
type turn int

const (
	nobodys turn = iota
	singles
	loads
)

func (s *lanes[In, Out]) of(l *lane[In, Out]) *group[In, Out] {
	if l.bulk {
		return &s.bulk
	}
	return &s.single
}

func (s *lanes[In, Out]) calls() int { return s.single.calls + s.bulk.calls }

// next tells whose Run should begin beside those under way. One at a time makes batches
// as large as they get, and a batch costs little more than a single call does: at 256
// readers two Runs at a time cost the database and the hub a third more CPU for each. So
// single calls have a second Run only where one is stuck, or where as many wait as are
// worth it; but they do not wait for loads, nor loads for them. When closed, nothing more
// will come.
func (s *lanes[In, Out]) next(o *Options, closed bool) turn {
	singlesUrgent := closed || s.serving > 0 && time.Since(s.served) > stuck
	loadsUrgent := closed || s.loading > 0 && time.Since(s.loaded) > stuck
	if s.shares != nil && s.serving+s.loading == loadsAtOnce && s.loading < loadsAtOnce && !singlesUrgent && !loadsUrgent {
		return nobodys // the third is for single calls beside two Runs of loads
	}
	single := s.single.calls > 0 && (s.serving == 0 || s.single.calls >= o.Second || singlesUrgent)
	load := (closed || !time.Now().Before(s.restUntil)) && s.loadsDue(o.MaxBatch, loadsUrgent)
	switch {
	case single && !(load && s.loadsNext):
		return singles
	case load:
		return loads
	}
	return nobodys
}

// loadsDue tells whether loads have cause for a Run, now or when single calls have theirs.
func (s *lanes[In, Out]) loadsDue(most int, urgent bool) bool {
	switch {
	case s.bulk.calls == 0 || s.loading == 0:
		return s.bulk.calls > 0
	case s.polite() || s.single.calls > 0:
		return false
	case s.shares != nil && (len(s.underWay) > s.room || s.loading == loadsAtOnce || s.stillCrossed(most)):
		return false
	}
	return urgent || s.bulk.calls >= s.worthARun(most)
}

func (s *lanes[In, Out]) polite() bool { return time.Now().Before(s.politeUntil) }

// stillCrossed tells that few have come since it was found that too many share something
// with what is under way: looking again costs.
func (s *lanes[In, Out]) stillCrossed(most int) bool {
	return s.crossed > 0 && s.bulk.calls < s.crossed+max(s.loadsAlone(most)/4, 1)
}

// loadsAlone is how many calls a Run of loads may have while no single calls come.
func (s *lanes[In, Out]) loadsAlone(most int) int {
	if s.alone == 0 {
		return most
	}
	return s.alone
}

// worthARun is how many calls are worth a Run beside another.
func (s *lanes[In, Out]) worthARun(most int) int { return max(s.loadsAlone(most)/2, 1) }

// loadsPolite is how many calls a Run of loads may have while single calls come.
func loadsPolite(most int) int { return max(most/leastLoad, 1) }

// took learns how many calls a Run of loads should have, from one of so many that took so
// long. Nothing is learnt from one much smaller that took less than it may, nor from a
// polite one, which has others beside it.
func (s *lanes[In, Out]) took(calls int, d time.Duration, most int) {
	now := s.loadsAlone(most)
	if calls < now/2 && (d < loadFor || calls <= loadsPolite(most)) {
		return
	}
	fit := int(min(int64(calls)*int64(loadFor)/max(int64(d), 1), int64(most)))
	s.alone = max((now+fit)/2, loadsPolite(most))
}

func (s *lanes[In, Out]) empty() bool { return s.calls() == 0 }

// take composes the batch of a Run, in turns among the lanes.
func (s *lanes[In, Out]) take(batch []*call[In, Out], whose turn, most int) []*call[In, Out] {
	if whose == singles {
		now := time.Now()
		s.loadsNext, s.politeUntil = true, now.Add(politeFor)
		s.serving, s.served = s.serving+1, now
		return s.single.take(batch, most)
	}
	s.loadsNext = false
	if batch = s.takeLoads(batch, most); len(batch) > 0 {
		s.loading, s.loaded = s.loading+1, time.Now()
		s.count(batch)
	}
	return batch
}

// takeLoads takes calls of loads. Beside another Run with some it takes none rather than
// few, for each Run costs some time of its own.
func (s *lanes[In, Out]) takeLoads(batch []*call[In, Out], most int) []*call[In, Out] {
	n, polite := s.loadsAlone(most), s.polite()
	if polite {
		n = min(n, loadsPolite(most))
	}
	if s.shares == nil {
		return s.bulk.take(batch, n)
	}
	room := s.room
	if s.loading == 0 && s.together && !polite {
		room, s.together = math.MaxInt, false
	}
	list, full := s.bulk.apart(n, room, s.shares, s.underWay)
	if s.loading > 0 && !full && len(list) < s.worthARun(most) {
		s.crossed, s.together = s.bulk.calls, true
		return batch
	}
	return s.bulk.takeOut(batch, list)
}

// count adds what calls of loads share to what is under way.
func (s *lanes[In, Out]) count(loads []*call[In, Out]) {
	if s.shares == nil {
		return
	}
	for _, c := range loads {
		for _, k := range s.shares(c.in) {
			s.underWay[k]++
		}
	}
}

// end takes it off again, when a Run of loads with such inputs has ended that took so long,
// and tells for how long loads rest.
func (s *lanes[In, Out]) end(loads []In, took time.Duration) (rest time.Duration) {
	s.loading--
	if s.loadsNext { // single calls came meanwhile
		rest = min(took, politeFor) / restPart
		s.restUntil = time.Now().Add(rest)
	}
	s.crossed = 0
	if s.shares != nil {
		for _, in := range loads {
			for _, k := range s.shares(in) {
				if s.underWay[k]--; s.underWay[k] == 0 {
					delete(s.underWay, k)
				}
			}
		}
	}
	return rest
}
