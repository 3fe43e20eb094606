package match

import "unicode/utf8"

// maxLetters bounds what the string metrics read of a name. Nothing in a name
// or street that differs only after its 64th letter is worth the time.
const maxLetters = 64

// letters is a string unpacked for comparison, on the stack.
type letters struct {
	at [maxLetters]rune
	n  int
}

func (l *letters) read(s string) {
	l.n = 0
	for i := 0; i < len(s) && l.n < maxLetters; {
		r, width := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, width = utf8.DecodeRuneInString(s[i:])
		}
		l.at[l.n] = r
		l.n++
		i += width
	}
}

// jaroWinkler is the similarity of Winkler (1990), 0 to 1: Jaro's, raised by a
// tenth of the remainder for each of up to four equal first letters when it
// is above 0.7. Equal strings are 1, an empty one against another 0.
func jaroWinkler(a, b string) float64 {
	if a == b {
		return 1
	}
	var x, y letters
	x.read(a)
	y.read(b)
	j := jaro(&x, &y)
	if j <= 0.7 {
		return j
	}
	prefix := 0
	for prefix < 4 && prefix < x.n && prefix < y.n && x.at[prefix] == y.at[prefix] {
		prefix++
	}
	return j + 0.1*float64(prefix)*(1-j)
}

// jaro marks matched letters as bits: they are at most 64.
func jaro(x, y *letters) float64 {
	if x.n == 0 || y.n == 0 {
		return 0
	}
	window := max(x.n, y.n)/2 - 1
	var inX, inY uint64
	matches := 0
	for i := range x.n {
		for j := max(0, i-window); j < min(y.n, i+window+1); j++ {
			if inY&(1<<j) == 0 && x.at[i] == y.at[j] {
				inX |= 1 << i
				inY |= 1 << j
				matches++
				break
			}
		}
	}
	if matches == 0 {
		return 0
	}
	m := float64(matches)
	t := float64(outOfOrder(x, y, inX, inY) / 2)
	return (m/float64(x.n) + m/float64(y.n) + (m-t)/m) / 3
}

// outOfOrder counts matched letters whose partner comes in another order.
func outOfOrder(x, y *letters, inX, inY uint64) int {
	n, j := 0, 0
	for i := range x.n {
		if inX&(1<<i) == 0 {
			continue
		}
		for inY&(1<<j) == 0 {
			j++
		}
		if x.at[i] != y.at[j] {
			n++
		}
		j++
	}
	return n
}

// osa is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbours, no part edited twice. It stops
// counting above limit and then answers limit+1.
func osa(a, b string, limit int) int {
	if a == b {
		return 0
	}
	var x, y letters
	x.read(a)
	y.read(b)
	if x.n-y.n > limit || y.n-x.n > limit {
		return limit + 1
	}
	var rows [3][maxLetters + 1]uint8
	for j := 0; j <= y.n; j++ {
		rows[0][j] = uint8(j)
	}
	for i := 1; i <= x.n; i++ {
		if osaRow(&x, &y, i, &rows) > limit {
			return limit + 1
		}
	}
	return min(int(rows[x.n%3][y.n]), limit+1)
}

// osaRow fills row i from the two before it and returns its least value.
func osaRow(x, y *letters, i int, rows *[3][maxLetters + 1]uint8) int {
	row, prev, before := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
	row[0] = uint8(i & 0xff) // at most maxLetters
	least := row[0]
	c := x.at[i-1]
	for j := 1; j <= y.n; j++ {
		cost := uint8(1)
		if c == y.at[j-1] {
			cost = 0
		}
		d := min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
		if i > 1 && j > 1 && c == y.at[j-2] && x.at[i-2] == y.at[j-1] {
			d = min(d, before[j-2]+1)
		}
		row[j] = d
		least = min(least, d)
	}
	return int(least)
}
