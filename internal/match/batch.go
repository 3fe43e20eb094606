package match

import (
	"cmp"
	"encoding/binary"
	"runtime"
	"slices"
	"sync"
)

// leastScored is the probability below which a pair is not kept.
const leastScored = 0.01

// scored is a pair of records, the later one first.
type scored struct {
	a, b        int
	weight      float64
	probability float64
	barred      bool // two valid NHS numbers differ
}

// runBatch scores all pairs that share a key, and puts the surest together first. What
// the queue would hold is counted as it is while nobody works through it, as online.
func (m *Model) runBatch(records []Labelled, a *Accuracy) {
	candidates := batchCandidates(records)
	list := m.scoreAll(records, candidates)
	compared := 0
	for i := range candidates {
		compared += len(candidates[i])
	}
	a.Candidates = ratio(compared, max(len(records), 1))
	slices.SortFunc(list, func(x, y scored) int {
		return cmp.Or(cmp.Compare(y.weight, x.weight), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	r := m.putTogether(records, list, true)
	a.Reviews, a.ReviewShare = r.reviews(), ratio(len(r.asked), max(len(records), 1))
	if !a.AutoLinkOnly {
		r = m.putTogether(records, list, false)
	}
	a.Rules = r.rules
	a.count(m, records, r.clusters.clusters())
	a.BestPairs = bestOf(records, list, a.TruePairs)
}

// putTogether goes through scored pairs, the surest first: as the hub by itself, or as
// people would who are asked about the rest.
func (m *Model) putTogether(records []Labelled, list []scored, autoOnly bool) *reviewer {
	r := m.newReviewer(records, newClusters(len(records)), autoOnly)
	for i := range list {
		r.suspect(list[i].a, list[i].b)
	}
	r.work()
	return r
}

// meanFit is the mean probability that a record of the one cluster is the child
// that the records of the other are of together.
func (m *Model) meanFit(records []Labelled, xs, ys []int) float64 {
	sum := 0.0
	for _, x := range xs {
		var all together
		for _, y := range ys {
			c := m.compare(&records[x].Features, &records[y].Features)
			all.add(m, &c)
		}
		r := all.result(m, &Result{})
		sum += r.Probability
	}
	return sum / float64(len(xs))
}

// decideOn decides about one record and one cluster.
func (m *Model) decideOn(records []Labelled, x int, cluster []int) Decision {
	list := make([]Candidate, len(cluster))
	for i, r := range cluster {
		list[i] = Candidate{Child: childKey(cluster[0] + 1), Features: &records[r].Features}
	}
	return m.Decide(&records[x].Features, list)
}

// batchCandidates lists, for each record, the earlier ones that share a key, as
// far as the hub takes them of a block.
func batchCandidates(records []Labelled) [][]int {
	byKey := map[uint64][]int{}
	lists := make([][]int, len(records))
	for i := range records {
		keys := Keys(&records[i].Features)
		block := func(k uint64) []int { return byKey[k] }
		nearest, _ := Nearest(i, keys, block, cmp.Compare[int])
		lists[i] = append(nearest, Likeliest(keys, block, cmp.Compare[int])...)
		for _, k := range keys {
			byKey[k] = append(byKey[k], i)
		}
		slices.Sort(lists[i])
		lists[i] = slices.Compact(lists[i])
	}
	return lists
}

// scoreAll scores on all processors. The order of the result does not matter:
// it is sorted.
func (m *Model) scoreAll(records []Labelled, candidates [][]int) []scored {
	var all []scored
	var mu sync.Mutex
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			var own []scored
			for i := w; i < len(records); i += workers {
				own = m.scoreOne(own, records, i, candidates[i])
			}
			mu.Lock()
			all = append(all, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return all
}

func (m *Model) scoreOne(to []scored, records []Labelled, i int, others []int) []scored {
	for _, j := range others {
		r := m.Score(&records[i].Features, &records[j].Features)
		if r.Probability >= leastScored || r.Levels[FieldNHSNumber] == equal {
			to = append(to, scored{i, j, r.Weight, r.Probability, r.Levels[FieldNHSNumber] == different})
		}
	}
	return to
}

// bestOf finds the threshold with the best F1 over pairs, sorted surest first.
func bestOf(records []Labelled, list []scored, truePairs int) *Best {
	var best Best
	right, n := 0, 0
	for i := range list {
		if list[i].barred {
			continue
		}
		n++
		if records[list[i].a].Truth == records[list[i].b].Truth {
			right++
		}
		if r := rates(ratio(right, n), ratio(right, truePairs)); r.F1 > best.F1 {
			best = Best{list[i].probability, r}
		}
	}
	return &best
}

// clusters are sets of records; each starts alone.
type clusters struct {
	of      []int // cluster, by record
	members [][]int
}

func newClusters(n int) *clusters {
	c := &clusters{of: make([]int, n), members: make([][]int, n)}
	for i := range n {
		c.of[i], c.members[i] = i, []int{i}
	}
	return c
}

// join makes one of the clusters of two records; the smaller moves.
func (c *clusters) join(x, y int) {
	to, from := c.of[x], c.of[y]
	if len(c.members[to]) < len(c.members[from]) {
		to, from = from, to
	}
	for _, r := range c.members[from] {
		c.of[r] = to
	}
	c.members[to] = append(c.members[to], c.members[from]...)
	c.members[from] = nil
}

func (c *clusters) clusters() [][]int {
	return slices.DeleteFunc(c.members, func(m []int) bool { return len(m) == 0 })
}

func childKey(n int) (k ChildKey) {
	binary.BigEndian.PutUint64(k[8:], uint64(n)) //nolint:gosec // a slice index
	return k
}

// Weights scores every pair of records that share a key, for a histogram.
func (m *Model) Weights(records []Features) []float64 {
	labelled := make([]Labelled, len(records))
	for i := range records {
		labelled[i].Features = records[i]
	}
	var weights []float64
	for i, others := range batchCandidates(labelled) {
		for _, j := range others {
			weights = append(weights, m.Score(&records[i], &records[j]).Weight)
		}
	}
	return weights
}

func childNumber(k ChildKey) int {
	return int(binary.BigEndian.Uint64(k[8:])) //nolint:gosec // from childKey
}
