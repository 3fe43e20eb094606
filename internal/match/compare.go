package match

import "strings"

// comparison is the level of every field of one pair, with what a score needs
// beyond the levels.
type comparison struct {
	levels [numFields]Level
	// givenShare and familyShare are how common the shared name is among all
	// records, 0 when no exact name is shared. For crossed names givenShare is
	// that of both together.
	givenShare, familyShare float64
	// textShare and bornShare are the same for other text and for a date of
	// birth out of the common run, 0 when there is nothing to adjust.
	textShare, bornShare float64
}

// compare is symmetric: the order of a and b changes nothing.
func (m *Model) compare(a, b *Features) comparison {
	var c comparison
	c.levels[FieldResidence] = compareResidence(a, b)
	c.levels[FieldTelephone] = compareTelephones(a.Telephones, b.Telephones)
	c.levels[FieldEmail] = compareEmails(a.Emails, b.Emails)
	c.levels[FieldDateOfBirth] = compareDates(a.Born, b.Born)
	c.levels[FieldMiddleNames] = compareMiddle(a.Middle, b.Middle)
	c.levels[FieldUPN] = compareUPN(a.UPN, b.UPN)
	c.levels[FieldIdentifier] = compareText(a.Identifier, b.Identifier, 1)
	c.levels[FieldOther] = compareOther(a, b, c.levels[FieldResidence])
	if a.Sex != 0 && b.Sex != 0 {
		c.levels[FieldSex] = sameOrNot(a.Sex == b.Sex)
	}
	if a.NHS != 0 && b.NHS != 0 {
		c.levels[FieldNHSNumber] = sameOrNot(a.NHS == b.NHS)
	}
	m.compareNames(a, b, &c)
	if c.levels[FieldOther] == closeSame {
		c.textShare = share(m.frequencies.Texts, a.Other, m.frequencies.OtherText)
	}
	if c.levels[FieldDateOfBirth] == bornSame && len(m.frequencies.Dates) > 0 {
		c.bornShare = m.frequencies.Dates[a.Born.packed()]
	}
	return c
}

func sameOrNot(same bool) Level {
	if same {
		return equal
	}
	return different
}

func compareDates(a, b Date) Level {
	switch {
	case a.Year == 0 || b.Year == 0:
		return NotCompared
	case !a.full() || !b.full():
		return comparePartial(a, b)
	case a == b:
		return bornSame
	case a.Year == b.Year && a.Month == b.Day && a.Day == b.Month:
		return bornSwapped
	case digitsApart(a, b) == 1 || swappedDigits(a, b):
		return bornSlip
	}
	sameYear, sameMonth, sameDay := a.Year == b.Year, a.Month == b.Month, a.Day == b.Day
	switch {
	case sameYear && (sameMonth || sameDay), sameMonth && sameDay:
		return bornPart
	case sameYear:
		return bornYear
	case max(a.Year, b.Year)-min(a.Year, b.Year) >= generation:
		return bornGeneration
	}
	return bornOther
}

// generation is the least number of years between parent and child.
const generation = 15

func comparePartial(a, b Date) Level {
	switch {
	case a.Year != b.Year:
		return bornOther
	case a.Month == 0 || b.Month == 0 || a.Month == b.Month:
		return bornPartial
	}
	return bornYear
}

func compareMiddle(a, b []string) Level {
	if len(a) == 0 || len(b) == 0 {
		return NotCompared
	}
	best := middleOther
	for _, x := range a {
		for _, y := range b {
			switch {
			case x == y && len(x) > 1, len(x) > 3 && len(y) > 3 && x[0] == y[0] && osa(x, y, 1) == 1:
				return middleSame
			case (len(x) == 1 || len(y) == 1) && x[0] == y[0]:
				best = middleInitial
			}
		}
	}
	return best
}

func compareTelephones(a, b []uint64) Level {
	if len(a) == 0 || len(b) == 0 {
		return NotCompared
	}
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return equal
			}
		}
	}
	return different
}

func compareEmails(a, b []string) Level {
	best := NotCompared
	for _, x := range a {
		for _, y := range b {
			best = better(best, emailLevel(x, y))
		}
	}
	return best
}

func emailLevel(a, b string) Level {
	if a == b {
		return closeSame
	}
	x, _, _ := strings.Cut(a, "@")
	y, _, _ := strings.Cut(b, "@")
	if x == y || osa(a, b, 2) <= 2 {
		return closeSimilar
	}
	return closeOther
}

func compareUPN(a, b string) Level {
	switch {
	case a == "" || b == "":
		return NotCompared
	case a == b:
		return equal
	case isTemporaryUPN(a) || isTemporaryUPN(b):
		return NotCompared
	}
	return different
}

// compareText compares identifiers and other text, alike within some edits.
func compareText(a, b string, edits int) Level {
	switch {
	case a == "" || b == "":
		return NotCompared
	case a == b:
		return closeSame
	case min(len(a), len(b)) > 3 && osa(a, b, edits) <= edits:
		return closeSimilar
	}
	return closeOther
}

// compareOther tells records from one place apart.
func compareOther(a, b *Features, residence Level) Level {
	l := compareText(a.Other, b.Other, 2)
	switch {
	case l == NotCompared || residence == NotCompared || residence > residenceTown || residence == residenceStreetName:
		return l
	case l == closeOther:
		return closeOtherThere
	}
	return closeSameThere
}
