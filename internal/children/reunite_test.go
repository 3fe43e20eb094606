package children_test

import (
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
