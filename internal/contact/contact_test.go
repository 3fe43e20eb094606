package contact_test

import (
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/contact"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

const (
	nhsNumber  = "9434765870"
	otherChild = "9000000009"
)

// Whom policy shows is named in the answer with the number to ring, gets the
// request, and declines so that the asker knows.
func TestDirectContactNamesWhomToRing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", nhsNumber, "Rosalind", "2015-06-02")
	h.involve("school", child)
	h.involve("gp", child)
	q, err := h.askFor("school/ann", child, "agencies/gp/involvements/i")
	if err != nil {
		t.Fatal(err)
	}
	if c := q.GetContacts(); len(c) != 1 || c[0].GetPractitionerDisplayName() != "Ann of gp" || c[0].GetRingNow() != "01632 960001" {
		t.Fatalf("contacts: %v", c)
	}
	if _, err := h.MarkContactRead(by(t, "gp"), &irtv1.MarkContactReadRequest{Name: q.GetName()}); err != nil {
		t.Fatal(err)
	}
	if seen, _ := h.read("school/ann", q.GetName()); seen.GetReadTime() == nil {
		t.Error("no receipt of a direct request")
	}
	there, _ := h.read("gp/ann", q.GetName())
	if there.GetAsker().GetPractitionerDisplayName() != "Ann of school" || there.GetReason() != "attendance" || there.GetChild() != child {
		t.Errorf("who is asked is not told who asks, why and about whom: %v", there)
	}
	if _, err := h.DeclineContactRequest(by(t, "gp/ann"), &irtv1.DeclineContactRequestRequest{Name: q.GetName()}); err != nil {
		t.Fatal(err)
	}
	if seen, _ := h.read("school", q.GetName()); seen.GetState() != irtv1.ContactRequestState_CONTACT_REQUEST_STATE_DECLINED {
		t.Errorf("the asker sees %v", seen.GetState())
	}
	// One who has no part in it finds none, nor does one who names what is not shown.
	if _, code := h.read("charity/ann", q.GetName()); code != codes.PermissionDenied {
		t.Errorf("a stranger reads it: %v", code)
	}
	h.involve("clinic", child)
	_, hidden := h.askFor("school/ann", child, "agencies/clinic/involvements/i")
	_, none := h.askFor("school/ann", child, "agencies/clinic/involvements/none")
	if hidden == nil || none == nil || hidden.Error() != none.Error() {
		t.Errorf("a hidden involvement: %v; none: %v", hidden, none)
	}
}

// Out of office hours the number to ring is the other one.
func TestOutOfHoursAnotherNumberIsRung(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", nhsNumber, "Rosalind", "2015-06-02")
	h.involve("gp", child)
	closed := standard.Today().AddDate(0, 0, 3).Weekday() // not today, whenever that is
	service := agencies.New(h.pool, h.directory, h.tokens, nil)
	if _, err := service.UpdateAgency(by(t, "gp"), &irtv1.UpdateAgencyRequest{
		Agency: &irtv1.Agency{Name: "agencies/gp", OutOfHoursTelephone: "01632 960999", OfficeHours: []*irtv1.OfficeHours{
			{Weekday: irtv1.Weekday((int32(closed)+6)%7 + 1), Open: "09:00", Close: "17:00"},
		}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"office_hours", "out_of_hours_telephone"}},
	}); err != nil {
		t.Fatal(err)
	}
	q, err := h.askFor("school/ann", child, "agencies/gp/involvements/i")
	if err != nil {
		t.Fatal(err)
	}
	c := q.GetContacts()
	if len(c) != 1 || c[0].GetRingNow() != "01632 960999" || c[0].GetTelephone() != "01632 960001" || len(c[0].GetOfficeHours()) != 1 {
		t.Errorf("contacts: %v", c)
	}
}

// A sensitive service answers through the hub and is known by what it discloses.
func TestBrokeredContactIsAnsweredThroughTheHub(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", nhsNumber, "Rosalind", "2015-06-02")
	h.involve("clinic", child)
	for _, disclose := range []bool{false, true} {
		q := h.ask("school/ann", child)
		if len(q.GetContacts()) != 0 {
			t.Fatalf("the asker is shown %v", q.GetContacts())
		}
		listed, err := h.ListContactRequests(by(t, "clinic/ann"), &irtv1.ListContactRequestsRequest{
			Parent: "agencies/clinic", Received: true, State: irtv1.ContactRequestState_CONTACT_REQUEST_STATE_OPEN,
		})
		if err != nil || len(listed.GetContactRequests()) != 1 || listed.GetContactRequests()[0].GetName() != q.GetName() {
			t.Fatalf("the clinic's list: %v, %v", listed, err)
		}
		if _, err := h.MarkContactRead(by(t, "clinic/ann"), &irtv1.MarkContactReadRequest{Name: q.GetName()}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.AnswerContactRequest(by(t, "clinic/ann"), &irtv1.AnswerContactRequestRequest{
			Name: q.GetName(), Text: "Write to me here.", Disclose: disclose,
		}); err != nil {
			t.Fatal(err)
		}
		seen, _ := h.read("school/ann", q.GetName())
		if len(seen.GetAnswers()) != 1 || seen.GetReadTime() != nil {
			t.Fatalf("the asker sees %v", seen)
		}
		who := seen.GetAnswers()[0].GetContact().GetPractitionerDisplayName()
		if disclose != (who == "Ann of clinic") || !disclose && strings.Contains(seen.String(), "clinic") {
			t.Errorf("disclose %v: the asker sees %v", disclose, seen)
		}
		h.converse(q.GetName(), seen.GetAnswers()[0].GetCorrespondent())
	}
}

// converse has the asker reply, and checks what each side reads.
func (h *hub) converse(name, correspondent string) {
	h.t.Helper()
	if _, err := h.SendContactMessage(by(h.t, "school/ann"), &irtv1.SendContactMessageRequest{
		Parent: name, Message: &irtv1.ContactMessage{Text: "Thank you.", Correspondent: correspondent},
	}); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.MarkContactRead(by(h.t, "clinic/ann"), &irtv1.MarkContactReadRequest{Name: name}); err != nil {
		h.t.Fatal(err)
	}
	for _, person := range []string{"school/ann", "clinic/ann"} {
		got, err := h.ListContactMessages(by(h.t, person), &irtv1.ListContactMessagesRequest{Parent: name})
		var texts []string
		for _, m := range got.GetMessages() {
			texts = append(texts, m.GetText())
		}
		if want := "May we talk?|Write to me here.|Thank you."; err != nil || strings.Join(texts, "|") != want {
			h.t.Fatalf("%s reads %q, %v", person, texts, err)
		}
		if m := got.GetMessages(); m[0].GetReadTime() != nil || m[2].GetReadTime() == nil {
			h.t.Errorf("receipts: %v", m)
		}
	}
}

// Who needs a reason and does not give one is told so before any child is looked at;
// and so many requests an hour are enough.
func TestWhoMayAskAndHowOften(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", nhsNumber, "Rosalind", "2015-06-02")
	for range 20 {
		h.ask("school/ann", child)
	}
	_, err := h.askFor("school/ann", child, "agencies/gp/involvements/i")
	if code, _, _ := refusal(err); code != codes.ResourceExhausted {
		t.Errorf("the 21st request within an hour: %v", err)
	}
	h.ask("school/bob", child)
}

// Of colleagues who answer at the same moment one does, and the others hear in which
// state the request is.
func TestConcurrentAnswers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", nhsNumber, "Rosalind", "2015-06-02")
	h.involve("clinic", child)
	q := h.ask("school/ann", child)
	const n = 8
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		ctx := by(t, "clinic/ann")
		go func() {
			defer all.Done()
			_, errs[i] = h.AnswerContactRequest(ctx, &irtv1.AnswerContactRequestRequest{Name: q.GetName(), Text: "Here I am."})
		}()
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		code, state, _ := refusal(err)
		switch {
		case err == nil:
			won++
		case state != "ANSWERED" || code != codes.Aborted && code != codes.FailedPrecondition:
			t.Errorf("a loser is told %v", err)
		}
	}
	if won != 1 || h.count(`SELECT count(*) FROM contact_messages WHERE NOT from_asker`) != 1 {
		t.Errorf("%d answered", won)
	}
	seen, _ := h.read("clinic/ann", q.GetName())
	_, err := h.AnswerContactRequest(by(t, "clinic/ann"), &irtv1.AnswerContactRequestRequest{Name: q.GetName(), Text: "Again.", Etag: `"old"`})
	if code, state, _ := refusal(err); code != codes.Aborted || state != "ANSWERED" || seen.GetEtag() == `"old"` {
		t.Errorf("a stale etag: %v", err)
	}
}

// A request goes with its asker's record, and is no longer for whom it leaves behind.
func TestRequestsFollowMergesAndSplits(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := h.submit("gp", nhsNumber, "Rosalind", "2015-06-02")
	gone := h.submit("school", "", "Barnaby", "2012-01-09")
	h.involve("clinic", gone)
	h.involve("gp", kept)
	q := h.ask("school/ann", gone)
	if now := h.submit("school", nhsNumber, "Rosalind", "2015-06-02"); now != kept {
		t.Fatal("they did not become one")
	}
	for _, person := range []string{"school/ann", "clinic/ann"} {
		if seen, code := h.read(person, q.GetName()); code != codes.OK || seen.GetChild() != kept {
			t.Errorf("after the merge %s reads %v, %v", person, seen.GetChild(), code)
		}
	}
	if n := h.count(`SELECT count(*) FROM contact_messages m JOIN contact_requests q USING (child_id, contact_request_id)`); n != 1 {
		t.Error("the message did not follow")
	}
	// The school's record leaves, and with it all that came with it; the charity stays,
	// and no longer has what the school asked.
	h.involve("charity", kept)
	later := h.ask("school/ann", kept)
	other := h.submit("school", otherChild, "Barnaby", "2012-01-09")
	if other != gone {
		t.Fatalf("the record that left is of %s, and was of %s", other, gone)
	}
	for _, name := range []string{q.GetName(), later.GetName()} {
		for _, person := range []string{"school/ann", "clinic/ann"} {
			if seen, code := h.read(person, name); code != codes.OK || seen.GetChild() != other {
				t.Errorf("after the split %s reads %v, %v", person, seen.GetChild(), code)
			}
		}
	}
	if _, code := h.read("charity/ann", later.GetName()); code != codes.PermissionDenied {
		t.Errorf("the charity still has a request about a child it does not work with: %v", code)
	}
	if n := h.count(`SELECT count(*) FROM contact_requests_history`); n != 3 {
		t.Errorf("%d earlier versions", n)
	}
}

// A request that is tied to no record, because its asker works with the child by its name
// alone, goes back when the child is split off again, with whom it went to and what was
// written; and what was asked since goes where its asker works.
func TestRequestsComeBackWhenChildrenArePartedAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := h.submit("gp", nhsNumber, "Rosalind", "2015-06-02")
	gone := h.submit("school", "", "Barnaby", "2012-01-09")
	h.involve("charity", gone)
	h.involve("clinic", gone)
	before := h.ask("charity/ann", gone)
	if _, err := h.AnswerContactRequest(by(t, "clinic/ann"), &irtv1.AnswerContactRequestRequest{Name: before.GetName(), Text: "Write to me here."}); err != nil {
		t.Fatal(err)
	}
	if h.submit("school", nhsNumber, "Rosalind", "2015-06-02") != kept {
		t.Fatal("they did not become one")
	}
	since := h.ask("charity/ann", kept)
	ctx := by(t, "school/dan")
	caller := identity.FromContext(ctx)
	caller.Role = irtv1.Role_ROLE_DATA_MANAGER
	if _, err := h.children.SplitChildRecord(identity.NewContext(ctx, caller), &irtv1.SplitChildRecordRequest{
		Child: kept, ChildRecords: []string{"agencies/school/childRecords/1"}, Reason: "two children",
	}); err != nil {
		t.Fatal(err)
	}
	for _, q := range []*irtv1.ContactRequest{before, since} {
		for _, person := range []string{"charity/ann", "clinic/ann"} {
			if seen, code := h.read(person, q.GetName()); code != codes.OK || seen.GetChild() != gone {
				t.Errorf("%s reads %v, %v; want %s", person, seen.GetChild(), code, gone)
			}
		}
	}
	list, err := h.ListContactMessages(by(t, "charity/ann"), &irtv1.ListContactMessagesRequest{Parent: before.GetName()})
	if err != nil || len(list.GetMessages()) != 2 {
		t.Errorf("what was written: %v, %v", list, err)
	}
	if n := h.count(`SELECT count(*) FROM contact_requests_history`); n != 4 {
		t.Errorf("%d earlier versions", n)
	}
}

// A request about a child with whom its asker does not work stays there when another
// agency's record leaves for a child with whom the asker does.
func TestAnotherAgencysRecordTakesNoRequestAlong(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	theirs := h.submit("school", "", "Barnaby", "2012-01-09")
	child := h.submit("gp", nhsNumber, "Rosalind", "2015-06-02")
	if child == theirs || h.submit("charity", nhsNumber, "Rosalind", "2015-06-02") != child {
		t.Fatal("they are not two children")
	}
	h.involve("clinic", child)
	q := h.ask("school/ann", child)
	if h.submit("charity", "", "Barnaby", "2012-01-09") != theirs {
		t.Fatal("the record did not move")
	}
	for _, person := range []string{"school/ann", "clinic/ann"} {
		if seen, code := h.read(person, q.GetName()); code != codes.OK || seen.GetChild() != child {
			t.Errorf("%s reads %v, %v", person, seen.GetChild(), code)
		}
	}
}

// What nobody answers ends, and the asker is told; what was written is purged a
// year later.
func TestRequestsExpire(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", nhsNumber, "Rosalind", "2015-06-02")
	h.involve("clinic", child)
	q := h.ask("school/ann", child)
	h.exec(`UPDATE contact_requests SET expire_time = now()`)
	h.exec(`UPDATE contact_routes SET expire_time = now()`)
	_, err := h.AnswerContactRequest(by(t, "clinic/ann"), &irtv1.AnswerContactRequestRequest{Name: q.GetName(), Text: "Late."})
	if code, state, _ := refusal(err); code != codes.FailedPrecondition || state != "EXPIRED" {
		t.Errorf("an answer after the time, before the sweep: %v", err)
	}
	h.exec(`UPDATE contact_messages SET purge_time = now()`)
	for range 2 {
		if err := contact.Sweep.Run(t.Context(), h.pool); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 95`); n != 2 {
		t.Errorf("%d events tell of the end", n)
	}
	if n := h.count(`SELECT count(*) FROM contact_messages`); n != 0 {
		t.Error("what was written is kept")
	}
	if n := h.count(`SELECT count(*) FROM contact_requests WHERE state = 5`); n != 1 {
		t.Error("the request did not end")
	}
}
