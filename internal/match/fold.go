package match

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// fold lowers case, strips accents and turns everything that is neither a
// letter nor a digit into single spaces, save apostrophes and full stops,
// which vanish (O'Brien, St. John). Text that is plain already is returned as
// it is.
func fold(s string) string {
	if isFolded(s) {
		return s
	}
	if isASCII(s) {
		return foldASCII(s)
	}
	return foldUnicode(s)
}

func isFolded(s string) bool {
	space := true
	for i := range len(s) {
		c := s[i]
		if c == ' ' {
			if space {
				return false
			}
			space = true
			continue
		}
		if !isLowerOrDigit(c) {
			return false
		}
		space = false
	}
	return s == "" || !space
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func foldASCII(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	gap := false
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case isLowerOrDigit(c):
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteByte(c)
		case c == '\'' || c == '.' || c == '`':
		default:
			gap = true
		}
	}
	return b.String()
}

func foldUnicode(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	gap := false
	for _, r := range norm.NFKD.String(strings.ToValidUTF8(s, " ")) {
		switch {
		case unicode.Is(unicode.Mn, r) || isApostrophe(r):
			continue
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		gap = false
		writeFolded(&b, r)
	}
	return b.String()
}

func isApostrophe(r rune) bool {
	switch r {
	case '\'', '`', '.', '’', '‘', 'ʼ', 'ʻ', 'ʹ', '´', 'ʿ', 'ʾ':
		return true
	}
	return false
}

// writeFolded writes one letter in lower case; letters that do not decompose
// into a base letter and an accent are spelt as English records spell them.
func writeFolded(b *strings.Builder, r rune) {
	switch r = unicode.ToLower(r); r {
	case 'ø', 'ɵ':
		b.WriteByte('o')
	case 'ł':
		b.WriteByte('l')
	case 'đ', 'ð':
		b.WriteByte('d')
	case 'ħ':
		b.WriteByte('h')
	case 'ı':
		b.WriteByte('i')
	case 'ŧ':
		b.WriteByte('t')
	case 'ə':
		b.WriteByte('e')
	case 'ß':
		b.WriteString("ss")
	case 'æ':
		b.WriteString("ae")
	case 'œ':
		b.WriteString("oe")
	case 'þ':
		b.WriteString("th")
	default:
		b.WriteRune(r)
	}
}

// words splits folded text; nil for none.
func words(folded string) []string {
	if folded == "" {
		return nil
	}
	return strings.Split(folded, " ")
}

// compact is fold without the spaces, for numbers and codes.
func compact(s string) string { return strings.ReplaceAll(fold(s), " ", "") }
