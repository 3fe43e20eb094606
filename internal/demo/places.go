package demo

import (
	"fmt"
	"math/rand/v2"
)

// Places are invented. The postcodes have the form of real ones in a postcode
// area, NF, that does not exist, so that nobody lives there.
var towns = words(`Holmeford Saltmere Thornby Castle-Marling Wendling-Market Ashwick Staithe-End Great-Oulby`)

// county is the last line of addresses.
const county = "Broadshire"

var streetNames = words(`Mill Church Staithe Norwich-Gate Heron Marram Chapel Orchard Priory Windmill Bittern Lark Samphire
	Reedcutter King's Marsh Teasel Lavender`)

var streetKinds = words(`Lane Road Street Close Way Drive`)

// home is an address.
type home struct {
	line, town, postcode string
}

func (h home) lines() []string { return []string{h.line, h.town, county} }

func spaced(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r == '-' {
			out[i] = ' '
		}
	}
	return string(out)
}

// inwardLetters are those that stand in the second half of postcodes.
const inwardLetters = "ABDEFGHJLNPQRSTUWXYZ"

// newHome is one in a town; streets have a postcode each.
func newHome(r *rand.Rand, town int) home {
	name, kind := r.IntN(len(streetNames)), r.IntN(len(streetKinds))
	street := name*len(streetKinds) + kind
	number := 1 + r.IntN(88)
	line := fmt.Sprintf("%d %s %s", number, spaced(streetNames[name]), streetKinds[kind])
	if r.IntN(14) == 0 {
		line = fmt.Sprintf("Flat %d, %s", 1+r.IntN(9), line)
	}
	return home{line: line, town: spaced(towns[town]), postcode: postcodeOf(town, street)}
}

func postcodeOf(town, street int) string {
	return fmt.Sprintf("NF%d %d%c%c", 1+town*2+street%2, 1+street%9,
		inwardLetters[street%len(inwardLetters)], inwardLetters[(street/5+town)%len(inwardLetters)])
}
