package dataset

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dateOrder says whether 03/04/2015 is April, as in England, or March.
type dateOrder bool

const (
	dayFirst   dateOrder = false
	monthFirst dateOrder = true
)

// orderOf looks for dates that read in one order only. The day comes first
// unless more dates deny that than affirm it.
func orderOf(dates []string) dateOrder {
	months := 0
	for _, s := range dates {
		p := numbers(s)
		if len(p) != 3 || len(p[0]) > 2 {
			continue
		}
		if first, _ := strconv.Atoi(p[0]); first > 12 {
			months--
		}
		if second, _ := strconv.Atoi(p[1]); second > 12 {
			months++
		}
	}
	return months > 0
}

// date reads a date in the usual forms and writes it as match.Person wants it:
// 2015-04-03, 20150403, 3/4/2015, 3.4.2015, 3-4-15, 3 April 2015, 3-Apr-2015,
// each also with a time behind it; 2015-04 and 2015. Empty when it is none of
// these.
func (o dateOrder) date(s string) string {
	s = withoutTime(s)
	if named := namedMonth(s); named != "" {
		return named
	}
	p := numbers(s)
	switch {
	case len(p) == 1 && len(p[0]) == 8:
		return iso(p[0][:4], p[0][4:6], p[0][6:])
	case len(p) == 1 && len(p[0]) == 4:
		return p[0]
	case len(p) == 2 && len(p[0]) == 4:
		return p[0] + "-" + pad(p[1])
	case len(p) == 3 && len(p[0]) == 4:
		return iso(p[0], p[1], p[2])
	case len(p) == 3 && o == monthFirst:
		return iso(century(p[2]), p[0], p[1])
	case len(p) == 3:
		return iso(century(p[2]), p[1], p[0])
	}
	return ""
}

// withoutTime cuts a time of day off: 2015-04-03T00:00:00Z, 3/4/2015 0:00.
func withoutTime(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, ':'); i > 0 {
		if j := strings.LastIndexAny(s[:i], " T"); j > 0 {
			return strings.TrimSpace(s[:j])
		}
	}
	return s
}

func namedMonth(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '/' || r == ' ' || r == ',' || r == '.' }), " ")
	for _, layout := range []string{"2 January 2006", "2 Jan 2006", "January 2 2006", "Jan 2 2006", "2 Jan 06", "2006 Jan 2"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Format(time.DateOnly)
		}
	}
	return ""
}

// numbers are the parts of a date written in figures; nil for anything else.
func numbers(s string) []string {
	for i := range len(s) {
		if !strings.ContainsRune("0123456789-/. ", rune(s[i])) {
			return nil
		}
	}
	return strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// century reads a year of two figures as the latest that is not to come: a date
// of birth is past. The turn is fixed, so that a file reads the same next year.
func century(year string) string {
	if len(year) != 2 {
		return year
	}
	if year > "26" {
		return "19" + year
	}
	return "20" + year
}

func iso(year, month, day string) string {
	return fmt.Sprintf("%s-%s-%s", year, pad(month), pad(day))
}

func pad(s string) string {
	if len(s) == 1 {
		return "0" + s
	}
	return s
}
