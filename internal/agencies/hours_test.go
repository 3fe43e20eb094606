package agencies_test

import (
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
)

func TestOfficeHoursAreInTheTimeOfEngland(t *testing.T) {
	t.Parallel()
	hours := []*irtv1.OfficeHours{
		{Weekday: irtv1.Weekday_WEEKDAY_MONDAY, Open: "09:00", Close: "17:00"},
		{Weekday: irtv1.Weekday_WEEKDAY_SUNDAY, Open: "20:00", Close: "24:00"},
	}
	for text, want := range map[string]bool{
		"2026-07-06T08:00:00Z": true,  // Monday, nine in summer time
		"2026-07-06T16:00:00Z": false, // five
		"2026-01-05T08:59:00Z": false, // Monday in winter
		"2026-01-05T09:00:00Z": true,
		"2026-01-06T10:00:00Z": false, // Tuesday
		"2026-01-04T23:59:00Z": true,  // Sunday, up to midnight
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := agencies.InOfficeHours(hours, at); got != want {
			t.Errorf("%s: %v", text, got)
		}
		if !agencies.InOfficeHours(nil, at) {
			t.Error("hours that are not known are not taken as closed")
		}
	}
}
