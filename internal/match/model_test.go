package match

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

func TestDefaultModelIsADistribution(t *testing.T) {
	t.Parallel()
	p := Default().Parameters()
	if sum := p.Prior[0] + p.Prior[1] + p.Prior[2] + p.Prior[3]; math.Abs(sum-1) > 1e-4 {
		t.Errorf("priors sum to %v", sum)
	}
	for field, levels := range p.Levels {
		for c := range Class(classes) {
			var sums [2]float64 // other text has two sets of levels
			for level, shares := range levels {
				if level != "partial" { // given instead of a full date, not beside it
					f, _ := fieldNamed(field)
					l, _ := levelNamed(f, level)
					sums[context(f, l)] += shares[c]
				}
			}
			if math.Abs(sums[0]-1) > 0.03 || field == "other" && math.Abs(sums[1]-1) > 0.03 {
				t.Errorf("%s: levels of %v sum to %v", field, c, sums)
			}
		}
	}
}

func TestModelSurvivesJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Default().Parameters())
	if err != nil {
		t.Fatal(err)
	}
	var p Parameters
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	m, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	a, b := Prepare(jack(nil)), Prepare(jack(func(p *Person) { p.GivenName = "Jak" }))
	if x, y := Default().Score(&a, &b), m.Score(&a, &b); !reflect.DeepEqual(x, y) {
		t.Errorf("%+v\n%+v", x, y)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Parameters){
		"unknown field": func(p *Parameters) { p.Levels["shoe_size"] = map[string][classes]float64{"same": {1, 1, 1, 1}} },
		"unknown level": func(p *Parameters) { p.Levels["sex"]["maybe"] = [classes]float64{1, 1, 1, 1} },
		"zero share":    func(p *Parameters) { p.Levels["sex"]["same"] = [classes]float64{0, 1, 1, 1} },
		"NaN prior":     func(p *Parameters) { p.Prior[0] = math.NaN() },
		"bands crossed": func(p *Parameters) { p.Review = 0.999 },
	} {
		p := defaultParameters()
		change(&p)
		if _, err := New(p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestExplainAddsUp(t *testing.T) {
	t.Parallel()
	m := Default()
	a, b := Prepare(jack(func(p *Person) { p.UPN = upnA })), Prepare(jack(func(p *Person) { p.GivenName, p.UPN = "Jacky", upnA }))
	r := m.Explain(&a, &b)
	sum := r.PriorWeight
	for _, f := range r.Fields {
		sum += f.Weight
	}
	if len(r.Fields) != 6 || math.Abs(sum-r.Weight) > 1e-9 {
		t.Errorf("%d fields add up to %v, weight is %v", len(r.Fields), sum, r.Weight)
	}
	s := m.Score(&a, &b)
	if r.Fields, r.PriorWeight = nil, 0; !reflect.DeepEqual(r, s) {
		t.Errorf("explained %+v, scored %+v", r, s)
	}
}

func TestCommonNamesWeighLess(t *testing.T) {
	t.Parallel()
	m := Default()
	score := func(given, family string) float64 {
		f := Prepare(Person{GivenName: given, FamilyName: family, DateOfBirth: "2014-03-09"})
		return m.Score(&f, &f).Weight
	}
	if common, rare := score("Oliver", "Smith"), score("Peregrine", "Featherstonehaugh"); common >= rare-3 {
		t.Errorf("common names weigh %v, rare ones %v", common, rare)
	}
}

// A title and a rank in place of names say what one of them says, and not twice that.
func TestNamesThatStandTogether(t *testing.T) {
	t.Parallel()
	p := Default().Parameters()
	p.Frequencies.together("sir", "baronet", 0.01)
	p.Frequencies.GivenNames = map[string]float64{"sir": 0.02}
	p.Frequencies.FamilyNames = map[string]float64{"baronet": 0.02}
	m, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	p.Frequencies.FullNames = nil
	apart, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	f, other := Prepare(Person{GivenName: "Sir", FamilyName: "Baronet"}), Prepare(Person{GivenName: "Sir", FamilyName: "Thornley"})
	if fall := apart.Score(&f, &f).Weight - m.Score(&f, &f).Weight; fall < 4.6 || fall > 4.7 {
		t.Errorf("one in two, where one in fifty was thought to: the weight falls by %.2f bits, want log2(25)", fall)
	}
	if a, b := apart.Score(&other, &other).Weight, m.Score(&other, &other).Weight; a != b {
		t.Errorf("another family name: %v and %v", a, b)
	}
}

func TestScoreDoesNotAllocate(t *testing.T) {
	m := Default()
	a, b := Prepare(jack(nil)), Prepare(jack(func(p *Person) { p.GivenName, p.FamilyName = "Jakob", "Thornely" }))
	if n := testing.AllocsPerRun(100, func() { m.Score(&a, &b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var (
	sinkResult   Result
	sinkFeatures Features
	sinkKeys     []uint64
)

func BenchmarkScore(b *testing.B) {
	m := Default()
	one := Prepare(jack(nil))
	for name, other := range map[string]Person{
		"same":     jack(nil),
		"misspelt": jack(func(p *Person) { p.GivenName, p.FamilyName = "Jakob", "Thornely" }),
		"stranger": {GivenName: "Amelia", FamilyName: "Okonkwo", DateOfBirth: "2011-01-02", Postcode: "CV1 2AB", AddressLines: []string{"7 Elm Road"}},
	} {
		b.Run(name, func(b *testing.B) {
			two := Prepare(other)
			b.ReportAllocs()
			for b.Loop() {
				sinkResult = m.Score(&one, &two)
			}
		})
	}
}

func BenchmarkPrepare(b *testing.B) {
	p := jack(func(p *Person) { p.Telephones, p.NHSNumber = []string{"07700 900123"}, numberA })
	b.ReportAllocs()
	for b.Loop() {
		sinkFeatures = Prepare(p)
	}
}

func BenchmarkKeys(b *testing.B) {
	f := Prepare(jack(func(p *Person) { p.Telephones, p.NHSNumber = []string{"07700 900123"}, numberA }))
	b.ReportAllocs()
	for b.Loop() {
		sinkKeys = Keys(&f)
	}
}
