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
		a.Street = streetAfter(rest[i+1:])
		break
	}
	if a.Number == "" {
		a.Street = streetAfter(rest)
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

// streetAfter is the name before the word that says road, street or close; the
// first word when none does.
func streetAfter(parts []string) string {
	for i, w := range parts {
		if i > 0 && streetKinds[w] {
			return strings.Join(parts[:i], "")
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return parts[0]
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

var streetKinds = kinds("street road avenue drive close lane court crescent gardens place square terrace park grove " +
	"way rise hill walk mews row green view mount parade estate path yard circuit parade crescents highway loop")

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
