package standard_test

import (
	"testing"

	"irthub/internal/standard"
)

func TestNHSNumbers(t *testing.T) {
	t.Parallel()
	for s, valid := range map[string]bool{
		"9434765870": true, "9000000009": true, "9990000018": true,
		"9434765871": false, // check digit 1 too high
		"9912003890": false, // an official example whose check fails
		"943476587":  false, "94347658700": false, "943 476 5870": false, "943476587X": false, "": false,
	} {
		if standard.ValidNHSNumber(s) != valid {
			t.Errorf("ValidNHSNumber(%q) is not %v", s, valid)
		}
	}
}

func TestUPNs(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]struct{ valid, listed, temporary bool }{
		"B801200005001": {true, true, false},
		"X845212818005": {true, true, false},
		"A950000178301": {true, false, false},
		"H243278544154": {true, false, false},
		"E000200005001": {true, false, false},
		"A801200005001": {false, true, false},
		"R247962919251": {false, false, false}, // should be Q
		"Q247962919251": {true, false, false},
		"B8012000050":   {false, false, false},
		"":              {false, false, false},
	} {
		_, listed := standard.UPNAuthority(s)
		if standard.ValidUPN(s) != want.valid || listed != want.listed || standard.UPNTemporary(s) != want.temporary {
			t.Errorf("%q: valid %v, listed %v, temporary %v; want %+v",
				s, standard.ValidUPN(s), listed, standard.UPNTemporary(s), want)
		}
	}
}

// A temporary UPN has a letter at the end, which counts with its value.
func TestTemporaryUPN(t *testing.T) {
	t.Parallel()
	letter, ok := standard.UPNCheckLetter("92640001260A")
	if !ok {
		t.Fatal("a temporary UPN has no check letter")
	}
	upn := string(letter) + "92640001260A"
	if !standard.ValidUPN(upn) || !standard.UPNTemporary(upn) {
		t.Errorf("%q: valid %v, temporary %v", upn, standard.ValidUPN(upn), standard.UPNTemporary(upn))
	}
	for _, bad := range []string{"92640001260S", "92640001260I", "92640001260O", "9264000126a0", "92640001260é"} {
		if _, ok := standard.UPNCheckLetter(bad); ok {
			t.Errorf("%q has a check letter", bad)
		}
	}
}

func TestULNs(t *testing.T) {
	t.Parallel()
	for s, valid := range map[string]bool{
		"9276308686": true, "9276308687": false, "0276308686": false, "927630868": false, "": false,
	} {
		if standard.ValidULN(s) != valid {
			t.Errorf("ValidULN(%q) is not %v", s, valid)
		}
	}
}
