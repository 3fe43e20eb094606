package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// The area: agencies that children are known to.
const (
	schools   = 60
	practices = 20
)

// person is one child of the area, with what agencies say of it: first the one
// that everybody of that age has, then in some cases another.
type person struct{ records []*irtv1.ChildRecord }

// people are the children of the area, one after another, the same in every run:
// names as common as names are, brothers and sisters, twins, households that share
// a postcode, and one child in five known to a second agency, which spells and
// knows things differently.
type people struct {
	mu        sync.Mutex
	ready     []person
	used      int // that have been made ready to be handed out
	strangers int // that have been handed out
	today     time.Time
}

// group is how many are made at a time: households lie within one group.
const group = 16

// next hands out a person that nobody has had.
func (p *people) next() person {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		p.ready = p.groupOf(p.used)[p.used%group:]
	}
	one := p.ready[0]
	p.ready = p.ready[1:]
	p.used++
	return one
}

// strangersFrom is the number of the first stranger, above those of all others.
const strangersFrom = 20_000_000

// stranger is one that nobody has had either, and none of those that next hands out, for
// callers who have nothing to do with each other: those who call at one moment do not do
// so about brothers, sisters and neighbours.
func (p *people) stranger() person {
	p.mu.Lock()
	k := p.strangers
	p.strangers++
	p.mu.Unlock()
	const far = 7919 * postcodeHouseholds    // a prime number of postcodes away
	r := rand.New(rand.NewPCG(uint64(k), 8)) //nolint:gosec // a population to repeat
	return p.child(r, p.household(r, k*far), strangersFrom+k)
}

// taken is how many next has handed out, all of them the first of the area.
func (p *people) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// groupOf makes the group that the n-th person belongs to.
func (p *people) groupOf(n int) []person {
	first := n / group * group
	r := rand.New(rand.NewPCG(uint64(first), 7)) //nolint:gosec // a population to repeat
	all := make([]person, 0, group)
	for len(all) < group {
		h := p.household(r, first+len(all))
		for range min(siblings(r), group-len(all)) {
			all = append(all, p.child(r, h, first+len(all)))
		}
	}
	return all
}

// siblings is how many children a family has: 45 families in 100 have one, 39 two
// (ONS, Families and households).
func siblings(r *rand.Rand) int {
	switch n := r.IntN(100); {
	case n < 45:
		return 1
	case n < 84:
		return 2
	case n < 96:
		return 3
	}
	return 4
}

// household is what the children of one share.
type household struct {
	family    string
	address   []string
	postcode  string
	telephone string
	mother    string
	practice  int
	school    int
	last      time.Time // the date of birth of the child before
}

func (p *people) household(r *rand.Rand, n int) *household {
	h := &household{
		family: families.draw(r), mother: girls.draw(r), postcode: postcode(n / postcodeHouseholds),
		address:  []string{fmt.Sprintf("%d %s Road", 1+r.IntN(120), families.draw(r)), "Norwich"},
		practice: r.IntN(practices), school: r.IntN(schools),
	}
	if r.IntN(100) < 4 {
		h.family += "-" + families.draw(r)
	}
	if r.IntN(10) < 7 {
		h.telephone = fmt.Sprintf("0770%07d", r.IntN(10_000_000)) // few families share one, as in life
	}
	return h
}

// areas are the letters that postcodes of the area begin with.
var areas = []string{"NR", "IP", "CB", "PE", "CO", "CM", "SG", "AL", "LU", "MK", "NN", "LE"}

// postcodeHouseholds is how many households share a postcode.
const postcodeHouseholds = 15

// districtPostcodes is how many postcodes a postal district has here: of 15
// households, so that some 5,000 children live in one, as in England.
const districtPostcodes = 200

// postcode makes the n-th of 72,000 postcodes, for 1.7 million children. Their second
// halves are as those of real ones, which have no C, I, K, M, O and V.
func postcode(n int) string {
	const letters = "ABDEFGHJLNPQRSTUWXYZ"
	district, unit := n/districtPostcodes%(len(areas)*30), n%districtPostcodes
	return fmt.Sprintf("%s%d %d%c%c", areas[district/30], 1+district%30, unit%10, letters[unit/10%len(letters)], letters[(unit/10+district)%len(letters)])
}

func (p *people) child(r *rand.Rand, h *household, n int) person {
	sex, names := "F", girls
	if r.IntN(2) == 0 {
		sex, names = "M", boys
	}
	born := p.born(r, h)
	age := int(p.today.Sub(born).Hours() / 24 / 365.25)
	c := &irtv1.ChildRecord{
		GivenName: names.draw(r), FamilyName: h.family, DateOfBirth: born.Format(time.DateOnly), Sex: sex,
		NhsNumber: nhsNumber(n), AddressLines: h.address, Postcode: h.postcode, Telephone: h.telephone,
		Carers: []*irtv1.Carer{{DisplayName: h.mother + " " + h.family, Relationship: "MTH", Telephone: h.telephone}},
	}
	if r.IntN(2) == 0 {
		c.MiddleNames = names.draw(r)
	}
	atSchool, atPractice := p.schoolRecord(c, h, n), p.practiceRecord(r, c, h, n)
	both := r.IntN(5) == 0
	switch {
	case age < 5:
		return person{[]*irtv1.ChildRecord{atPractice}}
	case both:
		return person{[]*irtv1.ChildRecord{atSchool, atPractice}}
	}
	return person{[]*irtv1.ChildRecord{atSchool}}
}

// born draws a date of birth, from none to 18 years ago. One sibling in forty is a
// twin; the others are apart by a year and more.
func (p *people) born(r *rand.Rand, h *household) time.Time {
	switch {
	case h.last.IsZero():
		h.last = p.today.AddDate(0, 0, -r.IntN(18*365))
	case r.IntN(40) > 0:
		h.last = h.last.AddDate(0, 0, 365+r.IntN(4*365))
		if h.last.After(p.today) {
			h.last = h.last.AddDate(-10, 0, 0)
		}
	}
	return h.last
}

// nhsNumber gives the n-th child one from the range reserved for tests, which has
// a million, and then from one that is not issued; one beginning in eleven has no
// check digit, and those children none.
func nhsNumber(n int) string {
	first := fmt.Sprintf("999%06d", n)
	if n >= 1_000_000 {
		first = fmt.Sprintf("8%08d", n)
	}
	check, ok := standard.NHSNumberCheckDigit(first)
	if !ok {
		return ""
	}
	return first + string(check)
}

func (p *people) schoolRecord(c *irtv1.ChildRecord, h *household, n int) *irtv1.ChildRecord {
	digits := fmt.Sprintf("926%04d%02d%03d", 2000+n/100_000, n/1000%100, n%1000)
	letter, _ := standard.UPNCheckLetter(digits)
	return &irtv1.ChildRecord{
		Name:      recordName(schoolID(h.school), n),
		GivenName: c.GetGivenName(), MiddleNames: c.GetMiddleNames(), FamilyName: c.GetFamilyName(),
		DateOfBirth: c.GetDateOfBirth(), Sex: c.GetSex(), NhsNumber: c.GetNhsNumber(), Upn: string(letter) + digits,
		AddressLines: c.GetAddressLines(), Postcode: c.GetPostcode(), Carers: c.GetCarers(), SchoolUrn: schoolURN(h.school),
	}
}

// practiceRecord is what a practice has: names in capitals, in one case of twenty
// spelt otherwise; no UPN.
func (p *people) practiceRecord(r *rand.Rand, c *irtv1.ChildRecord, h *household, n int) *irtv1.ChildRecord {
	family := strings.ToUpper(c.GetFamilyName())
	if at := 1 + r.IntN(len(family)-1); r.IntN(20) == 0 && family[at] < 0x80 {
		family = family[:at] + family[at+1:]
	}
	return &irtv1.ChildRecord{
		Name:      recordName(practiceID(h.practice), n),
		GivenName: strings.ToUpper(c.GetGivenName()), FamilyName: family,
		DateOfBirth: c.GetDateOfBirth(), Sex: c.GetSex(), NhsNumber: c.GetNhsNumber(), NhsNumberVerificationStatus: verified(c),
		AddressLines: c.GetAddressLines(), Postcode: c.GetPostcode(), Telephone: c.GetTelephone(), Carers: c.GetCarers(),
		GpPracticeCode: practiceCode(h.practice),
	}
}

func verified(c *irtv1.ChildRecord) string {
	if c.GetNhsNumber() == "" {
		return ""
	}
	return "01"
}

func recordName(agency string, n int) string {
	return fmt.Sprintf("agencies/%s/childRecords/p%d", agency, n)
}

func schoolID(n int) string     { return fmt.Sprintf("school-%d", n+1) }
func schoolURN(n int) string    { return fmt.Sprint(130000 + n) }
func practiceID(n int) string   { return fmt.Sprintf("gp-%d", n+1) }
func practiceCode(n int) string { return fmt.Sprintf("D82%03d", n+1) }

// agencyOf is the id of the agency that a record is of.
func agencyOf(record *irtv1.ChildRecord) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(record.GetName(), "agencies/"), "/")
	return id
}
