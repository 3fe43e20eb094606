package standard

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CleanText gives text the one form the hub keeps: Unicode NFC, no space before
// or after, one space between words. Tabs, line breaks and no-break spaces count
// as spaces; invisible marks that files carry about (byte order mark, zero-width
// space) are dropped. Bytes that are not UTF-8 are left for the check to report.
func CleanText(s string) string {
	if isCleanASCII(s) {
		return s
	}
	s = norm.NFC.String(s)
	if !utf8.ValidString(s) {
		return strings.TrimSpace(s)
	}
	s = strings.Map(dropInvisible, s)
	return norm.NFC.String(strings.Join(strings.FieldsFunc(s, unicode.IsSpace), " "))
}

// isCleanASCII spares most values any work.
func isCleanASCII(s string) bool {
	space := true // as if one stood before the text
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return !space || s == ""
}

func dropInvisible(r rune) rune {
	switch r {
	case '\uFEFF', '\u200B', '\u2060', '\u00AD':
		return -1
	}
	return r
}

// removeSpaces takes out every space, for values in which they mean nothing.
func removeSpaces(s string) string { return removeRunes(s, unicode.IsSpace) }

// removeSeparators takes out spaces and hyphens, with which numbers are grouped
// for reading.
func removeSeparators(s string) string {
	return removeRunes(s, func(r rune) bool { return unicode.IsSpace(r) || r == '-' || r == '\u2010' || r == '\u2011' })
}

// removeRunes also drops invisible marks; a value without any is not copied.
func removeRunes(s string, remove func(rune) bool) string {
	if isAlphanumeric(s) || !utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if remove(r) {
			return -1
		}
		return dropInvisible(r)
	}, s)
}

// upper raises the letters a to z, of which alone identifiers are made. Other
// letters are left for the check to report: the capital of a dotless i is an I.
func upper(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' }) < 0 {
		return s
	}
	raised := []byte(s)
	for i, c := range raised {
		if c >= 'a' && c <= 'z' {
			raised[i] = c - 'a' + 'A'
		}
	}
	return string(raised)
}
