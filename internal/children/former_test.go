package children_test

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// chidi is a child with nothing in common with jennifer or freya.
func chidi() *irtv1.ChildRecord {
	return &irtv1.ChildRecord{
		GivenName: "Chidi", FamilyName: "Okafor", DateOfBirth: "2016-08-01", Sex: "F", AddressLines: []string{"9 Quay"}, Postcode: "NR3 1AB",
	}
}

// A record that says by mistake that it is of another child, and is corrected, leaves
// everything as it was: its child is the one that it was, by its name, with what hung on
// it by that name alone, its pins and the names that led to it.
func TestACorrectionIsUndoneByAnother(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("school", "p1", jennifer()).GetChild()
	b := h.send("gp", "77", freya()).GetChild()
	led := h.send("charity-1", "c", chidi()).GetChild()
	h.send("charity-1", "c", jennifer())
	h.withdraw("charity-1", "c") // so that a name leads to a, and a withdrawn record stands there
	h.works("school", "i1", "p1", a, "teacher")
	h.works("police", "i2", "", a, "")
	h.works("gp", "i3", "77", b, "doctor")
	if _, err := h.PinChildField(person(t, "ann"), &irtv1.PinChildFieldRequest{
		Child: a, Field: "given_name", Reason: "why", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: schoolRecord},
	}); err != nil {
		t.Fatal(err)
	}
	apart := h.state()
	if h.send("school", "p1", freya()).GetChild() != b || h.child(a).GetName() != b || h.child(led).GetName() != b {
		t.Fatal("they did not become one")
	}
	if got := h.send("school", "p1", jennifer()).GetChild(); got != a {
		t.Fatalf("the record is of %s, and was of %s", got, a)
	}
	if now := h.state(); now != apart {
		t.Errorf("now\n%s\nbefore\n%s", now, apart)
	}
	h.checkInvariants()
}

// Corrected to say that it is of a third child, the record takes along what hung on the
// child that it was of, and the names that led to that; what the second child had stays.
func TestACorrectionToAThirdChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("school", "p1", jennifer()).GetChild()
	b := h.send("gp", "77", freya()).GetChild()
	c := h.send("police", "x", chidi()).GetChild()
	h.works("charity", "i1", "", a, "")
	h.works("charity", "i2", "", b, "")
	h.send("school", "p1", freya())
	h.works("charity", "i3", "", b, "") // later: of the one that kept its name
	if h.send("school", "p1", chidi()).GetChild() != c {
		t.Fatal("the record did not come to the third child")
	}
	for name, child := range map[string]string{a: c, b: b, c: c} {
		if got := h.child(name).GetName(); got != child {
			t.Errorf("%s leads to %s, want %s", name, got, child)
		}
	}
	for child, want := range map[string]int{c: 1, b: 2} {
		if n := h.count(`SELECT count(*) FROM involvements WHERE child_id = $1`, idOf(t, child)); n != want {
			t.Errorf("%d involvements with %s, want %d", n, child, want)
		}
	}
	h.checkInvariants()
}

// A record that left a child by itself, before that child became one with another, was
// found not to be of it: that it stands with the other too makes no difference to what
// becomes of the child, and the child is not revived for it.
func TestARecordThatHadLeftDoesNotComeFromThere(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) (h *hub, former, child string) {
		t.Helper()
		h = newHub(t)
		former = h.send("school", "p1", jennifer()).GetChild()
		if h.send("police", "o", jennifer()).GetChild() != former {
			t.Fatal("they were never one child")
		}
		child = h.send("gp", "77", freya()).GetChild()
		h.works("charity-1", "i1", "", former, "")
		if h.send("school", "p1", freya()).GetChild() != child || h.child(former).GetName() != former {
			t.Fatal("the record did not leave alone")
		}
		if h.send("police", "o", freya()).GetChild() != child || h.child(former).GetName() != child {
			t.Fatal("they did not become one")
		}
		return h, former, child
	}
	t.Run("the child's own record leaves", func(t *testing.T) {
		t.Parallel()
		h, former, child := begin(t)
		if got := h.send("police", "o", chidi()).GetChild(); got != former {
			t.Errorf("the record is of %s, and was of %s", got, former)
		}
		if n := h.count(`SELECT count(*) FROM involvements WHERE child_id = $1`, idOf(t, former)); n != 1 || h.child(child).GetName() != child {
			t.Errorf("%d involvements came back", n)
		}
		h.checkInvariants()
	})
	t.Run("the other leaves", func(t *testing.T) {
		t.Parallel()
		h, former, child := begin(t)
		h.withdraw("police", "o")
		if got := h.send("school", "p1", chidi()).GetChild(); got == former || got == child {
			t.Errorf("the record is of %s", got)
		}
		if got := h.child(former).GetName(); got != child {
			t.Errorf("the former child leads to %s, want %s", got, child)
		}
		if n := h.count(`SELECT count(*) FROM involvements WHERE child_id = $1`, idOf(t, child)); n != 1 {
			t.Errorf("%d involvements stayed", n)
		}
		h.checkInvariants()
	})
}

// In one batch a former child's record leaves, and what remains becomes one with a third
// child: the names that led here through the former child lead to it again.
func TestNamesGoBackBeforeTheRestMovesOn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	former := h.send("school", "p1", jennifer()).GetChild()
	led := h.send("charity-1", "c", stranger(1)).GetChild()
	h.send("charity-1", "c", jennifer())
	h.withdraw("charity-1", "c")
	child := h.send("school", "p2", freya()).GetChild()
	third := h.send("police", "x", chidi()).GetChild()
	if h.send("school", "p1", freya()).GetChild() != child || h.child(led).GetName() != child {
		t.Fatal("they did not become one")
	}
	h.inOneBatch(map[string]*irtv1.ChildRecord{"p1": jennifer()}, map[string]*irtv1.ChildRecord{"p2": chidi()})
	for name, want := range map[string]string{former: former, led: former, child: third, third: third} {
		if got := h.child(name).GetName(); got != want {
			t.Errorf("%s leads to %s, want %s", name, got, want)
		}
	}
	h.checkInvariants()
}

// In one batch both records that came along from a former child leave what that became
// one with, the one to a child of its own and the other to a third: the former child is
// in force with the first, and does not lead to the third besides.
func TestAFormerChildPartsOnce(t *testing.T) {
	t.Parallel()
	for name, firstHome := range map[string]bool{"a child of its own first": true, "a third child first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			former := h.send("school", "p1", jennifer()).GetChild()
			h.send("school", "p2", jennifer())
			h.withdraw("school", "p2")
			child := h.send("gp", "f", freya()).GetChild()
			third := h.send("police", "x", chidi()).GetChild()
			if h.send("school", "p1", freya()).GetChild() != child || h.child(former).GetName() != child {
				t.Fatal("they did not become one")
			}
			home := map[string]*irtv1.ChildRecord{"p1": stranger(1)}
			away := map[string]*irtv1.ChildRecord{"p2": chidi()}
			if firstHome {
				h.inOneBatch(home, away)
			} else {
				h.inOneBatch(away, home)
			}
			if got := h.childOf("agencies/school/childRecords/p2", ""); got != third {
				t.Errorf("the other stands under %s, want %s", got, third)
			}
			h.checkInvariants()
			// What went wrong once went wrong for good: whoever touched the child was refused.
			h.send("school", "p1", with(stranger(1), func(r *irtv1.ChildRecord) { r.MiddleNames = "Ann" }))
			h.checkInvariants()
		})
	}
}

// A record that was withdrawn goes with its child, by whoever moves that, and perhaps
// while it is being submitted again, between the reading of it and that of its child: the
// submission begins again, and does not write a second version of the same number, after
// which nobody could write the record any more.
func TestAWithdrawnRecordMovesWhileItIsSubmitted(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send("school", "p1", jennifer())
	h.send("gp", "p2", jennifer())
	h.withdraw("gp", "p2")
	tx, err := h.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Who is shielded is asked when the records of the child are read.
	if _, err := tx.Exec(t.Context(), `LOCK TABLE child_sharing`); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := h.trySend("gp", "p2", jennifer()); err != nil {
			t.Error(err)
		}
	})
	for since := time.Now(); !h.waits(`relation = 'child_sharing'::regclass`); {
		if time.Since(since) > 10*time.Second {
			t.Fatal("the submission does not come to read its child: the test tests nothing")
		}
	}
	var columns string
	if err := tx.QueryRow(t.Context(), `SELECT string_agg(attname, ', ') FROM pg_attribute
		WHERE attrelid = 'child_records'::regclass AND attnum > 0 AND NOT attisdropped`).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO child_records_history (` + columns + `, known_to) SELECT ` + columns + `, clock_timestamp() FROM child_records WHERE local_id = 'p2'`,
		`UPDATE child_records r SET revision = r.revision + 1, known_from = h.known_to
			FROM child_records_history h WHERE r.local_id = 'p2' AND h.record_id = r.record_id AND h.revision = r.revision`,
	} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	h.checkInvariants()
	h.withdraw("gp", "p2")
	h.checkInvariants()
}

// What came of that before it was seen to is mended when the schema is brought up to date.
func TestStuckRecordsAreMended(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send("school", "p1", jennifer())
	h.send("school", "p1", freya())
	h.exec(`UPDATE child_records SET revision = 1`)
	if _, err := h.trySend("school", "p1", jennifer()); err == nil {
		t.Fatal("the record is not stuck: the test tests nothing")
	}
	mend, err := os.ReadFile("../pg/migrations/00026_stuck_records.sql")
	if err != nil {
		t.Fatal(err)
	}
	h.exec(string(mend))
	h.send("school", "p1", jennifer())
	h.checkInvariants()
}

// inOneBatch submits records of the school, by their local ids, in one batch and in
// this order.
func (h *hub) inOneBatch(sent ...map[string]*irtv1.ChildRecord) {
	h.t.Helper()
	let := h.holdIndex()
	var all sync.WaitGroup
	send := func(local string, r *irtv1.ChildRecord, queued func() bool) {
		all.Go(func() {
			if _, err := h.trySend("school", local, r); err != nil {
				h.t.Error(err)
			}
		})
		for since := time.Now(); !queued() && time.Since(since) < 5*time.Second; {
			runtime.Gosched()
		}
	}
	send("first", stranger(2), func() bool { return h.waits(`locktype = 'advisory'`) })
	n := 0
	for _, one := range sent {
		for local, r := range one {
			n++
			send(local, r, func() bool { return h.Pipelines()[0].Waiting == n })
		}
	}
	let()
	all.Wait()
}

// waits tells whether somebody waits for a lock that a condition selects.
func (h *hub) waits(lock string) bool {
	return h.count(`SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE d.datname = current_database() AND NOT granted AND `+lock) > 0
}

// holdIndex has every write wait until the index is let go.
func (h *hub) holdIndex() (let func()) {
	h.t.Helper()
	tx, err := h.pool.Begin(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := tx.Exec(h.t.Context(), `SELECT pg_advisory_xact_lock(x'495254'::int, -1)`); err != nil {
		h.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(h.t.Context()); err != nil {
			h.t.Error(err)
		}
	}
}
