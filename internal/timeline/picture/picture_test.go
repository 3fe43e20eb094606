package picture

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

const involvement = "agencies/school-1/involvements/i"

func story() []*irtv1.TimelineEntry {
	entry := func(kind irtv1.TimelineKind, start, end string) *irtv1.TimelineEntry {
		return &irtv1.TimelineEntry{Kind: kind, StartDate: start, EndDate: end}
	}
	concern := entry(irtv1.TimelineKind_TIMELINE_KIND_CONCERN, "2026-02-01", "2026-02-20")
	concern.Detail = &irtv1.TimelineEntry_Concern{Concern: &irtv1.Concern{Name: "agencies/gp-1/concerns/c", Category: "HEALTH", Level: "ACUTE", Outcome: "RESOLVED"}}
	lead := entry(irtv1.TimelineKind_TIMELINE_KIND_LEAD_PROFESSIONAL, "2026-01-10", "")
	lead.Detail = &irtv1.TimelineEntry_LeadProfessional{LeadProfessional: &irtv1.LeadProfessional{Involvement: involvement, PractitionerDisplayName: "T. Ash"}}
	work := entry(irtv1.TimelineKind_TIMELINE_KIND_INVOLVEMENT, "2025-09-01", "")
	work.Detail = &irtv1.TimelineEntry_Involvement{Involvement: &irtv1.Involvement{Name: involvement, Role: "TEACHER", AgencyDisplayName: "Oak <School>"}}
	move := entry(irtv1.TimelineKind_TIMELINE_KIND_MOVE, "2025-10-01", "")
	move.Detail = &irtv1.TimelineEntry_Move{Move: &irtv1.TimelineMove{AddressLines: []string{"4 Quay Side"}, Postcode: "NR23 1AH"}}
	moved := entry(irtv1.TimelineKind_TIMELINE_KIND_MOVE, "2026-03-01", "")
	moved.Detail = &irtv1.TimelineEntry_Move{Move: &irtv1.TimelineMove{SchoolUrn: "130001"}}
	return []*irtv1.TimelineEntry{moved, concern, lead, move, work}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := Write(&b, story()); err != nil {
		t.Fatal(err)
	}
	const want = `2026-03-01               moved: 130001
2026-02-01 – 2026-02-20  concern: HEALTH, ACUTE, gp-1, RESOLVED
2026-01-10 –             lead: T. Ash, school-1
2025-10-01               moved: 4 Quay Side, NR23 1AH
2025-09-01 –             Oak <School>, TEACHER
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// The drawing is XML in which every entry has its bar: moves on one line, the lead
// under the involvement that it is by.
func TestWriteSVG(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]*irtv1.TimelineEntry{"a story": story(), "nothing": nil} {
		var b strings.Builder
		if err := WriteSVG(&b, entries, time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
		bars := 0
		d := xml.NewDecoder(strings.NewReader(b.String()))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, b.String())
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
				bars++
			}
		}
		if want := len(entries) + 2; bars != want { // the ground, and the legend
			t.Errorf("%s: %d bars, want %d", name, bars, want)
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "<School>") {
			t.Errorf("%s: %s", name, b.String())
		}
	}
	rows := lanes(story())
	if len(rows) != 3 || rows[0].label != "move" || len(rows[0].entries) != 2 || len(rows[1].led) != 1 || rows[2].entries[0].GetConcern() == nil {
		t.Errorf("%d lanes: %v", len(rows), rows)
	}
}
