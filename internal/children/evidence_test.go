package children

import (
	"math"
	"testing"

	"github.com/google/uuid"

	"irthub/internal/match"
)

// Were two levels to have one code, stored explanations would name the wrong one.
func TestLevelCodesDiffer(t *testing.T) {
	t.Parallel()
	levels := 0
	for f := match.Field(0); f.String() != "unknown"; f++ {
		for l := match.Level(1); match.LevelName(f, l) != "unknown"; l++ {
			levels++
		}
	}
	if len(levelNames) != levels || levels < 30 {
		t.Errorf("%d codes for %d levels", len(levelNames), levels)
	}
}

func FuzzEvidence(f *testing.F) {
	f.Add([]byte{}, 1.5)
	f.Add(encodeEvidence(&match.Decision{Result: match.Result{PriorWeight: -10, Fields: []match.FieldWeight{{Field: "sex", Level: "same", Weight: 1}}}}, uuid.Max), -3.0)
	f.Fuzz(func(t *testing.T, stored []byte, weight float64) {
		decodeEvidence(stored) // whatever is stored, it must not panic
		against := uuid.UUID{15: 1}
		d := match.Decision{Together: weight < 0, Result: match.Result{
			Fields: []match.FieldWeight{{Field: "given_name", Level: "same", Weight: weight}},
		}}
		fields, got, together := decodeEvidence(encodeEvidence(&d, against))
		if len(fields) != 2 || got != against || together != d.Together || fields[1].GetField() != "given_name" || fields[1].GetLevel() != "same" {
			t.Fatalf("%v against %v", fields, got)
		}
		if math.Abs(weight) < 500 && math.Abs(fields[1].GetWeight()-weight) > 1.0/evidenceFraction {
			t.Errorf("weight %v became %v", weight, fields[1].GetWeight())
		}
	})
}
