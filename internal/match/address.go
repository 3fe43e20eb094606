package match

import "strings"

// Address is the part of an address that tells households apart: towns and
// counties are left to the postcode.
type Address struct {
	// Number is the house number with its letter ("12a"), or with the flat
	// before it ("3/12"); empty when the premises have none.
	Number string
	// Street is the street's name without its kind ("tullaroop").
	Street string
	// Town is what follows the street, joined; empty when nothing does.
	Town string
	// Words is the whole address, folded and abbreviations undone, compared
	// when there is no number and street on both sides.
	Words string
}

func parseAddress(lines []string) Address {
	parts := words(fold(strings.Join(lines, " ")))
	for i, w := range parts {
		if long, ok := streetAbbreviations[w]; ok && i > 0 {
			parts[i] = long
		}
	}
	a := Address{Words: strings.Join(parts, " ")}
	flat, rest := cutFlat(parts)
	for i, w := range rest {
		if !isNumber(w) {
			continue
		}
		a.Number = w
		a.Street, a.Town = streetAfter(rest[i+1:])
		break
	}
	if a.Number == "" {
		a.Street, a.Town = streetAfter(rest)
	}
	if flat != "" {
		a.Number = flat + "/" + a.Number
	}
	return a
}

// cutFlat takes a leading "flat 3" (unit, apartment, room) off.
func cutFlat(parts []string) (flat string, rest []string) {
	if len(parts) < 2 {
		return "", parts
	}
	switch parts[0] {
	case "flat", "unit", "apartment", "apt", "room":
		return parts[1], parts[2:]
	}
	return "", parts
}

// streetAfter is the name before the word that says road, street or close, and
// what stands after that word. Where none does, or it grew together with the
// name ("millstreet"), the first word is the name.
func streetAfter(parts []string) (street, town string) {
	for i, w := range parts {
		if i > 0 && (streetKinds[w] || townKinds[w] && !later(parts[i+1:])) {
			return withoutKind(strings.Join(parts[:i], "")), strings.Join(parts[i+1:], "")
		}
		if cut := withoutKind(w); cut != w {
			return strings.Join(parts[:i], "") + cut, strings.Join(parts[i+1:], "")
		}
	}
	if len(parts) == 0 {
		return "", ""
	}
	return parts[0], strings.Join(parts[1:], "")
}

// later reports a word for a street further on, so that the "park" before it is
// part of the name: Park Hill Road.
func later(parts []string) bool {
	for _, w := range parts {
		if streetKinds[w] || withoutKind(w) != w {
			return true
		}
	}
	return false
}

// withoutKind cuts a kind of street off the end of a word that grew together
// with it. Short kinds are left: many names end like them.
func withoutKind(w string) string {
	for _, kind := range grownKinds {
		if len(w) >= len(kind)+3 && strings.HasSuffix(w, kind) {
			return w[:len(w)-len(kind)]
		}
	}
	return w
}

func isNumber(w string) bool {
	return w[0] >= '0' && w[0] <= '9' && len(w) <= 6
}

var streetAbbreviations = map[string]string{
	"st": "street", "rd": "road", "ave": "avenue", "av": "avenue", "dr": "drive", "cl": "close", "ln": "lane",
	"ct": "court", "crt": "court", "cres": "crescent", "cr": "crescent", "gdns": "gardens", "gdn": "gardens",
	"pl": "place", "sq": "square", "ter": "terrace", "terr": "terrace", "tce": "terrace", "pk": "park",
	"gr": "grove", "gro": "grove", "wy": "way", "est": "estate", "hse": "house", "bldg": "building", "apt": "apartment",
}

var streetKinds = kinds("street road avenue drive close lane court crescent gardens place square terrace grove " +
	"way rise walk mews row parade estate path yard circuit crescents highway loop")

// townKinds end the names of streets and of towns alike.
var townKinds = kinds("park hill green view mount")

var grownKinds = []string{"street", "road", "avenue", "drive", "close", "lane", "court", "crescent", "gardens", "place", "square", "circuit"}

func kinds(list string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// normalPostcode keeps upper-case letters and digits. Any country's code
// passes; NHS pseudo-postcodes (no fixed abode, unknown) are no evidence.
func normalPostcode(s string) string {
	p := strings.ToUpper(compact(s))
	if len(p) < 3 || len(p) > 10 || strings.HasPrefix(p, "ZZ99") {
		return ""
	}
	return p
}

// outward is the first half of a British postcode, else all but two digits.
func outward(postcode string) string {
	if len(postcode) >= 5 {
		return postcode[:len(postcode)-3]
	}
	return postcode[:len(postcode)-2]
}

// sector is a British postcode without its last two letters, else all but the
// last digit.
func sector(postcode string) string {
	if len(postcode) >= 5 {
		return postcode[:len(postcode)-2]
	}
	return postcode[:len(postcode)-1]
}
