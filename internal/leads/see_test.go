package leads_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

func (h *hub) list(ctx context.Context, req *irtv1.ListLeadNominationsRequest) (names []string) {
	h.t.Helper()
	resp, err := h.ListLeadNominations(ctx, req)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range resp.GetLeadNominations() {
		names = append(names, m.GetName())
	}
	return names
}

// The two sides see a nomination, and those who see who works with the child; of one
// whose involvement is found to be sensitive only the two sides.
func TestWhoSees(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	h.involve("social", child)
	m := h.nominate("school", child, h.involve("gp", child))
	manager := call(t, identity.Caller{Agency: "charity", Practitioner: "bob", Role: irtv1.Role_ROLE_DATA_MANAGER, Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY})
	callers := map[string]context.Context{
		"manager": manager, "school": as(t, "school"), "gp": as(t, "gp"), "social": as(t, "social"), "charity": as(t, "charity"),
	}
	sees := func(when string, who ...string) {
		t.Helper()
		for name, ctx := range callers {
			want := slices.Contains(who, name)
			got, err := h.GetLeadNomination(ctx, &irtv1.GetLeadNominationRequest{Name: m.GetName()})
			if want != (err == nil) || want && got.GetInvolvement() != m.GetInvolvement() {
				t.Errorf("%s: %s gets %v, %v", when, name, got, err)
			}
			if side := name == "school" || name == "gp"; err == nil && side != (got.GetEtag() != "") {
				t.Errorf("%s: %s gets the etag %q", when, name, got.GetEtag())
			}
			if err != nil {
				_, none := h.GetLeadNomination(ctx, &irtv1.GetLeadNominationRequest{Name: m.GetName()[:len(m.GetName())-3] + "abc"})
				if !proto.Equal(status.Convert(rpc.Edge(err)).Proto(), status.Convert(rpc.Edge(none)).Proto()) {
					t.Errorf("%s: one that is hidden is denied to %s otherwise than one that is not there", when, name)
				}
			}
			resp, err := h.ListLeadNominations(ctx, &irtv1.ListLeadNominationsRequest{Parent: child})
			if err != nil || want != (len(resp.GetLeadNominations()) == 1) {
				t.Errorf("%s: %s lists %v, %v", when, name, resp, err)
			}
		}
	}
	sees("at first", "school", "gp", "social", "manager")
	h.exec(`UPDATE involvements SET sensitive = true, sensitive_basis = 'CONSENT' WHERE agency_id = 'gp'`)
	sees("once the involvement is sensitive", "school", "gp")
	h.exec(`UPDATE involvements SET sensitive = false, sensitive_basis = '' WHERE agency_id = 'gp'`)
	h.exec(`INSERT INTO child_sharing (child_id, shielded, consents) SELECT child_id, true, '[]' FROM lead_nominations`)
	sees("once the child is shielded", "school", "gp")

	open := irtv1.LeadNominationState_LEAD_NOMINATION_STATE_OPEN
	for what, c := range map[string]struct {
		as   string
		req  *irtv1.ListLeadNominationsRequest
		want int
	}{
		"received":       {"gp", &irtv1.ListLeadNominationsRequest{Parent: "agencies/gp", State: open}, 1},
		"sent":           {"school", &irtv1.ListLeadNominationsRequest{Parent: "agencies/school", Sent: true}, 1},
		"not received":   {"school", &irtv1.ListLeadNominationsRequest{Parent: "agencies/school"}, 0},
		"not sent":       {"gp", &irtv1.ListLeadNominationsRequest{Parent: "agencies/gp", Sent: true}, 0},
		"not in a state": {"gp", &irtv1.ListLeadNominationsRequest{Parent: "agencies/gp", State: irtv1.LeadNominationState_LEAD_NOMINATION_STATE_EXPIRED}, 0},
	} {
		if got := h.list(as(t, c.as), c.req); len(got) != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
	h.expire(m)
	if got := h.list(as(t, "gp"), &irtv1.ListLeadNominationsRequest{Parent: "agencies/gp", State: open}); len(got) != 0 {
		t.Errorf("expired, and listed as open: %v", got)
	}
	if got := h.list(as(t, "gp"), &irtv1.ListLeadNominationsRequest{Parent: "agencies/gp", State: irtv1.LeadNominationState_LEAD_NOMINATION_STATE_EXPIRED}); len(got) != 1 {
		t.Errorf("not listed as expired: %v", got)
	}
	_, err := h.ListLeadNominations(as(t, "gp"), &irtv1.ListLeadNominationsRequest{Parent: "agencies/school"})
	wantError(t, err, codes.PermissionDenied)
	_, err = h.ListLeadNominations(manager, &irtv1.ListLeadNominationsRequest{Parent: "agencies/school"})
	wantError(t, err, codes.PermissionDenied)
}

func TestPages(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	var want []string
	for _, agency := range []string{"gp", "social", "charity"} {
		want = append([]string{h.nominate("school", child, h.involve(agency, child)).GetName()}, want...)
	}
	for _, parent := range []string{child, "agencies/school"} {
		var got []string
		req := &irtv1.ListLeadNominationsRequest{Parent: parent, Sent: true, PageSize: 1}
		for {
			resp, err := h.ListLeadNominations(as(t, "school"), req)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, resp.GetLeadNominations()[0].GetName())
			if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", parent, got, want)
		}
	}
}

// A nomination follows the involvement when records are linked anew, and goes back with
// it when the children are parted.
func TestFollowsInvolvement(t *testing.T) {
	h := newHub(t)
	kept := h.identify("social", "s1", "9434765870", "Rosalind", "2015-06-02")
	gone := h.submit("school", "p1", "Barnaby", "2012-01-09")
	m := h.nominate("school", gone, h.involve("gp", gone))
	if kept == gone {
		t.Fatal("they were never two children")
	}
	at := func() string {
		t.Helper()
		got, err := h.GetLeadNomination(as(t, "gp"), &irtv1.GetLeadNominationRequest{Name: m.GetName()})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetChild()
	}
	if now := h.identify("school", "p1", "9434765870", "Rosalind", "2015-06-02"); now != kept {
		t.Fatal("they did not become one")
	}
	if at() != kept {
		t.Errorf("after the merge it is at %s", at())
	}
	if got := h.list(as(t, "gp"), &irtv1.ListLeadNominationsRequest{Parent: gone}); len(got) != 1 {
		t.Errorf("under the old name: %v", got)
	}
	if n := h.count(`SELECT count(*) FROM lead_nominations_history`); n != 1 {
		t.Errorf("%d earlier versions", n)
	}
	manager := call(t, identity.Caller{Agency: "social", Practitioner: "dan", Role: irtv1.Role_ROLE_DATA_MANAGER})
	_, err := h.children.SplitChildRecord(manager, &irtv1.SplitChildRecordRequest{
		Child: kept, ChildRecords: []string{"agencies/school/childRecords/p1"}, Reason: "two children",
	})
	if err != nil {
		t.Fatal(err, status.Convert(err).Details())
	}
	if at() != gone {
		t.Errorf("after the split it is at %s", at())
	}
	got, err := h.do(as(t, "gp"), "accept", m.GetName(), "")
	if err != nil || got.GetChild() != gone {
		t.Fatal(got, err)
	}
	if h.lead(gone) != m.GetInvolvement() || h.lead(kept) != "" {
		t.Errorf("the leads are by %q and %q", h.lead(gone), h.lead(kept))
	}
}

// One that is by a record goes along with that alone.
func TestFollowsRecord(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	h.submit("gp", "g1", "Aoife", "2014-03-02")
	byRecord := h.nominate("gp", child, h.involve("school", child))
	stays := h.nominate("school", child, h.involve("gp", child))
	other := h.submit("school", "p1", "Bertram", "2009-11-30")
	if other == child {
		t.Fatal("the record did not leave")
	}
	for m, want := range map[*irtv1.LeadNomination]string{byRecord: other, stays: child} {
		agency, _, _ := strings.Cut(strings.TrimPrefix(m.GetInvolvement(), "agencies/"), "/")
		got, err := h.do(as(t, agency), "accept", m.GetName(), "")
		if err != nil || got.GetChild() != want {
			t.Errorf("accepted: %v, %v; want it at %s", got, err, want)
		}
	}
}
