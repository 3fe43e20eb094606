package match

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// Labelled is a record whose child is known, to measure a model with.
type Labelled struct {
	Features Features
	// Truth is any text that only records of one child share.
	Truth string
}

// Accuracy is how well records were put together, against the truth.
type Accuracy struct {
	Records int `json:"records"`
	// TruePairs counts all pairs of one child's records, also those that no
	// blocking key brought together.
	TruePairs int `json:"true_pairs"`
	// LinkedPairs counts the pairs put together, CorrectPairs those rightly.
	LinkedPairs  int     `json:"linked_pairs"`
	CorrectPairs int     `json:"correct_pairs"`
	Precision    float64 `json:"precision"`
	Recall       float64 `json:"recall"`
	F1           float64 `json:"f1"`
	// B3 is the B-cubed F-measure, which counts records rather than pairs.
	B3 float64 `json:"b3"`
	// ReviewShare is the share of records held for a person.
	ReviewShare float64 `json:"review_share"`
	// FalsePairs counts wrongly linked pairs by what they look like.
	FalsePairs map[Class]int `json:"false_pairs"`
	// Rules counts the decisions that a hard rule made.
	Rules map[string]int `json:"rules"`
	// Errors lists wrongly linked pairs by their index, at most a thousand.
	Errors [][2]int `json:"-"`
}

// maxErrors bounds Accuracy.Errors.
const maxErrors = 1000

// EvaluateOnline works as the hub does: records arrive one by one, in an order
// drawn from seed, and each is linked to the best child or becomes a new one.
// A record held for review becomes a child of its own, so only automatic
// links count as links.
func (m *Model) EvaluateOnline(records []Labelled, seed uint64) Accuracy {
	ix := newOnline(records)
	reviews := 0
	a := Accuracy{Records: len(records), Rules: map[string]int{}}
	order := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // an order that can be repeated, not a secret
	for _, i := range order.Perm(len(records)) {
		d := m.Decide(&records[i].Features, ix.candidates(i))
		child := ix.put(i, &d)
		ix.members[child] = append(ix.members[child], i)
		if d.Band == BandReview {
			reviews++
		}
		if d.Rule != "" {
			a.Rules[d.Rule]++
		}
	}
	a.ReviewShare = ratio(reviews, len(records))
	a.count(m, records, ix.members)
	return a
}

// online is the index that EvaluateOnline fills.
type online struct {
	records []Labelled
	keys    [][]uint64
	byKey   map[uint64][]int // children, by key
	members [][]int          // records, by child
	found   []int
	list    []Candidate
}

func newOnline(records []Labelled) *online {
	ix := &online{records: records, byKey: map[uint64][]int{}, keys: make([][]uint64, len(records))}
	for i := range records {
		ix.keys[i] = Keys(&records[i].Features)
	}
	return ix
}

// candidates lists all records of every child that shares a key with record i.
// The list is reused by the next call.
func (ix *online) candidates(i int) []Candidate {
	ix.found, ix.list = ix.found[:0], ix.list[:0]
	for _, k := range ix.keys[i] {
		ix.found = append(ix.found, ix.byKey[k]...)
	}
	slices.Sort(ix.found)
	ix.found = slices.Compact(ix.found)
	for _, child := range ix.found {
		for _, r := range ix.members[child] {
			ix.list = append(ix.list, Candidate{Child: childKey(child), Features: &ix.records[r].Features})
		}
	}
	return ix.list
}

func childKey(n int) (k ChildKey) {
	binary.BigEndian.PutUint64(k[8:], uint64(n)) //nolint:gosec // a slice index
	return k
}

// put enters record i's keys under the child that the decision gives it.
func (ix *online) put(i int, d *Decision) int {
	child := len(ix.members)
	if d.Band == BandLink {
		child = int(binary.BigEndian.Uint64(d.Child[8:])) //nolint:gosec // from childKey
	} else {
		ix.members = append(ix.members, nil)
	}
	for _, k := range ix.keys[i] {
		if !slices.Contains(ix.byKey[k], child) {
			ix.byKey[k] = append(ix.byKey[k], child)
		}
	}
	return child
}

// count fills in the measures from finished clusters.
func (a *Accuracy) count(m *Model, records []Labelled, clusters [][]int) {
	size := map[string]int{}
	for i := range records {
		size[records[i].Truth]++
	}
	for _, n := range size {
		a.TruePairs += pairs(n)
	}
	a.FalsePairs = map[Class]int{}
	var precise, recalled float64
	for _, cluster := range clusters {
		a.LinkedPairs += pairs(len(cluster))
		shared := map[string]int{}
		for _, r := range cluster {
			shared[records[r].Truth]++
		}
		for truth, n := range shared {
			a.CorrectPairs += pairs(n)
			precise += float64(n*n) / float64(len(cluster))
			recalled += float64(n*n) / float64(size[truth])
		}
		if len(shared) > 1 {
			a.countFalse(m, records, cluster)
		}
	}
	a.Precision, a.Recall = ratio(a.CorrectPairs, a.LinkedPairs), ratio(a.CorrectPairs, a.TruePairs)
	a.F1 = harmonic(a.Precision, a.Recall)
	if n := float64(len(records)); n > 0 {
		a.B3 = harmonic(precise/n, recalled/n)
	}
}

func (a *Accuracy) countFalse(m *Model, records []Labelled, cluster []int) {
	for i, x := range cluster {
		for _, y := range cluster[:i] {
			if records[x].Truth == records[y].Truth {
				continue
			}
			a.FalsePairs[m.kinship(&records[x].Features, &records[y].Features)]++
			if len(a.Errors) < maxErrors {
				a.Errors = append(a.Errors, [2]int{y, x})
			}
		}
	}
}

// kinship tells, of two records known to be different children, whether they
// look like twins, siblings or strangers, by household and date of birth.
func (m *Model) kinship(a, b *Features) Class {
	c := m.compare(a, b)
	residence := c.levels[FieldResidence]
	household := residence == residenceSame || residence == residenceAddress || c.levels[FieldTelephone] == equal
	switch born := c.levels[FieldDateOfBirth]; {
	case !household:
		return Stranger
	case born == bornSame || born == bornSwapped || born == bornSlip:
		return Twin
	}
	return Sibling
}

func pairs(n int) int { return n * (n - 1) / 2 }

// ratio is 1 for nothing out of nothing: no mistake was made.
func ratio(n, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(n) / float64(of)
}

func harmonic(p, r float64) float64 {
	if p+r == 0 {
		return 0
	}
	return 2 * p * r / (p + r)
}
