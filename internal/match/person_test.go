package match

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"testing"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "jack": "jack", "  Jack  SMITH ": "jack smith", "O'Brien": "obrien", "O’Brien": "obrien",
		"Smith-Jones": "smith jones", "St. John": "st john", "Zoë": "zoe", "Łukasz": "lukasz", "Strauß": "strauss",
		"Siân": "sian", "Æthel": "aethel", "ИВАН": "иван", "\xff\xfeJack": "jack", "---": "", "José  María": "jose maria",
	} {
		if got := fold(in); got != want {
			t.Errorf("fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNamesThatAreOne(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"McDonald", "Mac Donald"},
		{"O'Neill", "O Neill"},
		{"van der Berg", "Vanderberg"},
		{"De La Cruz", "Delacruz"},
		{"Smith-Jones", "Smith Jones"},
		{"Al-Hassan", "ALHASSAN"},
	} {
		a, b := newName(fold(c[0])), newName(fold(c[1]))
		if a.Joined != b.Joined || a.Sound != b.Sound {
			t.Errorf("%q and %q: %q and %q", c[0], c[1], a.Joined, b.Joined)
		}
	}
}

func TestSoundsAlike(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"philip", "filip"},
		{"catherine", "katherine"},
		{"khan", "kan"},
		{"knight", "night"},
		{"wright", "right"},
		{"mohammed", "muhammad"},
		{"yusuf", "yousaf"},
		{"singh", "sing"},
		{"geoffrey", "jeffrey"},
		{"vishal", "wishal"},
		{"zain", "sain"},
		{"szymon", "shymon"},
		{"wyatt", "wieatt"},
	} {
		if sound(c[0]) != sound(c[1]) {
			t.Errorf("%s %x, %s %x", c[0], sound(c[0]), c[1], sound(c[1]))
		}
	}
	if sound("jack") == sound("jane") || sound("smith") == sound("jones") {
		t.Error("different names sound the same")
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"Baby": true, "BABY GIRL": true, "Baby of Sarah": true, "Twin 2": true, "Infant": true, "Male": true,
		"Babita": false, "Twinkle": false, "Jack": false, "": false,
	} {
		if f := Prepare(Person{GivenName: in}); f.Placeholder != want || want && len(f.Given) != 0 {
			t.Errorf("%q: placeholder %v, given %v", in, f.Placeholder, f.Given)
		}
	}
	if f := Prepare(Person{GivenName: "Baby", PreferredGivenName: "Jack"}); f.Placeholder || len(f.Given) != 1 {
		t.Errorf("a preferred name was lost behind the placeholder: %+v", f)
	}
}

func TestPrepareFields(t *testing.T) {
	t.Parallel()
	f := Prepare(Person{
		GivenName: "Miss Ann", FamilyName: "unknown", Sex: "Female", Postcode: "nr1 4bd", DateOfBirth: "2014-02-31x",
		AddressLines: []string{"Flat 3, 12a Mill Rd", "Dereham"}, Telephones: []string{"+44 (0)7700 900123", "0000000000", "12"},
		Emails: []string{" A@B.org ", "none"}, NHSNumber: "943 476 5870", UPN: "b80120 0005001",
	})
	want := Features{
		Given: f.Given, Sex: 'F', Postcode: "NR14BD", NHS: 9434765870, UPN: "B801200005001",
		Address:    Address{Number: "3/12a", Street: "mill", Town: "dereham", Words: "flat 3 12a mill road dereham"},
		Telephones: []uint64{7700900123}, Emails: []string{"a@b.org"},
	}
	if !reflect.DeepEqual(f, want) || f.Given[0].Joined != "ann" {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
	for in, want := range map[string]Date{
		"2014-02-03": {2014, 2, 3}, "2014-02": {2014, 2, 0}, "2014": {2014, 0, 0},
		"2014-13-01": {2014, 13, 1}, "2014-02-41": {2014, 2, 41}, "0871-02-03": {871, 2, 3}, "2014-00-01": {2014, 0, 0},
		"03/02/2014": {}, "2014-02-00": {2014, 2, 0}, "0000-02-03": {}, "2014/02-03": {}, "2014-+2-03": {}, "": {},
	} {
		if got := parseDate(in); got != want {
			t.Errorf("date %q: got %v, want %v", in, got, want)
		}
	}
	if Prepare(Person{Postcode: "ZZ99 3VZ"}).Postcode != "" {
		t.Error("no fixed abode taken for a place")
	}
}

func TestKeysLeaveOutMissingParts(t *testing.T) {
	t.Parallel()
	empty := Features{}
	if k := Keys(&empty); len(k) != 0 {
		t.Errorf("an empty record has keys %x", k)
	}
	f := Prepare(Person{GivenName: "Jack", FamilyName: "Thornley"})
	narrow, broad := Split(Keys(&f))
	if len(narrow) != 0 {
		t.Errorf("names alone made narrow keys %x", narrow)
	}
	kinds := map[Kind]bool{}
	for _, k := range broad {
		kinds[KeyKind(k)] = true
	}
	if !reflect.DeepEqual(kinds, map[Kind]bool{KindNames: true, KindNameInitial: true, KindNickname: true}) {
		t.Errorf("names alone made broad keys of %v", kinds)
	}
	f = Prepare(jack(func(p *Person) { p.Telephones = []string{"07700900123"} }))
	if _, broad := Split(Keys(&f)); len(broad) != 0 {
		t.Errorf("a record with a telephone has broad keys %x", broad)
	}
}

// Some children are called what programs write for none. Where there need not be a name
// it is none.
func TestNamesThatSayNone(t *testing.T) {
	t.Parallel()
	for _, p := range []Person{
		{GivenName: "Min-jun", FamilyName: "Na"}, {GivenName: "Nil", FamilyName: "Kaya"}, {GivenName: "Ada", FamilyName: "Null"},
	} {
		p.PreferredGivenName, p.FormerFamilyNames = "none", []string{"N/A", "null"}
		if f := Prepare(p); len(f.Given) != 1 || len(f.Family) != 1 {
			t.Errorf("%s %s: %d given and %d family names", p.GivenName, p.FamilyName, len(f.Given), len(f.Family))
		}
	}
	if f := Prepare(Person{GivenName: "N/K", FamilyName: "N/A"}); len(f.Given)+len(f.Family) != 0 {
		t.Errorf("not known, and yet %v %v", f.Given, f.Family)
	}
}

// Of many whom the keys bring, those who share most are taken.
func TestNearest(t *testing.T) {
	t.Parallel()
	key := func(n int, kind Kind) uint64 { return uint64(n)<<kindBits | uint64(kind) }
	keys := []uint64{key(1, KindNamesDay), key(2, KindFamilyPostcode), key(3, KindNHSNumber)}
	blocks := map[uint64][]int{keys[2]: {500}}
	for i := range BlockCap {
		blocks[keys[0]] = append(blocks[keys[0]], i)
		blocks[keys[1]] = append(blocks[keys[1]], i+BlockCap/2)
	}
	few := map[uint64][]int{keys[0]: {3, 1}, keys[1]: {2, 3}}
	if got, cut := Nearest(-1, keys, func(k uint64) []int { return few[k] }, cmp.Compare[int]); cut || !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("of few: %v, cut %t", got, cut)
	}
	got, cut := Nearest(-1, keys, func(k uint64) []int { return blocks[k] }, cmp.Compare[int])
	if !cut || len(got) != CandidateCap || !slices.IsSorted(got) || !slices.Contains(got, 500) {
		t.Fatalf("of many: %v, cut %t", got, cut)
	}
	for i := BlockCap / 2; i < BlockCap; i++ { // they share two keys
		if !slices.Contains(got, i) {
			t.Errorf("%d was left out", i)
		}
	}
}

// A record of which much is known does not meet another by one key that many share.
func TestWeakKeysAreNotEnoughAlone(t *testing.T) {
	t.Parallel()
	key := func(n int, kind Kind) uint64 { return uint64(n)<<kindBits | uint64(kind) }
	nhs, upn, given, family := key(1, KindNHSNumber), key(2, KindUPN), key(3, KindNameBorn), key(4, KindNameBorn)
	year, day, home, house := key(5, KindNamesYear), key(6, KindNamesDay), key(7, KindFamilyPostcode), key(8, KindAddressGiven)
	keys := []uint64{nhs, upn, given, family, year, day, home, house}
	const self = 99
	blocks := map[uint64][]int{
		upn:    {1},                // alone enough
		given:  {10, 11, 12, 13},   // too many
		family: {20, 21, 22, self}, // few: itself does not count
		home:   {30, 31, 10},       // never enough; 10 shares two
		house:  {40},
	}
	nearest := func(keys []uint64) []int {
		list, _ := Nearest(self, keys, func(k uint64) []int { return blocks[k] }, cmp.Compare[int])
		return list
	}
	if got, want := nearest(keys), []int{1, 10, 20, 21, 22, 40, self}; !slices.Equal(got, want) {
		t.Errorf("met %v, want %v", got, want)
	}
	if got, want := nearest(keys[2:]), []int{10, 11, 12, 13, 20, 21, 22, 30, 31, 40, self}; !slices.Equal(got, want) {
		t.Errorf("without a number met %v, want %v", got, want)
	}
	// Once another is like it in all that tells who it is, one key is enough for none,
	// but where it is one child's own.
	for _, k := range []uint64{nhs, given, family, year, day} {
		blocks[k] = append(blocks[k], 50)
	}
	if got, want := nearest(keys), []int{1, 10, 50, self}; !slices.Equal(got, want) {
		t.Errorf("beside its like met %v, want %v", got, want)
	}
	// What it was itself is not another.
	for _, k := range []uint64{nhs, given, family, year, day} {
		blocks[k][len(blocks[k])-1] = self
	}
	if got := nearest(keys); !slices.Contains(got, 40) {
		t.Errorf("beside what it was before met %v", got)
	}
}

// TestKeysAreStable holds stored keys: when it fails, KeyVersion must rise.
func TestKeysAreStable(t *testing.T) {
	t.Parallel()
	f := Prepare(Person{
		GivenName: "Jack", FamilyName: "Thornley", DateOfBirth: "2014-03-09", Postcode: "NR19 1AB",
		AddressLines: []string{"12 Mill Lane"}, NHSNumber: numberA, UPN: upnA, Telephones: []string{"07700900123"},
	})
	kinds := map[Kind]int{}
	var sum uint64
	for _, k := range Keys(&f) {
		kinds[KeyKind(k)]++
		sum = sum*31 + k
		if int64(k) < 0 {
			t.Errorf("key %x is negative as a signed number", k)
		}
	}
	want := map[Kind]int{
		KindNHSNumber: 1, KindUPN: 1, KindNameBorn: 2, KindNamesYear: 1, KindNamesDay: 1, KindNamesDistrict: 1,
		KindPostcodeBorn: 1, KindTelephoneGiven: 1, KindAddressGiven: 1, KindFamilyPostcode: 1,
	}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("got kinds %v, want %v", kinds, want)
	}
	if KeyVersion != 6 || sum != 0xab5a02c3b13c5f8e {
		t.Errorf("keys changed: %#x", sum)
	}
}

func FuzzPrepareAndScore(f *testing.F) {
	f.Add("Jack", "Thornley", "2014-03-09", "12 Mill Lane", "NR19 1AB", "07700900123", "Jaques", "O'Neil", "2014-09-03", "1 A", "ZZ99 3VZ", "x@y")
	f.Add("Baby", "McDonald", "2014", "Flat 3", "", "1", "Zoë", "\xff", "2014-13-40", "", "123456789012345", "@")
	m := Default()
	f.Fuzz(func(t *testing.T, g1, f1, d1, a1, p1, c1, g2, f2, d2, a2, p2, c2 string) {
		x := Prepare(Person{
			GivenName: g1, FamilyName: f1, DateOfBirth: d1, AddressLines: []string{a1}, Postcode: p1, MiddleNames: c2,
			Telephones: []string{c1}, Emails: []string{c1}, NHSNumber: c1, UPN: p1 + a1, Identifier: a1, Other: c1, Sex: c1,
		})
		y := Prepare(Person{
			GivenName: g2, PreferredGivenName: c2, FamilyName: f2, FormerFamilyNames: []string{g1}, DateOfBirth: d2,
			AddressLines: []string{a2, c2}, Postcode: p2, Telephones: []string{c1, c2}, Emails: []string{c2}, Identifier: a2, Other: c2,
		})
		for _, k := range append(Keys(&x), Keys(&y)...) {
			if KeyKind(k).String() == "unknown" {
				t.Fatalf("key %x of no kind", k)
			}
		}
		r, s := m.Score(&x, &y), m.Score(&y, &x)
		if !reflect.DeepEqual(r, s) {
			t.Fatalf("not symmetric:\n%+v\n%+v", r, s)
		}
		if math.IsNaN(r.Weight) || math.IsInf(r.Weight, 0) || r.Probability < 0 || r.Probability > 1 {
			t.Fatalf("weight %v, probability %v", r.Weight, r.Probability)
		}
	})
}
