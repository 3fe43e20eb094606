package referrals_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

// do makes a move by its name.
func (h *hub) do(ctx context.Context, move, name, etag, to string) (*irtv1.Referral, error) {
	switch move {
	case "acknowledge":
		return h.AcknowledgeReferral(ctx, &irtv1.AcknowledgeReferralRequest{Name: name, Etag: etag})
	case "accept":
		return h.AcceptReferral(ctx, &irtv1.AcceptReferralRequest{Name: name, Etag: etag, Role: "SOCIAL_WORKER", SensitiveBasis: "CONSENT"})
	case "decline":
		return h.DeclineReferral(ctx, &irtv1.DeclineReferralRequest{Name: name, Etag: etag, Reason: "NO_CAPACITY"})
	case "redirect":
		return h.RedirectReferral(ctx, &irtv1.RedirectReferralRequest{Name: name, Etag: etag, Recipient: "agencies/" + to})
	case "start":
		return h.StartReferral(ctx, &irtv1.StartReferralRequest{Name: name, Etag: etag})
	case "close":
		return h.CloseReferral(ctx, &irtv1.CloseReferralRequest{Name: name, Etag: etag, Outcome: "NEEDS_MET"})
	case "withdraw":
		return h.WithdrawReferral(ctx, &irtv1.WithdrawReferralRequest{Name: name, Etag: etag})
	}
	panic(move)
}

// model says which moves there are: by side and state, the move and where it leads.
var model = map[string]map[string]map[string]string{
	"recipient": {
		"SENT":         {"acknowledge": "ACKNOWLEDGED", "accept": "ACCEPTED", "decline": "DECLINED", "redirect": "SENT"},
		"ACKNOWLEDGED": {"accept": "ACCEPTED", "decline": "DECLINED", "redirect": "SENT"},
		"ACCEPTED":     {"start": "IN_PROGRESS", "close": "CLOSED"},
		"IN_PROGRESS":  {"close": "CLOSED"},
	},
	"sender": {"SENT": {"withdraw": "WITHDRAWN", "send": "SENT"}, "ACKNOWLEDGED": {"withdraw": "WITHDRAWN"}},
}

func stateOf(m *irtv1.Referral) string {
	return strings.TrimPrefix(m.GetState().String(), "REFERRAL_STATE_")
}

// Any move by anybody at any time does what the model says, or is refused as it says.
func TestRandomMoves(t *testing.T) {
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	moves := []string{"acknowledge", "accept", "decline", "redirect", "start", "close", "withdraw"}
	callers := []string{"school", "gp", "social", "charity", "clinic"}
	random := rand.New(rand.NewPCG(7, 7))
	involved := 0
	for n := range 40 {
		m, to, state := h.refer(fmt.Sprintf("r%d", n), "social"), "social", "SENT"
		for range 12 {
			move, caller := moves[random.IntN(len(moves))], callers[random.IntN(len(callers))]
			if random.IntN(3) > 0 {
				caller = to
			}
			next := []string{"gp", "charity", "clinic", "social"}[random.IntN(4)]
			if next == to {
				next = "gp"
				if to == "gp" {
					next = "social"
				}
			}
			got, err := h.do(as(t, caller), move, m.GetName(), "", next)
			side := map[string]string{to: "recipient", "school": "sender"}[caller]
			after, legal := model[side][state][move]
			switch {
			case side == "":
				wantError(t, err, codes.PermissionDenied)
			case !legal:
				at, named, _ := wantError(t, err, codes.FailedPrecondition)
				var want []string
				for one := range model[side][state] {
					want = append(want, one)
				}
				got := strings.FieldsFunc(named, func(r rune) bool { return r == ',' })
				slices.Sort(got)
				slices.Sort(want)
				if at != state || !slices.Equal(got, want) {
					t.Fatalf("%s by the %s in %s: told %s, %v, want %v", move, side, state, at, got, want)
				}
			case err != nil || stateOf(got) != after:
				t.Fatalf("%s by the %s in %s: %s, %v", move, side, state, stateOf(got), err)
			default:
				state = after
				if move == "redirect" {
					if from := got.GetRedirectedFrom(); from[len(from)-1] != "agencies/"+to || got.GetRecipient() != "agencies/"+next {
						t.Fatalf("redirected from %v to %s", from, got.GetRecipient())
					}
					to = next
				}
				if move == "accept" {
					involved++
				}
			}
		}
	}
	if n := h.count(`SELECT count(*) FROM involvements`); n != involved || involved == 0 {
		t.Errorf("%d involvements of %d referrals accepted", n, involved)
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind BETWEEN 80 AND 87 AND audience <> 4`); n != 0 {
		t.Errorf("%d events are not for the two sides alone", n)
	}
	st, err := h.GetReferralStatistics(as(t, "social"), &irtv1.GetReferralStatisticsRequest{Parent: "agencies/social"})
	if err != nil || len(st.GetCounts()) == 0 || st.GetP90AcknowledgeSeconds() < st.GetMedianAcknowledgeSeconds() {
		t.Errorf("statistics: %v, %v", st, err)
	}
	_, err = h.GetReferralStatistics(as(t, "gp"), &irtv1.GetReferralStatisticsRequest{Parent: "agencies/social"})
	wantError(t, err, codes.PermissionDenied)
}

// Of moves made at the same moment one is made; the others are told where it stands.
func TestConcurrentMoves(t *testing.T) {
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	for n := range 8 {
		m := h.refer(fmt.Sprintf("r%d", n), "social")
		moves := map[string]string{"accept": "social", "decline": "social", "redirect": "social", "withdraw": "school"}
		var made, late int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for move, caller := range moves {
			ctx := as(t, caller)
			wg.Go(func() {
				_, err := h.do(ctx, move, m.GetName(), m.GetEtag(), "gp")
				mu.Lock()
				defer mu.Unlock()
				switch status.Code(rpc.Edge(err)) {
				case codes.OK:
					made++
				case codes.Aborted:
					late++
					if state, _, _ := wantError(t, err, codes.Aborted); state == "" {
						t.Error("not told where it stands")
					}
				case codes.PermissionDenied: // it was redirected before it was looked for
					late++
				default:
					t.Errorf("%s: %v", move, err)
				}
			})
		}
		wg.Wait()
		if made != 1 || late != 3 {
			t.Fatalf("%d made, %d late", made, late)
		}
	}
}

func TestSend(t *testing.T) {
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	first := h.refer("r1", "social")
	if again := h.refer("r1", "social"); again.GetEtag() != first.GetEtag() {
		t.Error("sending it again made another version")
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 80`); n != 1 {
		t.Errorf("%d events", n)
	}
	bad := func(change func(*irtv1.Referral)) (string, codes.Code) {
		m := referral("r2", "social")
		change(m)
		_, err := h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: m})
		_, _, rule := wantError(t, err, status.Code(rpc.Edge(err)))
		return rule, status.Code(rpc.Edge(err))
	}
	for want, change := range map[string]func(*irtv1.Referral){
		"REFERRAL_RECIPIENT":       func(m *irtv1.Referral) { m.Recipient = "agencies/school" },
		"REFERRAL_BASIS_REQUIRED":  func(m *irtv1.Referral) { m.Reason = "EARLY_HELP" },
		"REFERRAL_CONSENT_MISSING": func(m *irtv1.Referral) { m.Basis = "CONSENT" },
		"REFERRAL_OTHER":           func(m *irtv1.Referral) { m.Name, m.Recipient = first.GetName(), "agencies/gp" },
		"CODE_UNKNOWN":             func(m *irtv1.Referral) { m.Reason = "NONSENSE" },
		"SUBJECT_REQUIRED":         func(m *irtv1.Referral) { m.ChildRecord = "" },
	} {
		if rule, code := bad(change); rule != want || code != codes.InvalidArgument {
			t.Errorf("got %s %v, want %s", rule, code, want)
		}
	}
	_, err := h.SendReferral(as(t, "gp"), &irtv1.SendReferralRequest{Referral: referral("r3", "social")})
	wantError(t, err, codes.PermissionDenied) // in another's name
	m := referral("r3", "social")
	m.Name, m.ChildRecord, m.Child = "agencies/gp/referrals/r3", "", first.GetChild()
	_, err = h.SendReferral(as(t, "gp"), &irtv1.SendReferralRequest{Referral: m})
	wantError(t, err, codes.PermissionDenied) // it does not work with the child

	_, err = h.consents.RecordConsent(as(t, "school"), &irtv1.RecordConsentRequest{Consent: &irtv1.Consent{
		Name: "agencies/school/consents/c1", ChildRecord: "agencies/school/childRecords/p1", Scope: irtv1.ConsentScope_CONSENT_SCOPE_SHARING,
		Recipients: []string{"agencies/charity"}, GivenBy: "PARENTAL_RESPONSIBILITY", StartDate: "2024-01-01",
	}})
	if err != nil {
		t.Fatal(err, status.Convert(err).Details())
	}
	m = referral("r4", "charity")
	m.Reason, m.Basis = "EARLY_HELP", "CONSENT"
	if _, err := h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: m}); err != nil {
		t.Error(err)
	}
	// The consent does not cover whom it is redirected to.
	_, err = h.do(as(t, "charity"), "redirect", m.GetName(), "", "gp")
	if _, _, rule := wantError(t, err, codes.InvalidArgument); rule != "REFERRAL_CONSENT_MISSING" {
		t.Error(rule)
	}
}

// The two sides see all of a referral, the lead professional that there is one, and
// nobody else anything; of one to a sensitive service the lead sees nothing either.
func TestWhoSees(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	open, hidden := h.refer("r1", "social"), h.refer("r2", "clinic")
	inv := &irtv1.Involvement{Name: "agencies/gp/involvements/i1", Child: child, Role: "GP", StartDate: "2024-01-01", Practitioner: "agencies/gp/practitioners/ann"}
	if _, err := h.involvements.SubmitInvolvement(as(t, "gp"), &irtv1.SubmitInvolvementRequest{Involvement: inv}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.involvements.SetLeadProfessional(as(t, "gp"), &irtv1.SetLeadProfessionalRequest{Child: child, Involvement: inv.GetName()}); err != nil {
		t.Fatal(err)
	}
	ann := call(t, identity.Caller{Agency: "gp", Practitioner: "ann", Role: irtv1.Role_ROLE_PRACTITIONER})
	list := func(ctx context.Context, req *irtv1.ListReferralsRequest) (names string) {
		resp, err := h.ListReferrals(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range resp.GetReferrals() {
			names += " " + m.GetName()[len("agencies/school/referrals/"):]
		}
		return names
	}
	ofChild := &irtv1.ListReferralsRequest{Parent: child}
	for who, want := range map[string]string{"school": " r2 r1", "social": " r1", "clinic": " r2", "gp": "", "charity": ""} {
		if got := list(as(t, who), ofChild); got != want {
			t.Errorf("%s sees%s of the child", who, got)
		}
		for _, m := range []*irtv1.Referral{open, hidden} {
			got, err := h.GetReferral(as(t, who), &irtv1.GetReferralRequest{Name: m.GetName()})
			sees := strings.Contains(want, m.GetName()[len(m.GetName())-2:])
			if sees != (err == nil) || sees && got.GetReason() != "SAFEGUARDING" {
				t.Errorf("%s gets %v, %v", who, got, err)
			}
		}
	}
	if got := list(ann, ofChild); got != " r1" {
		t.Errorf("the lead professional sees%s", got)
	}
	got, err := h.GetReferral(ann, &irtv1.GetReferralRequest{Name: open.GetName()})
	if err != nil || got.GetReason() != "" || got.GetEtag() != "" || got.GetState() != open.GetState() {
		t.Errorf("the lead professional gets %v, %v", got, err)
	}
	_, err = h.GetReferral(ann, &irtv1.GetReferralRequest{Name: hidden.GetName()})
	_, none := h.GetReferral(ann, &irtv1.GetReferralRequest{Name: hidden.GetName() + "x"})
	if !proto.Equal(status.Convert(rpc.Edge(err)).Proto(), status.Convert(rpc.Edge(none)).Proto()) {
		t.Error("a referral that is hidden is denied otherwise than one that is not there")
	}
	if got := list(as(t, "school"), &irtv1.ListReferralsRequest{Parent: "agencies/school", Sent: true}); got != " r2 r1" {
		t.Errorf("the school sent%s", got)
	}
	_, err = h.pool.Exec(t.Context(), `UPDATE referrals SET acknowledge_by_time = clock_timestamp() - interval '1 hour' WHERE local_id = 'r1'`)
	if err != nil {
		t.Fatal(err)
	}
	late := &irtv1.ListReferralsRequest{Parent: "agencies/social", Overdue: true}
	if got := list(as(t, "social"), late); got != " r1" {
		t.Errorf("overdue are%s", got)
	}
	if _, err := h.do(as(t, "social"), "acknowledge", open.GetName(), "", ""); err != nil {
		t.Fatal(err)
	}
	if got := list(as(t, "social"), late); got != "" {
		t.Errorf("overdue are%s, though it was acknowledged", got)
	}
}

// A referral follows the sender's record when that turns out to be of another child.
func TestFollowsRecord(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	m := h.refer("r1", "social")
	h.submit("gp", "g1", "Aoife", "2014-03-02")
	other := h.submit("school", "p1", "Bertram", "2009-11-30")
	if other == child {
		t.Fatal("the record did not leave")
	}
	got, err := h.GetReferral(as(t, "social"), &irtv1.GetReferralRequest{Name: m.GetName()})
	if err != nil || got.GetChild() != other {
		t.Errorf("it is of %s, %v; want %s", got.GetChild(), err, other)
	}
	if n := h.count(`SELECT count(*) FROM referrals_history`); n != 1 {
		t.Errorf("%d earlier versions", n)
	}
	got, err = h.do(as(t, "social"), "accept", m.GetName(), "", "")
	if err != nil || got.GetInvolvement() == "" {
		t.Fatal(got, err)
	}
	inv, err := h.involvements.GetInvolvement(as(t, "social"), &irtv1.GetInvolvementRequest{Name: got.GetInvolvement()})
	if err != nil || inv.GetChild() != other {
		t.Errorf("the involvement is %v, %v", inv, err)
	}
}

// Where two children become one between two moves, the referral goes on at the one.
func TestFollowsMerge(t *testing.T) {
	h := newHub(t)
	kept := h.identify("gp", "g1", "9434765870", "Rosalind", "2015-06-02")
	gone := h.submit("school", "p1", "Barnaby", "2012-01-09")
	m := h.refer("r1", "social")
	if kept == gone {
		t.Fatal("they were never two children")
	}
	if _, err := h.do(as(t, "social"), "acknowledge", m.GetName(), "", ""); err != nil {
		t.Fatal(err)
	}
	if now := h.identify("school", "p1", "9434765870", "Rosalind", "2015-06-02"); now != kept {
		t.Fatal("they did not become one")
	}
	got, err := h.do(as(t, "social"), "accept", m.GetName(), "", "")
	if err != nil || got.GetChild() != kept {
		t.Fatalf("accepted: %v, %v", got, err)
	}
	inv, err := h.involvements.GetInvolvement(as(t, "social"), &irtv1.GetInvolvementRequest{Name: got.GetInvolvement()})
	if err != nil || inv.GetChild() != kept {
		t.Errorf("the involvement: %v, %v", inv, err)
	}
	resp, err := h.ListReferrals(as(t, "social"), &irtv1.ListReferralsRequest{Parent: gone})
	if err != nil || len(resp.GetReferrals()) != 1 {
		t.Errorf("under the old name: %v, %v", resp, err)
	}
}

// Who receives a referral that a sensitive service sent on does not learn which it was,
// and the lead professional does not learn of it.
func TestRedirectedBySensitiveService(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	m := h.refer("r1", "clinic")
	if _, err := h.do(as(t, "clinic"), "redirect", m.GetName(), "", "social"); err != nil {
		t.Fatal(err)
	}
	got, err := h.GetReferral(as(t, "social"), &irtv1.GetReferralRequest{Name: m.GetName()})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.GetRedirectedFrom()) != 0 {
		t.Errorf("the new recipient is told that it came from %v", got.GetRedirectedFrom())
	}
	inv := &irtv1.Involvement{Name: "agencies/gp/involvements/i1", Child: child, Role: "GP", StartDate: "2024-01-01", Practitioner: "agencies/gp/practitioners/ann"}
	if _, err := h.involvements.SubmitInvolvement(as(t, "gp"), &irtv1.SubmitInvolvementRequest{Involvement: inv}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.involvements.SetLeadProfessional(as(t, "gp"), &irtv1.SetLeadProfessionalRequest{Child: child, Involvement: inv.GetName()}); err != nil {
		t.Fatal(err)
	}
	ann := call(t, identity.Caller{Agency: "gp", Practitioner: "ann", Role: irtv1.Role_ROLE_PRACTITIONER})
	_, err = h.GetReferral(ann, &irtv1.GetReferralRequest{Name: m.GetName()})
	wantError(t, err, codes.PermissionDenied)
	list, err := h.ListReferrals(ann, &irtv1.ListReferralsRequest{Parent: child})
	if err != nil || len(list.GetReferrals()) != 0 {
		t.Errorf("the lead professional is listed %v, %v", list, err)
	}
	got, err = h.GetReferral(as(t, "school"), &irtv1.GetReferralRequest{Name: m.GetName()})
	if err != nil || !slices.Equal(got.GetRedirectedFrom(), []string{"agencies/clinic"}) {
		t.Errorf("the sender is told that it came from %v, %v", got.GetRedirectedFrom(), err)
	}
}

// Sending the same again changes nothing, also after it was sent on.
func TestSentAgainAfterRedirect(t *testing.T) {
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	r := referral("r1", "social")
	r.Service = "front-door"
	if _, err := h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: r}); err != nil {
		t.Fatal(err)
	}
	was, err := h.do(as(t, "social"), "redirect", r.GetName(), "", "gp")
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: r})
	if err != nil {
		t.Fatal(err)
	}
	if again.GetEtag() != was.GetEtag() || again.GetService() != "" {
		t.Errorf("sending the same again made another version, for service %q of %s", again.GetService(), again.GetRecipient())
	}
	if _, err := h.do(as(t, "gp"), "acknowledge", r.GetName(), "", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: r}); err != nil {
		t.Errorf("sending the same again once it is acknowledged: %v", err)
	}
}

// A referral that is tied to no record of the sender's goes back to the child that it was
// of when that one is split off again.
func TestFollowsSplit(t *testing.T) {
	h := newHub(t)
	kept := h.identify("social", "s1", "9434765870", "Rosalind", "2015-06-02")
	gone := h.submit("school", "p1", "Barnaby", "2012-01-09")
	inv := &irtv1.Involvement{Name: "agencies/gp/involvements/i1", Child: gone, Role: "GP", StartDate: "2024-01-01"}
	if _, err := h.involvements.SubmitInvolvement(as(t, "gp"), &irtv1.SubmitInvolvementRequest{Involvement: inv}); err != nil {
		t.Fatal(err)
	}
	m := referral("r1", "charity")
	m.Name, m.ChildRecord, m.Child = "agencies/gp/referrals/r1", "", gone
	if _, err := h.SendReferral(as(t, "gp"), &irtv1.SendReferralRequest{Referral: m}); err != nil {
		t.Fatal(err, status.Convert(err).Details())
	}
	if now := h.identify("school", "p1", "9434765870", "Rosalind", "2015-06-02"); now != kept {
		t.Fatal("they did not become one")
	}
	manager := call(t, identity.Caller{Agency: "social", Practitioner: "dan", Role: irtv1.Role_ROLE_DATA_MANAGER})
	_, err := h.children.SplitChildRecord(manager, &irtv1.SplitChildRecordRequest{
		Child: kept, ChildRecords: []string{"agencies/school/childRecords/p1"}, Reason: "two children",
	})
	if err != nil {
		t.Fatal(err, status.Convert(err).Details())
	}
	back, err := h.involvements.GetInvolvement(as(t, "gp"), &irtv1.GetInvolvementRequest{Name: inv.GetName()})
	if err != nil || back.GetChild() != gone {
		t.Fatalf("the involvement: %v, %v", back, err)
	}
	got, err := h.GetReferral(as(t, "charity"), &irtv1.GetReferralRequest{Name: m.GetName()})
	if err != nil || got.GetChild() != gone {
		t.Errorf("the referral is at %s, %v; want %s", got.GetChild(), err, gone)
	}
}
