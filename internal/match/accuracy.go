package match

import "maps"

// Rates are the usual three measures.
type Rates struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

func rates(precision, recall float64) Rates {
	return Rates{precision, recall, harmonic(precision, recall)}
}

// Thresholds are the probabilities that decided.
type Thresholds struct {
	Link    float64 `json:"link"`
	Review  float64 `json:"review"`
	Margin  float64 `json:"margin_bits"`
	Counted float64 `json:"counted_as_link"` // Confirm, or Link when only automatic links count
}

// Best is the threshold that does best against the labels, on pairs as they
// were scored, before any are put together. It says how well the score ranks,
// not what the hub would do.
type Best struct {
	Threshold float64 `json:"threshold"`
	Rates
}

// Accuracy is how well records were put together, against the truth.
type Accuracy struct {
	Mode         Mode   `json:"mode"`
	Seed         uint64 `json:"seed"`
	AutoLinkOnly bool   `json:"auto_link_only"`
	// Candidates is how many records, on average, one is compared with.
	Candidates float64 `json:"candidates_per_record"`
	// LinksCounted says in words what AutoLinkOnly means for the figures.
	LinksCounted string     `json:"links_counted"`
	Thresholds   Thresholds `json:"thresholds"`
	Records      int        `json:"records"`
	// Children and Clusters count those that there are, and those made.
	Children int `json:"children"`
	Clusters int `json:"clusters"`
	// TruePairs counts all pairs of one child's records, also those that no
	// blocking key brought together.
	TruePairs int `json:"true_pairs"`
	// LinkedPairs counts the pairs put together, CorrectPairs those rightly.
	LinkedPairs  int   `json:"linked_pairs"`
	CorrectPairs int   `json:"correct_pairs"`
	Pairwise     Rates `json:"pairwise"`
	// B3 is B-cubed, which counts records rather than pairs.
	B3 Rates `json:"b3"`
	// ReviewShare is the share of records about which a person is asked, and Reviews
	// how many questions that are, each about a record and a child that it may be of: a
	// record that fits two children raises two, or one where it was linked to the other.
	// Online they come up as records arrive, in batch mode once all are there and what is
	// sure is linked; in both, nobody has answered any.
	ReviewShare float64 `json:"review_share"`
	Reviews     int     `json:"reviews"`
	// Merged counts the times that children were put together in review, 0 in batch mode.
	Merged int `json:"merged"`
	// FalseLinks counts wrongly linked pairs by what they look like, of
	// FamilyPairs that there are to get wrong (other children of one household).
	FalseLinks  map[Class]int `json:"false_links_by_class"`
	FamilyPairs map[Class]int `json:"family_pairs_by_class"`
	// Rules counts the decisions that a hard rule made.
	Rules map[string]int `json:"rules"`
	// BestPairs is set in batch mode.
	BestPairs *Best `json:"best_over_thresholds,omitempty"`
	// Errors lists wrongly linked pairs by their index, Missed true pairs left
	// apart; at most maxErrors of each.
	Errors [][2]int `json:"-"`
	Missed [][2]int `json:"-"`
}

// maxErrors bounds Accuracy.Errors and Missed.
const maxErrors = 100_000

func (m *Model) newAccuracy(records []Labelled, t Trial) Accuracy {
	a := Accuracy{
		Mode: t.Mode, Seed: t.Seed, AutoLinkOnly: t.AutoLinkOnly, Records: len(records),
		LinksCounted: "automatic links, and of what waits for review what is one child at even odds or better", Rules: map[string]int{},
		Thresholds: Thresholds{m.parameters.Link, m.parameters.Review, m.parameters.Margin, Confirm},
		FalseLinks: map[Class]int{Twin: 0, Sibling: 0, Stranger: 0},
	}
	if t.AutoLinkOnly {
		a.LinksCounted, a.Thresholds.Counted = "automatic links", m.parameters.Link
	}
	a.FamilyPairs = m.families(records)
	return a
}

// families counts the pairs of different children who share a house or a
// telephone, by what they look like.
func (m *Model) families(records []Labelled) map[Class]int {
	households := map[uint64][]int{}
	for i := range records {
		for _, k := range householdKeys(&records[i].Features) {
			households[k] = append(households[k], i)
		}
	}
	found := map[[2]int]bool{}
	count := map[Class]int{Twin: 0, Sibling: 0}
	for _, members := range households {
		if len(members) > trainBlock {
			continue
		}
		for i, x := range members {
			for _, y := range members[:i] {
				if records[x].Truth == records[y].Truth || found[[2]int{y, x}] {
					continue
				}
				found[[2]int{y, x}] = true
				count[m.kinship(&records[x].Features, &records[y].Features)]++
			}
		}
	}
	maps.DeleteFunc(count, func(c Class, _ int) bool { return c == Stranger })
	return count
}

// count fills in the measures from finished clusters.
func (a *Accuracy) count(m *Model, records []Labelled, clusters [][]int) {
	size := map[string]int{}
	for i := range records {
		size[records[i].Truth]++
	}
	a.Children = len(size)
	for _, n := range size {
		a.TruePairs += pairs(n)
	}
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
	a.Pairwise = rates(ratio(a.CorrectPairs, a.LinkedPairs), ratio(a.CorrectPairs, a.TruePairs))
	if n := float64(len(records)); n > 0 {
		a.B3 = rates(precise/n, recalled/n)
	}
	a.Clusters = len(clusters)
	a.missed(records, clusters)
}

// missed lists true pairs that were not put together.
func (a *Accuracy) missed(records []Labelled, clusters [][]int) {
	in := make([]int, len(records))
	for c, cluster := range clusters {
		for _, r := range cluster {
			in[r] = c
		}
	}
	byTruth := map[string][]int{}
	for i := range records {
		truth := records[i].Truth
		for _, other := range byTruth[truth] {
			if in[other] != in[i] && len(a.Missed) < maxErrors {
				a.Missed = append(a.Missed, [2]int{other, i})
			}
		}
		byTruth[truth] = append(byTruth[truth], i)
	}
}

func (a *Accuracy) countFalse(m *Model, records []Labelled, cluster []int) {
	for i, x := range cluster {
		for _, y := range cluster[:i] {
			if records[x].Truth == records[y].Truth {
				continue
			}
			a.FalseLinks[m.kinship(&records[x].Features, &records[y].Features)]++
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
