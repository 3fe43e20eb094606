package match

import "math"

// IndexCounts is how often names and dates of birth stand among the children of an
// index, for FromIndex.
type IndexCounts struct {
	Children      int
	Given, Family NameCounts
	// Dates holds the number of children by date of birth, YYYY-MM-DD.
	Dates map[string]int
}

// NameCounts counts children by one of their names, as it is written.
type NameCounts struct {
	// Common holds the names that at least Established children bear.
	Common map[string]int
	// Rare is the number of children with any other name, and RareSquares the sum
	// of the squares of how many bear each.
	Rare, RareSquares int64
}

// Established is how many of n records or children make a name one in use, and not
// a slip of another. No more than a few thousand names can reach it.
func Established(n int) int {
	return max(establishedAt, int(establishedShare*float64(n)))
}

// builtInChildren is how many children the starting model's own table of names
// counts for: it speaks in an index that is new, and is outvoted in one that is not.
const builtInChildren = 2000

// FromIndex makes the frequencies of an index out of its own counts and of a starting
// model's. Names of that table stay in use, and what stands together in it. Equal counts
// give equal frequencies.
func (t *Frequencies) FromIndex(c *IndexCounts) Frequencies {
	out := Frequencies{Texts: t.Texts, OtherText: t.OtherText, FullNames: t.FullNames}
	out.GivenNames, out.OtherGiven = c.Given.shares(c.Children, t.GivenNames, t.OtherGiven, func(written string) []Name {
		names, _ := givenNames(written, "")
		return names
	})
	out.FamilyNames, out.OtherFamily = c.Family.shares(c.Children, t.FamilyNames, t.OtherFamily, func(written string) []Name {
		return familyNames(written, nil)
	})
	dates, n := map[uint32]int{}, 0
	for written, k := range c.Dates {
		if d := parseDate(written); d.full() {
			dates[d.packed()] += k
			n += k
		}
	}
	out.Dates = crowded(dates, n)
	return out
}

// builtInIndexed is how many children the starting model takes an index to hold.
const builtInIndexed = 100_000

// Expect makes the priors those of an index of n children: the more there are, the less
// likely any one of them is the child that is meant, or its twin or sibling. Of fewer
// than the built-in model takes for granted every model expects as many, one learnt from
// a short file too: the index will grow.
func (p *Parameters) Expect(n int) {
	by := p.children() / float64(max(n, builtInIndexed))
	p.Prior[Stranger] = 1
	for _, c := range []Class{SameChild, Twin, Sibling} {
		p.Prior[c] *= by
		p.Prior[Stranger] -= p.Prior[c]
	}
}

// children is how many the priors are of. In a file each record has as many others of
// its child as the prior expects among all.
func (p *Parameters) children() float64 {
	if p.Records == 0 {
		return builtInIndexed
	}
	return float64(p.Records) / (1 + p.Prior[SameChild]*float64(p.Records-1))
}

// shares joins the counts of one kind of name to the starting table, which counts
// as builtInChildren more. A rare name is as common as two children with rare names
// find theirs to be.
func (c *NameCounts) shares(n int, start map[string]float64, startOther float64, names func(string) []Name) (table map[string]float64, other float64) {
	counts := map[string]int{}
	for written, k := range c.Common {
		for _, name := range names(written) {
			counts[name.Joined] += k
		}
	}
	rare := 0.0
	if c.Rare > 0 {
		rare = float64(c.RareSquares) / float64(c.Rare)
	}
	whole := float64(n + builtInChildren)
	joined := func(borne, share float64) float64 { return min((borne+builtInChildren*share)/whole, 1) }
	table = make(map[string]float64, len(counts)+len(start))
	for name, share := range start {
		// Fewer bear it than make it established, and no more than was expected.
		table[name] = joined(min(rare, float64(n)*share), share)
	}
	for name, k := range counts {
		share, ok := start[name]
		if !ok {
			share = startOther
		}
		table[name] = joined(float64(k), share)
	}
	return table, joined(rare, startOther)
}

// Apart is by how many bits two tables weigh a shared name differently, on the
// average over children: of given or of family names, whichever differ more.
func (t *Frequencies) Apart(o *Frequencies) float64 {
	return max(
		apart(t.GivenNames, o.GivenNames, t.OtherGiven, o.OtherGiven),
		apart(t.FamilyNames, o.FamilyNames, t.OtherFamily, o.OtherFamily),
	)
}

func apart(a, b map[string]float64, otherA, otherB float64) float64 {
	sum, weight := 0.0, 0.0
	add := func(name string) {
		x, y := share(a, name, otherA), share(b, name, otherB)
		sum, weight = sum+(x+y)/2*math.Abs(math.Log2(x/y)), weight+(x+y)/2
	}
	for name := range a {
		add(name)
	}
	for name := range b {
		if _, both := a[name]; !both {
			add(name)
		}
	}
	x, y := share(nil, "", otherA), share(nil, "", otherB)
	return sum + max(1-weight, 0)*math.Abs(math.Log2(x/y))
}
