package match

import (
	"fmt"
	"math"
)

// Parameters is a model as it is stored and trained: plain numbers, JSON-ready.
type Parameters struct {
	// Version names the model; it is stored with every decision.
	Version string `json:"version"`
	// Records is how many records the priors were learnt from, 0 for those set by hand.
	Records int `json:"records,omitempty"`
	// Prior is the share of each class among all pairs of records, not only
	// those that share a blocking key. In the order of Class.
	Prior [classes]float64 `json:"prior"`
	// Levels holds, by field and level name, the probability of the level in
	// each class given that both records hold the field. A level left out
	// counts as not compared.
	Levels map[string]map[string][classes]float64 `json:"levels"`
	// Frequencies adjusts what an equal name says about strangers.
	Frequencies Frequencies `json:"frequencies"`
	// Link and Review are the probabilities from which a record is linked, or
	// held for a person to look at.
	Link   float64 `json:"link"`
	Review float64 `json:"review"`
	// Margin is by how many bits (log2 odds) the best child must exceed the
	// second, when that one could be linked too.
	Margin float64 `json:"margin"`
}

// Model scores pairs. It is immutable and safe for concurrent use.
type Model struct {
	// Version is that of its parameters.
	Version string

	parameters  Parameters
	frequencies *Frequencies
	prior       [classes]float64 // log2
	bits        [numFields][maxLevels][classes]float64
}

// New compiles parameters. It refuses unknown fields and levels, probabilities
// outside (0, 1] and bands out of order.
func New(p Parameters) (*Model, error) {
	m := &Model{Version: p.Version, parameters: p}
	m.frequencies = &m.parameters.Frequencies
	for c, share := range p.Prior {
		if !(share > 0 && share <= 1) {
			return nil, fmt.Errorf("match model %q: prior of %s is not within (0, 1]", p.Version, Class(c))
		}
		m.prior[c] = math.Log2(share)
	}
	if !(0 < p.Review && p.Review <= p.Link && p.Link < 1) {
		return nil, fmt.Errorf("match model %q: want 0 < review <= link < 1", p.Version)
	}
	for name, levels := range p.Levels {
		if err := m.compile(name, levels); err != nil {
			return nil, fmt.Errorf("match model %q: %w", p.Version, err)
		}
	}
	return m, nil
}

func (m *Model) compile(field string, levels map[string][classes]float64) error {
	f, ok := fieldNamed(field)
	if !ok {
		return fmt.Errorf("no field %q", field)
	}
	for name, shares := range levels {
		l, ok := levelNamed(f, name)
		if !ok {
			return fmt.Errorf("field %q has no level %q", field, name)
		}
		for c, share := range shares {
			if !(share > 0 && share <= 1) {
				return fmt.Errorf("field %q, level %q: probability for %s is not within (0, 1]", field, name, Class(c))
			}
			m.bits[f][l][c] = math.Log2(share)
		}
	}
	return nil
}

func fieldNamed(name string) (Field, bool) {
	for f, n := range fieldNames {
		if n == name {
			return Field(f), true
		}
	}
	return 0, false
}

func levelNamed(f Field, name string) (Level, bool) {
	for l, n := range levelNames[f] {
		if n == name && l > 0 {
			return Level(l), true
		}
	}
	return 0, false
}

// Parameters returns what the model was made from; treat it as read-only.
func (m *Model) Parameters() Parameters { return m.parameters }

// Result is the score of one pair.
type Result struct {
	// Weight is the evidence that both records are the same child against
	// everything else they may be, as log2 of the odds, prior included.
	Weight float64 `json:"weight"`
	// Probability of the same child: Weight as a probability.
	Probability float64 `json:"probability"`
	// Class is the likeliest class.
	Class Class `json:"class"`
	// Posterior holds the probability of each class, in the order of Class.
	Posterior [classes]float64 `json:"posterior"`
	// Levels is the level of each field, by Field.
	Levels [numFields]Level `json:"-"`
	// Fields is the waterfall, only from Explain and Decide: the fields that
	// spoke, in order, so that PriorWeight plus their weights is Weight.
	Fields []FieldWeight `json:"fields,omitempty"`
	// PriorWeight is where the waterfall starts; set with Fields.
	PriorWeight float64 `json:"prior_weight,omitempty"`
}

// FieldWeight is what one field added to the weight, given the fields before
// it: once a pair looks like one family, an equal address adds nothing more.
type FieldWeight struct {
	Field  string  `json:"field"`
	Level  string  `json:"level"`
	Weight float64 `json:"weight"`
}

// Score compares two records. Score(a, b) equals Score(b, a). It does not
// allocate; Fields is left nil.
func (m *Model) Score(a, b *Features) Result {
	c := m.compare(a, b)
	return m.result(&c)
}

// Explain is Score with the waterfall.
func (m *Model) Explain(a, b *Features) Result {
	c := m.compare(a, b)
	r := m.result(&c)
	m.waterfall(&r, &c.levels, func(bits *[classes]float64, f Field) { m.add(bits, &c, f) })
	return r
}

// waterfall tells how a result came about: the fields that were compared, by their
// levels, and what add puts to the weight for each.
func (m *Model) waterfall(r *Result, levels *[numFields]Level, add func(bits *[classes]float64, f Field)) {
	bits := m.prior
	r.PriorWeight = weightOf(&bits)
	before := r.PriorWeight
	for f := Field(0); f < numFields; f++ {
		if levels[f] == NotCompared {
			continue
		}
		add(&bits, f)
		after := weightOf(&bits)
		r.Fields = append(r.Fields, FieldWeight{f.String(), LevelName(f, levels[f]), after - before})
		before = after
	}
}

func (m *Model) result(c *comparison) Result {
	bits := m.prior
	for f := Field(0); f < numFields; f++ {
		if c.levels[f] != NotCompared {
			m.add(&bits, c, f)
		}
	}
	return resultOf(&bits, c.levels)
}

func resultOf(bits *[classes]float64, levels [numFields]Level) Result {
	r := Result{Weight: weightOf(bits), Levels: levels}
	r.Probability = 1 / (1 + math.Exp2(-r.Weight))
	r.Posterior, r.Class = posterior(bits)
	return r
}

// add puts one field's evidence to each class.
func (m *Model) add(bits *[classes]float64, c *comparison, f Field) {
	level := &m.bits[f][c.levels[f]]
	for k := range bits {
		bits[k] += level[k]
	}
	switch {
	case f == FieldGivenName && c.levels[f] == nameExact:
		bits[Stranger] += math.Log2(c.givenShare) - level[Stranger]
	case f == FieldGivenName && c.levels[f] == nameCrossed:
		// A stranger has these names crossed if he bears both and, as often as
		// one child's records do, crossed.
		bits[Stranger] += math.Log2(c.givenShare) + level[SameChild] - level[Stranger]
	case f == FieldOther && c.textShare > 0:
		bits[Stranger] += math.Log2(c.textShare) - level[Stranger]
	case f == FieldDateOfBirth && c.bornShare > 0:
		bits[Stranger] += max(math.Log2(c.bornShare)-level[Stranger], 0)
	case f == FieldFamilyName && c.levels[f] == nameExact:
		bits[Stranger] += math.Log2(c.familyShare) - level[Stranger]
	}
}

// weightOf is log2 of the odds of the same child against all other classes.
func weightOf(bits *[classes]float64) float64 {
	top := max(bits[Twin], bits[Sibling], bits[Stranger])
	sum := math.Exp2(bits[Twin]-top) + math.Exp2(bits[Sibling]-top) + math.Exp2(bits[Stranger]-top)
	return bits[SameChild] - top - math.Log2(sum)
}

func posterior(bits *[classes]float64) (p [classes]float64, best Class) {
	top := max(bits[SameChild], bits[Twin], bits[Sibling], bits[Stranger])
	sum := 0.0
	for c, b := range bits {
		p[c] = math.Exp2(b - top)
		sum += p[c]
		if p[c] > p[best] {
			best = Class(c)
		}
	}
	for c := range p {
		p[c] /= sum
	}
	return p, best
}
