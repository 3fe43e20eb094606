package match

import "testing"

// benchmark is what one public file must show, learnt without its labels.
type benchmark struct {
	name, file   string
	read         func(map[string]string) (Person, string)
	autoLinkOnly bool
	large        bool // left out under -race, which `make evaluate` makes up for
	// Floors, and the most that may go to review.
	precision, recall, f1, b3, review float64
}

var benchmarks = []benchmark{
	{name: "febrl1", file: "febrl1.csv", read: febrl, f1: 0.998, review: 1},
	{name: "febrl2", file: "febrl2.csv", read: febrl, f1: 0.998, review: 1},
	{name: "febrl3", file: "febrl3.csv", read: febrl, f1: 0.998, review: 1},
	{name: "febrl3 without number", file: "febrl3.csv", read: febrlWithoutNumber, f1: 0.998, review: 1},
	{name: "febrl3, names and dates", file: "febrl3.csv", read: febrlNames, precision: 0.975, f1: 0.955, b3: 0.974, review: 1},
	{name: "fake_1000", file: "fake_1000.csv", read: fake1000, f1: 0.955, b3: 0.965, review: 1},
	{name: "historical, names only", file: "historical_dev.csv", read: historicalWith(), large: true, precision: 0.975, f1: 0.915, b3: 0.924, review: 0.25},
	{name: "historical, place of birth", file: "historical_dev.csv", read: historicalWith("birth_place"), large: true, precision: 0.98, f1: 0.955, b3: 0.96, review: 0.19},
	{name: "historical, occupation", file: "historical_dev.csv", read: historicalWith("occupation"), large: true, precision: 0.975, f1: 0.93, b3: 0.935, review: 0.24},
	{name: "historical, both", file: "historical_dev.csv", read: historicalWith("birth_place", "occupation"), large: true, precision: 0.98, f1: 0.95, b3: 0.953, review: 0.22},
	{name: "ukkids", file: "ukkids_dev.csv", read: ukkids, autoLinkOnly: true, large: true, precision: 0.9996, recall: 0.98, review: 0.008},
	{name: "ukkids without numbers", file: "ukkids_dev.csv", read: ukkidsWithoutNumbers, large: true, f1: 0.993, review: 0.01},
}

// TestAccuracy learns from each file without looking at its truth and puts its
// records together as they arrive, in three orders, and all at once, with one code
// and one starting model for all. The floors are those that the hub promises.
func TestAccuracy(t *testing.T) {
	t.Parallel()
	for _, b := range benchmarks {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if b.large && raceEnabled {
				t.Skip("a large file, left to make evaluate")
			}
			records := load(t, b.file, b.read)
			p, err := Train("test", Default().Parameters(), featuresOf(records))
			if err != nil {
				t.Fatal(err)
			}
			m, err := New(p)
			if err != nil {
				t.Fatal(err)
			}
			trials := []Trial{{Mode: Online, Seed: 1}, {Mode: Online, Seed: 2}, {Mode: Online, Seed: 3}, {Mode: Batch}}
			for _, trial := range trials {
				trial.AutoLinkOnly = b.autoLinkOnly
				if b.autoLinkOnly && trial.Mode == Batch {
					continue // no hub links by itself what it has compared all at once
				}
				a := m.Evaluate(records, trial)
				t.Logf("%s %d P %.5f R %.5f F1 %.5f B3 %.5f review %.4f false %v of %v rules %v", a.Mode, a.Seed,
					a.Pairwise.Precision, a.Pairwise.Recall, a.Pairwise.F1, a.B3.F1, a.ReviewShare, a.FalseLinks, a.FamilyPairs, a.Rules)
				b.check(t, &a)
			}
		})
	}
}

func (b *benchmark) check(t *testing.T, a *Accuracy) {
	t.Helper()
	if a.Pairwise.Precision < b.precision || a.Pairwise.Recall < b.recall || a.Pairwise.F1 < b.f1 || a.B3.F1 < b.b3 || a.ReviewShare > b.review {
		t.Errorf("P %.5f R %.5f F1 %.5f B3 %.5f review %.4f: below precision %v, recall %v, F1 %v, B3 %v, or above review share %v",
			a.Pairwise.Precision, a.Pairwise.Recall, a.Pairwise.F1, a.B3.F1, a.ReviewShare, b.precision, b.recall, b.f1, b.b3, b.review)
	}
	if !b.autoLinkOnly {
		return
	}
	for class, pairs := range a.FamilyPairs {
		if share := ratio(a.FalseLinks[class], pairs); pairs > 0 && share > 0.0005 {
			t.Errorf("%v: %d of %d pairs merged", class, a.FalseLinks[class], pairs)
		}
	}
}

// TestDefaultAccuracy holds the model that a hub starts with to what it reaches
// on children's records, unlearnt.
func TestDefaultAccuracy(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("a large file, left to make evaluate")
	}
	b := benchmark{autoLinkOnly: true, precision: 0.9995, recall: 0.97, review: 0.01}
	a := Default().Evaluate(load(t, "ukkids_dev.csv", ukkids), Trial{Mode: Online, Seed: 1, AutoLinkOnly: true})
	t.Logf("P %.5f R %.5f review %.4f", a.Pairwise.Precision, a.Pairwise.Recall, a.ReviewShare)
	b.check(t, &a)
}
