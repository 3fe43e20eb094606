package feed_test

import (
	"slices"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
)

// That there is a plan is told to those who are shown plans; that its child was seen to
// the responsible agency alone, with who it was.
func TestPlansAreToldToThoseShownThem(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child("school", "gp")
	h.happen(
		events.Event{Kind: irtv1.EventKind_EVENT_KIND_PLAN_SUBMITTED, Child: child, Agency: "school", Resource: "agencies/school/plans/1"},
		events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_PLAN_CHILD_SEEN, Child: child, Agency: "gp", Resource: "agencies/school/plans/1",
			Agencies: []string{"school"},
		},
		events.Event{Child: child, Agency: "school"},
	)
	h.eventually(func() bool {
		answer, err := h.ListEvents(h.manager(), &irtv1.ListEventsRequest{})
		return err == nil && len(answer.GetEvents()) == 1
	})
	for who, want := range map[string][]string{
		"school": {"PLAN_SUBMITTED of agencies/school/plans/1 by agencies/school", "PLAN_CHILD_SEEN of agencies/school/plans/1 by agencies/gp"},
		"gp":     {"PLAN_SUBMITTED of agencies/school/plans/1 by agencies/school"},
	} {
		answer, err := h.ListEvents(h.system(who), &irtv1.ListEventsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range answer.GetEvents() {
			if kind := strings.TrimPrefix(e.GetKind().String(), "EVENT_KIND_"); strings.HasPrefix(kind, "PLAN") {
				got = append(got, kind+" of "+e.GetResource()+" by "+e.GetAgency())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is told %q, not %q", who, got, want)
		}
	}
}
