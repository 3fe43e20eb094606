package match

import (
	"reflect"
	"slices"
	"testing"
)

func featuresOf(records []Labelled) []Features {
	list := make([]Features, len(records))
	for i := range records {
		list[i] = records[i].Features
	}
	return list
}

func TestTrainIgnoresOrder(t *testing.T) {
	t.Parallel()
	list := featuresOf(load(t, "febrl1.csv", febrl))
	one, err := Train("test", Default().Parameters(), list)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	two, err := Train("test", Default().Parameters(), list)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(one, two) {
		t.Error("another order of the same records made another model")
	}
}

func TestTrainNeedsPairs(t *testing.T) {
	t.Parallel()
	if _, err := Train("test", Default().Parameters(), []Features{Prepare(jack(nil))}); err == nil {
		t.Error("trained on a single record")
	}
}

func TestTrainOnTheFewest(t *testing.T) {
	t.Parallel()
	one := Prepare(Person{GivenName: "Ann", FamilyName: "Thornley", DateOfBirth: "2014-03-09"})
	for n := 2; n < 5; n++ {
		list := make([]Features, n)
		for i := range list {
			list[i] = one
		}
		p, err := Train("test", Default().Parameters(), list)
		if err == nil {
			_, err = New(p)
		}
		if err != nil {
			t.Errorf("%d records: %v", n, err)
		}
	}
}

// TestTrainKeepsTwinsItCannotSee learns from children's records without
// households, which show no twins, and must still hold a twin's name back.
func TestTrainKeepsTwinsItCannotSee(t *testing.T) {
	t.Parallel()
	records := load(t, "ukkids_dev.csv", func(row map[string]string) (Person, string) {
		p, truth := ukkidsWithoutNumbers(row)
		p.AddressLines, p.Telephones = nil, nil
		return p, truth
	})[:8000]
	start := Default().Parameters()
	p, err := Train("test", start, featuresOf(records))
	if err != nil {
		t.Fatal(err)
	}
	if got, least := p.Prior[Twin]/p.Prior[SameChild], start.Prior[Twin]/start.Prior[SameChild]; got < 0.9*least {
		t.Errorf("learnt %.3g twins for each second record, the starting model has %.3g", got, least)
	}
	m, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	girl := func(name string) Person {
		return Person{GivenName: name, FamilyName: "Thornley", DateOfBirth: "2014-03-09", Sex: "F", Postcode: "NR19 1AB"}
	}
	record := Prepare(girl("Emelia"))
	if d := m.Decide(&record, membersOf(1, girl("Amelia"))); d.Band == BandLink {
		t.Errorf("linked Amelia and Emelia at %.4f", d.Result.Probability)
	}
}
