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
