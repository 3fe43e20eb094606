package standard

import (
	"regexp"
	"strings"
)

// NormalisePostcode writes a postcode in capitals with one space before its last
// three characters, where what was given can be one; anything else it only trims
// and raises to capitals, so that checking it fails. It never swaps 0 and O.
func NormalisePostcode(s string) string {
	if postcodeIsNormal(s) {
		return s
	}
	compact := upper(removeSpaces(s))
	split := len(compact) - 3
	if len(compact) < 5 || len(compact) > 7 || !isAlphanumeric(compact) || !isInward(compact[split:]) {
		return upper(CleanText(s))
	}
	return compact[:split] + " " + compact[split:]
}

// isInward knows the second half of a postcode: a digit and two letters.
func isInward(s string) bool {
	return allDigits(s[:1]) && s[1] >= 'A' && s[2] >= 'A'
}

// postcodeIsNormal spares well-written postcodes, nearly all of them, the copying.
func postcodeIsNormal(s string) bool {
	if len(s) < 6 || len(s) > 8 || s[len(s)-4] != ' ' {
		return false
	}
	for i := range len(s) {
		if i != len(s)-4 && !isUpperAlphanumeric(s[i]) {
			return false
		}
	}
	return true
}

func isUpperAlphanumeric(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' }

func isAlphanumeric(s string) bool {
	for i := range len(s) {
		if !isUpperAlphanumeric(s[i]&^('a'-'A')) && !isUpperAlphanumeric(s[i]) {
			return false
		}
	}
	return true
}

// postcodeStrict is the Cabinet Office's form (British Standard 7666). It is a
// query only, because it refuses a few thousand postcodes that exist.
var postcodeStrict = regexp.MustCompile(`^(?:GIR 0AA|(?:[A-PR-UWYZ][0-9][0-9]?|[A-PR-UWYZ][A-HK-Y][0-9][0-9]?|` +
	`[A-PR-UWYZ][0-9][A-HJKSTUW]|[A-PR-UWYZ][A-HK-Y][0-9][ABEHMNPRVWXY]) [0-9][ABD-HJLNP-UW-Z]{2})$`)

// pseudoPostcode reports a postcode that stands for the absence of one, such as
// ZZ99 3VZ, no fixed abode. Source: NHS Postcode Directory.
func pseudoPostcode(s string) bool { return strings.HasPrefix(s, "ZZ99 ") }

// postcodeIsUsual reports whether a normalised postcode has the strict form, or
// is a pseudo-postcode of the NHS.
func postcodeIsUsual(s string) bool {
	return pseudoPostcode(s) || postcodeStrict.MatchString(s)
}
