package agencies

import (
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// InOfficeHours tells whether an instant is within office hours, in the time of
// England; where none are known every instant is.
func InOfficeHours(hours []*irtv1.OfficeHours, at time.Time) bool {
	if len(hours) == 0 {
		return true
	}
	at = at.In(standard.England())
	day := (at.Weekday()+6)%7 + 1 // Monday is 1
	clock := at.Format("15:04")
	for _, h := range hours {
		if h.GetWeekday() == irtv1.Weekday(day) && h.GetOpen() <= clock && clock < h.GetClose() {
			return true
		}
	}
	return false
}
