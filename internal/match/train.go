package match

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Training bounds: enough pairs for every level that matters, few enough for a
// minute's work on a million records.
const (
	trainPairs  = 1_000_000 // compared within blocks
	trainRandom = 200_000   // compared at random, for what strangers share by chance
	trainBlock  = 60        // a fuller block tells of a common name, not of children
	trainRounds = 12
)

// Prior knowledge that no unlabelled data can give.
const (
	// maxTwins is the most twins there can be for each pair of siblings: about
	// 3% of children are twins (ONS), and most children have siblings. It is
	// what tells twins from a child with a wrong given name.
	maxTwins = 0.06
	// leastClass keeps a class possible that the data do not show.
	leastClass = 1e-9
)

// strength is how many pairs the starting model counts for in each class.
var strength = [classes]float64{20, 300, 100, 1}

// Train learns a model from records by expectation maximisation, without
// labels, starting from the parameters given (usually Default's). The result
// depends on the set of records only, not on their order. Bands are taken
// over from the start.
//
// It is by households that siblings, and by their number twins, are seen. Where
// most records are of children and have neither address nor telephone, nothing
// shows twins, and the share of twins that the starting model expects is kept:
// a model that had learnt that there are none would merge them.
func Train(version string, from Parameters, records []Features) (Parameters, error) {
	if len(records) < 2 {
		return Parameters{}, fmt.Errorf("train match model: %d records make no pair", len(records))
	}
	records = slices.Clone(records)
	slices.SortFunc(records, compareFeatures)
	from.Version, from.Records = version, len(records)
	from.Frequencies = countNames(records, &from.Frequencies)
	m, err := New(from)
	if err != nil {
		return Parameters{}, err
	}
	list := blockedPairs(records)
	t := trainer{model: m, start: *m, total: float64(pairs(len(records))), twinsHidden: twinsHidden(records)}
	t.blocked = m.compareAll(records, list)
	t.scale = ratio(len(list), len(t.blocked))
	t.random = m.compareAll(records, randomPairs(len(records)))
	for range trainRounds {
		t.round()
	}
	return t.parameters(), nil
}

// childYears is the most years that the births of a children's index span:
// childhood, and some years of records kept after it.
const childYears = 30

// twinsHidden reports records of children that do not show households: fewer
// than half have an address or a telephone, and nine tenths of the years of
// birth lie within childYears. Records of adults are not twins' records by
// default: twins seldom share a file, and hardly ever a household.
func twinsHidden(records []Features) bool {
	households := 0
	var years []uint16
	for i := range records {
		if f := &records[i]; f.Address.Street != "" || len(f.Telephones) > 0 {
			households++
		}
		if y := records[i].Born.Year; y != 0 {
			years = append(years, y)
		}
	}
	if 2*households >= len(records) || len(years) == 0 {
		return false
	}
	slices.Sort(years)
	return years[len(years)*19/20]-years[len(years)/20] <= childYears
}

// compareFeatures orders records by content.
func compareFeatures(a, b Features) int {
	return cmp.Or(cmp.Compare(a.Born.packed(), b.Born.packed()), compareNames(a.Family, b.Family), compareNames(a.Given, b.Given),
		cmp.Compare(a.Postcode, b.Postcode), cmp.Compare(a.Address.Words, b.Address.Words), cmp.Compare(a.NHS, b.NHS),
		cmp.Compare(a.UPN, b.UPN), cmp.Compare(a.Identifier, b.Identifier), slices.Compare(a.Telephones, b.Telephones),
		slices.Compare(a.Middle, b.Middle), slices.Compare(a.Emails, b.Emails), cmp.Compare(a.Other, b.Other), cmp.Compare(a.Sex, b.Sex))
}

func compareNames(a, b []Name) int {
	return slices.CompareFunc(a, b, func(x, y Name) int { return cmp.Compare(x.Joined, y.Joined) })
}

// countNames makes the frequencies of the records. Names of the starting
// table stay in use, at no more than a single record's share.
func countNames(records []Features, start *Frequencies) Frequencies {
	given, family, texts, dates := map[string]int{}, map[string]int{}, map[string]int{}, map[uint32]int{}
	for i := range records {
		for j := range records[i].Given {
			given[records[i].Given[j].Joined]++
		}
		for j := range records[i].Family {
			family[records[i].Family[j].Joined]++
		}
	}
	withText, withDate := 0, 0
	full, withBoth := map[[2]string]int{}, 0
	for i := range records {
		if g, f := records[i].Given, records[i].Family; len(g) > 0 && len(f) > 0 {
			full[[2]string{g[0].Joined, f[0].Joined}]++
			withBoth++
		}
		if s := records[i].Other; s != "" {
			texts[s]++
			withText++
		}
		if d := records[i].Born; d.full() {
			dates[d.packed()]++
			withDate++
		}
	}
	t := Frequencies{Dates: crowded(dates, withDate)}
	for names, share := range crowded(full, withBoth) {
		t.together(names[0], names[1], share)
	}
	if withText > 0 {
		t.Texts, t.OtherText = shares(texts, withText, nil)
	}
	t.GivenNames, t.OtherGiven = shares(given, len(records), start.GivenNames)
	t.FamilyNames, t.OtherFamily = shares(family, len(records), nil)
	return t
}

// crowded are the dates, or full names, that stand in many times more records than
// the usual one does, and in more than one child's records would explain.
func crowded[K comparable](counts map[K]int, n int) map[K]float64 {
	usual := float64(n) / float64(max(len(counts), 1))
	found := map[K]float64{}
	for v, k := range counts {
		if float64(k) > 4*usual+20 {
			found[v] = float64(k) / float64(n)
		}
	}
	return found
}

// establishedAt is how many records make a name one in use, and not a slip;
// establishedShare what share of many, since in a large index the commoner
// misspellings of a common name also stand in several records.
const (
	establishedAt    = 5
	establishedShare = 3e-4
)

func shares(counts map[string]int, n int, known map[string]float64) (table map[string]float64, other float64) {
	table = map[string]float64{}
	single := 1 / float64(max(n, 1))
	established := Established(n)
	rare, rarePairs := 0, 0
	for name, k := range counts {
		if k >= established {
			table[name] = float64(k) * single
			continue
		}
		rare, rarePairs = rare+k, rarePairs+k*k
	}
	for name := range known {
		if _, ok := table[name]; !ok {
			table[name] = float64(max(counts[name], 1)) * single
		}
	}
	if rare == 0 {
		return table, single
	}
	return table, float64(rarePairs) / float64(rare) * single
}

// blockedPairs lists the pairs that share a blocking key or a household, so
// that siblings are met whatever their names.
func blockedPairs(records []Features) [][2]int {
	blocks := map[uint64][]int{}
	for i := range records {
		for _, k := range trainKeys(&records[i]) {
			blocks[k] = append(blocks[k], i)
		}
	}
	var list [][2]int
	for _, block := range blocks {
		if len(block) > trainBlock {
			continue
		}
		for i, x := range block {
			for _, y := range block[:i] {
				list = append(list, [2]int{y, x})
			}
		}
	}
	slices.SortFunc(list, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return slices.Compact(list)
}

func trainKeys(f *Features) []uint64 {
	return append(Keys(f), householdKeys(f)...)
}

// householdKeys are of a house or a telephone, without the child.
func householdKeys(f *Features) []uint64 {
	var k keySet
	if f.Postcode != "" && f.Address.Street != "" {
		k.at(start.text(f.Postcode)).text(KindPostcodeGiven, f.Address.Number)
	}
	for _, t := range f.Telephones {
		k.at(start.number(t)).alone(KindTelephoneGiven)
	}
	return k.list
}

func randomPairs(n int) [][2]int {
	if n < 2 {
		return nil
	}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a sample that can be repeated, not a secret
	list := make([][2]int, min(trainRandom, pairs(n)))
	for i := range list {
		x, y := r.IntN(n), r.IntN(n-1)
		if y >= x {
			y++
		}
		list[i] = [2]int{x, y}
	}
	return list
}

// compareAll compares an even sample of the pairs, at most trainPairs.
func (m *Model) compareAll(records []Features, list [][2]int) []comparison {
	step := max(1, (len(list)+trainPairs-1)/trainPairs)
	out := make([]comparison, 0, len(list)/step+1)
	for i := 0; i < len(list); i += step {
		out = append(out, m.compare(&records[list[i][0]], &records[list[i][1]]))
	}
	return out
}

// trainer holds the model between rounds.
type trainer struct {
	model           *Model
	start           Model
	total           float64 // pairs of records there are
	scale           float64 // blocked pairs there are, for each one compared
	twinsHidden     bool
	blocked, random []comparison
}

// counts are expected pairs by field, level and class.
type counts [numFields][maxLevels][classes]float64

func (t *trainer) round() {
	var seen, met counts
	var found [classes]float64
	for i := range t.blocked {
		p := t.model.classesOf(&t.blocked[i])
		for c := range found {
			found[c] += p[c] * t.scale
		}
		met.add(&t.blocked[i], &[classes]float64{Stranger: p[Stranger] * t.scale})
		p[Stranger] = 0 // met in a block, not by chance
		seen.add(&t.blocked[i], &p)
	}
	for i := range t.random {
		p := t.model.classesOf(&t.random[i])
		seen.add(&t.random[i], &[classes]float64{Stranger: p[Stranger]})
	}
	if t.twinsHidden {
		for _, c := range []Class{Twin, Sibling} {
			found[c] = max(found[c], found[SameChild]*math.Exp2(t.start.prior[c]-t.start.prior[SameChild]))
		}
	}
	t.model.learnPrior(found, t.total)
	seen.raise(&met, float64(len(t.random))/t.total)
	t.learnLevels(&seen)
}

// raise lifts what strangers show by chance to what is known of them from the
// blocks. A level too rare to occur among the random pairs, such as one street
// and one postcode, would otherwise seem impossible for strangers. Blocks see
// only some of all stranger pairs, so that theirs is a lower bound.
func (s *counts) raise(met *counts, scale float64) {
	for f := range s {
		for l := range s[f] {
			s[f][l][Stranger] = max(s[f][l][Stranger], met[f][l][Stranger]*scale)
		}
	}
}

func (s *counts) add(c *comparison, weight *[classes]float64) {
	for f, level := range c.levels {
		if level == NotCompared {
			continue
		}
		for k, w := range weight {
			s[f][level][k] += w
		}
	}
}

// classesOf is the posterior of one compared pair.
func (m *Model) classesOf(c *comparison) [classes]float64 {
	bits := m.prior
	for f := range numFields {
		if c.levels[f] != NotCompared {
			m.add(&bits, c, f)
		}
	}
	p, _ := posterior(&bits)
	return p
}

// learnPrior sets the share of each class among all pairs there are. Pairs
// that met in no block are strangers. Of very few records the siblings that none of
// them can show may come to more than all pairs.
func (m *Model) learnPrior(found [classes]float64, total float64) {
	share := func(c Class) float64 { return min(max(found[c]/total, leastClass), 1) }
	same, sibling := share(SameChild), share(Sibling)
	twin := min(share(Twin), max(maxTwins*sibling, leastClass))
	for c, p := range [classes]float64{same, twin, sibling, max(1-same-twin-sibling, leastClass)} {
		m.prior[c] = math.Log2(p)
	}
}

// learnLevels makes the seen levels the new probabilities, together with what
// the starting model counts for.
func (t *trainer) learnLevels(seen *counts) {
	for f := range numFields {
		for c := range Class(classes) {
			if !fixed(f, c) {
				t.learnField(seen, f, c)
			}
		}
	}
}

func (t *trainer) learnField(seen *counts, f Field, c Class) {
	var total [2]float64
	for l := range levelNames[f] {
		if t.learns(f, Level(l)) {
			total[context(f, Level(l))] += seen[f][l][c] + strength[c]*math.Exp2(t.start.bits[f][l][c])
		}
	}
	for l := range levelNames[f] {
		if t.learns(f, Level(l)) {
			p := (seen[f][l][c] + strength[c]*math.Exp2(t.start.bits[f][l][c])) / total[context(f, Level(l))]
			t.model.bits[f][l][c] = math.Log2(max(p, leastClass))
		}
	}
}

// context numbers the sets of levels of a field whose probabilities add up to
// one: other text is compared in two, by whether the residence agrees.
func context(f Field, l Level) int {
	if f == FieldOther && l >= closeSameThere {
		return 1
	}
	return 0
}

// fixed keeps what defines a class: twins are born on one day and siblings are
// not, and both have names of their own. Learnt, these would drift until the
// class meant something else.
func fixed(f Field, c Class) bool {
	return (c == Twin || c == Sibling) && (f == FieldDateOfBirth || f == FieldGivenName)
}

// learns reports the levels of the starting model, save partial dates, which
// stand instead of the others.
func (t *trainer) learns(f Field, l Level) bool {
	return l != NotCompared && t.start.bits[f][l] != [classes]float64{} && (f != FieldDateOfBirth || l != bornPartial)
}

// parameters writes the learnt model down.
func (t *trainer) parameters() Parameters {
	p := t.model.parameters
	for c, b := range t.model.prior {
		p.Prior[c] = math.Exp2(b)
	}
	p.Levels = map[string]map[string][classes]float64{}
	for f := range numFields {
		levels := map[string][classes]float64{}
		for l, name := range levelNames[f] {
			if t.start.bits[f][l] == [classes]float64{} {
				continue
			}
			var shares [classes]float64
			for c, b := range t.model.bits[f][l] {
				shares[c] = min(math.Exp2(b), 1)
			}
			levels[name] = shares
		}
		p.Levels[f.String()] = levels
	}
	return p
}
