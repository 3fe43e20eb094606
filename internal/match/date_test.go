package match

import "testing"

func TestDates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want Level
	}{
		{"2014-03-09", "2014-03-09", bornSame},
		{"2014-03", "2014-03-09", bornPartial},
		{"2014-00-09", "2014-03-09", bornPartial},
		{"2014-03-09", "2014-09-03", bornSwapped},
		{"2014-03-19", "2014-19-03", bornSwapped}, // the month first, in a column where the day is
		{"2014-03-09", "2014-03-89", bornSlip},
		{"2014-03-12", "2014-03-21", bornSlip},
		{"2014-03-09", "2014-73-09", bornSlip},
		{"1687-03-09", "1681-03-09", bornSlip},
		{"2014-03-09", "2014-03-51", bornPart},
		{"2014-73-09", "2014-73-09", bornSame},
		{"2014-03-09", "2014-73-51", bornYear},
		{"2014-03-09", "2011-08-24", bornOther},
		{"1694-03-09", "1571-08-24", bornGeneration},
		{"2014-03-09", "", NotCompared},
		{"2014-03-09", "9 March", NotCompared},
	} {
		a, b := parseDate(c.a), parseDate(c.b)
		if got, back := compareDates(a, b), compareDates(b, a); got != c.want || back != c.want {
			t.Errorf("%q and %q: %s, and back %s; want %s", c.a, c.b, LevelName(FieldDateOfBirth, got), LevelName(FieldDateOfBirth, back), LevelName(FieldDateOfBirth, c.want))
		}
	}
}
