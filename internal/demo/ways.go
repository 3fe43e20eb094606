package demo

import (
	"fmt"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// carers are the first so many parents, as an agency has them.
func (w *writer) carers(c *child, most int) []*irtv1.Carer {
	var list []*irtv1.Carer
	for i, p := range c.parents[:min(most, len(c.parents))] {
		carer := &irtv1.Carer{DisplayName: p.name, Relationship: p.relationship, Telephone: p.telephone}
		if w.often(30) {
			carer.Email = fmt.Sprintf("carer%d.%d@family.example.org", c.number+1, i+1)
		}
		list = append(list, carer)
	}
	return list
}

// shorten writes what the child is called, so many times in a hundred.
func (w *writer) shorten(r *irtv1.ChildRecord, percent int) {
	if short := shortNames[r.GetGivenName()]; short != "" && w.often(percent) {
		r.GivenName = short
	}
}

// misspell writes the given name or the surname as it sounds, or with a slip.
func (w *writer) misspell(r *irtv1.ChildRecord) {
	name := &r.FamilyName
	if w.often(40) {
		name = &r.GivenName
	}
	if other := spellings[*name]; other != "" {
		*name = other
		return
	}
	letters := []rune(*name)
	if len(letters) < 5 {
		return
	}
	at := 2 + w.r.IntN(len(letters)-3)
	if w.often(50) {
		*name = string(letters[:at]) + string(letters[at+1:])
		return
	}
	letters[at], letters[at-1] = letters[at-1], letters[at]
	*name = string(letters)
}

// day is one on which an agency may have become involved with a child: from an
// age on, within the last years.
func (w *writer) day(c *child, age int) time.Time {
	first := c.born.AddDate(age, 0, 0)
	if recent := reckoned.AddDate(-4, 0, 0); first.Before(recent) {
		first = recent
	}
	days := max(1, int(reckoned.AddDate(0, 1, 20).Sub(first).Hours()/24))
	return first.AddDate(0, 0, w.r.IntN(days))
}

// involve adds an involvement that goes on.
func (w *writer) involve(s *statement, role string, who *irtv1.Practitioner, start time.Time) *involvement {
	if start.Before(s.child.born) {
		start = s.child.born
	}
	i := &involvement{message: &irtv1.Involvement{
		Name:        fmt.Sprintf("%s/involvements/I%05d", s.agency.message.GetName(), s.child.number+1),
		ChildRecord: s.record.GetName(), Role: role, Practitioner: who.GetName(), StartDate: start.Format(time.DateOnly),
	}}
	s.involvements = append(s.involvements, i)
	return i
}

// end ends an involvement, unless that would be after the area was reckoned.
func (w *writer) end(i *irtv1.Involvement, day time.Time) {
	if day.Before(reckoned) {
		i.EndDate = day.Format(time.DateOnly)
	}
}
