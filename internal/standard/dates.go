package standard

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// Dates outside these years are slips of the keyboard: nobody in the index was
// born, moved or was worked with then.
const (
	firstYear = 1900
	lastYear  = 2100
)

var errDate = errors.New("not a date of the calendar between 1900 and 2100, written YYYY-MM-DD")

// FormatDate writes a day as ParseDate reads it; the zero time is no day.
func FormatDate(day time.Time) string {
	if day.IsZero() {
		return ""
	}
	return day.Format(time.DateOnly)
}

// ParseDate reads a date as the standard writes it, YYYY-MM-DD, at midnight UTC.
// It refuses days that the calendar does not have and years before 1900 or after
// 2100. The error does not repeat the text.
func ParseDate(s string) (time.Time, error) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' ||
		!allDigits(s[:4]) || !allDigits(s[5:7]) || !allDigits(s[8:]) {
		return time.Time{}, errDate
	}
	day, ok := calendarDay(atoi(s[:4]), atoi(s[5:7]), atoi(s[8:]))
	if !ok {
		return time.Time{}, errDate
	}
	return day, nil
}

// calendarDay is false where time.Date would have to shift the day.
func calendarDay(year, month, day int) (time.Time, bool) {
	if year < firstYear || year > lastYear || month < 1 || month > 12 || day < 1 || day > 31 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return t, t.Day() == day
}

var errUKDate = errors.New("not a date: write it YYYY-MM-DD or DD/MM/YYYY")

// ParseUKDate reads a date as files of schools and spreadsheets have it and
// gives it as YYYY-MM-DD. Accepted are ISO dates (also without hyphens), day,
// month and year with / . - or a space between them, the month as a number or
// its English name, and a time of midnight after it, as spreadsheets add. A year
// of two digits is the latest such year that is not more than one year ahead.
// The month never comes first. The error does not repeat the text.
func ParseUKDate(s string) (string, error) {
	day, ok := parseUKDate(s, time.Now().Year())
	if !ok {
		return "", errUKDate
	}
	return day.Format(time.DateOnly), nil
}

func parseUKDate(s string, thisYear int) (time.Time, bool) {
	s = trimMidnight(strings.TrimSpace(s))
	if len(s) == 8 && allDigits(s) {
		return calendarDay(atoi(s[:4]), atoi(s[4:6]), atoi(s[6:]))
	}
	parts := strings.FieldsFunc(s, isDateSeparator)
	if len(parts) != 3 || len(strings.Join(parts, ""))+2 != len(s) {
		return time.Time{}, false
	}
	year, month, day := parts[2], parts[1], parts[0]
	if len(parts[0]) == 4 {
		year, day = parts[0], parts[2]
	}
	if !isNumber(day, 1, 2) {
		return time.Time{}, false
	}
	y, ok := yearOf(year, thisYear)
	if !ok {
		return time.Time{}, false
	}
	m, ok := monthOf(month)
	if !ok {
		return time.Time{}, false
	}
	return calendarDay(y, m, atoi(day))
}

// trimMidnight takes off the time that spreadsheets and databases write after a
// date. Any other time would be a fact that the date does not hold.
func trimMidnight(s string) string {
	for _, midnight := range []string{"00:00:00.000", "00:00:00", "00:00"} {
		if date, found := strings.CutSuffix(strings.TrimSuffix(s, "Z"), midnight); found {
			if trimmed := strings.TrimRight(date, " T"); len(trimmed) < len(date) {
				return trimmed
			}
		}
	}
	return s
}

func isDateSeparator(r rune) bool { return r == '/' || r == '-' || r == '.' || r == ' ' }

func isNumber(s string, minLen, maxLen int) bool {
	return len(s) >= minLen && len(s) <= maxLen && allDigits(s)
}

func yearOf(s string, thisYear int) (int, bool) {
	switch {
	case isNumber(s, 4, 4):
		return atoi(s), true
	case isNumber(s, 2, 2):
		y := thisYear/100*100 + atoi(s)
		if y > thisYear+1 {
			y -= 100
		}
		return y, true
	default:
		return 0, false
	}
}

func monthOf(s string) (int, bool) {
	if isNumber(s, 1, 2) {
		return atoi(s), true
	}
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(s, m.String()) || strings.EqualFold(s, m.String()[:3]) {
			return int(m), true
		}
	}
	return int(time.September), strings.EqualFold(s, "Sept")
}

// atoi is for digits that have been looked at: it neither fails nor overflows on
// the four at most that dates are made of.
func atoi(digits string) (n int) {
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

// today is the day in England, where children have their birthdays.
func today() time.Time { return dayIn(time.Now()) }

func dayIn(instant time.Time) time.Time {
	there := instant.In(england())
	return time.Date(there.Year(), there.Month(), there.Day(), 0, 0, 0, 0, time.UTC)
}

// england falls back to UTC, which differs for an hour after midnight in summer,
// where the machine has no time zones.
var england = sync.OnceValue(func() *time.Location {
	if london, err := time.LoadLocation("Europe/London"); err == nil {
		return london
	}
	return time.UTC
})

// ageOn is the age in whole years on a day. Who is born on 29 February comes of
// age on 1 March in other years, as in English law.
func ageOn(day, born time.Time) int {
	age := day.Year() - born.Year()
	if day.Month() < born.Month() || day.Month() == born.Month() && day.Day() < born.Day() {
		age--
	}
	return age
}
