package standard

import "time"

// Today is the day in England, as midnight UTC of that date.
func Today() time.Time { return today() }

// DayOf is the day in England at an instant, as midnight UTC of that date.
func DayOf(at time.Time) time.Time {
	at = at.In(england())
	return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
}

// England is the time of England.
func England() *time.Location { return england() }
