package children_test

import (
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

// A record that says by mistake that it is of another child, and is corrected, leaves
// everything as it was: its child is the one that it was, by its name, with what hung on
// it by that name alone, its pins and the names that led to it.
func TestACorrectionIsUndoneByAnother(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("school", "p1", jennifer()).GetChild()
	b := h.send("gp", "77", freya()).GetChild()
	led := h.send("charity", "c", with(freya(), func(r *irtv1.ChildRecord) {
		r.GivenName, r.FamilyName, r.DateOfBirth, r.Postcode, r.AddressLines = "Chidi", "Okafor", "2016-08-01", "NR3 1AB", []string{"9 Quay"}
	})).GetChild()
	h.send("charity", "c", jennifer())
	h.withdraw("charity", "c") // so that a name leads to a, and a withdrawn record stands there
	h.works("school", "i1", "p1", a, "teacher")
	h.works("police", "i2", "", a, "")
	h.works("gp", "i3", "77", b, "doctor")
	if _, err := h.PinChildField(person(t, "ann"), &irtv1.PinChildFieldRequest{
		Child: a, Field: "given_name", Reason: "why", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: schoolRecord},
	}); err != nil {
		t.Fatal(err)
	}
	apart := h.state()
	if h.send("school", "p1", freya()).GetChild() != b || h.child(a).GetName() != b || h.child(led).GetName() != b {
		t.Fatal("they did not become one")
	}
	if got := h.send("school", "p1", jennifer()).GetChild(); got != a {
		t.Fatalf("the record is of %s, and was of %s", got, a)
	}
	if now := h.state(); now != apart {
		t.Errorf("now\n%s\nbefore\n%s", now, apart)
	}
	h.checkInvariants()
}

// Corrected to say that it is of a third child, the record takes along what hung on the
// child that it was of, and the names that led to that; what the second child had stays.
func TestACorrectionToAThirdChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("school", "p1", jennifer()).GetChild()
	b := h.send("gp", "77", freya()).GetChild()
	chidi := func() *irtv1.ChildRecord {
		return with(freya(), func(r *irtv1.ChildRecord) {
			r.GivenName, r.FamilyName, r.DateOfBirth, r.Postcode, r.AddressLines = "Chidi", "Okafor", "2016-08-01", "NR3 1AB", []string{"9 Quay"}
		})
	}
	c := h.send("police", "x", chidi()).GetChild()
	h.works("charity", "i1", "", a, "")
	h.works("charity", "i2", "", b, "")
	h.send("school", "p1", freya())
	h.works("charity", "i3", "", b, "") // later: of the one that kept its name
	if h.send("school", "p1", chidi()).GetChild() != c {
		t.Fatal("the record did not come to the third child")
	}
	for name, child := range map[string]string{a: c, b: b, c: c} {
		if got := h.child(name).GetName(); got != child {
			t.Errorf("%s leads to %s, want %s", name, got, child)
		}
	}
	for child, want := range map[string]int{c: 1, b: 2} {
		if n := h.count(`SELECT count(*) FROM involvements WHERE child_id = $1`, idOf(t, child)); n != want {
			t.Errorf("%d involvements with %s, want %d", n, child, want)
		}
	}
	h.checkInvariants()
}
