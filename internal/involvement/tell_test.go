package involvement_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
)

// told takes the events there are out of the outbox: what they tell of, and whom
// they would give away.
func (h *hub) told() (kinds []int32, reveals []string) {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(), `DELETE FROM event_outbox RETURNING kind::int, reveals`)
	if err != nil {
		h.t.Fatal(err)
	}
	type event struct {
		Kind    int32
		Reveals string
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range all {
		kinds, reveals = append(kinds, e.Kind), append(reveals, e.Reveals)
	}
	slices.Sort(kinds)
	return kinds, slices.Compact(reveals)
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	expect := func(what, giveAway string, want ...int32) {
		t.Helper()
		kinds, reveals := h.told()
		if !slices.Equal(kinds, want) || len(reveals) > 1 || len(reveals) == 1 && reveals[0] != giveAway {
			t.Errorf("%s: told %v giving away %q; want %v giving away %q", what, kinds, reveals, want, giveAway)
		}
	}
	one := inv("school", "i1", child)
	one.Practitioner = "agencies/school/practitioners/t1"
	h.submit(one)
	expect("a new involvement", "", 10)
	h.submit(one)
	expect("the same again", "")
	if _, err := h.SetLeadProfessional(as(t, "school"), &irtv1.SetLeadProfessionalRequest{
		Child: childName(child), Involvement: "agencies/school/involvements/i1",
	}); err != nil {
		t.Fatal(err)
	}
	expect("a lead professional", "", 12)
	if _, err := h.EndInvolvement(as(t, "school"), &irtv1.EndInvolvementRequest{Name: "agencies/school/involvements/i1"}); err != nil {
		t.Fatal(err)
	}
	expect("the end of both", "", 11, 12)
	h.submit(inv("clinic", "s", child))
	expect("a sensitive service's", "clinic", 10)
}
