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

// compareNames sets both names' levels: whether they are crossed can only be
// seen together, and then only the given name speaks.
func (m *Model) compareNames(a, b *Features, c *comparison) {
	c.levels[FieldGivenName], c.givenShare = m.compareGiven(a, b)
	c.levels[FieldFamilyName], c.familyShare = m.compareFamily(a.Family, b.Family)
	if c.levels[FieldGivenName] >= nameSimilar && c.levels[FieldFamilyName] >= namePart && crossed(a, b) {
		c.levels[FieldGivenName], c.levels[FieldFamilyName] = nameCrossed, NotCompared
		c.givenShare, c.familyShare = m.crossedShare(a, b), 0
	}
	if c.levels[FieldFamilyName] == NotCompared && (c.levels[FieldGivenName] == NotCompared || c.levels[FieldGivenName] >= nameSimilar) {
		m.compareLone(a, b, c)
	}
	if c.levels[FieldGivenName] == nameFormer && c.levels[FieldMiddleNames] == middleOther {
		c.levels[FieldMiddleNames] = NotCompared // the same names in another order
	}
}

// compareLone sees a record's only name in the place of the other's family
// or given name.
func (m *Model) compareLone(a, b *Features, c *comparison) {
	switch {
	case bestAlike(a.Given, b.Family) <= nameSlip:
		c.givenShare = m.loneShare(&a.Given[0])
	case bestAlike(b.Given, a.Family) <= nameSlip:
		c.givenShare = m.loneShare(&b.Given[0])
	default:
		return
	}
	c.levels[FieldGivenName] = nameCrossed
}

func (m *Model) loneShare(n *Name) float64 {
	return max(m.frequencies.given(n.Joined), m.frequencies.family(n.Joined))
}

// crossed asks for one name to stand in the other's place surely, and the other
// to do so loosely.
func crossed(a, b *Features) bool {
	x, y := bestAlike(a.Given, b.Family), bestAlike(b.Given, a.Family)
	return min(x, y) <= nameSlip && max(x, y) <= nameSimilar
}

// crossedShare is how common the pair of names is, read in the likelier order.
func (m *Model) crossedShare(a, b *Features) float64 {
	x, y := bestAlike(a.Given, b.Family), bestAlike(b.Given, a.Family)
	return max(
		alikeShare(x, m.frequencies.given(a.Given[0].Joined))*alikeShare(y, m.frequencies.family(a.Family[0].Joined)),
		alikeShare(y, m.frequencies.given(b.Given[0].Joined))*alikeShare(x, m.frequencies.family(b.Family[0].Joined)),
	)
}

// alikeShare is how much likelier a stranger's name is to be this much alike
// than the same child's, given how common an equal one is.
func alikeShare(l Level, equal float64) float64 {
	switch {
	case l == nameExact:
		return equal
	case l <= nameSlip:
		return max(equal, 0.03)
	}
	return 0.3
}

func bestAlike(x, y []Name) Level {
	best := nameOther
	for i := range x {
		for j := range y {
			best = min(best, familyLevel(&x[i], &y[j]))
		}
	}
	return best
}

// compareGiven takes the best level over given and preferred names.
func (m *Model) compareGiven(a, b *Features) (best Level, share float64) {
	for i := range a.Given {
		for j := range b.Given {
			l := m.givenLevel(&a.Given[i], &b.Given[j])
			if l == nameExact {
				share = rarer(share, m.frequencies.given(a.Given[i].Joined))
			}
			best = better(best, l)
		}
	}
	if best >= nameSimilar && (namedMiddle(a.Given, b.Middle) || namedMiddle(b.Given, a.Middle)) {
		best = nameFormer
	}
	return best, share
}

func better(a, b Level) Level {
	if a == NotCompared || b != NotCompared && b < a {
		return b
	}
	return a
}

func rarer(a, b float64) float64 {
	if a == 0 || b < a {
		return b
	}
	return a
}

// givenLevel compares two given names. Two short forms of one name may well be
// two children's (Ellie and Elsie), unless they sound the same.
func (m *Model) givenLevel(a, b *Name) Level {
	k := kinOf(a.Groups, b.Groups)
	switch {
	case a.Joined == b.Joined && len(a.Joined) > 1:
		return nameExact
	case len(a.Joined) == 1 || len(b.Joined) == 1:
		if a.Joined[0] == b.Joined[0] {
			return nameInitial
		}
		return nameOther
	case k == sameFor, k == cousins && soundAlike(a, b):
		return nameVariant
	case k == cousins:
		return nameSimilar
	case sharedWord(a, b):
		return namePart
	}
	return m.givenAlike(a, b)
}

// givenAlike grades names that look alike. A slip keeps the first letter and
// leaves a name nobody bears; two names in common use, or with another first
// letter (Jayden and Hayden), may be twins however small the difference.
func (m *Model) givenAlike(a, b *Name) Level {
	sameStart := a.Joined[0] == b.Joined[0]
	bothInUse := m.frequencies.inUse(a.Joined) && m.frequencies.inUse(b.Joined)
	slips := slipsAllowed(a.Joined, b.Joined)
	near := soundAlike(a, b) || within(a, b, slips)
	switch {
	case near && sameStart && !bothInUse:
		return nameSlip
	case near:
		return nameSimilar
	case sameStart && similarity(a, b, 0.88):
		return nameSimilar
	}
	return nameOther
}

// soundAlike asks for two sounds at least: one alone says little.
func soundAlike(a, b *Name) bool { return a.Sound == b.Sound && a.Sound > 0xff }

// slipsAllowed is how many edits still look like one name: none in the shortest,
// two in long ones.
func slipsAllowed(a, b string) int {
	switch n := min(len(a), len(b)); {
	case n < 3:
		return 0
	case n < 6:
		return 1
	}
	return 2
}

// sharedWord reports a whole word in common when either name has several.
func sharedWord(a, b *Name) bool {
	return len(a.Words)+len(b.Words) > 0 && (hasAny(a, b) || hasAny(b, a))
}

func hasAny(a, b *Name) bool {
	for _, w := range a.Words {
		if len(w) > 1 && (w == b.Joined || contains(b.Words, w)) {
			return true
		}
	}
	return false
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// namedMiddle reports a child called by a middle name.
func namedMiddle(given []Name, middle []string) bool {
	for i := range given {
		for _, w := range middle {
			if len(w) > 2 && w == given[i].Joined {
				return true
			}
		}
	}
	return false
}

// compareFamily takes the best level over current and former names; equality
// with a former name is its own level.
func (m *Model) compareFamily(a, b []Name) (best Level, share float64) {
	for i := range a {
		for j := range b {
			l := familyLevel(&a[i], &b[j])
			if l == nameExact {
				share = rarer(share, m.frequencies.family(a[i].Joined))
				if i+j > 0 {
					l = nameFormer
				}
			}
			if l == nameSlip && m.frequencies.inUseFamily(a[i].Joined) && m.frequencies.inUseFamily(b[j].Joined) {
				l = nameSimilar // Waller and Weller
			}
			best = better(best, l)
		}
	}
	return best, share
}

func familyLevel(a, b *Name) Level {
	switch {
	case a.Joined == b.Joined:
		return nameExact
	case len(a.Joined) == 1 || len(b.Joined) == 1:
		if a.Joined[0] == b.Joined[0] {
			return nameInitial
		}
		return nameOther
	case sharedWord(a, b):
		return namePart
	}
	switch {
	case within(a, b, slipsAllowed(a.Joined, b.Joined)):
		return nameSlip
	case soundAlike(a, b):
		return nameVariant
	case similarity(a, b, 0.86):
		return nameSimilar
	}
	return nameOther
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
