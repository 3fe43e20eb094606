package agencies_test

import (
	"fmt"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
)

func practice(i int) *irtv1.Agency {
	return &irtv1.Agency{
		Name: fmt.Sprintf("agencies/gp-%05d", i), DisplayName: fmt.Sprintf("Practice %d", i),
		Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE, OdsCode: fmt.Sprintf("A%05d", i),
		AddressLines: []string{"The Health Centre", "Lawson Street"}, Postcode: "NR1 3JU", Telephone: "01632 960001",
	}
}

func upsert(t *testing.T, h *hub, list ...*irtv1.Agency) [3]int {
	t.Helper()
	created, updated, unchanged, err := agencies.UpsertAgencies(t.Context(), h.pool, list)
	if err != nil {
		t.Fatal(err)
	}
	return [3]int{created, updated, unchanged}
}

func TestUpsertingADirectoryTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var all []*irtv1.Agency
	for i := range 5000 {
		all = append(all, practice(i))
	}
	all = append(all, practice(17)) // stands twice in the file
	if got := upsert(t, h, all...); got != [3]int{5000, 0, 1} {
		t.Errorf("first time: %v", got)
	}
	if got := upsert(t, h, all...); got != [3]int{0, 0, 5001} {
		t.Errorf("again: %v, want nothing created or updated", got)
	}
	all[3].Telephone = "01632 960002"
	all[4].AddressLines = []string{"Elsewhere"}
	if got := upsert(t, h, all...); got != [3]int{0, 2, 4999} {
		t.Errorf("with two changed: %v", got)
	}
	if err := h.directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, ok := h.directory.ByODSCode("A00003"); !ok || a.Telephone != "01632 960002" {
		t.Errorf("the directory has %+v, %v", a, ok)
	}
}

func TestUpsertKeepsWhatAFileDoesNotSay(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	upsert(t, h, practice(1))
	if _, err := h.UpdateAgency(asOperator(t), &irtv1.UpdateAgencyRequest{Agency: &irtv1.Agency{
		Name: practice(1).GetName(), Email: "office@gp.example", Sensitive: true, State: irtv1.AgencyState_AGENCY_STATE_INACTIVE,
	}}); err != nil {
		t.Fatal(err)
	}
	renamed := practice(1)
	renamed.DisplayName, renamed.AddressLines = "Renamed", nil
	if got := upsert(t, h, renamed); got != [3]int{0, 1, 0} {
		t.Errorf("renaming: %v", got)
	}
	got, err := h.GetAgency(asOperator(t), &irtv1.GetAgencyRequest{Name: renamed.GetName()})
	if err != nil || got.GetDisplayName() != "Renamed" || got.GetEmail() != "office@gp.example" || !got.GetSensitive() ||
		got.GetState() != irtv1.AgencyState_AGENCY_STATE_INACTIVE || len(got.GetAddressLines()) != 2 {
		t.Errorf("got %v, %v; want the new name and the rest as it was", got, err)
	}
	closed := practice(1)
	closed.State = irtv1.AgencyState_AGENCY_STATE_ACTIVE
	if got := upsert(t, h, closed); got != [3]int{0, 1, 0} {
		t.Errorf("a state that is stated: %v", got)
	}
}

func TestUpsertRefusesWhatHasNoName(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, _, _, err := agencies.UpsertAgencies(t.Context(), h.pool, []*irtv1.Agency{practice(1), {Name: "oak"}})
	if err == nil {
		t.Error("an agency without a valid name was upserted")
	}
	if a, ok, _ := h.directory.Find(t.Context(), "gp-00001"); ok {
		t.Errorf("%s was written beside a bad one", a.ID)
	}
}

func TestUpsertPractitioners(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	list := []*irtv1.Practitioner{
		{Name: "agencies/oak/practitioners/1", DisplayName: "One", JobTitle: "Head", Email: "one@oak.example"},
		{Name: "agencies/oak/practitioners/2", DisplayName: "Two"},
		{Name: "agencies/elm/practitioners/1", DisplayName: "Other"},
	}
	for _, want := range [][3]int{{3, 0, 0}, {0, 0, 3}} {
		c, u, n, err := agencies.UpsertPractitioners(t.Context(), h.pool, list)
		if err != nil || [3]int{c, u, n} != want {
			t.Errorf("got %d %d %d, %v; want %v", c, u, n, err, want)
		}
	}
	list[0] = &irtv1.Practitioner{Name: "agencies/oak/practitioners/1", DisplayName: "One", JobTitle: "Teacher"}
	if c, u, n, err := agencies.UpsertPractitioners(t.Context(), h.pool, list); err != nil || [3]int{c, u, n} != [3]int{0, 1, 2} {
		t.Errorf("got %d %d %d, %v", c, u, n, err)
	}
	h.create(t, "oak", nil)
	p, err := h.GetPractitioner(as(t, "oak", system), &irtv1.GetPractitionerRequest{Name: "agencies/oak/practitioners/1"})
	if err != nil || p.GetJobTitle() != "Teacher" || p.GetEmail() != "one@oak.example" {
		t.Errorf("got %v, %v", p, err)
	}
}

func BenchmarkDirectoryGet(b *testing.B) {
	h := benchHub(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := h.Get("gp-00007"); !ok {
			b.Fatal("gone")
		}
	}
}

func BenchmarkUpsert14303Practices(b *testing.B) {
	b.StopTimer()
	for range b.N {
		h := benchPool(b)
		var all []*irtv1.Agency
		for i := range 14303 {
			all = append(all, practice(i))
		}
		b.StartTimer()
		if _, _, _, err := agencies.UpsertAgencies(b.Context(), h, all); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
	}
}
