package match

import "fmt"

// ChildKey identifies a child of the index; 16 bytes, so that a UUID is one.
type ChildKey = [16]byte

// Candidate is one member record of an existing child. List all records of a
// child, not only the one that a blocking key found: each may hold a veto.
type Candidate struct {
	Child    ChildKey
	Features *Features
	// DoNotMatch says that a person decided that the record is not this
	// child. On any of its records it rules the child out.
	DoNotMatch bool
}

// Band is what to do with a record.
type Band uint8

// The bands. The zero Band is the one that does nothing rash.
const (
	BandReview Band = iota // hold for a person
	BandNew                // nobody known: make a child
	BandLink               // link to Decision.Child
)

// String is LINK, REVIEW or NEW.
func (b Band) String() string {
	switch b {
	case BandLink:
		return "LINK"
	case BandNew:
		return "NEW"
	}
	return "REVIEW"
}

// MarshalText writes the band's name, for stored explanations.
func (b Band) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (b *Band) UnmarshalText(text []byte) error {
	for _, band := range []Band{BandReview, BandNew, BandLink} {
		if band.String() == string(text) {
			*b = band
			return nil
		}
	}
	return fmt.Errorf("match: no band %q", text)
}

// Rules that can override the score. Decision.Rule names the one that did.
const (
	// RuleSameNHSNumber: equal valid NHS numbers and details that agree link
	// whatever the score.
	RuleSameNHSNumber = "same_nhs_number"
	// RuleDifferentNHSNumber: two different valid NHS numbers never link. They
	// go to review, as a suspected duplicate or a wrong number, only when
	// names, date of birth and residence or telephone are the same.
	RuleDifferentNHSNumber = "different_nhs_number"
	// RuleNHSNumberConflict: equal NHS numbers with details that contradict
	// each other: one number given to two children, often siblings.
	RuleNHSNumberConflict = "same_nhs_number_other_child"
	// RuleUPNConflict is the same for the UPN.
	RuleUPNConflict = "same_upn_other_child"
	// RuleTwinName: without an equal identifier, a given name that is only
	// similar may be a twin's.
	RuleTwinName = "name_may_be_a_twins"
	// RuleNoGivenName: without a given name ("Baby") and without an equal
	// identifier nothing tells a child from its siblings.
	RuleNoGivenName = "no_given_name"
	// RuleOtherMember: the best record agrees, but another record of the same
	// child says that this is its twin or sibling.
	RuleOtherMember = "contradicted_by_another_record"
	// RuleAmbiguous: a second child fits about as well.
	RuleAmbiguous = "two_children_fit"
)

// Alternative is a child that came second.
type Alternative struct {
	Child ChildKey `json:"child"`
	// Member is its best record's index in the candidates, -1 for none.
	Member      int     `json:"member"`
	Weight      float64 `json:"weight"`
	Probability float64 `json:"probability"`
	// Fits says that the record may be this child's as well: wherever it is put, a
	// person is asked about this child too. Rule and Result, set only then, say why.
	Fits   bool   `json:"fits,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Result Result `json:"result,omitzero"`
}

// Decision is what to do with one record, and why.
type Decision struct {
	Band Band `json:"band"`
	// Child is the child to link or to review against; zero for BandNew.
	Child ChildKey `json:"child"`
	// Member is the index in the candidates of the child's nearest record; -1 when
	// there was none to compare.
	Member int `json:"member"`
	// Together says that Result is of all records of the child, and not of Member
	// alone, which may lack a field that Result has, or differ in it.
	Together bool `json:"together,omitempty"`
	// Result explains the comparison, also for BandNew: why not.
	Result Result `json:"result"`
	// RunnerUp is the second-best child.
	RunnerUp Alternative `json:"runner_up"`
	// SuspectedDuplicate says that the record fits RunnerUp.Child as well and
	// that both children look like one: a duplicate in the index to review.
	SuspectedDuplicate bool `json:"suspected_duplicate"`
	// Rule names the hard rule that decided, if one did.
	Rule string `json:"rule,omitempty"`
	// Compared counts the candidate records scored.
	Compared int `json:"compared"`
}

// evidence is what a child's records together say.
type evidence struct {
	child   ChildKey
	best    int    // index of the best member
	result  Result // of the best member, or of all together
	members int
	scored  comparison // of the first member, until there is a second
	all     together   // of two members or more
	whole   bool       // the result is that of all together
	veto    string     // rule of a member that forbids linking
	sameNHS bool       // some member holds the record's NHS number
	excused bool       // a person ruled the child out
	band    Band
	rule    string
}

// Decide compares a record with every member record of every candidate child.
// A child is as near as its records together, or, where these are sure enough, as
// its best record, and is ruled out of linking by the veto of any. Deterministic:
// ties go to the child with more records, then to the one listed first.
func (m *Model) Decide(record *Features, candidates []Candidate) Decision {
	children, compared := m.gather(record, candidates)
	d := Decision{Band: BandNew, Member: -1, Compared: compared, RunnerUp: Alternative{Member: -1}}
	best, second := -1, -1
	for i := range children {
		switch {
		case children[i].excused:
		case best < 0 || children[i].ahead(&children[best]):
			best, second = i, best
		case second < 0 || children[i].ahead(&children[second]):
			second = i
		}
	}
	if best < 0 {
		return d
	}
	first := &children[best]
	d.Band, d.Rule, d.Member = first.band, first.rule, first.best
	if second >= 0 {
		m.weighSecond(&d, first, &children[second], candidates)
	}
	if d.Band == BandLink && numberElsewhere(children, first) {
		d.Band, d.Rule = BandReview, RuleAmbiguous
	}
	if d.Band == BandLink && numberOfATwin(children, first) {
		d.Band, d.Rule = BandReview, RuleNHSNumberConflict
	}
	if d.Band != BandNew {
		d.Child = first.child
	}
	d.Together, d.Result = first.whole, m.explain(first, record, candidates)
	if second >= 0 {
		d.askSecond(&children[second])
		if d.RunnerUp.Fits {
			d.RunnerUp.Result = m.explain(&children[second], record, candidates)
		}
	}
	return d
}

// explain is what decided about a child, with the waterfall.
func (m *Model) explain(e *evidence, record *Features, candidates []Candidate) Result {
	if e.whole {
		return e.all.explain(m, &e.result)
	}
	return m.Explain(record, candidates[e.best].Features)
}

// ahead orders children: one with the same NHS number first, then what may be
// linked, what may be reviewed, and by weight.
func (e *evidence) ahead(o *evidence) bool {
	if e.rank() != o.rank() {
		return e.rank() > o.rank()
	}
	if e.result.Weight != o.result.Weight {
		return e.result.Weight > o.result.Weight
	}
	return e.members > o.members
}

func (e *evidence) rank() int {
	switch {
	case e.rule == RuleSameNHSNumber:
		return 3
	case e.band == BandLink:
		return 2
	case e.band == BandReview:
		return 1
	}
	return 0
}

// gather scores all members and settles each child by itself.
func (m *Model) gather(record *Features, candidates []Candidate) (children []evidence, compared int) {
	for i := range candidates {
		c := &candidates[i]
		e := childOf(&children, c.Child)
		e.members++
		if e.excused = e.excused || c.DoNotMatch; e.excused {
			continue
		}
		found := m.compare(record, c.Features)
		r := m.result(&found)
		compared++
		e.take(m, &found)
		if e.best < 0 || r.Weight > e.result.Weight {
			e.best, e.result = i, r
		}
		e.sameNHS = e.sameNHS || r.Levels[FieldNHSNumber] == equal
		if v := m.veto(&r); v != "" && e.veto != RuleDifferentNHSNumber {
			e.veto = v
		}
	}
	for i := range children {
		if e := &children[i]; !e.excused {
			e.agree(m)
			e.band, e.rule = m.settle(e, record, candidates[e.best].Features)
		}
	}
	return children, compared
}

// take adds what one member's comparison says to what all say.
func (e *evidence) take(m *Model, c *comparison) {
	if e.members == 1 {
		e.scored = *c
		return
	}
	if e.members == 2 {
		e.all.add(m, &e.scored)
	}
	e.all.add(m, c)
}

// agree makes the evidence that of all members together, unless that is sure
// enough to leave the word to the one that is surest.
func (e *evidence) agree(m *Model) {
	if e.members < 2 {
		return
	}
	r := e.all.result(m, &e.result)
	if e.whole = r.Probability < sureEnough || r.Weight > e.result.Weight; e.whole {
		e.result = r
	}
}

// childOf finds or adds a child; candidates are few, so it looks along the list.
func childOf(children *[]evidence, key ChildKey) *evidence {
	for i := range *children {
		if (*children)[i].child == key {
			return &(*children)[i]
		}
	}
	*children = append(*children, evidence{child: key, best: -1})
	return &(*children)[len(*children)-1]
}

// veto is the rule by which one member forbids linking to its child.
func (m *Model) veto(r *Result) string {
	switch {
	case r.Levels[FieldNHSNumber] == different:
		return RuleDifferentNHSNumber
	case r.Levels[FieldNHSNumber] == equal || r.Levels[FieldGivenName] < nameSimilar:
		return ""
	case r.Posterior[Twin]+r.Posterior[Sibling] >= 0.95:
		return RuleOtherMember
	}
	return ""
}

// settle decides about one child by itself.
func (m *Model) settle(e *evidence, record, member *Features) (Band, string) {
	r := &e.result
	band := m.band(r.Probability)
	switch {
	case e.veto == RuleDifferentNHSNumber:
		if e.sameNHS || alikeButForNumber(r) {
			return BandReview, RuleDifferentNHSNumber
		}
		return BandNew, onlyIf(band != BandNew, RuleDifferentNHSNumber)
	case e.sameNHS && compatible(r):
		return BandLink, RuleSameNHSNumber
	case e.sameNHS:
		return BandReview, RuleNHSNumberConflict
	case r.Levels[FieldUPN] == equal && r.Levels[FieldGivenName] >= nameSimilar:
		return BandReview, RuleUPNConflict
	case band != BandLink:
		return band, ""
	}
	if rule := m.caution(e, record, member); rule != "" {
		return BandReview, rule
	}
	return BandLink, ""
}

// onlyIf names a rule only when it changed what the score alone would do.
func onlyIf(changed bool, rule string) string {
	if changed {
		return rule
	}
	return ""
}

func (m *Model) band(p float64) Band {
	switch {
	case p >= m.parameters.Link:
		return BandLink
	case p >= m.parameters.Review:
		return BandReview
	}
	return BandNew
}

// caution holds back a link that the score alone would make.
func (m *Model) caution(e *evidence, record, member *Features) string {
	r := &e.result
	if identified(r) {
		if e.veto == RuleOtherMember {
			return RuleOtherMember
		}
		return ""
	}
	switch {
	case r.Levels[FieldGivenName] == NotCompared && (record.Placeholder || member.Placeholder):
		return RuleNoGivenName
	case r.Levels[FieldGivenName] >= nameSimilar && m.twinPlausible(r):
		return RuleTwinName
	}
	return e.veto
}

// identified reports an identifier that both records share.
func identified(r *Result) bool {
	return r.Levels[FieldNHSNumber] == equal || r.Levels[FieldUPN] == equal || r.Levels[FieldIdentifier] == closeSame
}

// twinPlausible reports a pair that could be twins: no clearly other date of
// birth, and a model that knows twins (one learnt from records of adults, none
// of whom shared a household, does not).
func (m *Model) twinPlausible(r *Result) bool {
	return r.Levels[FieldDateOfBirth] <= bornPart && m.prior[Twin] > m.prior[SameChild]-twinsUnknown
}

// twinsUnknown is how many bits twins must be rarer than second records of one
// child to count as absent: one in sixteen thousand; in England it is one in
// about twenty.
const twinsUnknown = 14

// compatible reports details that one child's two records can have: a given
// name that is not another, and either the date of birth (up to a slip) or,
// where that is wrong, both names.
func compatible(r *Result) bool {
	given, born := r.Levels[FieldGivenName], r.Levels[FieldDateOfBirth]
	if given == nameOther || given == NotCompared && born == NotCompared {
		return false
	}
	return born <= bornPart || given <= nameSlip && given != NotCompared && r.Levels[FieldFamilyName] <= nameFormer
}

// alikeButForNumber reports records that would be one child if one of the two
// NHS numbers were wrong.
func alikeButForNumber(r *Result) bool {
	given, family, born := r.Levels[FieldGivenName], r.Levels[FieldFamilyName], r.Levels[FieldDateOfBirth]
	there := r.Levels[FieldResidence] <= residencePostcode && r.Levels[FieldResidence] != NotCompared ||
		r.Levels[FieldTelephone] == equal || r.Levels[FieldUPN] == equal
	return there && given != NotCompared && given <= nameSlip && family <= nameFormer && born == bornSame
}

// sureEnough is how probable it must be that two children are one for a record
// that fits both to be linked to either, and by all records of a child for one of
// them to decide.
const sureEnough = 0.9

// numberOfATwin reports that the record's given name is only like that of the child
// who holds its NHS number, and is another child's born on the same day: it may be
// that child's record with its twin's number.
func numberOfATwin(children []evidence, chosen *evidence) bool {
	if chosen.rule != RuleSameNHSNumber || chosen.result.Levels[FieldGivenName] < nameSimilar {
		return false
	}
	for i := range children {
		e := &children[i]
		given := e.result.Levels[FieldGivenName]
		if e != chosen && !e.excused && given != NotCompared && given < nameSimilar && e.result.Levels[FieldDateOfBirth] == bornSame {
			return true
		}
	}
	return false
}

// numberElsewhere reports another child who holds the record's NHS number, or
// its UPN when the chosen child shares no identifier: a number typed into the
// wrong child's record must not enter the right child unseen.
func numberElsewhere(children []evidence, chosen *evidence) bool {
	for i := range children {
		e := &children[i]
		if e == chosen || e.excused {
			continue
		}
		if e.sameNHS && !chosen.sameNHS ||
			e.rule == RuleUPNConflict && !identified(&chosen.result) {
			return true
		}
	}
	return false
}
