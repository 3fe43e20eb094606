package match

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// Labelled is a record whose child is known, to measure a model with.
type Labelled struct {
	Features Features
	// Truth is any text that only records of one child share.
	Truth string
}

// Mode is how records come to be put together.
type Mode string

// The modes.
const (
	// Online is how the hub works: records arrive one by one, and each is linked
	// to the best child or becomes a new one.
	Online Mode = "online"
	// Batch compares all records first and puts the surest together first, until
	// none are left that are as likely as not one child.
	Batch Mode = "batch"
)

// Trial says how to measure.
type Trial struct {
	Mode Mode
	// Seed draws the order of arrival; the same seed, the same order.
	Seed uint64
	// AutoLinkOnly counts only what the hub links by itself: a record held for
	// review stays apart. Otherwise a reviewer goes through what waits once all
	// records are there, and puts together what is at least as likely as not one
	// child (Confirm), save where two valid NHS numbers differ.
	AutoLinkOnly bool
}

// Confirm is the probability from which a reviewer is taken to say "the same
// child". No label is looked at to choose it: it is the point of even odds.
const Confirm = 0.5

// Evaluate puts the records together and compares the outcome with the truth,
// which nothing before that looks at. Prepare, Keys with their caps, Score and
// Decide are those of the hub.
func (m *Model) Evaluate(records []Labelled, t Trial) Accuracy {
	a := m.newAccuracy(records, t)
	if t.Mode == Batch {
		m.runBatch(records, &a)
	} else {
		m.runOnline(records, &a)
	}
	return a
}

func (m *Model) runOnline(records []Labelled, a *Accuracy) {
	ix := newOnline(records)
	held, compared := 0, 0
	var waiting [][2]int                      // records about which a person is asked, each with one of the child's
	order := rand.New(rand.NewPCG(a.Seed, 0)) //nolint:gosec // an order that can be repeated, not a secret
	for _, i := range order.Perm(len(records)) {
		narrow, broad := Split(ix.keys[i])
		list := ix.candidates(i, narrow)
		d := m.Decide(&records[i].Features, list)
		if d.Band != BandLink && len(broad) > 0 {
			list = ix.candidates(i, ix.keys[i])
			d = m.Decide(&records[i].Features, list)
		}
		compared += len(list)
		if n := d.asks(); n > 0 {
			held++
			a.Reviews += n
		}
		if d.Rule != "" {
			a.Rules[d.Rule]++
		}
		if d.Band == BandReview {
			waiting = append(waiting, [2]int{i, ix.first(d.Child)})
		}
		if d.RunnerUp.Fits {
			waiting = append(waiting, [2]int{i, ix.first(d.RunnerUp.Child)})
		}
		ix.put(i, &d)
	}
	a.Candidates = ratio(compared, max(len(records), 1))
	a.ReviewShare = ratio(held, max(len(records), 1))
	r := m.newReviewer(records, ix.clusters(), a.AutoLinkOnly)
	if !a.AutoLinkOnly {
		for _, w := range waiting {
			r.suspect(w[0], w[1])
		}
		r.work()
		a.Merged = r.joined
	}
	a.count(m, records, r.clusters.clusters())
}

// online is the index that fills as records arrive.
type online struct {
	records []Labelled
	keys    [][]uint64       // by record
	byKey   map[uint64][]int // records, by key
	child   []int            // of each record
	members [][]int          // records, by child
	found   []int
	list    []Candidate
}

func newOnline(records []Labelled) *online {
	ix := &online{
		records: records, keys: make([][]uint64, len(records)), byKey: map[uint64][]int{},
		child: make([]int, len(records)),
	}
	for i := range records {
		ix.keys[i] = Keys(&records[i].Features)
	}
	return ix
}

// candidates lists all records of every child with a record that those keys of record i
// bring. The list is reused by the next call.
func (ix *online) candidates(i int, keys []uint64) []Candidate {
	ix.found, ix.list = ix.found[:0], ix.list[:0]
	block := func(k uint64) []int { return ix.byKey[k] }
	nearest, _ := Nearest(i, keys, block, cmp.Compare[int])
	ix.meet(nearest)
	ix.meet(Likeliest(keys, block, cmp.Compare[int]))
	slices.Sort(ix.found)
	ix.found = slices.Compact(ix.found)
	for _, child := range ix.found {
		for _, r := range ix.members[child] {
			ix.list = append(ix.list, Candidate{Child: childKey(child), Features: &ix.records[r].Features})
		}
	}
	return ix.list
}

// meet finds the children of records.
func (ix *online) meet(records []int) {
	for _, r := range records {
		ix.found = append(ix.found, ix.child[r])
	}
}

// first is the record that a child was made of.
func (ix *online) first(child ChildKey) int { return ix.members[childNumber(child)][0] }

// clusters are the children as sets of records.
func (ix *online) clusters() *clusters {
	c := newClusters(len(ix.records))
	for _, list := range ix.members {
		for _, r := range list[1:] {
			c.join(list[0], r)
		}
	}
	return c
}

// put enters record i under the child that the decision gives it.
func (ix *online) put(i int, d *Decision) {
	child := len(ix.members)
	if d.Band == BandLink {
		child = childNumber(d.Child)
	} else {
		ix.members = append(ix.members, nil)
	}
	ix.child[i] = child
	ix.members[child] = append(ix.members[child], i)
	for _, k := range ix.keys[i] {
		ix.byKey[k] = append(ix.byKey[k], i)
	}
}
