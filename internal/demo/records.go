package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// statement is what one agency sends about one child: its record, unless it only
// says that it is involved, and its involvements.
type statement struct {
	agency       *agency
	child        *child
	record       *irtv1.ChildRecord
	involvements []*involvement
}

type involvement struct {
	message *irtv1.Involvement
	lead    bool // its practitioner leads
}

// writer writes down what agencies know of children, in the ways that offices
// have of writing.
type writer struct {
	area *area
	r    *rand.Rand
	sent []*statement
}

// often is true so many times in a hundred.
func (w *writer) often(percent int) bool { return w.r.IntN(100) < percent }

// maxRecords is how many agencies send a record of one child.
const maxRecords = 4

// write makes the statements about a child.
func (w *writer) write(c *child) {
	if c.number == 0 {
		w.amelia(c)
		return
	}
	before := len(w.sent)
	room := func() bool { return len(w.sent)-before < maxRecords }
	age := c.age()
	if c.school != nil && w.often(97) {
		w.school(c, c.school)
	}
	if w.often(7) {
		w.socialCare(c)
	}
	if age < 5 && w.often(95) || age >= 5 && age < 18 && w.often(22) {
		w.healthTrust(c)
	}
	if len(w.sent) == before || w.often(91) {
		w.practice(c)
	}
	if age >= 2 && age < 4 && w.often(55) {
		w.nursery(c)
	}
	w.others(c, age, room)
	w.sensitiveServices(c, age)
}

// others are the agencies that know few children.
func (w *writer) others(c *child, age int, room func() bool) {
	if c.formerSchool != nil && room() {
		w.schoolBefore(c)
	}
	if age >= 12 && w.often(3) && room() {
		w.youthOffending(c)
	}
	if age >= 6 && w.often(2) && room() {
		w.police(c)
	}
	if w.often(4) && room() {
		w.charity(c)
	}
	if age >= 16 && w.often(30) && room() {
		w.youthService(c)
	}
}

// say begins a statement with what every agency knows.
func (w *writer) say(a *agency, c *child, prefix string) *statement {
	s := &statement{agency: a, child: c, record: &irtv1.ChildRecord{
		Name:      fmt.Sprintf("%s/childRecords/%s%05d", a.message.GetName(), prefix, c.number+1),
		GivenName: c.given, FamilyName: c.surname, DateOfBirth: c.born.Format(time.DateOnly), Sex: c.sex,
		AddressLines: c.home.lines(), Postcode: c.home.postcode,
	}}
	w.sent = append(w.sent, s)
	return s
}

func (w *writer) school(c *child, at *agency) *statement {
	s := w.say(at, c, "P")
	r := s.record
	r.Upn, r.SchoolUrn, r.Ethnicity, r.Carers = c.upn, at.message.GetUrn(), c.ethnicity, w.carers(c, 2)
	started := time.Date(reckoned.Year()-w.r.IntN(3)-1, time.September, 3, 0, 0, 0, 0, time.UTC)
	if started.Before(c.born.AddDate(4, 0, 0)) {
		started = time.Date(reckoned.Year(), time.September, 1, 0, 0, 0, 0, time.UTC)
	}
	r.SchoolStartDate = started.Format(time.DateOnly)
	if w.often(25) {
		r.NhsNumber = c.nhsNumber
	}
	if short := shortNames[c.given]; short != "" && w.often(40) {
		r.PreferredGivenName = short
	}
	if w.often(6) {
		w.misspell(r)
	}
	role := map[stage]string{primary: "CLASS_TEACHER", secondary: "PASTORAL_LEAD", college: "PASTORAL_LEAD"}[at.stage]
	who := at.people[1]
	if w.often(8) {
		role, who = "DESIGNATED_SAFEGUARDING_LEAD", at.people[0]
	}
	w.involve(s, role, who, started)
	return s
}

// schoolBefore still has the address that the family has left.
func (w *writer) schoolBefore(c *child) {
	s := w.school(c, c.formerSchool)
	if c.formerly != nil {
		s.record.AddressLines, s.record.Postcode = c.formerly.lines(), c.formerly.postcode
	}
	started := c.born.AddDate(4, 6, 0)
	s.record.SchoolStartDate = started.Format(time.DateOnly)
	last := s.involvements[0].message
	last.StartDate = s.record.GetSchoolStartDate()
	w.end(last, started.AddDate(1+w.r.IntN(3), w.r.IntN(11), 0))
}

func (w *writer) practice(c *child) {
	s := w.say(c.family.practice, c, "R")
	r := s.record
	r.NhsNumber, r.NhsNumberVerificationStatus = c.nhsNumber, "01"
	r.GpPracticeCode = c.family.practice.message.GetOdsCode()
	r.MiddleNames = c.middle
	if c.formerly != nil && w.often(30) {
		r.AddressLines, r.Postcode = c.formerly.lines(), c.formerly.postcode
	}
	w.involve(s, "GP", c.family.practice.people[0], w.day(c, 0))
}

func (w *writer) healthTrust(c *child) {
	trust := w.area.byID[HealthTrust]
	s := w.say(trust, c, "H")
	s.record.NhsNumber, s.record.Carers = c.nhsNumber, w.carers(c, 1)
	role, job := "SCHOOL_NURSE", "School nurse"
	if c.age() < 5 {
		role, job = "HEALTH_VISITOR", "Health visitor"
	}
	who := some(w.r, trust.people)
	for who.GetJobTitle() != job {
		who = some(w.r, trust.people)
	}
	w.involve(s, role, who, w.day(c, 0))
}

func (w *writer) nursery(c *child) {
	at := some(w.r, w.area.nurseries)
	s := w.say(at, c, "N")
	s.record.Carers = w.carers(c, 1)
	w.shorten(s.record, 30)
	w.involve(s, "EARLY_YEARS_WORKER", at.people[1], w.day(c, 1))
}

// socialCare hears of children over the telephone, and of families that move.
func (w *writer) socialCare(c *child) {
	at := w.area.byID[SocialCare]
	s := w.say(at, c, "C")
	r := s.record
	r.LaChildId, r.Ethnicity, r.Carers = fmt.Sprintf("BRS%06d", c.number+1), c.ethnicity, w.carers(c, 2)
	if w.often(60) {
		r.NhsNumber = c.nhsNumber
	} else if w.often(60) {
		r.NhsNumberOmissionReason = "UNKNOWN_UNDUE_DELAY"
	}
	if w.often(25) {
		w.misspell(r)
	}
	w.shorten(r, 20)
	switch {
	case c.formerly != nil && w.often(50):
		r.AddressLines, r.Postcode = c.formerly.lines(), c.formerly.postcode
	case w.often(3):
		r.AddressLines, r.Postcode, r.NoKnownAddress = nil, "", true
	}
	i := w.involve(s, "SOCIAL_WORKER", some(w.r, at.people), w.day(c, 0))
	if w.often(35) {
		start, _ := time.Parse(time.DateOnly, i.message.GetStartDate())
		w.end(i.message, start.AddDate(0, 2+w.r.IntN(12), 0))
	}
	i.lead = i.message.GetEndDate() == "" && w.often(80)
}

func (w *writer) youthOffending(c *child) {
	at := w.area.byID[YouthOffending]
	s := w.say(at, c, "Y")
	if w.often(40) {
		s.record.NhsNumber = c.nhsNumber
	}
	s.record.Telephone = mobile(w.r)
	w.involve(s, "YOUTH_OFFENDING_OFFICER", some(w.r, at.people), w.day(c, 12))
}

// police write names as they hear them and, now and then, the month first.
func (w *writer) police(c *child) {
	at := w.area.byID[Police]
	s := w.say(at, c, "X")
	s.record.NhsNumberOmissionReason = "NOT_FACILITATING"
	if w.often(25) {
		w.misspell(s.record)
	}
	if day := c.born.Day(); day <= 12 && w.often(25) {
		s.record.DateOfBirth = fmt.Sprintf("%d-%02d-%02d", c.born.Year(), day, c.born.Month())
	}
	i := w.involve(s, "POLICE_OFFICER", some(w.r, at.people), w.day(c, 6))
	start, _ := time.Parse(time.DateOnly, i.message.GetStartDate())
	w.end(i.message, start.AddDate(0, 1+w.r.IntN(4), 0))
}

func (w *writer) charity(c *child) {
	at, role := w.area.byID[FirstCharity], "FAMILY_SUPPORT_WORKER"
	if c.age() >= 8 && w.often(60) {
		at, role = w.area.byID[SecondCharity], "VOLUNTARY_WORKER"
	}
	s := w.say(at, c, "V")
	w.shorten(s.record, 45)
	s.record.AddressLines, s.record.Carers = nil, w.carers(c, 1)
	i := w.involve(s, role, some(w.r, at.people), w.day(c, 0))
	i.lead = w.often(10)
}

func (w *writer) youthService(c *child) {
	at := w.area.byID[YouthService]
	s := w.say(at, c, "K")
	s.record.Upn, s.record.Telephone = c.upn, mobile(w.r)
	w.shorten(s.record, 25)
	w.involve(s, "YOUTH_WORKER", some(w.r, at.people), w.day(c, 16))
}

// sensitiveServices send no records, only that they are involved, with the
// child's consent.
func (w *writer) sensitiveServices(c *child, age int) {
	if age >= 7 && w.often(3) {
		w.sensitive(c, w.area.byID[CAMHS], "MENTAL_HEALTH_WORKER", 7)
	}
	if age >= 13 && w.often(2) {
		w.sensitive(c, w.area.byID[SubstanceMisuse], "SUBSTANCE_MISUSE_WORKER", 13)
	}
}

func (w *writer) sensitive(c *child, at *agency, role string, age int) {
	s := &statement{agency: at, child: c}
	w.sent = append(w.sent, s)
	i := w.involve(s, role, some(w.r, at.people), w.day(c, age)).message
	i.Sensitive, i.SensitiveBasis = true, "CONSENT"
}
