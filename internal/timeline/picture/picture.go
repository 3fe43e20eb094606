// Package picture draws a child's timeline: for a terminal, and as SVG with who was
// involved when. It draws what it is given, which the hub has redacted.
package picture

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/svg"
)

// words say what an entry is about, without personal data that it does not hold.
func words(e *irtv1.TimelineEntry) string {
	switch d := e.GetDetail().(type) {
	case *irtv1.TimelineEntry_Registration:
		if r := d.Registration.GetChildRecord(); r != "" {
			return "known to " + agencyOf(r)
		}
		return "known to the hub"
	case *irtv1.TimelineEntry_Move:
		m := d.Move
		return "moved: " + join(join(m.GetAddressLines()...), m.GetPostcode(), cmp.Or(m.GetSchoolDisplayName(), m.GetSchoolUrn()),
			cmp.Or(m.GetGpPracticeDisplayName(), m.GetGpPracticeCode()))
	case *irtv1.TimelineEntry_Involvement:
		i := d.Involvement
		return join(cmp.Or(i.GetAgencyDisplayName(), agencyOf(i.GetName())), i.GetRole(), i.GetPractitionerDisplayName())
	case *irtv1.TimelineEntry_LeadProfessional:
		l := d.LeadProfessional
		return "lead: " + join(l.GetPractitionerDisplayName(), cmp.Or(l.GetAgencyDisplayName(), agencyOf(l.GetInvolvement())))
	case *irtv1.TimelineEntry_Consent:
		c := d.Consent
		return "consent: " + join(short(c.GetScope().String(), "CONSENT_SCOPE_"), c.GetGivenBy(), agencyOf(c.GetName()))
	case *irtv1.TimelineEntry_ContactRequest:
		return "contact: " + join(short(d.ContactRequest.GetState().String(), "CONTACT_REQUEST_STATE_"), agencyOf(d.ContactRequest.GetName()))
	case *irtv1.TimelineEntry_Concern:
		c := d.Concern
		return "concern: " + join(c.GetCategory(), c.GetLevel(), agencyOf(c.GetName()), cmp.Or(c.GetOutcome(), short(c.GetState().String(), "CONCERN_STATE_")))
	case *irtv1.TimelineEntry_Referral:
		r := d.Referral
		return "referral: " + join(agencyOf(r.GetName())+" to "+agencyOf(r.GetRecipient()), r.GetReason(), short(r.GetState().String(), "REFERRAL_STATE_"))
	}
	return short(e.GetKind().String(), "TIMELINE_KIND_")
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func short(code, prefix string) string { return strings.TrimPrefix(code, prefix) }

// agencyOf is the id of the agency in a resource name.
func agencyOf(name string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, "agencies/"), "/")
	return id
}

// lasts tells whether an entry goes on for a time.
func lasts(e *irtv1.TimelineEntry) bool {
	switch e.GetKind() {
	case irtv1.TimelineKind_TIMELINE_KIND_REGISTRATION, irtv1.TimelineKind_TIMELINE_KIND_MOVE, irtv1.TimelineKind_TIMELINE_KIND_CONTACT_REQUEST:
		return false
	}
	return true
}

// Write writes an entry a line, in the order given.
func Write(w io.Writer, entries []*irtv1.TimelineEntry) error {
	for _, e := range entries {
		period := e.GetStartDate()
		switch {
		case !lasts(e):
		case e.GetEndDate() == "":
			period += " –"
		default:
			period += " – " + e.GetEndDate()
		}
		if _, err := fmt.Fprintf(w, "%-23s  %s\n", period, words(e)); err != nil {
			return err
		}
	}
	return nil
}

// lane is a line of the picture.
type lane struct {
	label   string
	colour  string
	entries []*irtv1.TimelineEntry
	led     []*irtv1.TimelineEntry // when its practitioner was the lead professional
}

// Colours of kinds: the bars differ also by where they stand and what is written at
// them, for those who see no colours.
var colours = map[irtv1.TimelineKind]string{
	irtv1.TimelineKind_TIMELINE_KIND_REGISTRATION:    "#505a5f",
	irtv1.TimelineKind_TIMELINE_KIND_MOVE:            "#505a5f",
	irtv1.TimelineKind_TIMELINE_KIND_INVOLVEMENT:     "#1d70b8",
	irtv1.TimelineKind_TIMELINE_KIND_CONCERN:         "#d4351c",
	irtv1.TimelineKind_TIMELINE_KIND_REFERRAL:        "#f47738",
	irtv1.TimelineKind_TIMELINE_KIND_CONSENT:         "#00703c",
	irtv1.TimelineKind_TIMELINE_KIND_CONTACT_REQUEST: "#4c2c92",
}

// leadColour is that of the strip beneath the bar of a lead professional.
const leadColour = "#0b0c0c"

// order is that of kinds, from above.
var order = []irtv1.TimelineKind{
	irtv1.TimelineKind_TIMELINE_KIND_REGISTRATION, irtv1.TimelineKind_TIMELINE_KIND_MOVE, irtv1.TimelineKind_TIMELINE_KIND_INVOLVEMENT,
	irtv1.TimelineKind_TIMELINE_KIND_CONCERN, irtv1.TimelineKind_TIMELINE_KIND_REFERRAL, irtv1.TimelineKind_TIMELINE_KIND_CONSENT,
	irtv1.TimelineKind_TIMELINE_KIND_CONTACT_REQUEST,
}

// lanes are one for each involvement, concern, referral and consent, and one for all
// entries of a kind that has days only. The longest-standing stands above.
func lanes(entries []*irtv1.TimelineEntry) []*lane {
	var all []*lane
	leads := map[string][]*irtv1.TimelineEntry{}
	days := map[irtv1.TimelineKind]*lane{}
	for _, e := range entries {
		switch kind := e.GetKind(); {
		case kind == irtv1.TimelineKind_TIMELINE_KIND_LEAD_PROFESSIONAL:
			leads[e.GetLeadProfessional().GetInvolvement()] = append(leads[e.GetLeadProfessional().GetInvolvement()], e)
		case lasts(e):
			all = append(all, &lane{label: words(e), colour: colours[kind], entries: []*irtv1.TimelineEntry{e}})
		case days[kind] == nil:
			days[kind] = &lane{label: strings.ToLower(strings.ReplaceAll(short(kind.String(), "TIMELINE_KIND_"), "_", " ")), colour: colours[kind]}
			all = append(all, days[kind])
			fallthrough
		default:
			days[kind].entries = append(days[kind].entries, e)
		}
	}
	for _, l := range all {
		if i := l.entries[0].GetInvolvement(); i != nil {
			l.led = leads[i.GetName()]
		}
	}
	slices.SortStableFunc(all, func(a, b *lane) int {
		return cmp.Or(
			slices.Index(order, a.entries[0].GetKind())-slices.Index(order, b.entries[0].GetKind()),
			strings.Compare(a.entries[0].GetStartDate(), b.entries[0].GetStartDate()))
	})
	return all
}

// Sizes of the picture, in pixels.
const (
	margin     = 16
	labelWidth = 380
	barsWidth  = 760
	rowHeight  = 24
	axisHeight = 28
	labelRunes = 50
)

// WriteSVG draws who was involved when, with concerns, referrals, consents, and the
// days on which the child came to be known, moved or was asked about. What has not
// ended goes on until today.
func WriteSVG(w io.Writer, entries []*irtv1.TimelineEntry, today time.Time) error {
	all := lanes(entries)
	from, to := span(entries, today)
	x := func(day time.Time) float64 {
		return labelWidth + day.Sub(from).Hours()/max(to.Sub(from).Hours(), 24)*barsWidth
	}
	foot := margin + axisHeight + len(all)*rowHeight
	p := svg.New(labelWidth+barsWidth+2*margin, foot+margin+rowHeight, "Who was involved when")
	drawAxis(p, from, to, x, foot)
	for i, l := range all {
		y := margin + axisHeight + i*rowHeight
		p.Text(margin, y+15, shortened(l.label))
		for _, e := range l.entries {
			drawPeriod(p, e, today, x, y+4, 12, l.colour)
		}
		for _, e := range l.led {
			drawPeriod(p, e, today, x, y+17, 4, leadColour)
		}
	}
	p.Bar(margin, foot+margin-5, 18, 4, leadColour)
	p.Text(margin+26, foot+margin+1, "lead professional")
	return p.End(w)
}

func shortened(label string) string {
	if runes := []rune(label); len(runes) > labelRunes {
		return string(runes[:labelRunes-1]) + "…"
	}
	return label
}

func drawPeriod(p *svg.Picture, e *irtv1.TimelineEntry, today time.Time, x func(time.Time) float64, y, height int, colour string) {
	start := parse(e.GetStartDate(), today)
	end := start
	if lasts(e) {
		end = parse(e.GetEndDate(), today)
	}
	p.Bar(x(start), y, max(x(end.AddDate(0, 0, 1))-x(start), 3), height, colour)
}

// drawAxis writes the years, or the months of a short time, and a line for each.
func drawAxis(p *svg.Picture, from, to time.Time, x func(time.Time) float64, foot int) {
	step, form := 12, "2006"
	at := time.Date(from.Year(), time.January, 1, 0, 0, 0, 0, time.UTC)
	if to.Sub(from) < 3*365*24*time.Hour {
		step, form = 3, "Jan 2006"
	}
	last := -100.0
	for ; !at.After(to); at = at.AddDate(0, step, 0) {
		if at.Before(from) {
			continue
		}
		p.Line(x(at), margin+axisHeight-6, x(at), foot)
		if x(at)-last > 70 { // so that no two are written over one another
			p.Text(x(at)+2, margin+10, at.Format(form))
			last = x(at)
		}
	}
}

// span is the time that entries take, today included.
func span(entries []*irtv1.TimelineEntry, today time.Time) (from, to time.Time) {
	from, to = today, today
	for _, e := range entries {
		if start := parse(e.GetStartDate(), today); start.Before(from) {
			from = start
		}
		for _, day := range []time.Time{parse(e.GetStartDate(), today), parse(e.GetEndDate(), today)} {
			if day.After(to) {
				to = day
			}
		}
	}
	return from, to.AddDate(0, 0, 1)
}

// parse reads a day; what is none goes on until today.
func parse(day string, today time.Time) time.Time {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return today
	}
	return t
}
