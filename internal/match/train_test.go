package match

import (
	"reflect"
	"slices"
	"testing"
)

// TestTrainedAccuracy learns from each file without looking at its truth, and
// measures what was learnt on the same file.
func TestTrainedAccuracy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file              string
		read                    func(map[string]string) (Person, string)
		precision, recall, held float64
	}{
		{"ukkids without numbers", "ukkids_dev.csv", ukkidsWithoutNumbers, 0.999, 0.955, 0.015},
		{"febrl3 without number", "febrl3.csv", febrlWithoutNumber, 0.999, 0.96, 0.01},
		{"fake_1000", "fake_1000.csv", fake1000, 0.999, 0.65, 0.03},
		{"historical", "historical_dev.csv", historical, 0.995, 0.57, 0.04},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			records := load(t, c.file, c.read)
			p, err := Train("test", Default().Parameters(), featuresOf(records))
			if err != nil {
				t.Fatal(err)
			}
			m, err := New(p)
			if err != nil {
				t.Fatal(err)
			}
			a := m.EvaluateOnline(records, 1)
			t.Logf("P %.5f R %.5f F1 %.5f B3 %.5f review %.4f false pairs %v prior %v",
				a.Precision, a.Recall, a.F1, a.B3, a.ReviewShare, a.FalsePairs, p.Prior)
			if a.Precision < c.precision || a.Recall < c.recall || a.ReviewShare > c.held {
				t.Errorf("below precision %v, recall %v, or above review share %v", c.precision, c.recall, c.held)
			}
		})
	}
}

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
