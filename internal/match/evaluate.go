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
	// Batch compares all records first and puts the surest pairs together first.
	Batch Mode = "batch"
)

// Trial says how to measure.
type Trial struct {
	Mode Mode
	// Seed draws the order of arrival; the same seed, the same order.
	Seed uint64
	// AutoLinkOnly counts only what the hub links by itself: a record held for
	// review stays apart. Otherwise the reviewer is taken to link what is at
	// least as likely as not one child (Confirm), save where two valid NHS
	// numbers differ.
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
	order := rand.New(rand.NewPCG(a.Seed, 0)) //nolint:gosec // an order that can be repeated, not a secret
	for _, i := range order.Perm(len(records)) {
		narrow, broad := Split(ix.keys[i])
		list := ix.candidates(narrow, nil)
		d := m.Decide(&records[i].Features, list)
		if d.Band != BandLink && len(broad) > 0 {
			list = ix.candidates(narrow, broad)
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
		if a.links(&d) {
			d.Band, d.Child = BandLink, list[d.Member].Child
		}
		child := ix.put(i, &d)
		ix.members[child] = append(ix.members[child], i)
		if a.linksToo(&d) {
			other := ix.standing(childNumber(d.RunnerUp.Child))
			if child != other && m.fit(records, ix.members[child], ix.members[other]) {
				ix.merge(child, other)
				a.Merged++
			}
		}
	}
	a.Candidates = ratio(compared, max(len(records), 1))
	a.ReviewShare = ratio(held, max(len(records), 1))
	a.count(m, records, slices.DeleteFunc(ix.members, func(m []int) bool { return len(m) == 0 }))
}

// links reports a decision that puts the record to its best child.
func (a *Accuracy) links(d *Decision) bool {
	if d.Band == BandLink || a.AutoLinkOnly {
		return d.Band == BandLink
	}
	return d.Member >= 0 && d.Rule != RuleDifferentNHSNumber && d.Result.Probability >= Confirm
}

// linksToo reports that the reviewer, asked about the second child, says that it is
// the record's as well.
func (a *Accuracy) linksToo(d *Decision) bool {
	second := &d.RunnerUp
	return !a.AutoLinkOnly && second.Fits && second.Rule != RuleDifferentNHSNumber && (d.SuspectedDuplicate || second.Probability >= Confirm)
}

// online is the index that fills as records arrive.
type online struct {
	records []Labelled
	keys    [][]uint64       // by record
	byKey   map[uint64][]int // records, by key
	child   []int            // of each record, when it was put
	members [][]int          // records, by child; none of one merged into another
	into    map[int]int      // the child that another was merged into
	found   []int
	list    []Candidate
}

func newOnline(records []Labelled) *online {
	ix := &online{
		records: records, keys: make([][]uint64, len(records)), byKey: map[uint64][]int{},
		child: make([]int, len(records)), into: map[int]int{},
	}
	for i := range records {
		ix.keys[i] = Keys(&records[i].Features)
	}
	return ix
}

// candidates lists all records of every child with a record that shares one of
// the narrow keys, or is one of the likeliest by the broad ones. The list is
// reused by the next call.
func (ix *online) candidates(narrow, broad []uint64) []Candidate {
	ix.found, ix.list = ix.found[:0], ix.list[:0]
	for _, k := range narrow {
		block := ix.byKey[k]
		ix.meet(block[:min(len(block), BlockCap)])
	}
	ix.meet(Likeliest(broad, func(k uint64) []int { return ix.byKey[k] }, cmp.Compare[int]))
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
		ix.found = append(ix.found, ix.standing(ix.child[r]))
	}
}

// standing is the child that a child is now part of, mostly itself.
func (ix *online) standing(child int) int {
	for {
		to, ok := ix.into[child]
		if !ok {
			return child
		}
		child = to
	}
}

// merge makes two children one, as a person does who finds that they are.
func (ix *online) merge(to, from int) {
	ix.into[from] = to
	ix.members[to] = append(ix.members[to], ix.members[from]...)
	ix.members[from] = nil
}

// put enters record i's keys under the child that the decision gives it.
func (ix *online) put(i int, d *Decision) int {
	child := len(ix.members)
	if d.Band == BandLink {
		child = childNumber(d.Child)
	} else {
		ix.members = append(ix.members, nil)
	}
	ix.child[i] = child
	for _, k := range ix.keys[i] {
		ix.byKey[k] = append(ix.byKey[k], i)
	}
	return child
}
