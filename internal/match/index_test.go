package match

import (
	"fmt"
	"math"
	"reflect"
	"testing"
)

// In an index that is new the built-in table speaks, and in a large one the counts do.
func TestFromIndex(t *testing.T) {
	t.Parallel()
	start := Default().Parameters().Frequencies
	none := start.FromIndex(&IndexCounts{})
	if none.Apart(&start) > 1e-9 {
		t.Errorf("with no children the table differs by %v bits", none.Apart(&start))
	}
	counts := &IndexCounts{
		Children: 1_000_000,
		Given:    NameCounts{Common: map[string]int{"mohammed": 30_000, "baby boy": 5000}, Rare: 400_000, RareSquares: 8_000_000},
		Family:   NameCounts{Common: map[string]int{"o'neill": 600, "ONeill": 600}, Rare: 900_000, RareSquares: 900_000},
		Dates:    map[string]int{"2010-01-01": 9000, "no date": 1},
	}
	for day := range 27 {
		counts.Dates[fmt.Sprintf("2010-02-%02d", day+1)] = 120
	}
	f := start.FromIndex(counts)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > want/20 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("mohammed", f.given("mohammed"), 0.03)
	near("o'neill, however it is spelt", f.family("oneill"), 0.0012)
	near("a name of the table that nobody counted", f.given("zuri"), 20e-6+start.given("zuri")*builtInChildren/1e6)
	near("another given name", f.given("qwertz"), 20e-6+start.OtherGiven*builtInChildren/1e6)
	if !f.inUse("zuri") || f.inUse("babyboy") || f.inUse("qwertz") {
		t.Error("names in use are others")
	}
	if len(f.Dates) != 1 || f.Dates[20100101] < 0.7 {
		t.Errorf("crowded dates %v", f.Dates)
	}
	if again := start.FromIndex(counts); !reflect.DeepEqual(f, again) || f.Apart(&again) != 0 {
		t.Error("equal counts give other frequencies")
	}
	if f.Apart(&start) < 0.5 || math.Abs(f.Apart(&start)-start.Apart(&f)) > 1e-9 {
		t.Errorf("the tables are %v and %v bits apart", f.Apart(&start), start.Apart(&f))
	}
	p := Default().Parameters()
	p.Frequencies = f
	if _, err := New(p); err != nil {
		t.Error(err)
	}
}

// The more children there are, the less likely is any one of them to be the child that
// is meant; a small index is not expected to be as small.
func TestExpect(t *testing.T) {
	t.Parallel()
	a := Prepare(Person{GivenName: "Hugo", FamilyName: "Garwood", DateOfBirth: "2022-05-14", Sex: "M", Postcode: "NR24 5BF"})
	b := Prepare(Person{GivenName: "Hugo", FamilyName: "Foxside", DateOfBirth: "2022-05-14", Sex: "M", Postcode: "NR18 4GD"})
	weight := func(children int) float64 {
		p := Default().Parameters()
		p.Expect(children)
		m, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		return m.Score(&a, &b).Weight
	}
	plain := Default().Score(&a, &b).Weight
	for children, less := range map[int]float64{0: 0, 1000: 0, 100_000: 0, 200_000: 1, 1_600_000: 4} {
		if got := plain - weight(children); math.Abs(got-less) > 0.01 {
			t.Errorf("of %d children the weight is %.2f bits less, want %v", children, got, less)
		}
	}
}
