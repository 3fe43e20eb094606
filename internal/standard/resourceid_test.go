package standard_test

import (
	"testing"

	"irthub/internal/standard"
)

// The derivation is written into every row ever stored: it must never change.
func TestDerivedIDsAreFixed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, got, want string }{
		{"record", standard.RecordID("oak-school", "p-17").String(), "6558ca81-5908-7dee-62a1-43d1d29c84d7"},
		{"involvement", standard.InvolvementID("oak-school", "p-17").String(), "6558ca81-03a8-1e7c-0ccb-682f67090bf4"},
		{"consent", standard.ConsentID("oak-school", "p-17").String(), "6558ca81-9f1d-9831-2db4-0eea4b0fd13b"},
		{"refusal", standard.RefusalID("oak-school", "p-17").String(), "6558ca81-f9f4-05b0-dfdb-6db597ddbf9c"},
	} {
		if c.got != c.want {
			t.Errorf("%s id = %s, want %s", c.what, c.got, c.want)
		}
	}
}

func TestDerivedIDsKeepAgenciesTogetherAndApart(t *testing.T) {
	t.Parallel()
	one, two := standard.RecordID("oak-school", "1"), standard.RecordID("oak-school", "2")
	if one == two || [4]byte(one[:4]) != [4]byte(two[:4]) {
		t.Errorf("two records of one agency: %s and %s, want one prefix and two ids", one, two)
	}
	other := standard.RecordID("elm-school", "1")
	if [4]byte(other[:4]) == [4]byte(one[:4]) {
		t.Errorf("records of two agencies share the prefix of %s", one)
	}
}
