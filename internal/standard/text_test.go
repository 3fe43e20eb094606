package standard

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestCleanText(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"Ann": "Ann", "": "", "  ": "", " Mary  Ann ": "Mary Ann", "a\t\r\nb": "a b", "\u00a0Ann\u2003Lee\u00a0": "Ann Lee",
		"\uFEFFAnn": "Ann", "A\u200bnn": "Ann", "Sia\u0302n": "Siân", "a\u0007b": "a\u0007b", "\xff a": "\xff a",
	} {
		if got := CleanText(s); got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
	}
}

func TestNormalisePostcode(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"NR1 3JU": "NR1 3JU", "nr13ju": "NR1 3JU", " NR1  3JU ": "NR1 3JU", "sw1a1aa": "SW1A 1AA", "N1P2AA": "N1P 2AA",
		"zz993vz": "ZZ99 3VZ", "N R 1 3 J U": "NR1 3JU", "": "", " ": "",
		// Not repaired: O is not taken for 0, nor a part for the whole.
		"NRl 3JU": "NRL 3JU", "NR1 3 J": "NR1 3 J", "nr1": "NR1", "NR1-3JU": "NR1-3JU", "NR12 3JUX": "NR12 3JUX",
	} {
		if got := NormalisePostcode(s); got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
	}
}

func TestPostcodeIsUsual(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"NR1 3JU": true, "SW1A 1AA": true, "GIR 0AA": true, "ZZ99 3VZ": true, "ZZ99 3WZ": true, "W1A 0AX": true, "EC1A 1BB": true,
		"N1P 2AA": false, "NR1 3CU": false, "QQ1 1AA": false, "ZZ98 3VZ": false,
	} {
		if postcodeIsUsual(s) != want {
			t.Errorf("postcodeIsUsual(%q) is not %v", s, want)
		}
	}
}

func TestTelephones(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"07412 345678": true, "07412345678": true, "+44 7412 345678": true, "+447412345678": true, "+44 (0)7412 345678": true,
		"0044 7412 345678": true, "01603 222222": true, "(01603) 222222": true, "020 7946 0018": true, "0800 1111": true,
		"01603 222222 ext 12": true, "+33 1 42 68 53 00": true, "07700 900123": true, "01632 960001": true,
		"07412 34567": false, "07412 3456789": false, "222222": false, "ring gran": false, "07412 345678 or 07412 345679": false,
		"+44 7412 34567": false, "01234": false, "999999999999": false, "00000 000000": false, "": false,
	} {
		for range 2 { // once by the library, once from memory
			if telephoneIsValid(s) != want {
				t.Errorf("telephoneIsValid(%q) is not %v", s, want)
			}
		}
	}
}

// What is remembered of a block must hold for all numbers in it.
func TestTelephoneBlocksDoNotDivide(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 1500 {
		block := rng.IntN(9_000_000) + 1_000_000
		if rng.IntN(2) == 0 { // where numbers are dense: mobiles and the second half of 01
			block = 7_000_000 + rng.IntN(1_000_000)
		}
		first := parseTelephone(fmt.Sprintf("0%07d%03d", block, rng.IntN(1000)))
		if second := parseTelephone(fmt.Sprintf("0%07d%03d", block, rng.IntN(1000))); first != second {
			t.Errorf("block %d is divided", block)
		}
	}
}

func TestEmails(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"a@example.org": true, "mary.o'connor+school@mail.example.co.uk": true, "1@2.com": true,
		"a@example": false, "@example.org": false, "a@": false, "a b@example.org": false, "a@exam ple.org": false, "a@-x.org": false,
		"a@x..org": false, "a@b@example.org": false, "Mary <a@example.org>": false, "a@example.org; b@example.org": false, "": false, "é@example.org": false,
	} {
		if emailIsValid(s) != want {
			t.Errorf("emailIsValid(%q) is not %v", s, want)
		}
	}
}
