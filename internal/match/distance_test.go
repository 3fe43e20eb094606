package match

import (
	"math"
	"testing"

	"github.com/xrash/smetrics"
)

// somePairs are names alike in every way that matters to the metrics.
var somePairs = [][2]string{
	{"martha", "marhta"},
	{"dixon", "dicksonx"},
	{"jellyfish", "smellyfish"},
	{"dwayne", "duane"},
	{"amelia", "emelia"},
	{"jack", "jak"},
	{"ca", "abc"},
	{"a", "b"},
	{"ab", "ba"},
	{"obrien", "obrian"},
	{"thornley", "thornely"},
	{"mohammed", "muhammad"},
	{"", "jack"},
	{"abcdef", "abcdef"},
	{"aaaa", "aa"},
}

func FuzzDistances(f *testing.F) {
	for _, p := range somePairs {
		f.Add(p[0], p[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		jw, d := jaroWinkler(a, b), osa(a, b, maxLetters)
		if jw < 0 || jw > 1 || math.IsNaN(jw) {
			t.Fatalf("similarity %v", jw)
		}
		if d != osa(b, a, maxLetters) {
			t.Fatal("distance depends on order")
		}
		if near := osa(a, b, 2); near != min(d, 3) {
			t.Fatalf("within 2: %d, in full %d", near, d)
		}
		x, y := newName(fold(a)), newName(fold(b))
		if got, want := similarity(&x, &y, 0.86), jaroWinkler(x.Joined, y.Joined) >= 0.86; got != want {
			t.Fatalf("%q and %q: the cheap test changes similar to %v", a, b, got)
		}
		if got, want := within(&x, &y, 2), osa(x.Joined, y.Joined, 2) <= 2; got != want {
			t.Fatalf("%q and %q: the cheap test changes near to %v", a, b, got)
		}
		if !isASCII(a) || !isASCII(b) || max(len(a), len(b)) > maxLetters || a == "" || b == "" {
			return
		}
		// smetrics: threshold 0.7 and four letters are Winkler's own.
		if want := smetrics.JaroWinkler(a, b, 0.7, 4); math.Abs(jw-want) > 1e-9 {
			t.Errorf("Jaro-Winkler of %q and %q: got %v, oracle says %v", a, b, jw, want)
		}
		if want := plainOSA([]rune(a), []rune(b)); d != want {
			t.Errorf("alignment of %q and %q: got %d, the definition says %d", a, b, d, want)
		}
	})
}

// plainOSA is the recursive definition as a full table, without our bounds.
func plainOSA(a, b []rune) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0:
				d[i][j] = j
			case j == 0:
				d[i][j] = i
			default:
				cost := 1
				if a[i-1] == b[j-1] {
					cost = 0
				}
				d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					d[i][j] = min(d[i][j], d[i-2][j-2]+1)
				}
			}
		}
	}
	return d[len(a)][len(b)]
}

func TestDistancesCountLettersNotBytes(t *testing.T) {
	t.Parallel()
	if got := osa("жанна", "жана", 5); got != 1 {
		t.Errorf("got %d edits, want 1", got)
	}
	if got, want := jaroWinkler("ольга", "олга"), jaroWinkler("olzga", "olga"); got != want {
		t.Errorf("got %v, want %v as for the same pattern in Latin letters", got, want)
	}
}
