package match

import "strconv"

// Date is a date of birth, perhaps partial: zero parts are not known. The
// zero Date is no date at all.
type Date struct {
	Year  uint16
	Month uint8
	Day   uint8
}

// parseDate reads YYYY-MM-DD, YYYY-MM or YYYY. A month or day that no calendar has
// is kept as it stands: it was mistyped, and its digits still tell. Zero is not known.
// Any other form is nothing.
func parseDate(s string) Date {
	if len(s) != 4 && len(s) != 7 && len(s) != 10 {
		return Date{}
	}
	y, ok := digits(s[:4])
	if !ok || y == 0 {
		return Date{}
	}
	d := Date{Year: uint16(y)} //nolint:gosec // four digits
	for i, part := range [...]*uint8{&d.Month, &d.Day} {
		at := 4 + 3*i
		if len(s) == at {
			break
		}
		n, ok := digits(s[at+1 : at+3])
		if s[at] != '-' || !ok {
			return Date{}
		}
		if *part = uint8(n); n == 0 { //nolint:gosec // two digits
			break
		}
	}
	return d
}

// digits reads a short unsigned decimal number.
func digits(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil
}

func (d Date) full() bool { return d.Day != 0 }

// packed is a number of eight digits, YYYYMMDD.
func (d Date) packed() uint32 {
	return uint32(d.Year)*10000 + uint32(d.Month)*100 + uint32(d.Day)
}

// digitsApart counts the differing digits of two full dates.
func digitsApart(a, b Date) int {
	n := 0
	for x, y := a.packed(), b.packed(); x != y; x, y = x/10, y/10 {
		if x%10 != y%10 {
			n++
		}
	}
	return n
}

// swappedDigits reports that one part holds the other's two digits swapped
// (2013 and 2031, 12 and 21), the rest being equal.
func swappedDigits(a, b Date) bool {
	return digitsApart(a, b) == 2 && (a.Year == b.Year && a.Month == b.Month && a.Day%10*10+a.Day/10 == b.Day ||
		a.Year == b.Year && a.Day == b.Day && a.Month%10*10+a.Month/10 == b.Month ||
		a.Month == b.Month && a.Day == b.Day && a.Year/100 == b.Year/100 && a.Year%10*10+a.Year/10%10 == b.Year%100)
}
