package referrals_test

import (
	"testing"

	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
)

// refers has an agency refer a child to another, which accepts; it gives the referral's
// name and the involvement's.
func (h *hub) refers(agency, id, child, to, practitioner string) (referral, involvement string) {
	h.t.Helper()
	m, err := h.SendReferral(as(h.t, agency), &irtv1.SendReferralRequest{Referral: &irtv1.Referral{
		Name: "agencies/" + agency + "/referrals/" + id, Child: child, Recipient: "agencies/" + to, Reason: "SAFEGUARDING",
		Urgency: irtv1.ReferralUrgency_REFERRAL_URGENCY_URGENT,
	}})
	if err != nil {
		h.t.Fatal(err, status.Convert(err).Details())
	}
	m, err = h.AcceptReferral(as(h.t, to), &irtv1.AcceptReferralRequest{Name: m.GetName(), Role: "OTHER", Practitioner: practitioner})
	if err != nil {
		h.t.Fatal(err, status.Convert(err).Details())
	}
	return m.GetName(), m.GetInvolvement()
}

// The involvement that a referral made goes where the referral goes, when the sender's
// record leaves its child; and what its agency said then, which has nothing to do with
// the child that was left. Who has a record of its own, or works with that child by
// itself, stays.
func TestWhatAReferralMadeFollowsIt(t *testing.T) {
	t.Parallel()
	for how, leave := range map[string]func(h *hub, child string) string{
		"corrected": func(h *hub, _ string) string { return h.submit("school", "p1", "Bertram", "2009-11-30") },
		"split": func(h *hub, child string) string {
			manager := call(h.t, identity.Caller{Agency: "social", Practitioner: "dan", Role: irtv1.Role_ROLE_DATA_MANAGER})
			got, err := h.children.SplitChildRecord(manager, &irtv1.SplitChildRecordRequest{
				Child: child, ChildRecords: []string{"agencies/school/childRecords/p1"}, Reason: "two children",
			})
			if err != nil {
				h.t.Fatal(err)
			}
			return got.GetChild().GetName()
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			child := h.submit("school", "p1", "Aoife", "2014-03-02")
			if h.submit("social", "s1", "Aoife", "2014-03-02") != child {
				t.Fatal("they were never one child")
			}
			toGP, atGP := h.refers("school", "r1", child, "gp", "agencies/gp/practitioners/ann")
			on, atCharity := h.refers("gp", "r2", child, "charity", "") // which has to do with the child by that alone
			toSocial, atSocial := h.refers("school", "r3", child, "social", "")
			if _, err := h.involvements.SetLeadProfessional(as(t, "gp"), &irtv1.SetLeadProfessionalRequest{Child: child, Involvement: atGP}); err != nil {
				t.Fatal(err)
			}
			other := leave(h, child)
			if other == child {
				t.Fatal("the record did not leave")
			}
			for name, agency := range map[string]string{toGP: "school", on: "gp", toSocial: "school"} {
				if m, err := h.GetReferral(as(t, agency), &irtv1.GetReferralRequest{Name: name}); err != nil || m.GetChild() != other {
					t.Errorf("%s is of %s, want %s: %v", name, m.GetChild(), other, err)
				}
			}
			h.wantInvolved(map[string]string{atGP: other, atCharity: other, atSocial: child})
			if n := h.count(`SELECT count(*) FROM lead_professionals l JOIN involvements i USING (child_id, involvement_id)`); n != 1 {
				t.Error("the lead professional did not go along with the involvement")
			}
		})
	}
}

// An agency that works with the child that was left for another reason, too, still does,
// and what it asked for there stays.
func TestWhoWorksWithBothStays(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	h.submit("social", "s1", "Aoife", "2014-03-02")
	inv := &irtv1.Involvement{Name: "agencies/gp/involvements/i1", Child: child, Role: "GP", StartDate: "2024-01-01"}
	if _, err := h.involvements.SubmitInvolvement(as(t, "gp"), &irtv1.SubmitInvolvementRequest{Involvement: inv}); err != nil {
		t.Fatal(err)
	}
	_, atGP := h.refers("school", "r1", child, "gp", "")
	_, atCharity := h.refers("gp", "r2", child, "charity", "")
	other := h.submit("school", "p1", "Bertram", "2009-11-30")
	h.wantInvolved(map[string]string{inv.GetName(): child, atGP: other, atCharity: child})
}

// wantInvolved checks of which children involvements are, by their names.
func (h *hub) wantInvolved(want map[string]string) {
	h.t.Helper()
	for name, child := range want {
		agency, _, _ := agencies.ParseChildName(name, "involvements")
		inv, err := h.involvements.GetInvolvement(as(h.t, agency), &irtv1.GetInvolvementRequest{Name: name})
		if err != nil || inv.GetChild() != child {
			h.t.Errorf("%s is with %s, want %s: %v", name, inv.GetChild(), child, err)
		}
	}
}
