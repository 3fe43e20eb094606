package match

import (
	"fmt"
	"testing"
)

// indexOf counts names and dates as a hub counts those of its children.
func indexOf(records []Labelled) *IndexCounts {
	c := &IndexCounts{Dates: map[string]int{}}
	given, family, seen := map[string]int{}, map[string]int{}, map[string]bool{}
	for i := range records {
		f := &records[i].Features
		if seen[records[i].Truth] || len(f.Given) == 0 || len(f.Family) == 0 {
			continue
		}
		seen[records[i].Truth] = true
		given[f.Given[0].Joined]++
		family[f.Family[0].Joined]++
		if f.Born.full() {
			c.Dates[fmt.Sprintf("%04d-%02d-%02d", f.Born.Year, f.Born.Month, f.Born.Day)]++
		}
	}
	c.Children = len(seen)
	c.Given, c.Family = nameCounts(given, c.Children), nameCounts(family, c.Children)
	return c
}

func nameCounts(borne map[string]int, children int) NameCounts {
	c := NameCounts{Common: map[string]int{}}
	for name, k := range borne {
		if k >= Established(children) {
			c.Common[name] = k
		} else {
			c.Rare, c.RareSquares = c.Rare+int64(k), c.RareSquares+int64(k)*int64(k)
		}
	}
	return c
}

// TestAccuracyOfIndexFrequencies holds the model that a hub goes by once it has
// counted the names of its children to what it reached before.
func TestAccuracyOfIndexFrequencies(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("a large file, left to make evaluate")
	}
	for name, read := range map[string]func(map[string]string) (Person, string){"ukkids": ukkids, "ukkids without numbers": ukkidsWithoutNumbers} {
		records := load(t, "ukkids_dev.csv", read)
		p := Default().Parameters()
		p.Frequencies = p.Frequencies.FromIndex(indexOf(records))
		learnt, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		trial := Trial{Mode: Online, Seed: 1, AutoLinkOnly: true}
		before, after := Default().Evaluate(records, trial), learnt.Evaluate(records, trial)
		t.Logf("%s: P %.5f R %.5f review %.4f, learnt P %.5f R %.5f review %.4f false %v", name, before.Pairwise.Precision, before.Pairwise.Recall,
			before.ReviewShare, after.Pairwise.Precision, after.Pairwise.Recall, after.ReviewShare, after.FalseLinks)
		if after.Pairwise.Precision < before.Pairwise.Precision-1e-4 || after.Pairwise.Recall < before.Pairwise.Recall || after.FalseLinks[Twin] > before.FalseLinks[Twin] {
			t.Errorf("%s: counting names made it worse: %+v, was %+v", name, after.Pairwise, before.Pairwise)
		}
	}
}
