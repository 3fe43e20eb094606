package consent_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

// correct has an agency correct a record, so that it is matched again.
func (h *hub) correct(agency, localID, nhsNumber, given, born string) string {
	h.t.Helper()
	resp, err := h.children.SubmitChildRecord(as(h.t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: &irtv1.ChildRecord{
		Name: "agencies/" + agency + "/childRecords/" + localID, GivenName: given, FamilyName: "Achterberg", DateOfBirth: born,
		NhsNumber: nhsNumber, AddressLines: []string{"4 Quay Side"}, Postcode: "NR23 1AH", Sex: "F",
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.GetChild()
}

// A child that becomes one with another is shielded if either was, and what was
// agreed about it is agreed about the one it became.
func TestConsentsAndShieldsFollowAMerge(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := h.correct("school", "1", "9434765870", "Rosalind", "2015-06-02")
	gone := h.correct("social", "1", "", "Barnaby", "2012-01-09")
	if kept == gone {
		t.Fatal("they were never two children")
	}
	shield := h.propose("social/ann", gone)
	c := h.record(agreed("social", "c1", gone))
	h.refuse(refused("social", "r1", gone, "school"))
	if now := h.correct("social", "1", "9434765870", "Rosalind", "2015-06-02"); now != kept {
		t.Fatal("they did not become one")
	}
	if k := h.known(kept); !k.shielded || len(k.consents) != 1 {
		t.Errorf("policy knows of the merged child %+v", k)
	}
	if h.known(gone).row {
		t.Error("policy still knows of the child that is no more")
	}
	// The old name leads to the shield, and the approver's decision to the child.
	s, err := h.approve("social/bob", shield.GetName())
	h.wantShield(s, err, active, true)
	if got, err := h.GetConsent(as(t, "social"), &irtv1.GetConsentRequest{Name: c.GetName()}); err != nil || got.GetChild() != kept {
		t.Errorf("the consent: %v, %v", got, err)
	}
	if names, _ := h.consents("social", &irtv1.ListConsentsRequest{Parent: gone}); names != "c1" {
		t.Errorf("the consents under the old name: %q", names)
	}
	if n := h.count(`SELECT count(*) FROM sharing_refusals WHERE child_id = $1`, parse(t, kept)); n != 1 {
		t.Error("the refusal did not follow")
	}
	if got := h.told(kept); got != "CHILD_SHIELDED" {
		t.Errorf("told of the merged child: %s", got)
	}
}

// A record that leaves a shielded child takes a copy of the shield along, and the
// child keeps its own: each is lifted by itself.
func TestShieldStaysOnBothSidesOfASplit(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.correct("school", "1", "9434765870", "Rosalind", "2015-06-02")
	if h.correct("social", "1", "9434765870", "Rosalind", "2015-06-02") != child {
		t.Fatal("they were never one child")
	}
	shield := h.propose("social/ann", child)
	if _, err := h.approve("social/bob", shield.GetName()); err != nil {
		t.Fatal(err)
	}
	h.record(agreed("social", "c1", child))
	h.record(agreed("school", "c2", child))
	other := h.correct("social", "1", "9000000009", "Barnaby", "2012-01-09")
	if other == child {
		t.Fatal("they did not part")
	}
	for name, consents := range map[string]string{child: "school", other: "social"} {
		k := h.known(name)
		if !k.shielded || len(k.consents) != 1 || k.consents[0].Agency != consents {
			t.Errorf("policy knows of %s's child %+v", consents, k)
		}
	}
	// That there is a child is told before what is to be known of it.
	if n := h.count(`SELECT count(*) FROM event_outbox c JOIN event_outbox s USING (child_id)
		WHERE child_id = $1 AND c.kind = $2 AND s.kind = $3 AND c.seq < s.seq`, parse(t, other),
		irtv1.EventKind_EVENT_KIND_CHILD_CREATED, irtv1.EventKind_EVENT_KIND_CHILD_SHIELDED); n != 1 {
		t.Error("the shield is told of before the child")
	}
	lift := func(name string) {
		t.Helper()
		if _, err := h.ProposeShieldLift(by(t, "council/dot"), &irtv1.ProposeShieldLiftRequest{Name: name, Reason: "Not the child meant"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ApproveShieldLift(by(t, "council/dan"), &irtv1.ApproveShieldLiftRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := h.ListShields(by(t, "council/dot"), &irtv1.ListShieldsRequest{Parent: other})
	if err != nil || len(listed.GetShields()) != 1 {
		t.Fatalf("the copies: %v, %v", listed, err)
	}
	lift(listed.GetShields()[0].GetName())
	if h.known(other).shielded || !h.known(child).shielded {
		t.Error("the copy was lifted, and not it alone")
	}
	// They come together again: the one in effect stays.
	if h.correct("social", "1", "9434765870", "Rosalind", "2015-06-02") != child {
		t.Fatal("they did not come together again")
	}
	if !h.known(child).shielded {
		t.Error("the shield was lost where it met its copy")
	}
	lift(shield.GetName())
	if h.known(child).shielded {
		t.Error("the child is shielded still")
	}
}

// What a data manager recorded about a child with whom the agency does not work stays
// there when another agency's record leaves for a child with whom it does: the consent
// was not given for that child.
func TestAnotherAgencysRecordTakesNoConsentAlong(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	theirs := h.correct("social", "1", "", "Barnaby", "2012-01-09")
	child := h.correct("school", "1", "9434765870", "Rosalind", "2015-06-02")
	if child == theirs || h.correct("gp", "1", "9434765870", "Rosalind", "2015-06-02") != child {
		t.Fatal("they are not two children")
	}
	manager := call(t, identity.Caller{Agency: "social", Practitioner: "meg", Role: irtv1.Role_ROLE_DATA_MANAGER})
	if _, err := h.RecordConsent(manager, &irtv1.RecordConsentRequest{Consent: agreed("social", "c1", child)}); err != nil {
		t.Fatal(err)
	}
	if h.correct("gp", "1", "", "Barnaby", "2012-01-09") != theirs {
		t.Fatal("the record did not move")
	}
	if names, _ := h.consents("social", &irtv1.ListConsentsRequest{Parent: theirs}); names != "" {
		t.Errorf("the other child has the consents %q", names)
	}
	if k := h.known(theirs); k.row {
		t.Errorf("policy knows of the other child %+v", k)
	}
	if k := h.known(child); len(k.consents) != 1 {
		t.Errorf("policy knows of the child %+v", k)
	}
}

// Who does not work with the child any more may say again what it recorded while it did,
// and nothing else; to say that it was withdrawn, it withdraws it.
func TestWhoHasLeftRecordsNothingNew(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	h.submit("gp", "1", "Rosalind", born(9))
	byRecord := agreed("social", "c1", "")
	byRecord.ChildRecord = "agencies/social/childRecords/1"
	c := h.record(byRecord)
	if _, err := h.children.WithdrawChildRecord(as(t, "social"), &irtv1.WithdrawChildRecordRequest{Name: c.GetChildRecord()}); err != nil {
		t.Fatal(err)
	}
	again := func(change func(*irtv1.Consent)) (*irtv1.Consent, error) {
		m := agreed("social", "c1", "")
		m.ChildRecord = c.GetChildRecord()
		change(m)
		return h.tryRecord(m)
	}
	for what, change := range map[string]func(*irtv1.Consent){
		"the same":           func(*irtv1.Consent) {},
		"with the child":     func(m *irtv1.Consent) { m.Child = child },
		"by the child alone": func(m *irtv1.Consent) { m.Child, m.ChildRecord = child, "" },
		"with its etag":      func(m *irtv1.Consent) { m.Etag = c.GetEtag() },
	} {
		if got, err := again(change); err != nil || got.GetEtag() != c.GetEtag() {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	unknown := "children/" + standard.FormatChildID(standard.NewChildID())
	denied := map[string]func(*irtv1.Consent){
		"other categories": func(m *irtv1.Consent) { m.Categories = nil },
		"a new consent":    func(m *irtv1.Consent) { m.Name += "x" },
		"another record":   func(m *irtv1.Consent) { m.ChildRecord = "agencies/social/childRecords/2" },
		"another child":    func(m *irtv1.Consent) { m.Child = unknown },
	}
	for what, change := range denied {
		t.Log(what)
		_, err := again(change)
		wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	}
	_, err := again(func(m *irtv1.Consent) { m.Etag = "old" })
	wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
	if got := h.told(child); got != "CONSENT_RECORDED" {
		t.Errorf("told: %s", got)
	}
}
