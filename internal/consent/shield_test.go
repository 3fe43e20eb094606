package consent_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

const (
	proposed     = irtv1.ShieldState_SHIELD_STATE_PROPOSED
	provisional  = irtv1.ShieldState_SHIELD_STATE_PROVISIONAL
	active       = irtv1.ShieldState_SHIELD_STATE_ACTIVE
	liftProposed = irtv1.ShieldState_SHIELD_STATE_LIFT_PROPOSED
	lifted       = irtv1.ShieldState_SHIELD_STATE_LIFTED
	rejected     = irtv1.ShieldState_SHIELD_STATE_REJECTED
)

func (h *hub) propose(person, child string) *irtv1.Shield {
	h.t.Helper()
	out, err := h.ProposeShield(by(h.t, person), &irtv1.ProposeShieldRequest{Parent: child, Reason: "Court order of 3 May: must not be found"})
	if err != nil {
		wantError(h.t, err, codes.OK, "")
	}
	return out
}

func (h *hub) approve(person, name string) (*irtv1.Shield, error) {
	h.t.Helper()
	return h.ApproveShield(by(h.t, person), &irtv1.ApproveShieldRequest{Name: name})
}

func (h *hub) wantShield(s *irtv1.Shield, err error, state irtv1.ShieldState, effect bool) {
	h.t.Helper()
	if err != nil {
		wantError(h.t, err, codes.OK, "")
	}
	if s.GetState() != state || s.GetInEffect() != effect {
		h.t.Fatalf("the shield is %v, in effect %t; want %v, %t", s.GetState(), s.GetInEffect(), state, effect)
	}
	if child := strings.SplitAfter(s.GetName(), "/shields")[0]; h.known(strings.TrimSuffix(child, "/shields")).shielded != effect {
		h.t.Fatalf("in state %v policy knows otherwise", state)
	}
}

func TestShieldOfSocialCareTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	s := h.propose("social/ann", child)
	h.wantShield(s, nil, provisional, true)
	if wait := s.GetApproveByTime().AsTime().Sub(s.GetProposeTime().AsTime()); wait != 5*24*time.Hour {
		t.Errorf("to be approved within %v", wait)
	}
	if again := h.propose("social/ann", child); !proto.Equal(again, s) {
		t.Errorf("proposed again: %v", again)
	}
	s, err := h.approve("social/bob", s.GetName())
	h.wantShield(s, err, active, true)
	if s.GetDecidedBy() != "agencies/social/practitioners/bob" || s.GetApproveByTime() != nil {
		t.Errorf("approved: %v", s)
	}
	again, err := h.approve("social/bob", s.GetName())
	if err != nil || !proto.Equal(again, s) {
		t.Errorf("approved again: %v, %v", again, err)
	}
	if got := h.told(child); got != "SHIELD_PROPOSED CHILD_SHIELDED" {
		t.Errorf("told: %s", got)
	}
}

func TestShieldOfOthersWaitsForApproval(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Rosalind", born(9))
	s := h.propose("school/tess", child)
	h.wantShield(s, nil, proposed, false)
	// Who may shield at once is not kept from it by a proposal that waits.
	h.submit("social", "1", "Rosalind", born(9))
	h.wantShield(h.propose("social/ann", child), nil, provisional, true)
	s, err := h.approve("council/dot", s.GetName())
	h.wantShield(s, err, active, true)
	if got := h.told(child); got != "SHIELD_PROPOSED SHIELD_PROPOSED CHILD_SHIELDED CHILD_SHIELDED" {
		t.Errorf("told: %s", got)
	}
}

func TestShieldNeedsASecondPerson(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	s := h.propose("social/ann", child)
	_, err := h.approve("social/ann", s.GetName())
	wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
	_, err = h.RejectShield(by(t, "social/ann"), &irtv1.RejectShieldRequest{Name: s.GetName()})
	wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
	// Nor does a system's token, which names nobody.
	_, err = h.ProposeShield(as(t, "social"), &irtv1.ProposeShieldRequest{Parent: child, Reason: "x"})
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	s, err = h.RejectShield(by(t, "council/dot"), &irtv1.RejectShieldRequest{Name: s.GetName(), Etag: s.GetEtag()})
	h.wantShield(s, err, rejected, false)
	_, err = h.approve("council/dan", s.GetName())
	wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
	if got := h.told(child); got != "SHIELD_PROPOSED CHILD_SHIELDED SHIELD_ENDED" {
		t.Errorf("told: %s", got)
	}
}

// Whatever a future version of the hub does, the database keeps the two apart.
func TestDatabaseHoldsTheSecondPerson(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	h.propose("social/ann", child)
	for _, sql := range []string{
		`UPDATE shields SET state = 3, decided_by = proposed_by, decide_time = now()`,
		`UPDATE shields SET state = 3`,
		`UPDATE shields SET state = 5, decided_by = 'x', lift_proposed_by = 'y', lift_decided_by = 'y'`,
		`UPDATE shields SET state = 5, decided_by = 'x'`,
	} {
		if _, err := h.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("the database allows: %s", sql)
		}
	}
}

func TestShieldIsLiftedByTwo(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	s := h.propose("social/ann", child)
	lift := &irtv1.ProposeShieldLiftRequest{Name: s.GetName(), Reason: "The order has ended"}
	_, err := h.ProposeShieldLift(by(t, "social/bob"), lift)
	wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
	_, err = h.approve("council/dot", s.GetName())
	if err != nil {
		t.Fatal(err)
	}
	s, err = h.ProposeShieldLift(by(t, "council/dot"), lift)
	h.wantShield(s, err, liftProposed, true)
	decide := &irtv1.ApproveShieldLiftRequest{Name: s.GetName()}
	_, err = h.ApproveShieldLift(by(t, "council/dot"), decide)
	wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
	s, err = h.RejectShieldLift(by(t, "council/dan"), &irtv1.RejectShieldLiftRequest{Name: s.GetName()})
	h.wantShield(s, err, active, true)
	if s.GetLiftReason() != "" || s.GetLiftProposedBy() != "" {
		t.Errorf("after its lifting was rejected: %v", s)
	}
	s, err = h.ProposeShieldLift(by(t, "social/ann"), lift)
	h.wantShield(s, err, liftProposed, true)
	s, err = h.ApproveShieldLift(by(t, "council/dot"), decide)
	h.wantShield(s, err, lifted, false)
	if h.known(child).row {
		t.Error("there is a row of facts about a child of whom there is nothing to say")
	}
	if got := h.told(child); got != "SHIELD_PROPOSED CHILD_SHIELDED SHIELD_PROPOSED SHIELD_PROPOSED SHIELD_ENDED" {
		t.Errorf("told: %s", got)
	}
}

func TestWhoKnowsOfAShield(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	h.submit("school", "1", "Rosalind", born(9))
	before := h.now()
	s := h.propose("social/ann", child)
	after := h.now()
	if _, err := h.approve("social/bob", s.GetName()); err != nil {
		t.Fatal(err)
	}
	get := &irtv1.GetShieldRequest{Name: s.GetName()}
	_, err := h.GetShield(by(t, "school/tess"), get)
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	_, none := h.GetShield(by(t, "school/tess"), &irtv1.GetShieldRequest{Name: child + "/shields/0190c2a3-7b1c-7d3e-8f00-000000000000"})
	if none.Error() != err.Error() {
		t.Errorf("a stranger can tell whether there is the shield: %v, %v", none, err)
	}
	_, err = h.approve("school/tess", s.GetName())
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	for _, c := range []struct {
		person string
		at     time.Time
		want   []irtv1.ShieldState
	}{
		{"school/tess", time.Time{}, nil},
		{"social/bob", time.Time{}, []irtv1.ShieldState{active}},
		{"council/dot", time.Time{}, []irtv1.ShieldState{active}},
		{"council/dot", after, []irtv1.ShieldState{provisional}},
		{"council/dot", before, nil},
	} {
		req := &irtv1.ListShieldsRequest{Parent: child}
		if !c.at.IsZero() {
			req.KnownAt = timestamppb.New(c.at)
		}
		out, err := h.ListShields(by(t, c.person), req)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.GetShields()) != len(c.want) || len(c.want) > 0 && out.GetShields()[0].GetState() != c.want[0] {
			t.Errorf("%s at %v: %v", c.person, c.at, out)
		}
	}
}

func TestShieldsThatWait(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var names []string
	for i, given := range []string{"Rosalind", "Barnaby", "Ottilie"} {
		child := h.submit("social", given, given, standard.Today().AddDate(-5-i, 0, 0).Format(time.DateOnly))
		names = append(names, h.propose("social/ann", child).GetName())
	}
	if _, err := h.approve("social/bob", names[1]); err != nil {
		t.Fatal(err)
	}
	req := &irtv1.ListShieldsRequest{Parent: "children/-", PageSize: 1}
	var seen []string
	for {
		out, err := h.ListShields(by(t, "council/dot"), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.GetShields() {
			seen = append(seen, s.GetName())
		}
		if req.PageToken = out.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if len(seen) != 2 || seen[0] != names[0] || seen[1] != names[2] {
		t.Errorf("waiting: %v, want the first and third of %v", seen, names)
	}
	_, err := h.ListShields(by(t, "social/ann"), &irtv1.ListShieldsRequest{Parent: "children/-"})
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
}

// Two who decide at the same moment: one does, and the other is told so.
func TestShieldDecidedAtTheSameMoment(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	s := h.propose("social/ann", child)
	var all sync.WaitGroup
	outcomes := make([]error, 2)
	all.Go(func() { _, outcomes[0] = h.approve("council/dot", s.GetName()) })
	all.Go(func() {
		_, outcomes[1] = h.RejectShield(by(t, "council/dan"), &irtv1.RejectShieldRequest{Name: s.GetName()})
	})
	all.Wait()
	if (outcomes[0] == nil) == (outcomes[1] == nil) {
		t.Errorf("approved: %v, rejected: %v", outcomes[0], outcomes[1])
	}
	if h.known(child).shielded != (outcomes[0] == nil) {
		t.Error("policy knows otherwise")
	}
}
