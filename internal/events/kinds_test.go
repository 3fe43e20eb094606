package events_test

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/standard"
)

// said is how docs/EVENTS.md calls the audiences.
var said = map[events.Audience]string{
	events.Involved: "involved", events.DataManagers: "data managers", events.Named: "named", events.Addressed: "addressed",
}

// Every kind has its audience and, as the schema has it, its row in the table of
// docs/EVENTS.md; and the table has no other.
func TestKindsAreInTheTable(t *testing.T) {
	doc, err := os.ReadFile("../../docs/EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, doc2, _ := strings.Cut(string(doc), "\n## Kinds\n")
	section, _, _ := strings.Cut(doc2, "\n## ")
	rows := map[string][]string{}
	for _, line := range strings.Split(section, "\n") {
		if kind, rest, is := strings.Cut(strings.TrimPrefix(line, "| `"), "` | "); is && strings.HasPrefix(line, "| `") {
			rows[kind] = append(rows[kind], rest)
		}
	}
	for _, list := range standard.CodeLists() {
		if list.GetName() != "standard/codeLists/event-kind" {
			continue
		}
		for _, code := range list.GetCodes() {
			kind := irtv1.EventKind(irtv1.EventKind_value["EVENT_KIND_"+code.GetCode()])
			want := code.GetDisplay() + " | "
			row := rows[code.GetCode()]
			delete(rows, code.GetCode())
			if len(row) != 1 || !strings.HasPrefix(row[0], want) {
				t.Errorf("the row of %s must begin\n| `%s` | %s\nand not %q", code.GetCode(), code.GetCode(), want, row)
				continue
			}
			cells := strings.Split(row[0], " | ")
			if to := said[events.AudienceOf(kind)]; len(cells) != 3 || to == "" || cells[2] != to+" |" && !strings.HasPrefix(cells[2], to+": ") {
				t.Errorf("the last column of %s must say %q: %q", code.GetCode(), to, cells)
			}
		}
	}
	for kind := range rows {
		t.Errorf("there is no kind %s", kind)
	}
}

// A filter may name every kind.
func TestAFilterHoldsEveryKind(t *testing.T) {
	var all []irtv1.EventKind
	for kind := range irtv1.EventKind_name {
		if kind != 0 {
			all = append(all, irtv1.EventKind(kind))
		}
	}
	for _, m := range []proto.Message{&irtv1.WatchRequest{Kinds: all}, &irtv1.ListEventsRequest{Kinds: all}, &irtv1.Subscription{Kinds: all}} {
		faults, _ := standard.Check(m, standard.Options{})
		for _, f := range faults {
			if f.Field == "kinds" {
				t.Errorf("%T: %v", m, f)
			}
		}
	}
}
