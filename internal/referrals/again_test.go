package referrals_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// What was sent may be sent again as the sender is shown it, wherever it stands and
// whatever became of its recipient or the sender's own part in the child; that changes
// nothing.
func TestSentAgainAsItIsShown(t *testing.T) {
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	names := map[string][]string{
		"sent": nil, "acknowledged": {"acknowledge"}, "accepted": {"accept"}, "declined": {"decline"},
		"started": {"accept", "start"}, "closed": {"accept", "close"}, "redirected": {"redirect"}, "withdrawn": {"withdraw"},
	}
	again := func(when string) {
		t.Helper()
		for id := range names {
			shown, err := h.GetReferral(as(t, "school"), &irtv1.GetReferralRequest{Name: "agencies/school/referrals/" + id})
			if err != nil {
				t.Fatal(err)
			}
			m := proto.CloneOf(shown)
			standard.ClearOutputOnly(m)
			got, err := h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: m})
			if err != nil || got.GetEtag() != shown.GetEtag() || got.GetState() != shown.GetState() {
				t.Errorf("%s, %s: %v, %v", id, when, got, err)
			}
		}
	}
	for id, moves := range names {
		h.refer(id, "social")
		for _, move := range moves {
			by := "social"
			if move == "withdraw" {
				by = "school"
			}
			if _, err := h.do(as(t, by), move, "agencies/school/referrals/"+id, "", "gp"); err != nil {
				t.Fatal(err)
			}
		}
	}
	events := `SELECT count(*) FROM event_outbox`
	before := h.count(events)
	again("all as it was")
	m := referral("redirected", "charity")
	_, err := h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: m})
	if _, _, rule := wantError(t, err, codes.InvalidArgument); rule != "REFERRAL_OTHER" {
		t.Errorf("to a third: %s", rule)
	}
	if n := h.count(events); n != before {
		t.Errorf("%d events of nothing", n-before)
	}
	if _, err := h.children.WithdrawChildRecord(as(t, "school"), &irtv1.WithdrawChildRecordRequest{Name: "agencies/school/childRecords/p1"}); err != nil {
		t.Fatal(err)
	}
	again("who does not work with the child any more")
	m = referral("sent", "social")
	m.Urgency = irtv1.ReferralUrgency_REFERRAL_URGENCY_ROUTINE
	_, err = h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: m})
	wantError(t, err, codes.PermissionDenied)
}
