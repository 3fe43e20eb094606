package server_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// Break-glass: the reason is asked for, the entry is opened, the data managers are
// told, and one of them, who is not the one that looked, reviews it.
func TestEmergencyAccess(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	plain := a.children[0]
	children, emergencies := irtv1.NewChildServiceClient(a.conn), irtv1.NewEmergencyAccessServiceClient(a.conn)
	charity := identity.Caller{
		Agency: "charity-1", Role: irtv1.Role_ROLE_PRACTITIONER, Practitioner: "p1", Purpose: irtv1.Purpose_PURPOSE_EMERGENCY,
	}
	get := &irtv1.GetChildRequest{Name: plain.name}
	_, err := children.GetChild(a.as(t, charity), get)
	if f := fromGRPC(err); f.Code != "INVALID_ARGUMENT" || f.Violations["irt-reason"] != "REASON_REQUIRED" {
		t.Errorf("without a reason: %+v", f)
	}
	manager := identity.Caller{
		Agency: "social-1", Role: irtv1.Role_ROLE_DATA_MANAGER, Practitioner: "dm", Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY,
	}
	list := func() []*irtv1.EmergencyAccess {
		t.Helper()
		got, err := emergencies.ListEmergencyAccesses(a.as(t, manager), &irtv1.ListEmergencyAccessesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetEmergencyAccesses()
	}
	charity.Reason = "she is at our door and hurt"
	found, err := children.SearchChildren(a.as(t, charity), &irtv1.SearchChildrenRequest{FamilyName: "FamilyAq", DateOfBirth: "2015-01-11"})
	if err != nil || len(found.GetResults()) != 1 || found.GetResults()[0].GetChild().GetPostcode() != "" || len(list()) != 0 {
		t.Errorf("a search opens nothing and raises nothing: %v, error %v, raised %v", found, err, list())
	}
	c, err := children.GetChild(a.as(t, charity), get)
	if err != nil || c.GetPostcode() == "" || c.GetLeadProfessional() == nil {
		t.Fatalf("%v, error %v", c, err)
	}
	raised := list()
	if len(raised) != 1 || raised[0].GetChild() != plain.name || raised[0].GetAgency() != "agencies/charity-1" ||
		raised[0].GetPractitioner() != "agencies/charity-1/practitioners/p1" || raised[0].GetReason() != charity.Reason ||
		raised[0].GetMethod() != "GetChild" || raised[0].GetState() != irtv1.EmergencyAccessState_EMERGENCY_ACCESS_STATE_OPEN {
		t.Fatalf("raised %v", raised)
	}
	a.wantEvent(t, manager, raised[0].GetName())
	review := &irtv1.ReviewEmergencyAccessRequest{
		Name: raised[0].GetName(), Finding: irtv1.EmergencyFinding_EMERGENCY_FINDING_JUSTIFIED, Note: "spoke to them",
	}
	own := identity.Caller{Agency: "charity-1", Role: irtv1.Role_ROLE_DATA_MANAGER, Practitioner: "p1"}
	if _, err := emergencies.ReviewEmergencyAccess(a.as(t, own), review); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("who looked reviews it: %v", err)
	}
	if _, err := emergencies.ReviewEmergencyAccess(a.as(t, charity), review); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a practitioner reviews it: %v", err)
	}
	for range 2 { // the same again changes nothing
		done, err := emergencies.ReviewEmergencyAccess(a.as(t, manager), review)
		if err != nil || done.GetReviewedBy() != "agencies/social-1/practitioners/dm" || done.GetNote() != "spoke to them" || done.GetReviewTime() == nil {
			t.Errorf("%v, error %v", done, err)
		}
	}
	review.Finding = irtv1.EmergencyFinding_EMERGENCY_FINDING_NOT_JUSTIFIED
	if _, err := emergencies.ReviewEmergencyAccess(a.as(t, manager), review); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a second finding: %v", err)
	}
	review.Name = "emergencyAccesses/0198c0de-0000-7000-8000-000000000000"
	if _, err := emergencies.ReviewEmergencyAccess(a.as(t, manager), review); status.Code(err) != codes.NotFound {
		t.Errorf("none: %v", err)
	}
	if left := list(); len(left) != 0 {
		t.Errorf("still open: %v", left)
	}
}

// wantEvent waits until the data manager has been told of a resource.
func (a *area) wantEvent(t *testing.T, manager identity.Caller, resource string) {
	t.Helper()
	stream, err := irtv1.NewEventServiceClient(a.conn).Watch(a.as(t, manager), &irtv1.WatchRequest{
		Kinds: []irtv1.EventKind{irtv1.EventKind_EVENT_KIND_EMERGENCY_ACCESS},
	})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := irtv1.NewEventServiceClient(a.conn).ListEvents(a.as(t, manager), &irtv1.ListEventsRequest{
		Kinds: []irtv1.EventKind{irtv1.EventKind_EVENT_KIND_EMERGENCY_ACCESS},
	})
	if err != nil {
		t.Fatal(err)
	}
	told := listed.GetEvents()
	for len(told) == 0 {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		told = m.GetEvents()
	}
	if told[0].GetResource() != resource || told[0].GetAgency() != "agencies/charity-1" {
		t.Errorf("told of %v", told)
	}
}
