package standard

import (
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"2024-02-29": "2024-02-29", "1900-01-01": "1900-01-01", "2100-12-31": "2100-12-31",
		"2023-02-29": "", "1899-12-31": "", "2101-01-01": "", "2015-3-27": "", "2015-00-10": "", "2015-13-01": "", "2015-01-00": "",
		"27/03/2015": "", "2015-03-27T00:00:00Z": "", " 2015-03-27": "", "2015/03/27": "", "": "", "٢٠١٥-٠٣-٢٧": "",
	} {
		got, err := ParseDate(s)
		if want == "" {
			if err == nil {
				t.Errorf("%q is read as %s", s, got)
			}
			continue
		}
		if err != nil || got.Format(time.DateOnly) != want || got.Location() != time.UTC {
			t.Errorf("%q is read as %s, %v", s, got, err)
		}
	}
}

func TestParseUKDate(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"2010-01-31": "2010-01-31", "31/01/2010": "2010-01-31", "1/2/2010": "2010-02-01", "01-02-2010": "2010-02-01",
		"01.02.2010": "2010-02-01", "1 2 2010": "2010-02-01", "2010/02/01": "2010-02-01", "20100201": "2010-02-01",
		"1/2/10": "2010-02-01", "1/2/27": "2027-02-01", "1/2/28": "1928-02-01", "1/2/99": "1999-02-01",
		"1 Feb 2010": "2010-02-01", "01-FEB-10": "2010-02-01", "1 February 2010": "2010-02-01", "3 Sept 2010": "2010-09-03",
		" 31/01/2010 ": "2010-01-31", "31/01/2010 00:00": "2010-01-31", "2010-01-31T00:00:00Z": "2010-01-31",
		"2010-01-31 00:00:00.000": "2010-01-31", "29/02/2012": "2012-02-29",
		// Not guessed at: the month is never first, and a time is a fact that a date does not hold.
		"01/31/2010": "", "29/02/2010": "", "31/01/2010 09:30": "", "31/01": "", "31/01/2010/1": "", "31//01/2010": "",
		"1 Febr 2010": "", "31/01/110": "", "32/01/2010": "", "0/1/2010": "", "": "", "tomorrow": "", "40209": "",
		"1/2/2010 BST": "", "-1/2/2010": "", "2010-02": "", "01022010": "",
	} {
		got := ""
		if day, ok := parseUKDate(s, 2026); ok {
			got = day.Format(time.DateOnly)
		}
		if got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
	}
	if got, err := ParseUKDate("31/01/2010"); got != "2010-01-31" || err != nil {
		t.Errorf("ParseUKDate gives %q, %v", got, err)
	}
	if got, err := ParseUKDate("31/02/2010"); got != "" || err == nil {
		t.Errorf("ParseUKDate gives %q, %v for a day that is not", got, err)
	}
}

func TestAgeOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		born, on string
		want     int
	}{
		{"2006-11-24", "2026-11-23", 19},
		{"2006-11-23", "2026-11-23", 20},
		{"2006-11-22", "2026-11-23", 20},
		{"2008-02-29", "2026-02-28", 17},
		{"2008-02-29", "2026-03-01", 18},
		{"2026-11-23", "2026-11-23", 0},
	} {
		born, _ := ParseDate(c.born)
		on, _ := ParseDate(c.on)
		if got := ageOn(on, born); got != c.want {
			t.Errorf("born %s is %d on %s, want %d", c.born, got, c.on, c.want)
		}
	}
}

// The day of a check is a day in England: an hour after midnight in summer it is
// already the next day there, and a child may be born on it.
func TestTodayIsEngland(t *testing.T) {
	t.Parallel()
	if england() == time.UTC {
		t.Skip("this machine has no time zones")
	}
	day := dayIn(time.Date(2026, 6, 30, 23, 30, 0, 0, time.UTC))
	if day.Format(time.DateOnly) != "2026-07-01" {
		t.Errorf("half past midnight on 1 July in England is %s", day.Format(time.DateOnly))
	}
}
