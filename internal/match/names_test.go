package match

import "testing"

// TestGivenNames grades pairs of given names as they come from offices that spell
// and cut them otherwise.
func TestGivenNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b Person
		want string
	}{
		{Person{GivenName: "Mohammed"}, Person{GivenName: "Muhammad"}, "spelling"},
		{Person{GivenName: "Jaxon"}, Person{GivenName: "Jackson"}, "spelling"},
		{Person{GivenName: "Kaitlyn"}, Person{GivenName: "Caitlin"}, "spelling"},
		{Person{GivenName: "Poppy"}, Person{GivenName: "Poppie"}, "spelling"},
		{Person{GivenName: "Hannah"}, Person{GivenName: "Hana"}, "spelling"},
		{Person{GivenName: "Abdul Rahman"}, Person{GivenName: "Abdurrahman"}, "same"},
		{Person{GivenName: "Abd al-Rahman"}, Person{GivenName: "Abdirahman"}, "same"},
		{Person{GivenName: "Abdallah"}, Person{GivenName: "Abdullah"}, "same"},
		{Person{GivenName: "Mohammed Ali"}, Person{GivenName: "Muhammad Ali"}, "spelling"},
		{Person{GivenName: "Penelope"}, Person{GivenName: "Penny"}, "variant"},
		{Person{GivenName: "Lily-May"}, Person{GivenName: "Lily"}, "part"},
		{Person{GivenName: "Emma-Louise"}, Person{GivenName: "Emma-Louize"}, "slip"},
		// One column and two, and another order.
		{Person{GivenName: "Shelby Zahra"}, Person{GivenName: "Shelby", MiddleNames: "Zahra"}, "same"},
		{Person{GivenName: "Maddison Louella"}, Person{GivenName: "Maddison", MiddleNames: "L"}, "same"},
		{Person{GivenName: "Tyler", MiddleNames: "Ayyub"}, Person{GivenName: "Ayyub", MiddleNames: "Tyler"}, "reordered"},
		{Person{GivenName: "Mohamed Ali", FamilyName: "Hassan"}, Person{GivenName: "Mohamed", FamilyName: "Ali Hassan"}, "reordered"},
		{Person{GivenName: "Nowak", FamilyName: "Zofia"}, Person{GivenName: "Zofia", FamilyName: "Nowak"}, "crossed"},
		// Two children.
		{Person{GivenName: "Mohammed Ali"}, Person{GivenName: "Mohammed Hassan"}, "similar"},
		{Person{GivenName: "Mohammed Ali"}, Person{GivenName: "Mohammed"}, "similar"},
		{Person{GivenName: "Lily-May"}, Person{GivenName: "Lily-Rose"}, "similar"},
		{Person{GivenName: "Amelia"}, Person{GivenName: "Emilia"}, "similar"},
		{Person{GivenName: "Jayden"}, Person{GivenName: "Hayden"}, "similar"},
		{Person{GivenName: "Rosie"}, Person{GivenName: "Harmony-Rose"}, "different"},
		{Person{GivenName: "Jan"}, Person{GivenName: "Jane"}, "similar"},
		// Nothing to compare.
		{Person{GivenName: "Boy Twin 2"}, Person{GivenName: "Oliver"}, "not_compared"},
		{Person{GivenName: "Male Infant of Sarah"}, Person{GivenName: "Oliver"}, "not_compared"},
	} {
		level(t, FieldGivenName, c.a, c.b, c.want)
	}
}

func TestFamilyNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b Person
		want string
	}{
		{Person{FamilyName: "Kowalski"}, Person{FamilyName: "Kowalska"}, "variant"},
		{Person{FamilyName: "Ivanov"}, Person{FamilyName: "Ivanova"}, "variant"},
		{Person{FamilyName: "Kazlauskas"}, Person{FamilyName: "Kazlauskaitė"}, "variant"},
		{Person{GivenName: "Harpreet", FamilyName: "Kaur"}, Person{GivenName: "Harpreet", MiddleNames: "Kaur", FamilyName: "Dhillon"}, "part"},
		{Person{FamilyName: "Kaur"}, Person{FamilyName: "Kaur Dhillon"}, "part"},
		{Person{FamilyName: "Al-Hassan"}, Person{FamilyName: "Hassan"}, "part"},
		{Person{FamilyName: "bin Salman"}, Person{FamilyName: "Salman"}, "part"},
		{Person{FamilyName: "Łukasiewicz"}, Person{FamilyName: "Lukasiewicz"}, "same"},
		{Person{FamilyName: "D'Souza"}, Person{FamilyName: "D Souza"}, "same"},
		{Person{FamilyName: "Macdonald"}, Person{FamilyName: "Mc Donald"}, "same"},
		{Person{FamilyName: "Singh"}, Person{FamilyName: "Kaur"}, "different"},
	} {
		level(t, FieldFamilyName, c.a, c.b, c.want)
	}
}

func level(t *testing.T, f Field, a, b Person, want string) {
	t.Helper()
	x, y := Prepare(a), Prepare(b)
	m := Default()
	for _, r := range []Result{m.Score(&x, &y), m.Score(&y, &x)} {
		if got := LevelName(f, r.Levels[f]); got != want {
			t.Errorf("%s %s %s and %s %s %s: %s, want %s", a.GivenName, a.MiddleNames, a.FamilyName, b.GivenName, b.MiddleNames, b.FamilyName, got, want)
		}
	}
}

func TestComparingNamesAllocatesNothing(t *testing.T) {
	a, b := Prepare(Person{GivenName: "Mohammed Ali", MiddleNames: "Tyler", FamilyName: "Kowalska"}), Prepare(Person{GivenName: "Muhammad", MiddleNames: "Ali", FamilyName: "Kowalski"})
	m := Default()
	if n := testing.AllocsPerRun(100, func() { m.Score(&a, &b) }); n != 0 {
		t.Errorf("%v allocations a score", n)
	}
}

func FuzzSaidAlike(f *testing.F) {
	f.Add("jaxon", "jackson")
	f.Add("anne", "hhee")
	f.Fuzz(func(t *testing.T, a, b string) {
		a, b = compact(a), compact(b)
		if saidAlike(a, b) != saidAlike(b, a) || sameStem(a, b) != sameStem(b, a) {
			t.Errorf("%q and %q: the order matters", a, b)
		}
		if oneAbdul("abd"+a+"ax") == "" || onePrefix(a) == "" && a != "" {
			t.Errorf("%q vanished", a)
		}
	})
}
