package children

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

// FuzzPlainSources holds the hub's own reader to encoding/json: what it takes, it
// reads as that does.
func FuzzPlainSources(f *testing.F) {
	for _, seed := range []string{
		`[]`, ` [ { "a" : "st-marys", "f" : [ 2 , 3 ] , "t" : 1764000000000000 } ] `,
		`[{"a": "x", "f": [], "t": 0}, {"a": "", "t": 1}]`, `[{"a":"\u0041"}]`, `[{"f":[01]}]`, `[{"t":1.5}]`,
		`[{"t":-1}]`, `[{"z":1}]`, `[,]`, `[{"a":"x",}]`, `null`, `[null]`, `[{"f":[9999999999]}]`, `[{}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		got, ok := plainSources(stored)
		if !ok || !utf8.Valid(stored) { // jsonb holds nothing else
			return
		}
		var want []source
		if err := json.Unmarshal(stored, &want); err != nil {
			t.Fatalf("%s was taken, and is none: %v", stored, err)
		}
		for _, all := range [][]source{got, want} {
			for i := range all {
				if len(all[i].Fields) == 0 {
					all[i].Fields = nil
				}
			}
		}
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s was read as %v, not %v", stored, got, want)
		}
	})
}

// FuzzPlainCarers holds it to protojson.
func FuzzPlainCarers(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"display_name": "Jo Achterberg", "relationship": "MTH", "telephone": "01632 960123"}, {}]`,
		`[{"display_name": "J\u00f6"}]`, `[{"displayName":"x"}]`, `[{"telephone":1}]`, `[{"telephone":"1","telephone":"2"}]`,
		`[{"of_a_newer_hub": true}]`, `[`, `[{"email":null}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		got, ok := plainCarers(stored)
		if !ok || !utf8.Valid(stored) {
			return
		}
		want, err := parseCarers(stored)
		if err != nil {
			t.Fatalf("%s was taken, and is none: %v", stored, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d carers in place of %d", stored, len(got), len(want))
		}
		for i := range got {
			if !proto.Equal(got[i], want[i]) {
				t.Errorf("%s: %v in place of %v", stored, got[i], want[i])
			}
		}
	})
}

// BenchmarkSources compares what a read does with what encoding/json would.
func BenchmarkSources(b *testing.B) {
	stored := []byte(`[{"a": "school-12", "f": [2, 3, 4, 7, 10, 11, 14, 19, 20, 26, 31], "t": 1764115200000000}, {"a": "gp-3", "f": [12, 28], "t": 1764115200000000}]`)
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			if _, err := parseSources(stored); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		for b.Loop() {
			var all []source
			if err := json.Unmarshal(stored, &all); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The fast reader must be what reads what the hub itself writes.
func TestPlainJSONReadsWhatIsStored(t *testing.T) {
	t.Parallel()
	stored, err := json.Marshal([]source{{Agency: "school-1", Micros: 1764115200000000, Fields: []int32{2, 31}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, spaced := range [][]byte{stored, bytes.ReplaceAll(stored, []byte(`,`), []byte(`, `))} { // as jsonb gives it back
		if got, ok := plainSources(spaced); !ok || len(got) != 1 || got[0].Agency != "school-1" || len(got[0].Fields) != 2 {
			t.Errorf("%s: %v, %v", spaced, got, ok)
		}
	}
}
