package children_test

import (
	"fmt"
	"sync"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

const policeRecord = "agencies/police/childRecords/x"

// confirmed keeps a person's decision about two records, as merging their children does.
func (h *hub) confirmed(agency, local, otherAgency, other string) {
	h.t.Helper()
	a, b := standard.RecordID(agency, local), standard.RecordID(otherAgency, other)
	h.exec(`INSERT INTO match_constraints (record_id, other_record_id, kind, reason, decided_by, create_time)
		VALUES ($1, $2, 1, 'why', 'agencies/social/practitioners/ann', now()), ($2, $1, 1, 'why', 'agencies/social/practitioners/ann', now())`,
		[16]byte(a), [16]byte(b))
}

// A record confirmed with two that are of two children stands with the one, and when
// that leaves, comes to the other, and waits for nobody to send it again.
func TestConfirmedRecordsComeTogetherAgain(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(h *hub, child string){
		"withdrawn": func(h *hub, _ string) {
			if _, err := h.WithdrawChildRecord(system(h.t, "police"), &irtv1.WithdrawChildRecordRequest{Name: policeRecord}); err != nil {
				h.t.Fatal(err)
			}
		},
		"split off": func(h *hub, child string) { h.split(child, policeRecord) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			one := h.send("police", "x", jennifer()).GetChild()
			if h.send("school", "p1", jennifer()).GetChild() != one {
				t.Fatal("Jennifer is two children")
			}
			other := h.send("gp", "77", freya()).GetChild()
			h.confirmed("school", "p1", "police", "x")
			h.confirmed("school", "p1", "gp", "77")
			h.checkInvariants()
			leave(h, one)
			if got, there := h.childOf(schoolRecord, ""), h.childOf(gpRecord, ""); got != there {
				t.Errorf("the school's record is of %s, the practice's of %s", got, there)
			}
			if h.child(other).GetName() != other {
				t.Errorf("%s leads to %s", other, h.child(other).GetName())
			}
			if h.count(`SELECT count(*) FROM audit_entries WHERE agency_id = 'hub'`) == 0 {
				t.Error("the access log does not tell of it")
			}
			h.checkInvariants()
		})
	}
}

// What a person confirmed outranks what matching found: a record that comes back where
// it may not go brings along the one that it was confirmed with.
func TestConfirmedRecordComesBack(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send("gp", "77", jennifer())
	both := h.send("police", "x", jennifer()).GetChild()
	h.split(both, policeRecord) // kept apart from the practice's
	school := h.send("school", "p1", freya()).GetChild()
	h.mergeByTwo(both, school)
	if _, err := h.WithdrawChildRecord(system(t, "gp"), &irtv1.WithdrawChildRecordRequest{Name: gpRecord}); err != nil {
		t.Fatal(err)
	}
	if got := h.send("police", "x", freya()).GetChild(); got != school {
		t.Fatalf("the police's record is of %s, want %s", got, school)
	}
	h.send("gp", "77", jennifer())
	if a, b, c := h.childOf(gpRecord, ""), h.childOf(schoolRecord, ""), h.childOf(policeRecord, ""); a != b || a == c {
		t.Errorf("the practice's record is of %s, the school's of %s, the police's of %s", a, b, c)
	}
	h.checkInvariants()
}

// What is told of a record that a person confirmed is how it is like the child that it
// stands under, and not how it is like another, whom matching would have taken.
func TestConfirmedRecordIsComparedWithItsChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.send("gp", "77", jennifer()).GetChild()
	other := h.send("police", "x", freya()).GetChild()
	if h.send("school", "p1", jennifer()).GetChild() != child {
		t.Fatal("Jennifer is two children")
	}
	h.confirmed("school", "p1", "gp", "77")
	for name, says := range map[string]*irtv1.ChildRecord{
		"of another child":  freya(),
		"of nobody's known": {GivenName: "Zephyrine", FamilyName: "Quill", DateOfBirth: "2009-07-01", Sex: "M"},
	} {
		got := h.send("school", "p1", says)
		if got.GetChild() != child || got.GetMatch().GetRuleId() != "CONFIRMED_BY_PERSON" || got.GetMatch().GetWeight() >= 0 {
			t.Errorf("%s: answered %v", name, got)
		}
		why, err := h.ExplainMatch(manager(t), &irtv1.ExplainMatchRequest{ChildRecord: schoolRecord})
		if err != nil || why.GetChild() != child || why.GetMatch().GetComparedWith() != gpRecord || why.GetMatch().GetWeight() >= 0 {
			t.Errorf("%s: explained %v, error %v", name, why, err)
		}
		sum := 0.0
		for _, f := range why.GetMatch().GetFieldWeights() {
			sum += f.GetWeight()
			if f.GetField() == "given_name" && f.GetLevel() != "different" {
				t.Errorf("%s: the given name is %s", name, f.GetLevel())
			}
		}
		if d := sum - why.GetMatch().GetWeight(); d < -0.5 || d > 0.5 {
			t.Errorf("%s: the fields add up to %.1f, the weight is %.1f", name, sum, why.GetMatch().GetWeight())
		}
	}
	// That it fits the other child better is for a person, with the evidence for that one.
	h.send("school", "p1", freya())
	candidates, reviews := h.reviewsOf(schoolRecord)
	if len(reviews) != 1 || candidates[0] != other || reviews[0].GetMatch().GetWeight() <= 0 {
		t.Errorf("asked about %v: %v", candidates, reviews)
	}
}

// Who reunites records beside another process that writes them may have to begin again,
// and so may the other; neither is refused, and all ends as if one had come first.
func TestReuniteBesideWriters(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	other := &hub{t, h.pool, newService(t, h.pool)}
	h.send("school", "p1", jennifer())
	h.send("gp", "77", freya())
	h.confirmed("school", "p1", "police", "x")
	h.confirmed("school", "p1", "gp", "77")
	apart := 0
	for n := range 15 {
		h.send("police", "x", jennifer())
		if h.childOf(schoolRecord, "") != h.childOf(gpRecord, "") {
			apart++
		}
		var writers sync.WaitGroup
		writers.Go(func() {
			if _, err := h.WithdrawChildRecord(system(t, "police"), &irtv1.WithdrawChildRecordRequest{Name: policeRecord}); err != nil {
				t.Error(err)
			}
		})
		for _, sex := range []string{"M", "F", "U"} {
			writers.Go(func() {
				if _, err := other.trySend("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.Sex, r.PreferredGivenName = sex, fmt.Sprint("J", n) })); err != nil {
					t.Error(err)
				}
			})
		}
		writers.Wait()
	}
	if apart == 0 {
		t.Error("nothing was reunited")
	}
	if h.childOf(schoolRecord, "") != h.childOf(gpRecord, "") {
		t.Error("they stand apart in the end")
	}
	h.checkInvariants()
}
