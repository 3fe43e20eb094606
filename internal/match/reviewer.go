package match

import (
	"cmp"
	"container/heap"
	"math"
)

// reviewer stands for the people who work through what is held for review: of the
// children as they are by then, the likeliest two to be one come first, and each
// decision counts for those after it. What else a record may be waits until all
// that is known of it is there.
type reviewer struct {
	m       *Model
	records []Labelled
	*clusters

	// alone is the probability that no other record is of a record's child.
	alone    float64
	autoOnly bool
	queue    suspicions
	joined   int
	asked    map[int][]int // of each record that a person is asked about, one of each child that it may be of
	rules    map[string]int
}

// suspicion is that the children of two records are one.
type suspicion struct {
	x, y   int
	sizes  [2]int // of both children when they were weighed
	weight float64
	same   bool // join them
	held   bool
	rule   string
}

// newReviewer takes clusters to work on. The prior is that of any two records. A
// record whose child has, by that prior, many records among these is hardly a child
// of its own, however little each of them is like it.
func (m *Model) newReviewer(records []Labelled, c *clusters, autoOnly bool) *reviewer {
	others := math.Exp2(m.prior[SameChild]) * float64(len(records))
	return &reviewer{
		m: m, records: records, clusters: c, alone: 1 / (1 + others), autoOnly: autoOnly,
		asked: map[int][]int{}, rules: map[string]int{},
	}
}

// suspect enters two records.
func (r *reviewer) suspect(x, y int) {
	s := suspicion{x: x, y: y}
	if r.of[x] != r.of[y] {
		r.weigh(&s)
		r.queue = append(r.queue, s)
	}
}

// work goes through the queue, the likeliest first. What was weighed before one of
// the two children grew is weighed again.
func (r *reviewer) work() {
	heap.Init(&r.queue)
	for len(r.queue) > 0 {
		s := &r.queue[0]
		switch {
		case r.of[s.x] == r.of[s.y]:
			heap.Pop(&r.queue)
			continue
		case s.sizes != r.sizes(s):
			r.weigh(s)
			heap.Fix(&r.queue, 0)
			continue
		}
		if s.held {
			r.ask(s)
		}
		if s.rule != "" {
			r.rules[s.rule]++
		}
		if s.same {
			r.join(s.x, s.y)
			r.joined++
		}
		heap.Pop(&r.queue)
	}
}

// ask notes what the hub would ask a person: about a record and a child that it may be
// of, once, by whichever of that child's records it came up.
func (r *reviewer) ask(s *suspicion) {
	for _, y := range r.asked[s.x] {
		if r.of[y] == r.of[s.y] {
			return
		}
	}
	r.asked[s.x] = append(r.asked[s.x], s.y)
}

// reviews counts what was asked.
func (r *reviewer) reviews() (n int) {
	for _, children := range r.asked {
		n += len(children)
	}
	return n
}

func (r *reviewer) sizes(s *suspicion) [2]int {
	return [2]int{len(r.members[r.of[s.x]]), len(r.members[r.of[s.y]])}
}

func (r *reviewer) weigh(s *suspicion) {
	s.sizes = r.sizes(s)
	xs, ys := r.members[r.of[s.x]], r.members[r.of[s.y]]
	switch {
	case r.autoOnly:
		r.weighLink(s, xs, ys)
	case len(xs) == 1:
		r.weighRecord(s, xs, ys)
	case len(ys) == 1:
		r.weighRecord(s, ys, xs)
	default:
		r.weighChildren(s, xs, ys)
	}
}

// weighRecord weighs a child of one record; what the hub would ask nobody about is not
// put together. Where a rule would have it looked at, the
// other child's records must fit it, too.
func (r *reviewer) weighRecord(s *suspicion, one, others []int) {
	d := r.m.decideOn(r.records, one[0], others)
	s.weight, s.rule, s.held = d.Result.Weight, d.Rule, d.Band == BandReview
	p := d.Result.Probability
	if d.Rule != "" {
		p = min(p, r.m.meanFit(r.records, others, one))
		s.weight = min(s.weight, weightFrom(p))
	}
	s.same = d.Band != BandNew && d.Rule != RuleDifferentNHSNumber && p/(p+(1-p)*r.alone) >= Confirm
}

// weighChildren weighs two children of several records each, of which none is alone.
func (r *reviewer) weighChildren(s *suspicion, xs, ys []int) {
	p := 0.0
	if !r.numbersDiffer(xs, ys) {
		p = (r.m.meanFit(r.records, xs, ys) + r.m.meanFit(r.records, ys, xs)) / 2
	}
	s.weight, s.rule = weightFrom(p), ""
	s.held, s.same = p >= r.m.parameters.Review, p >= Confirm
}

// weighLink asks for what the hub links by itself: each of the two records to the
// other's child, and all of the one child to the other on the mean.
func (r *reviewer) weighLink(s *suspicion, xs, ys []int) {
	d, e := r.m.decideOn(r.records, s.x, ys), r.m.decideOn(r.records, s.y, xs)
	s.weight, s.rule = min(d.Result.Weight, e.Result.Weight), cmp.Or(d.Rule, e.Rule)
	s.same = d.Band == BandLink && e.Band == BandLink && (len(xs)+len(ys) == 2 ||
		r.m.meanFit(r.records, xs, ys) >= Confirm && r.m.meanFit(r.records, ys, xs) >= Confirm)
	s.held = !s.same && (d.Band == BandReview || e.Band == BandReview)
}

func (r *reviewer) numbersDiffer(xs, ys []int) bool {
	for _, x := range xs {
		for _, y := range ys {
			if a, b := r.records[x].Features.NHS, r.records[y].Features.NHS; a != 0 && b != 0 && a != b {
				return true
			}
		}
	}
	return false
}

// weightFrom is a probability as log2 of the odds, within what can be told apart.
func weightFrom(p float64) float64 {
	p = min(max(p, 1e-12), 1-1e-12)
	return math.Log2(p / (1 - p))
}

// suspicions is a heap, the likeliest on top.
type suspicions []suspicion

// Len is that of heap.Interface.
func (q *suspicions) Len() int { return len(*q) }

// Less puts what weighs most first, and equals in the order of their records.
func (q *suspicions) Less(i, j int) bool {
	a, b := &(*q)[i], &(*q)[j]
	return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y)) < 0
}

// Swap is that of heap.Interface.
func (q *suspicions) Swap(i, j int) { (*q)[i], (*q)[j] = (*q)[j], (*q)[i] }

// Push is that of heap.Interface.
func (q *suspicions) Push(s any) { *q = append(*q, s.(suspicion)) }

// Pop is that of heap.Interface.
func (q *suspicions) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	*q = (*q)[:last]
	return s
}
