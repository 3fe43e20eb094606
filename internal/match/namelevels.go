package match

// compareNames sets both names' levels: whether they are crossed, or cut
// between the columns elsewhere, can only be seen together, and then only the
// given name speaks.
func (m *Model) compareNames(a, b *Features, c *comparison) {
	c.levels[FieldGivenName], c.givenShare = m.compareGiven(a, b)
	c.levels[FieldFamilyName], c.familyShare = m.compareFamily(a, b)
	given, family := c.levels[FieldGivenName], c.levels[FieldFamilyName]
	switch {
	case given >= nameSimilar && family >= namePart && crossed(a, b):
		c.levels[FieldGivenName], c.levels[FieldFamilyName] = nameCrossed, NotCompared
		c.givenShare, c.familyShare = m.crossedShare(a, b), 0
	case given > nameExact && family > nameExact && sameLetters(a, b):
		c.levels[FieldGivenName], c.levels[FieldFamilyName] = nameReordered, NotCompared
		c.levels[FieldMiddleNames] = NotCompared
	case given > nameExact:
		m.compareGivenAndMiddle(a, b, c)
	case given == nameExact && family == nameExact && len(m.frequencies.FullNames) > 0:
		// Of those who bear the family name, more bear the given name than of all.
		together := m.frequencies.FullNames[a.Given[0].Joined][a.Family[0].Joined]
		c.givenShare = max(c.givenShare, min(together/c.familyShare, 1))
	}
	if c.levels[FieldFamilyName] == NotCompared && (c.levels[FieldGivenName] == NotCompared || c.levels[FieldGivenName] >= nameSimilar) {
		m.compareLone(a, b, c)
	}
	if c.levels[FieldGivenName] == nameFormer && c.levels[FieldMiddleNames] == middleOther {
		c.levels[FieldMiddleNames] = NotCompared // the same names in another order
	}
}

// sameLetters reports records whose given, middle and family names, written one
// after the other, are the same: Mohamed Ali | Hassan and Mohamed | Ali Hassan.
func sameLetters(a, b *Features) bool {
	if len(a.Given) == 0 || len(b.Given) == 0 || len(a.Family) == 0 || len(b.Family) == 0 {
		return false
	}
	x, y := fullName{f: a}, fullName{f: b}
	n := 0
	for {
		p, more := x.next()
		q, other := y.next()
		if p != q || more != other {
			return false
		}
		if !more {
			return n > 0
		}
		n++
	}
}

// fullName reads a record's names letter by letter.
type fullName struct {
	f        *Features
	part, at int
}

func (n *fullName) next() (letter byte, ok bool) {
	for ; n.part < len(n.f.Middle)+2; n.part, n.at = n.part+1, 0 {
		if s := n.text(); n.at < len(s) {
			n.at++
			return s[n.at-1], true
		}
	}
	return 0, false
}

func (n *fullName) text() string {
	switch n.part {
	case 0:
		return n.f.Given[0].Joined
	case len(n.f.Middle) + 1:
		return n.f.Family[0].Joined
	}
	return n.f.Middle[n.part-1]
}

// compareGivenAndMiddle sees the same two or more names that one record has in
// one column and the other in two, or in another order.
func (m *Model) compareGivenAndMiddle(a, b *Features, c *comparison) {
	n := forenames(a)
	if n < 2 || n != forenames(b) {
		return
	}
	inOrder, initials, anyOrder := true, false, true
	for i := range n {
		x, y := forename(a, i), forename(b, i)
		switch {
		case x == y:
		case i > 0 && (len(x) == 1 || len(y) == 1) && x[0] == y[0]:
			initials, anyOrder = true, false
		default:
			inOrder = false
			anyOrder = anyOrder && hasForename(b, x, n) && hasForename(a, y, n)
		}
	}
	switch {
	case inOrder:
		c.levels[FieldGivenName], c.levels[FieldMiddleNames] = nameExact, middleSame
		c.givenShare = m.frequencies.given(forename(a, 0))
		if initials {
			c.levels[FieldMiddleNames] = middleInitial
		}
	case anyOrder:
		c.levels[FieldGivenName], c.levels[FieldMiddleNames] = nameReordered, NotCompared
	}
}

// forenames counts the words of the given name and the middle names.
func forenames(f *Features) int {
	if len(f.Given) == 0 {
		return 0
	}
	return wordCount(&f.Given[0]) + len(f.Middle)
}

func forename(f *Features, i int) string {
	if n := wordCount(&f.Given[0]); i >= n {
		return f.Middle[i-n]
	}
	return wordAt(&f.Given[0], i)
}

func hasForename(f *Features, w string, n int) bool {
	for i := range n {
		if forename(f, i) == w {
			return true
		}
	}
	return false
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
	switch {
	case a.Joined == b.Joined && len(a.Joined) > 1:
		return nameExact
	case len(a.Joined) == 1 || len(b.Joined) == 1:
		if a.Joined[0] == b.Joined[0] {
			return nameInitial
		}
		return nameOther
	case len(a.Words) > 1 || len(b.Words) > 1:
		if l := m.wordsLevel(a, b); l != NotCompared {
			return l
		}
		return m.givenAlike(a, b)
	}
	switch k := kinOf(a.Groups, b.Groups); {
	case k == spellings, saidAlike(a.Joined, b.Joined):
		return nameSpelling
	case k == sameFor, k == cousins && soundAlike(a, b):
		return nameVariant
	case k == cousins:
		return nameSimilar
	case sharedWord(a, b): // Rahman and Abdul Rahman, whose first part stands for nothing
		return namePart
	}
	return m.givenAlike(a, b)
}

// wordsLevel compares given names of which one has several words; NotCompared
// when they share none. Names that each have a word of their own are two
// children's: Lily-May and Lily-Rose. So may be those that share no more than a
// name that brothers bear alike: Mohammed and Mohammed Ali.
func (m *Model) wordsLevel(a, b *Name) Level {
	if wordCount(b) < wordCount(a) {
		a, b = b, a
	}
	level, shared, telling := nameSpelling, 0, false
	for i := range wordCount(a) {
		w := wordAt(a, i)
		l := m.wordAmong(w, i, b)
		if l == nameOther {
			continue
		}
		level = max(level, l)
		shared++
		telling = telling || !borneAlike(w)
	}
	switch {
	case shared == 0 || shared == 1 && level == nameSlip:
		return NotCompared
	case shared < wordCount(a):
		return nameSimilar
	case wordCount(a) == wordCount(b):
		return level
	case telling:
		return namePart
	}
	return nameSimilar
}

// wordAmong is the best level of one word, the i-th of its name, among those of
// another. A short form is looked for in the first place only, by which the
// child is called: Rosie is not Harmony-Rose.
func (m *Model) wordAmong(w string, i int, other *Name) Level {
	best := nameOther
	for j := range wordCount(other) {
		v := wordAt(other, j)
		switch {
		case w == v || saidAlike(w, v) || kinOf(groupsOf[w], groupsOf[v]) == spellings:
			return nameSpelling
		case i+j == 0 && kinOf(groupsOf[w], groupsOf[v]) == sameFor:
			best = min(best, nameVariant)
		case w[0] == v[0] && m.slipped(w, v):
			best = min(best, nameSlip)
		}
	}
	return best
}

// slipped reports a slip that leaves a name nobody bears.
func (m *Model) slipped(a, b string) bool {
	slips := slipsAllowed(a, b)
	return slips > 0 && osa(a, b, slips) <= slips && !(m.frequencies.inUse(a) && m.frequencies.inUse(b))
}

func wordCount(n *Name) int { return max(1, len(n.Words)) }

func wordAt(n *Name, i int) string {
	if len(n.Words) == 0 {
		return n.Joined
	}
	return n.Words[i]
}

// borneAlike reports a first name that several brothers or sisters bear, each
// with another after it.
func borneAlike(w string) bool {
	switch w {
	case "syed", "sayed", "sayyid", "sheikh", "shaikh", "maria":
		return true
	}
	return kinOf(groupsOf[w], groupsOf["mohammed"]) >= sameFor
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
// with a former name is its own level. A family name that the other record has
// among the middle names is a part: Harpreet Kaur, and Harpreet Kaur Dhillon.
func (m *Model) compareFamily(a, b *Features) (best Level, share float64) {
	for i := range a.Family {
		for j := range b.Family {
			x, y := &a.Family[i], &b.Family[j]
			l := familyLevel(x, y)
			if l == nameExact {
				share = rarer(share, m.frequencies.family(x.Joined))
				if i+j > 0 {
					l = nameFormer
				}
			}
			if l == nameSlip && m.frequencies.inUseFamily(x.Joined) && m.frequencies.inUseFamily(y.Joined) {
				l = nameSimilar // Waller and Weller
			}
			best = better(best, l)
		}
	}
	if best >= nameSimilar && (namedMiddle(a.Family, b.Middle) || namedMiddle(b.Family, a.Middle)) {
		best = namePart
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
	case sameStem(a.Joined, b.Joined):
		return nameVariant
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
