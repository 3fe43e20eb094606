package match

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
)

// jack is a child as three agencies know him; tests change what they are about.
func jack(change func(*Person)) Person {
	p := Person{
		GivenName: "Jack", FamilyName: "Thornley", DateOfBirth: "2014-03-09", Sex: "M",
		AddressLines: []string{"12 Mill Lane", "Dereham"}, Postcode: "NR19 1AB",
	}
	if change != nil {
		change(&p)
	}
	return p
}

const (
	numberA = "9434765870"
	numberB = "9000000009"
	upnA    = "B801200005001"
	upnB    = "X845212818005"
)

func TestDecideProductCases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		known  []Person // member records of one child
		record Person
		want   Band
		rule   string
	}{
		{
			"same child from school, GP and social care, nickname and other spelling",
			[]Person{
				{GivenName: "William", FamilyName: "O'Brien", DateOfBirth: "2012-05-17", Sex: "M", Postcode: "NR1 4BD", AddressLines: []string{"3 High Street"}},
				{GivenName: "Bill", FamilyName: "O Brien", DateOfBirth: "2012-05-17", Sex: "M", Postcode: "nr14bd", AddressLines: []string{"3 High St"}},
			},
			Person{GivenName: "WILL", MiddleNames: "James", FamilyName: "OBRIEN", DateOfBirth: "2012-05-17", Postcode: "NR1 4BD", AddressLines: []string{"3, High St.", "Norwich"}},
			BandLink, "",
		},
		{
			"transliteration and hyphenated family name",
			[]Person{{GivenName: "Mohammed", FamilyName: "Al-Hassan", DateOfBirth: "2015-11-02", Sex: "M", Postcode: "NR3 1AA", Telephones: []string{"07700 900123"}}},
			Person{GivenName: "Muhammad", FamilyName: "Alhassan", DateOfBirth: "2015-11-02", Sex: "M", Telephones: []string{"+44 7700 900123"}},
			BandLink, "",
		},
		{
			"moved house, rare name",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.AddressLines, p.Postcode = []string{"4 Sea View"}, "NR30 2QQ" }),
			BandLink, "",
		},
		{
			"double-barrelled family name shortened, given name misspelt",
			[]Person{jack(func(p *Person) { p.FamilyName = "Thornley-Marsh"; p.GivenName = "Frederick" })},
			jack(func(p *Person) { p.GivenName = "Fredrerick" }),
			BandLink, "",
		},
		{
			"accents",
			[]Person{jack(func(p *Person) { p.GivenName = "Zoë"; p.FamilyName = "Łukasiewicz"; p.Sex = "F" })},
			jack(func(p *Person) { p.GivenName = "Zoe"; p.FamilyName = "Lukasiewicz"; p.Sex = "F" }), BandLink, "",
		},
		{
			"given and family name transposed",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.GivenName, p.FamilyName = p.FamilyName, p.GivenName }), BandLink, "",
		},
		{
			"day and month swapped",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.DateOfBirth = "2014-09-03" }), BandLink, "",
		},
		{
			"called by the middle name",
			[]Person{jack(func(p *Person) { p.MiddleNames = "Oliver" })},
			jack(func(p *Person) { p.GivenName, p.MiddleNames = "Oliver", "" }), BandLink, "",
		},
		{
			"former family name given",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.FamilyName, p.FormerFamilyNames = "Osgood", []string{"Thornley"} }), BandLink, "",
		},
		{
			"preferred given name given",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.GivenName, p.PreferredGivenName = "Maximilian", "Jack" }), BandLink, "",
		},

		{
			"brother, near date of birth",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.GivenName, p.DateOfBirth = "Harry", "2015-02-20" }), BandNew, "",
		},
		{
			"brother, same initial, one-digit date difference",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.GivenName, p.DateOfBirth = "James", "2015-03-09" }), BandNew, "",
		},
		{
			"twin brother, other given name",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.GivenName = "Harry" }), BandNew, "",
		},
		{
			"twin sister, same telephone",
			[]Person{jack(func(p *Person) { p.Telephones = []string{"07700900123"} })},
			jack(func(p *Person) {
				p.GivenName, p.Sex, p.Telephones = "Grace", "F", []string{"07700900123"}
			}), BandNew, "",
		},
		{
			"stranger with the same common name",
			[]Person{{GivenName: "Oliver", FamilyName: "Smith", DateOfBirth: "2014-03-09", Postcode: "NR1 1AA"}},
			Person{GivenName: "Oliver", FamilyName: "Smith", DateOfBirth: "2011-08-21", Postcode: "CV1 2BB"},
			BandNew, "",
		},
		{
			"father and son of the same name",
			[]Person{jack(nil)},
			jack(func(p *Person) { p.DateOfBirth = "1986-07-28" }), BandNew, "",
		},

		{
			"twin with a similar name, first letter",
			[]Person{jack(func(p *Person) { p.GivenName, p.Sex = "Amelia", "F" })},
			jack(func(p *Person) { p.GivenName, p.Sex = "Emelia", "F" }), BandReview, "",
		},
		{
			"twin with a similar name, Jayden and Hayden",
			[]Person{jack(func(p *Person) { p.GivenName = "Jayden" })},
			jack(func(p *Person) { p.GivenName = "Hayden" }), BandReview, "",
		},
		{
			"twin with a similar name, same middle name and telephone",
			[]Person{jack(func(p *Person) {
				p.GivenName, p.MiddleNames, p.Telephones = "Ellie", "Rose", []string{"07700900123"}
			})},
			jack(func(p *Person) {
				p.GivenName, p.MiddleNames, p.Telephones = "Elsie", "Rose", []string{"07700900123"}
			}), BandReview, RuleTwinName,
		},

		{
			"newborn placeholder, same NHS number",
			[]Person{jack(func(p *Person) { p.GivenName, p.NHSNumber = "Baby", numberA })},
			jack(func(p *Person) { p.NHSNumber = numberA }), BandLink, RuleSameNHSNumber,
		},
		{
			"newborn placeholder, no identifier",
			[]Person{jack(func(p *Person) { p.GivenName = "Baby Thornley" })},
			jack(nil), BandReview, "",
		},
		{
			"newborn placeholder, telephone as well",
			[]Person{jack(func(p *Person) { p.GivenName, p.Telephones = "Baby Boy", []string{"07700900123"} })},
			jack(func(p *Person) { p.Telephones = []string{"07700900123"} }), BandReview, "",
		},

		{
			"same NHS number, name changed by marriage of the mother, moved",
			[]Person{jack(func(p *Person) { p.NHSNumber = numberA })},
			jack(func(p *Person) {
				p.NHSNumber, p.FamilyName, p.Postcode, p.AddressLines = "943 476 5870", "Osgood", "PE30 1AA", nil
			}), BandLink, RuleSameNHSNumber,
		},
		{
			"same NHS number typed into the twin's record",
			[]Person{jack(func(p *Person) { p.NHSNumber = numberA })},
			jack(func(p *Person) { p.NHSNumber, p.GivenName = numberA, "Harry" }), BandReview, RuleNHSNumberConflict,
		},
		{
			"same UPN typed into the brother's record",
			[]Person{jack(func(p *Person) { p.UPN = upnA })},
			jack(func(p *Person) { p.UPN, p.GivenName, p.DateOfBirth = upnA, "Harry", "2012-01-30" }), BandReview, RuleUPNConflict,
		},
		{
			"two NHS numbers, all else the same",
			[]Person{jack(func(p *Person) { p.NHSNumber = numberA })},
			jack(func(p *Person) { p.NHSNumber = numberB }), BandReview, RuleDifferentNHSNumber,
		},
		{
			"two NHS numbers, date of birth other by a digit",
			[]Person{jack(func(p *Person) { p.NHSNumber = numberA })},
			jack(func(p *Person) { p.NHSNumber, p.DateOfBirth = numberB, "2014-03-08" }), BandNew, "",
		},
		{
			"two NHS numbers across members: the record without one does not hide the other",
			[]Person{jack(nil), jack(func(p *Person) { p.NHSNumber, p.UPN = numberA, upnA })},
			jack(func(p *Person) { p.NHSNumber, p.UPN = numberB, upnA }), BandReview, RuleDifferentNHSNumber,
		},
		{
			"an NHS number with a wrong check digit is no number",
			[]Person{jack(func(p *Person) { p.NHSNumber = numberA })},
			jack(func(p *Person) { p.NHSNumber = "9434765871" }), BandLink, "",
		},
		{
			"temporary UPN replaced by the permanent one",
			[]Person{jack(func(p *Person) { p.UPN = "M80120000500A" })},
			jack(func(p *Person) { p.UPN = upnB }), BandLink, "",
		},
		{
			"initial fits one member, another member is the twin",
			[]Person{jack(func(p *Person) { p.GivenName = "J" }), jack(nil)},
			jack(func(p *Person) { p.GivenName = "James" }), BandReview, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			record := Prepare(c.record)
			d := Default().Decide(&record, membersOf(1, c.known...))
			if d.Band != c.want || c.rule != "" && d.Rule != c.rule {
				t.Errorf("got %v by rule %q at %.4f, want %v by %q\n%v", d.Band, d.Rule, d.Result.Probability, c.want, c.rule, d.Result.Fields)
			}
			if d.Band == BandNew != (d.Child == ChildKey{}) {
				t.Errorf("band %v names child %v", d.Band, d.Child)
			}
		})
	}
}

func membersOf(child byte, people ...Person) []Candidate {
	var list []Candidate
	for _, p := range people {
		f := Prepare(p)
		list = append(list, Candidate{Child: ChildKey{15: child}, Features: &f})
	}
	return list
}

func TestDecideWithoutCandidatesMakesNewChild(t *testing.T) {
	t.Parallel()
	record := Prepare(jack(nil))
	d := Default().Decide(&record, nil)
	if d.Band != BandNew || d.Member != -1 || d.RunnerUp.Member != -1 {
		t.Errorf("got %+v", d)
	}
}

func TestDecideObeysDoNotMatch(t *testing.T) {
	t.Parallel()
	record := Prepare(jack(func(p *Person) { p.NHSNumber = numberA }))
	list := membersOf(1, jack(func(p *Person) { p.NHSNumber = numberA }), jack(nil))
	list[1].DoNotMatch = true
	if d := Default().Decide(&record, list); d.Band != BandNew {
		t.Errorf("a child ruled out by one of its records came back: %v", d.Band)
	}
	list = append(list, membersOf(2, jack(nil))...)
	if d := Default().Decide(&record, list); d.Band != BandLink || d.Child != list[2].Child {
		t.Errorf("got %v %v, want the other child linked", d.Band, d.Child)
	}
}

func TestDecideBetweenTwoChildren(t *testing.T) {
	t.Parallel()
	m := Default()
	twins := append(membersOf(1, jack(nil)), membersOf(2, jack(func(p *Person) { p.GivenName = "James" }))...)

	record := Prepare(jack(nil))
	if d := m.Decide(&record, twins); d.Band != BandLink || d.Child != twins[0].Child || d.RunnerUp.Child != twins[1].Child || d.RunnerUp.Fits {
		t.Errorf("the twin's own record: got %v %v, second %+v", d.Band, d.Child, d.RunnerUp)
	}
	record = Prepare(jack(func(p *Person) { p.GivenName = "J"; p.MiddleNames = "Lee" }))
	twins[0].Features.Middle, twins[1].Features.Middle = record.Middle, record.Middle
	if d := m.Decide(&record, twins); d.Band != BandReview || d.Rule != RuleAmbiguous || !d.RunnerUp.Fits || len(d.RunnerUp.Result.Fields) == 0 {
		t.Errorf("a record that fits both twins: got %v by %q, second %+v", d.Band, d.Rule, d.RunnerUp)
	}

	twice := append(membersOf(1, jack(nil)), membersOf(2, jack(nil), jack(nil))...)
	record = Prepare(jack(nil))
	d := m.Decide(&record, twice)
	if d.Band != BandLink || !d.SuspectedDuplicate || d.Child != twice[1].Child {
		t.Errorf("one child held twice: got %v %v, duplicate %v; want the one with more records", d.Band, d.Child, d.SuspectedDuplicate)
	}

	moved := append(membersOf(1, jack(func(p *Person) { p.NHSNumber = numberA })),
		membersOf(2, jack(func(p *Person) {
			p.FamilyName, p.AddressLines, p.Postcode = "Oyelaran", []string{"4 Sea View"}, "NR30 2QQ"
		}))...)
	record = Prepare(jack(func(p *Person) { p.FamilyName, p.NHSNumber = "Oyelaran", numberA }))
	if d := m.Decide(&record, moved); d.Band != BandLink || d.SuspectedDuplicate || !d.RunnerUp.Fits || d.RunnerUp.Rule != RuleAmbiguous {
		t.Errorf("a record that would be linked to either of two that are unlike: got %v by %q, second %+v", d.Band, d.Rule, d.RunnerUp)
	}

	record = Prepare(jack(func(p *Person) { p.NHSNumber = numberA }))
	lent := append(membersOf(1, jack(nil)), membersOf(2, jack(func(p *Person) { p.GivenName, p.NHSNumber = "Harry", numberA }))...)
	if d := m.Decide(&record, lent); d.Band != BandReview {
		t.Errorf("the twin holds the record's NHS number: got %v", d.Band)
	}
}

func TestDecisionSurvivesJSON(t *testing.T) {
	t.Parallel()
	record := Prepare(jack(func(p *Person) { p.GivenName = "Jacky" }))
	d := Default().Decide(&record, append(membersOf(1, jack(nil)), membersOf(2, jack(func(p *Person) { p.GivenName = "Harry" }))...))
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back Decision
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	d.Result.Levels = back.Result.Levels // levels are stored by name, in Fields
	if !reflect.DeepEqual(d, back) {
		t.Errorf("stored %+v\nread   %+v", d, back)
	}
	if err := json.Unmarshal([]byte(`"MAYBE"`), &back.Band); err == nil {
		t.Error("an unknown band was read")
	}
}

func TestDecideIgnoresOrderOfChildren(t *testing.T) {
	t.Parallel()
	m := Default()
	a := membersOf(1, jack(nil), jack(func(p *Person) { p.GivenName = "Jak" }))
	b := membersOf(2, jack(func(p *Person) { p.GivenName = "Harry" }))
	record := Prepare(jack(func(p *Person) { p.Sex = "" }))
	x := m.Decide(&record, append(append([]Candidate{}, a...), b...))
	y := m.Decide(&record, append(append([]Candidate{}, b...), a...))
	if x.Band != y.Band || x.Child != y.Child || !reflect.DeepEqual(x.Result, y.Result) {
		t.Errorf("%v %v against %v %v", x.Band, x.Child, y.Band, y.Child)
	}
}

// One odd record of a child does not bring in its like: the others have a say, and
// the explanation is of what they say together.
func TestAChildIsComparedAsAWhole(t *testing.T) {
	t.Parallel()
	m := Default()
	known := append(slices.Repeat([]Person{jack(nil)}, 9), jack(func(p *Person) { p.GivenName = "Peregrine" }))
	stranger := Prepare(Person{GivenName: "Peregrine", FamilyName: "Thornley", Sex: "M"})
	var list []Candidate
	for i := range known {
		f := Prepare(known[i])
		list = append(list, Candidate{Child: childKey(1), Features: &f})
	}
	odd := m.Decide(&stranger, list[9:])
	d := m.Decide(&stranger, list)
	if odd.Result.Probability < sureEnough || d.Result.Probability >= sureEnough || d.Result.Weight >= odd.Result.Weight-3 {
		t.Errorf("alone %v at %.1f bits, among others %v at %.1f", odd.Band, odd.Result.Weight, d.Band, d.Result.Weight)
	}
	sum := d.Result.PriorWeight
	for _, f := range d.Result.Fields {
		sum += f.Weight
	}
	if math.Abs(sum-d.Result.Weight) > 1e-9 || len(d.Result.Fields) != 3 || d.Result.Fields[2] != (FieldWeight{"given_name", "same", d.Result.Fields[2].Weight}) {
		t.Errorf("%+v adds up to %v, weight is %v", d.Result.Fields, sum, d.Result.Weight)
	}
	slices.Reverse(list)
	if back := m.Decide(&stranger, list); back.Band != d.Band || math.Abs(back.Result.Weight-d.Result.Weight) > 1e-9 {
		t.Errorf("in another order %v at %v, was %v at %v", back.Band, back.Result.Weight, d.Band, d.Result.Weight)
	}

	// Each record lacks what the other has: together they say more than either.
	born, address := jack(func(p *Person) { p.AddressLines, p.Postcode = nil, "" }), jack(func(p *Person) { p.DateOfBirth = "" })
	x, y, whole := Prepare(born), Prepare(address), Prepare(jack(nil))
	parts := []Candidate{{Child: childKey(1), Features: &x}, {Child: childKey(1), Features: &y}}
	if all := m.Decide(&whole, parts); all.Result.Weight <= max(m.Decide(&whole, parts[:1]).Result.Weight, m.Decide(&whole, parts[1:]).Result.Weight) {
		t.Errorf("together %.1f bits, no more than either", all.Result.Weight)
	}
}
