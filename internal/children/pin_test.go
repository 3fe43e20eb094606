package children_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
)

// A data manager says where a field comes from, and that holds against whom
// survivorship would trust, through changes, merges and splits, until it is taken off.
func TestPins(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("gp", "77", jennifer()).GetChild()
	h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName, r.Postcode = "Jenny", "NR2 1AA" }))
	if got := h.child(a).GetGivenName(); got != "Jennifer" {
		t.Fatalf("before: %s", got)
	}
	pin, err := h.PinChildField(person(t, "ann"), &irtv1.PinChildFieldRequest{
		Child: a, Field: "givenName", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: schoolRecord}, Reason: "so she is called",
	})
	if err != nil || pin.GetName() != a+"/pins/given_name" || pin.GetChildRecord() != schoolRecord || pin.GetDormant() {
		t.Fatalf("%v, error %v", pin, err)
	}
	_, err = h.PinChildField(person(t, "ann"), &irtv1.PinChildFieldRequest{
		Child: a, Field: "postcode", Reason: "the landlord wrote",
		Source: &irtv1.PinChildFieldRequest_Value{Value: &irtv1.ChildRecord{AddressLines: []string{"1 Safe House"}, Postcode: "nr9 9zz"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(what, name string) {
		t.Helper()
		c := h.child(name)
		if c.GetGivenName() != "Jenny" || c.GetPostcode() != "NR9 9ZZ" || len(c.GetAddressLines()) != 1 {
			t.Errorf("%s: %s, %s, %v", what, c.GetGivenName(), c.GetPostcode(), c.GetAddressLines())
		}
		var fields []string
		for _, p := range c.GetProvenance() {
			if p.GetPinned() {
				fields = append(fields, p.GetFields()...)
			}
		}
		if !slices.Contains(fields, "given_name") || !slices.Contains(fields, "postcode") || slices.Contains(fields, "family_name") {
			t.Errorf("%s: pinned by provenance %v", what, fields)
		}
	}
	check("pinned", a)
	h.send("gp", "77", with(jennifer(), func(r *irtv1.ChildRecord) { r.Sex = "U" }))
	check("after a change", a)
	b := h.send("police", "x", freya()).GetChild()
	h.mergeByTwo(a, b)
	check("merged into another", b)
	h.checkInvariants()
	h.split(b, schoolRecord, gpRecord)
	check("parted again", a)
	h.send("school", "p2", freya()) // who has a record sees where she is
	if c := h.child(b); c.GetGivenName() != "Freya" || c.GetPostcode() != "NR27 9AB" {
		t.Errorf("the other child keeps %s, %s", c.GetGivenName(), c.GetPostcode())
	}
	gone, err := h.UnpinChildField(person(t, "ben"), &irtv1.UnpinChildFieldRequest{Child: a, Field: "given_name", Reason: "no longer"})
	if err != nil || gone.GetEndReason() != "no longer" {
		t.Fatalf("%v, error %v", gone, err)
	}
	if got := h.child(a).GetGivenName(); got != "Jennifer" {
		t.Errorf("taken off: %s", got)
	}
	for ended, least := range map[bool]int{false: 1, true: 2} {
		list, err := h.ListChildPins(manager(t), &irtv1.ListChildPinsRequest{Parent: a, ShowEnded: ended})
		if err != nil || len(list.GetChildPins()) < least || !ended && len(list.GetChildPins()) != 1 {
			t.Errorf("ended %t: %v, error %v", ended, list, err)
		}
	}
}

func TestPinsAreHeldToTheStandard(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("gp", "77", jennifer()).GetChild()
	for what, req := range map[string]*irtv1.PinChildFieldRequest{
		"no such field": {Field: "shoe_size", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: gpRecord}},
		"a bad value":   {Field: "nhs_number", Source: &irtv1.PinChildFieldRequest_Value{Value: &irtv1.ChildRecord{NhsNumber: "9990000019"}}},
		"another field": {Field: "nhs_number", Source: &irtv1.PinChildFieldRequest_Value{Value: &irtv1.ChildRecord{GivenName: "Jo"}}},
	} {
		req.Child, req.Reason = a, "why"
		_, err := h.PinChildField(person(t, "ann"), req)
		code(t, what, err, codes.InvalidArgument)
	}
	_, err := h.PinChildField(person(t, "ann"), &irtv1.PinChildFieldRequest{
		Child: a, Field: "upn", Reason: "why", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: gpRecord},
	})
	code(t, "a record that says nothing of it", err, codes.FailedPrecondition)
}

// A pin to a record sleeps while the record is withdrawn.
func TestPinOfAWithdrawnRecordSleeps(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("gp", "77", jennifer()).GetChild()
	h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName = "Jenny" }))
	if _, err := h.PinChildField(person(t, "ann"), &irtv1.PinChildFieldRequest{
		Child: a, Field: "given_name", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: schoolRecord}, Reason: "so she is called",
	}); err != nil {
		t.Fatal(err)
	}
	h.withdraw("school", "p1")
	list, err := h.ListChildPins(manager(t), &irtv1.ListChildPinsRequest{Parent: a})
	if got := h.child(a).GetGivenName(); got != "Jennifer" || err != nil || !list.GetChildPins()[0].GetDormant() {
		t.Errorf("%s; %v, error %v", got, list, err)
	}
	h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName = "Jenny" }))
	if got := h.child(a).GetGivenName(); got != "Jenny" {
		t.Errorf("revived: %s", got)
	}
}
