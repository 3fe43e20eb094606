package match

import "math/bits"

// allLetters stands for a name whose letters are not told apart.
const allLetters = 1<<32 - 1

// lettersIn sets a bit for each letter or digit of a folded name.
func lettersIn(s string) (set uint32) {
	if !isASCII(s) {
		return allLetters
	}
	for i := range len(s) {
		set |= 1 << (s[i] & 31)
	}
	return set
}

// missing counts the different letters of each name that the other lacks. Each
// costs an edit and can be matched by nothing, so most pairs of different
// names are told apart without a string metric, and none wrongly.
func missing(a, b *Name) (inB, inA int) {
	if a.Letters == allLetters || b.Letters == allLetters {
		return 0, 0
	}
	return bits.OnesCount32(a.Letters &^ b.Letters), bits.OnesCount32(b.Letters &^ a.Letters)
}

// within reports an optimal string alignment distance of at most limit edits;
// a limit of 0 is never met.
func within(a, b *Name, limit int) bool {
	inB, inA := missing(a, b)
	return limit > 0 && inB <= limit && inA <= limit && osa(a.Joined, b.Joined, limit) <= limit
}

// similarity reports a Jaro–Winkler similarity of at least atLeast.
func similarity(a, b *Name, atLeast float64) bool {
	inB, inA := missing(a, b)
	if inA+inB > 0 {
		x, y := float64(len(a.Joined)), float64(len(b.Joined))
		m := min(x-float64(inB), y-float64(inA))
		if j := (m/x + m/y + 1) / 3; j+0.4*(1-j) < atLeast {
			return false
		}
	}
	return jaroWinkler(a.Joined, b.Joined) >= atLeast
}
