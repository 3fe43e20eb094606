package match

// sound is a phonetic code of a folded, joined name, of at most eight sounds in
// eight bytes. It follows the idea of Metaphone (Philips 1990), widened for
// names of South Asian, Arabic and Polish origin as English offices spell
// them: an aspirate counts as its plain consonant (Kh, Gh, Bh, Dh, Th), v as w,
// z as s, c and q as k. A vowel counts only at the start, and all vowels alike.
// Zero for the empty name.
func sound(name string) uint64 {
	var code uint64
	n := 0
	var last byte
	s := silentStart(name)
	for i := 0; i < len(s) && n < 8; {
		c, width := soundAt(s, i)
		i += width
		if c == 0 {
			last = 0
			continue
		}
		if c == last || c == 'A' && n > 0 {
			continue
		}
		last = c
		code = code<<8 | uint64(c)
		n++
	}
	return code
}

// silentStart drops a first letter that is not spoken.
func silentStart(s string) string {
	if len(s) < 2 {
		return s
	}
	switch s[:2] {
	case "kn", "gn", "pn", "wr", "ps":
		return s[1:]
	}
	return s
}

// soundAt reads one sound of s at i: its code ('A' any vowel, 0 silent) and
// how many bytes it spans.
func soundAt(s string, i int) (code byte, width int) {
	c, next := s[i], byte(0)
	if i+1 < len(s) {
		next = s[i+1]
	}
	switch c {
	case 'a', 'e', 'i', 'o', 'u':
		return 'A', 1
	case 'y', 'w':
		if i > 0 && (c == 'y' || !isVowel(next)) {
			return 0, 1
		}
		return upper(c), 1
	case 'h':
		if i > 0 || !isVowel(next) {
			return 0, 1
		}
		return 'H', 1
	case 'v':
		return 'W', 1
	case 'q', 'x':
		return 'K', 1
	case 'c', 's', 'z', 'g', 'p', 'd', 't':
		return hardSoft(c, next)
	}
	return upper(c), 1
}

// hardSoft reads the consonants that change with the letter after them.
func hardSoft(c, next byte) (code byte, width int) {
	front := next == 'e' || next == 'i' || next == 'y'
	switch {
	case c == 'p' && next == 'h':
		return 'F', 2
	case c == 'c' && next == 'h', c == 's' && next == 'h', c == 's' && next == 'z', c == 'c' && next == 'z':
		return 'X', 2
	case c == 'c' && next == 'k':
		return 'K', 2
	case c == 'c' && front, c == 's', c == 'z':
		return 'S', 1
	case c == 'c':
		return 'K', 1
	case c == 'g' && next == 'h':
		return 'G', 2
	case c == 'g' && front:
		return 'J', 1
	}
	return upper(c), 1
}

func isVowel(c byte) bool {
	switch c {
	case 'a', 'e', 'i', 'o', 'u', 'y':
		return true
	}
	return false
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}
