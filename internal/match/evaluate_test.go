package match

import "testing"

// TestFamiliesAreKeptApart counts, of all pairs of different children in one
// household, those that were put together.
func TestFamiliesAreKeptApart(t *testing.T) {
	t.Parallel()
	records := load(t, "ukkids_dev.csv", ukkidsWithoutNumbers)
	m := Default()
	apart := map[Class]int{}
	byPostcode := map[string][]int{}
	for i := range records {
		f := &records[i].Features
		for _, j := range byPostcode[f.Postcode] {
			if records[j].Truth != records[i].Truth && f.Postcode != "" {
				apart[m.kinship(f, &records[j].Features)]++
			}
		}
		byPostcode[f.Postcode] = append(byPostcode[f.Postcode], i)
	}
	a := m.Evaluate(records, Trial{Mode: Online, Seed: 2, AutoLinkOnly: true})
	for _, k := range []Class{Twin, Sibling} {
		if share := ratio(a.FalseLinks[k], apart[k]); share > 0.005 || apart[k] < 500 {
			t.Errorf("%v: %d of %d pairs merged", k, a.FalseLinks[k], apart[k])
		}
	}
	t.Logf("merged %v of %v", a.FalseLinks, apart)
}

func TestEvaluationCounts(t *testing.T) {
	t.Parallel()
	child := func(truth string, change func(*Person)) Labelled { return Labelled{Prepare(jack(change)), truth} }
	records := []Labelled{
		child("a", nil), child("a", nil), child("b", nil),
		child("a", func(p *Person) { *p = Person{GivenName: "Zelda", FamilyName: "Quist", DateOfBirth: "2009-01-01"} }),
	}
	a := Default().Evaluate(records, Trial{Mode: Online, Seed: 1, AutoLinkOnly: true})
	// Three linked pairs, of which one is right; three true pairs.
	if a.LinkedPairs != 3 || a.CorrectPairs != 1 || a.TruePairs != 3 || a.Pairwise.Precision != 1.0/3 || a.Pairwise.Recall != 1.0/3 || len(a.Errors) != 2 {
		t.Errorf("%+v", a)
	}
	if empty := Default().Evaluate(nil, Trial{Mode: Online}); empty.Pairwise.Precision != 1 || empty.B3.F1 != 0 {
		t.Errorf("%+v", empty)
	}
}

// TestModesAgree puts the same plain records together both ways.
func TestModesAgree(t *testing.T) {
	t.Parallel()
	records := load(t, "febrl1.csv", febrl)
	for _, mode := range []Mode{Online, Batch} {
		a := Default().Evaluate(records, Trial{Mode: mode, Seed: 3})
		if a.Pairwise.Precision < 0.99 || a.Pairwise.Recall < 0.95 || a.TruePairs != 500 || a.Clusters < 480 {
			t.Errorf("%s: %+v", mode, a)
		}
		if mode == Batch && (a.BestPairs == nil || a.BestPairs.F1 < 0.97) {
			t.Errorf("best over thresholds: %+v", a.BestPairs)
		}
	}
}

// TestReviewsCountOnlyWhenAsked has one pair that Decide holds for review.
func TestReviewsCountOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	records := []Labelled{
		{Prepare(jack(nil)), "a"},
		{Prepare(jack(func(p *Person) { p.GivenName, p.MiddleNames = "Jackson", "" })), "a"},
		{Prepare(jack(func(p *Person) { p.GivenName, p.DateOfBirth = "J", "2014-03-08" })), "a"},
	}
	m := Default()
	alone := m.Evaluate(records, Trial{Mode: Online, Seed: 1, AutoLinkOnly: true})
	counted := m.Evaluate(records, Trial{Mode: Online, Seed: 1})
	if alone.ReviewShare == 0 || counted.CorrectPairs <= alone.CorrectPairs {
		t.Errorf("held %.2f; %d pairs, with reviews %d", alone.ReviewShare, alone.CorrectPairs, counted.CorrectPairs)
	}
}

// TestReviewsAreQuestions has a newborn's record that may be either of two twins', which
// is two questions about one record, however the records are put together, and one
// about a child of two records.
func TestReviewsAreQuestions(t *testing.T) {
	t.Parallel()
	grace := func(p *Person) { p.GivenName, p.Sex = "Grace", "F" }
	records := []Labelled{
		{Prepare(jack(nil)), "a"},
		{Prepare(jack(nil)), "a"},
		{Prepare(jack(grace)), "b"},
		{Prepare(jack(func(p *Person) { p.GivenName, p.Sex = "Baby", "" })), "b"},
	}
	m := Default()
	for _, autoLinkOnly := range []bool{false, true} {
		for _, trial := range []Trial{{Mode: Batch}, {Mode: Online, Seed: 1}, {Mode: Online, Seed: 2}, {Mode: Online, Seed: 3}} {
			trial.AutoLinkOnly = autoLinkOnly
			a := m.Evaluate(records, trial)
			if a.Reviews != 2 || a.ReviewShare > 0.5 || trial.Mode == Batch && a.ReviewShare != 0.25 {
				t.Errorf("%+v: %d reviews about %v of the records", trial, a.Reviews, a.ReviewShare)
			}
		}
	}
}

// TestReviewWaitsForAllRecords has two children of one given name and birthday, and a
// record that says too little to tell whose it is where it comes first. Once all are
// there it is plain, in whatever order they came.
func TestReviewWaitsForAllRecords(t *testing.T) {
	t.Parallel()
	person := func(family, born, postcode, truth string) Labelled {
		return Labelled{Prepare(Person{GivenName: "Ernest", FamilyName: family, DateOfBirth: born, Postcode: postcode}), truth}
	}
	records := []Labelled{person("", "2014-03-09", "CO7 7FA", "a")}
	for range 4 {
		records = append(records, person("Aves", "2014-03-09", "CO7 7FA", "a"), person("Letts", "2014-03-09", "TR15 1JT", "b"))
	}
	m := Default()
	for seed := range uint64(40) {
		if a := m.Evaluate(records, Trial{Mode: Online, Seed: seed}); a.Pairwise.F1 < 1 {
			t.Errorf("seed %d: %+v", seed, a.Pairwise)
		}
	}
	if a := m.Evaluate(records, Trial{Mode: Batch}); a.Pairwise.F1 < 1 {
		t.Errorf("batch: %+v", a.Pairwise)
	}
}
