package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	"irthub/internal/standard"
)

// reckoned is the day on which the children are 0 to 19 years old. It is fixed,
// so that loading again, in another year too, loads the same children.
var reckoned = time.Date(2026, time.September, 1, 0, 0, 0, 0, time.UTC)

// family is the people at one address. Parents may have other surnames than
// their children.
type family struct {
	culture  *culture
	surname  string
	home     home
	formerly *home // before they moved
	town     int
	moved    time.Time
	parents  []parent
	practice *agency
	children []*child
}

type parent struct{ name, relationship, telephone string }

// child is the truth about a child, of which agencies know versions.
type child struct {
	*family
	number         int
	given, middle  string
	sex            string
	born           time.Time
	nhsNumber, upn string
	ethnicity      string
	school         *agency // for those of school age
	formerSchool   *agency
}

// age is in whole years on the day that the area is reckoned from.
func (c *child) age() int {
	age := reckoned.Year() - c.born.Year()
	if c.born.AddDate(age, 0, 0).After(reckoned) {
		age--
	}
	return age
}

// newChildren makes families until there are so many children: fewer are the
// first of more.
func newChildren(r *rand.Rand, a *area, count int) []*child {
	all := make([]*child, 0, count+8)
	for len(all) < count {
		f := newFamily(r, a)
		if len(all) == 0 {
			f = clarkes(a)
		}
		for _, c := range f.children {
			c.number = len(all)
			c.identify()
			c.attend(r, a)
			all = append(all, c)
		}
	}
	return all[:count]
}

func newFamily(r *rand.Rand, a *area) *family {
	c := someCulture(r)
	f := &family{culture: c, surname: some(r, c.surnames), town: r.IntN(len(towns))}
	f.home = newHome(r, f.town)
	if r.IntN(5) == 0 {
		old := newHome(r, r.IntN(len(towns)))
		f.formerly, f.moved = &old, reckoned.AddDate(0, -r.IntN(40)-1, -r.IntN(28))
	}
	f.practice = near(r, a.practices, f.town, noSchool)
	f.parents = newParents(r, f)
	born := reckoned.AddDate(0, 0, -1-r.IntN(19*365))
	for n := 1 + r.IntN(2) + r.IntN(2); n > 0; n-- {
		f.bear(r, born)
		if r.IntN(70) == 0 { // twins: about two children in a hundred
			f.bear(r, born)
		}
		born = born.AddDate(1, r.IntN(30), r.IntN(28))
		if born.After(reckoned) {
			break
		}
	}
	return f
}

func newParents(r *rand.Rand, f *family) []parent {
	mother := parent{name: some(r, f.culture.girls) + " " + f.surname, relationship: "MTH", telephone: mobile(r)}
	if r.IntN(6) == 0 {
		mother.name = some(r, f.culture.girls) + " " + some(r, f.culture.surnames)
	}
	father := parent{name: some(r, f.culture.boys) + " " + f.surname, relationship: "FTH", telephone: mobile(r)}
	switch r.IntN(12) {
	case 0, 1:
		return []parent{mother}
	case 2:
		grandmother := parent{name: some(r, f.culture.girls) + " " + f.surname, relationship: "GRMTH", telephone: mobile(r)}
		return []parent{mother, grandmother}
	case 3:
		father.relationship = "STPFTH"
	}
	return []parent{mother, father}
}

func (f *family) bear(r *rand.Rand, born time.Time) {
	c := &child{family: f, sex: "F", born: born, ethnicity: some(r, f.culture.ethnicities)}
	names := f.culture.girls
	if r.IntN(2) == 0 {
		c.sex, names = "M", f.culture.boys
	}
	c.given, c.middle = some(r, names), some(r, names)
	for f.named(c.given) {
		c.given = some(r, names)
	}
	if r.IntN(3) == 0 || c.middle == c.given {
		c.middle = ""
	}
	f.children = append(f.children, c)
}

func (f *family) named(given string) bool {
	for _, c := range f.children {
		if c.given == given {
			return true
		}
	}
	return false
}

// firstNHSNumber begins the part used here of the range 999… that is reserved for
// testing.
const firstNHSNumber = 999_100_000

// identify gives the child numbers with the right check digits. NHS numbers and
// UPNs follow the child's own number, so that they never meet.
func (c *child) identify() {
	for n := firstNHSNumber + 20*c.number; c.nhsNumber == ""; n++ {
		nine := fmt.Sprint(n)
		if digit, ok := standard.NHSNumberCheckDigit(nine); ok {
			c.nhsNumber = nine + string(digit)
		}
	}
	if age := c.age(); age >= 4 {
		// Local authority 926, establishments from 9900 on, which there are none of.
		rest := fmt.Sprintf("926%04d%02d%03d", 9900+c.number/1000, (reckoned.Year()-age+4)%100, c.number%1000)
		if letter, ok := standard.UPNCheckLetter(rest); ok {
			c.upn = string(letter) + rest
		}
	}
}

// attend finds a school of the right stage nearby.
func (c *child) attend(r *rand.Rand, a *area) {
	if c.school != nil {
		return
	}
	want, before := noSchool, noSchool
	switch age := c.age(); {
	case age >= 16 && age < 18 && r.IntN(2) == 0:
		want, before = college, secondary
	case age >= 11 && age < 18:
		want, before = secondary, primary
	case age >= 4 && age < 11:
		want = primary
	}
	if want != noSchool {
		c.school = near(r, a.schools, c.town, want)
	}
	if before != noSchool && r.IntN(4) == 0 || want == primary && c.formerly != nil {
		c.formerSchool = near(r, a.schools, r.IntN(len(towns)), max(before, primary))
	}
	if c.formerSchool == c.school {
		c.formerSchool = nil
	}
}

// near is an agency of the town, or of the next one that has any.
func near(r *rand.Rand, list []*agency, town int, s stage) *agency {
	for away := range towns {
		var here []*agency
		for _, a := range list {
			if a.town == (town+away)%len(towns) && a.stage == s {
				here = append(here, a)
			}
		}
		if len(here) > 0 {
			return some(r, here)
		}
	}
	return list[0]
}
