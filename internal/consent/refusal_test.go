package consent_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
)

func refused(agency, id, child, requester string) *irtv1.Refusal {
	return &irtv1.Refusal{
		Name: "agencies/" + agency + "/refusals/" + id, Child: child, Requester: "agencies/" + requester,
		Categories: []irtv1.Category{irtv1.Category_CATEGORY_LOCATION}, Purpose: irtv1.Purpose_PURPOSE_EDUCATION, Reason: "MORE_DETRIMENTAL",
	}
}

func (h *hub) refuse(r *irtv1.Refusal) *irtv1.Refusal {
	h.t.Helper()
	agency, _, _ := cutName(r.GetName())
	out, err := h.RecordRefusal(as(h.t, agency), &irtv1.RecordRefusalRequest{Refusal: r})
	if err != nil {
		wantError(h.t, err, codes.OK, "")
	}
	return out
}

func TestRefusalIsSaidOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	first := h.refuse(refused("social", "r1", child, "school"))
	if first.GetRefuseDate() != day(0) || first.GetCreateTime() == nil {
		t.Errorf("recorded: %v", first)
	}
	if again := h.refuse(refused("social", "r1", child, "school")); !proto.Equal(again, first) {
		t.Errorf("sent again it became %v", again)
	}
	other := refused("social", "r1", child, "school")
	other.Reason = "NOT_HELD"
	_, err := h.RecordRefusal(as(t, "social"), &irtv1.RecordRefusalRequest{Refusal: other})
	wantError(t, err, codes.AlreadyExists, "ALREADY_EXISTS")
	_, err = h.RecordRefusal(as(t, "school"), &irtv1.RecordRefusalRequest{Refusal: refused("school", "r1", child, "gp")})
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	if got := h.told(child); got != "SHARING_REFUSED" {
		t.Errorf("told: %s", got)
	}
}

func TestWhoSeesRefusals(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(15))
	h.submit("clinic", "1", "Rosalind", born(15))
	h.submit("gp", "1", "Rosalind", born(15))
	h.refuse(refused("social", "r1", child, "school"))
	h.refuse(refused("clinic", "r2", child, "school"))
	manager := by(t, "council/dot")
	for _, c := range []struct {
		what, parent, want string
		ctx                context.Context //nolint:containedctx // of the call
	}{
		{"who refused", child, "r1", as(t, "social")},
		{"who asked, but for what would confirm a sensitive service", child, "r1", as(t, "school")},
		{"the sensitive service", child, "r2", as(t, "clinic")},
		{"who works with the child and is not concerned", child, "", as(t, "gp")},
		{"a data manager", child, "r1", manager},
		{"a data manager of all", "agencies/-", "r1", manager},
		{"a data manager of an agency that asked", "agencies/school", "r1", manager},
		{"a data manager of an agency not concerned", "agencies/gp", "", manager},
		{"an agency of its own", "agencies/school", "r1", as(t, "school")},
	} {
		out, err := h.ListRefusals(c.ctx, &irtv1.ListRefusalsRequest{Parent: c.parent})
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		var names []string
		for _, r := range out.GetRefusals() {
			names = append(names, r.GetName())
		}
		if got := ids(names); got != c.want {
			t.Errorf("%s sees %q, want %q", c.what, got, c.want)
		}
	}
	for _, parent := range []string{"agencies/-", "agencies/social"} {
		_, err := h.ListRefusals(as(t, "school"), &irtv1.ListRefusalsRequest{Parent: parent})
		wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	}
}

func TestRefusalsPageByPage(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	for _, id := range []string{"r1", "r2", "r3"} {
		h.refuse(refused("social", id, child, "school"))
	}
	req := &irtv1.ListRefusalsRequest{Parent: child, PageSize: 2}
	var names []string
	for {
		out, err := h.ListRefusals(as(t, "social"), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range out.GetRefusals() {
			names = append(names, r.GetName())
		}
		if req.PageToken = out.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if got := ids(names); got != "r3 r2 r1" {
		t.Errorf("the newest first: %s", got)
	}
}
