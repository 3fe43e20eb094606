package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// twain are two children, and who works with each: by a record, or by the child's name
// alone.
type twain struct {
	*area
	one, other string // one becomes the other
	records    map[string]string
	things     []*thing
	n          int
	r          *rand.Rand
}

// thing is what an agency said of a child.
type thing struct {
	kind, agency, name string
	home               string // the child that it must be of when the two are apart
}

var (
	// those who work with the one, with the other, and with both.
	withOne   = []string{"school-1", "social-1", "charity-1", "clinic-1"}
	withOther = []string{"gp-1", "social-1", "police-1", "clinic-1"}
)

func system(agency string) identity.Caller {
	return identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING, Reason: "a meeting"}
}

func newTwain(t *testing.T, a *area, n int, r *rand.Rand) *twain {
	t.Helper()
	w := &twain{area: a, records: map[string]string{}, n: n, r: r}
	record := func(agency, side, given, family, born string) string {
		name := fmt.Sprintf("agencies/%s/childRecords/%s%d", agency, side, n)
		resp, err := irtv1.NewChildServiceClient(a.conn).SubmitChildRecord(a.as(t, system(agency)), &irtv1.SubmitChildRecordRequest{
			ChildRecord: &irtv1.ChildRecord{
				Name: name, GivenName: given, FamilyName: family, DateOfBirth: born, AddressLines: []string{"4 " + family + " Street"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.records[name] = resp.GetChild()
		return resp.GetChild()
	}
	for _, agency := range []string{"school-1", "social-1"} {
		w.one = record(agency, "a", []string{"Ottilie", "Casimir", "Zebedee"}[n], []string{"Fenwright", "Achterberg", "Okonkwo"}[n], fmt.Sprintf("20%02d-03-04", 9+n))
	}
	for _, agency := range []string{"gp-1", "social-1"} {
		w.other = record(agency, "b", []string{"Barnaby", "Ulrike", "Perpetua"}[n], []string{"Mossop", "Quill", "Vandersteen"}[n], fmt.Sprintf("20%02d-11-20", 14+n))
	}
	for agency, child := range map[string]string{"charity-1": w.one, "police-1": w.other, "clinic-1": w.one} {
		w.works(t, agency, fmt.Sprintf("x%d", n), child)
	}
	w.works(t, "clinic-1", fmt.Sprintf("y%d", n), w.other)
	return w
}

func (w *twain) works(t *testing.T, agency, id, child string) {
	t.Helper()
	i := &irtv1.Involvement{Name: "agencies/" + agency + "/involvements/" + id, Child: child, Role: "OTHER", StartDate: "2026-01-05"}
	if agency == "clinic-1" {
		i.Sensitive, i.SensitiveBasis = true, "CONSENT"
	}
	if _, err := irtv1.NewInvolvementServiceClient(w.conn).SubmitInvolvement(w.as(t, system(agency)), &irtv1.SubmitInvolvementRequest{Involvement: i}); err != nil {
		t.Fatal(err)
	}
	w.things = append(w.things, &thing{"involvement", agency, i.GetName(), child})
}

// say has a random agency of some say something random of a child. home is the child
// that it must be of, if it is through no record.
func (w *twain) say(t *testing.T, child string, of []string, home func(agency string) string) {
	t.Helper()
	agency := of[w.r.IntN(len(of))]
	said := &thing{agency: agency, name: fmt.Sprintf("agencies/%s/%%s/t%d-%d", agency, w.n, len(w.things)), home: home(agency)}
	ctx := w.as(t, system(agency))
	var record string
	var err error
	switch w.r.IntN(3) {
	case 0:
		said.kind, said.name = "concern", fmt.Sprintf(said.name, "concerns")
		var c *irtv1.Concern
		c, err = irtv1.NewConcernServiceClient(w.conn).SubmitConcern(ctx, &irtv1.SubmitConcernRequest{Concern: &irtv1.Concern{
			Name: said.name, Child: child, Category: "ATTENDANCE", Level: []string{"UNIVERSAL", "ACUTE"}[w.r.IntN(2)], StartDate: "2026-01-05",
		}})
		record = c.GetChildRecord()
	case 1:
		said.kind, said.name = "referral", fmt.Sprintf(said.name, "referrals")
		to := []string{"school-1", "gp-1", "social-1"}[w.r.IntN(3)] // whose involvements follow their own records
		if to == agency {
			to = "police-1"
		}
		var m *irtv1.Referral
		m, err = irtv1.NewReferralServiceClient(w.conn).SendReferral(ctx, &irtv1.SendReferralRequest{Referral: &irtv1.Referral{
			Name: said.name, Child: child, Recipient: "agencies/" + to, Reason: "CHILD_IN_NEED", Urgency: irtv1.ReferralUrgency_REFERRAL_URGENCY_ROUTINE, Basis: "SAFEGUARDING",
		}})
		record = m.GetChildRecord()
	case 2:
		said.kind = "contact"
		var q *irtv1.ContactRequest
		q, err = irtv1.NewContactServiceClient(w.conn).RequestContact(ctx, &irtv1.RequestContactRequest{
			Child: child, Text: "May we talk?", To: &irtv1.RequestContactRequest_Audience{Audience: irtv1.ContactAudience_CONTACT_AUDIENCE_EVERYBODY},
		})
		said.name = q.GetName()
		record = w.recordOf(t, agency, child)
	}
	if err != nil {
		t.Fatal(said, err)
	}
	if record != "" {
		said.home = w.records[record]
	}
	w.things = append(w.things, said)
}

// recordOf is the record that an agency's request for contact goes by: the first by id.
func (w *twain) recordOf(t *testing.T, agency, child string) string {
	t.Helper()
	list, err := irtv1.NewChildServiceClient(w.conn).ListChildRecords(w.as(t, system(agency)), &irtv1.ListChildRecordsRequest{Parent: "agencies/" + agency, Child: child})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{""}
	for _, r := range list.GetChildRecords() {
		names = append(names, r.GetName())
	}
	slices.Sort(names)
	return names[min(1, len(names)-1)]
}

// move makes a random move of those that a thing may have.
func (w *twain) move(t *testing.T, of *thing) {
	t.Helper()
	ctx := w.as(t, system(of.agency))
	switch of.kind {
	case "concern": // each may have ended before
		_, _ = irtv1.NewConcernServiceClient(w.conn).CloseConcern(ctx, &irtv1.CloseConcernRequest{Name: of.name, Outcome: "RESOLVED"})
	case "referral":
		m, err := irtv1.NewReferralServiceClient(w.conn).GetReferral(ctx, &irtv1.GetReferralRequest{Name: of.name})
		if err != nil {
			t.Fatal(err)
		}
		recipient := w.as(t, system(m.GetRecipient()[len("agencies/"):]))
		_, _ = irtv1.NewReferralServiceClient(w.conn).AcknowledgeReferral(recipient, &irtv1.AcknowledgeReferralRequest{Name: of.name})
	case "contact":
		_, _ = irtv1.NewContactServiceClient(w.conn).CancelContactRequest(ctx, &irtv1.CancelContactRequestRequest{Name: of.name})
	}
}

// look is what a thing says, and the child it is of.
func (w *twain) look(t *testing.T, of *thing) (says, child string) {
	t.Helper()
	ctx := w.as(t, system(of.agency))
	var m interface {
		proto.Message
		GetChild() string
	}
	var err error
	switch of.kind {
	case "concern":
		var c *irtv1.Concern
		c, err = irtv1.NewConcernServiceClient(w.conn).GetConcern(ctx, &irtv1.GetConcernRequest{Name: of.name})
		m, says = c, fmt.Sprint(c.GetState(), c.GetLevel(), c.GetOutcome(), c.GetCreateTime(), c.GetChildRecord())
	case "referral":
		var r *irtv1.Referral
		r, err = irtv1.NewReferralServiceClient(w.conn).GetReferral(ctx, &irtv1.GetReferralRequest{Name: of.name})
		m, says = r, fmt.Sprint(r.GetState(), r.GetRecipient(), r.GetSendTime(), r.GetAcknowledgeTime(), r.GetChildRecord())
	case "involvement":
		var i *irtv1.Involvement
		i, err = irtv1.NewInvolvementServiceClient(w.conn).GetInvolvement(ctx, &irtv1.GetInvolvementRequest{Name: of.name})
		m, says = i, fmt.Sprint(i.GetStartDate(), i.GetEndDate(), i.GetSensitive())
	case "contact":
		var q *irtv1.ContactRequest
		q, err = irtv1.NewContactServiceClient(w.conn).GetContactRequest(ctx, &irtv1.GetContactRequestRequest{Name: of.name})
		var list *irtv1.ListContactMessagesResponse
		if err == nil {
			list, err = irtv1.NewContactServiceClient(w.conn).ListContactMessages(ctx, &irtv1.ListContactMessagesRequest{Parent: of.name})
		}
		m, says = q, fmt.Sprint(q.GetState(), q.GetCreateTime(), len(list.GetMessages()))
	}
	if err != nil {
		t.Fatal(of, err)
	}
	return says, m.GetChild()
}

// of holds every thing against the child that it must be of, and against what it said
// before; it gives what each says.
func (w *twain) of(t *testing.T, when string, before []string, child func(*thing) string) (says []string) {
	t.Helper()
	for i, one := range w.things {
		text, of := w.look(t, one)
		if of != child(one) {
			t.Errorf("%s the %s %s is of %s, want %s", when, one.kind, one.name, of, child(one))
		}
		if before != nil && text != before[i] {
			t.Errorf("%s the %s %s says %s; before, %s", when, one.kind, one.name, text, before[i])
		}
		says = append(says, text)
	}
	return says
}

func (w *twain) split(t *testing.T) {
	t.Helper()
	var records []string
	for name, child := range w.records {
		if child == w.one {
			records = append(records, name)
		}
	}
	manager := identity.Caller{Agency: "gp-1", Role: irtv1.Role_ROLE_DATA_MANAGER, Practitioner: "dm1", Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY, Reason: "they are two"}
	got, err := irtv1.NewMatchServiceClient(w.conn).SplitChildRecord(w.as(t, manager), &irtv1.SplitChildRecordRequest{
		Child: w.other, ChildRecords: records, Reason: "they are two",
	})
	if err != nil || got.GetChild().GetName() != w.one {
		t.Fatalf("split into %s, %v", got.GetChild().GetName(), err)
	}
}

// Whatever agencies said of two children, before these became one and after: each
// concern, referral, request for contact and involvement is of the one, then, parted
// again, of the child that it was of or that its agency works with, and of the one again;
// and it says what it said.
func TestEverythingIsOfTheRightChild(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for n := range 3 {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		w := newTwain(t, a, n, r)
		if w.one == w.other {
			t.Fatal("they were never two children")
		}
		for range 8 {
			w.say(t, w.one, withOne, func(string) string { return w.one })
			w.say(t, w.other, withOther, func(string) string { return w.other })
		}
		home := func(of *thing) string { return of.home }
		both := func(*thing) string { return w.other }
		apart := w.of(t, "before", nil, home)
		a.mergeByTwo(t, w.one, w.other)
		w.of(t, "as one", apart, both)
		for range 10 {
			// Later, through no record: of the child that the agency works with; of that
			// which keeps the name, if it works with both.
			w.say(t, []string{w.one, w.other}[r.IntN(2)], append(withOne, withOther...), func(agency string) string {
				if slices.Contains(withOther, agency) {
					return w.other
				}
				return w.one
			})
			w.move(t, w.things[r.IntN(len(w.things))])
		}
		one := w.of(t, "as one, later", nil, both)
		w.split(t)
		w.of(t, "parted", one, home)
		a.mergeByTwo(t, w.one, w.other)
		w.of(t, "as one again", one, both)
		w.split(t)
		w.of(t, "parted again", one, home)
	}
}
