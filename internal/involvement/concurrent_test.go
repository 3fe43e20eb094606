package involvement_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
)

// sane is what must hold of every database: one present row an involvement,
// revisions without a gap, known periods that follow on each other, one lead
// professional a day.
func (h *hub) sane() {
	h.t.Helper()
	for what, sql := range map[string]string{
		"involvements with several present rows": `SELECT count(*) FROM (SELECT 1 FROM involvements GROUP BY involvement_id HAVING count(*) > 1) x`,
		"gaps in revisions or known times": `
			SELECT count(*) FROM (
				SELECT revision, known_from,
					lag(revision) OVER w AS before, lag(known_to) OVER w AS known_before
				FROM (SELECT involvement_id, revision, known_from, known_to FROM involvements_history
					UNION ALL SELECT involvement_id, revision, known_from, NULL FROM involvements) v
				WINDOW w AS (PARTITION BY involvement_id ORDER BY revision)) v
			WHERE revision <> coalesce(before, 0) + 1 OR known_from <> coalesce(known_before, known_from)`,
		"empty known periods": `SELECT (SELECT count(*) FROM involvements_history WHERE known_to <= known_from)
			+ (SELECT count(*) FROM lead_professionals_history WHERE known_to <= known_from)`,
		"overlapping lead professionals": `
			SELECT count(*) FROM lead_professionals a JOIN lead_professionals b ON a.child_id = b.child_id AND a.start_date < b.start_date
			WHERE coalesce(a.end_date, 'infinity') >= b.start_date`,
	} {
		if n := h.count(sql); n != 0 {
			h.t.Errorf("%d %s", n, what)
		}
	}
}

func TestConcurrentSubmissionsOfOneInvolvementMakeOne(t *testing.T) {
	t.Parallel()
	one := newHub(t)
	two := onPool(t, one.pool)
	children := []uuid.UUID{one.child(), one.child(), one.child()}
	var wg sync.WaitGroup
	for n := range 64 {
		h := []*hub{one, two}[n%2]
		i := inv("school", "i1", children[n%3]) // new, under different children at once
		i.EndDate = fmt.Sprintf("2026-06-%02d", 1+n%7)
		wg.Go(func() {
			if _, err := h.SubmitInvolvement(as(t, "school"), &irtv1.SubmitInvolvementRequest{Involvement: i}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := one.count(`SELECT count(*) FROM involvements`); n != 1 {
		t.Errorf("%d rows, want one", n)
	}
	if n := one.count(`SELECT count(*) FROM audit_entries`); n != 64 {
		t.Errorf("%d accesses recorded, want 64", n)
	}
	one.sane()
}

// Two processes that submit one new involvement under two children at the same
// moment share no row to lock.
func TestConcurrentFirstSubmissionsMakeOne(t *testing.T) {
	t.Parallel()
	one := newHub(t)
	two := onPool(t, one.pool)
	children := []uuid.UUID{one.child(), one.child()}
	const pairs = 40
	for n := range pairs {
		var pair sync.WaitGroup
		for m, h := range []*hub{one, two} {
			pair.Go(func() {
				i := inv("school", fmt.Sprint("i", n), children[m])
				if _, err := h.SubmitInvolvement(as(t, "school"), &irtv1.SubmitInvolvementRequest{Involvement: i}); err != nil {
					t.Error(err)
				}
			})
		}
		pair.Wait()
	}
	if n := one.count(`SELECT count(*) FROM involvements`); n != pairs {
		t.Errorf("%d rows, want %d", n, pairs)
	}
	one.sane()
}

func TestManyWritersOnOneChild(t *testing.T) {
	t.Parallel()
	one := newHub(t)
	two := onPool(t, one.pool)
	child := one.child()
	var wg sync.WaitGroup
	for n := range 48 {
		h := []*hub{one, two}[n%2]
		wg.Go(func() {
			i := inv("school", fmt.Sprintf("i%d", n), child)
			i.Practitioner = "agencies/school/practitioners/t1"
			name := i.GetName()
			for _, step := range []func() error{
				func() error {
					_, err := h.SubmitInvolvement(as(t, "school"), &irtv1.SubmitInvolvementRequest{Involvement: i})
					return err
				},
				func() error {
					_, err := h.SetLeadProfessional(as(t, "school"), &irtv1.SetLeadProfessionalRequest{Child: childName(child), Involvement: name})
					return err
				},
				func() error {
					_, err := h.EndInvolvement(as(t, "school"), &irtv1.EndInvolvementRequest{Name: name, EndDate: day(n % 3)})
					return err
				},
			} {
				if err := step(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := one.count(`SELECT count(*) FROM involvements WHERE end_date IS NOT NULL`); n != 48 {
		t.Errorf("%d ended involvements, want 48", n)
	}
	one.sane()
}

// Two children's pipelines, of which one links records anew while the other
// submits involvements on them: nothing is lost, and everything is where its
// record is.
func TestInvolvementsFollowRecordsThatMove(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a, b := h.child(), h.child()
	for n := range 16 {
		h.record("school", fmt.Sprint("r", n), a)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range 16 {
			h.relink(fmt.Sprint("r", n), a, b)
		}
	})
	for n := range 16 {
		wg.Go(func() {
			for m := range 4 {
				i := inv("school", fmt.Sprint("i", n), uuid.Nil)
				i.ChildRecord = fmt.Sprint("agencies/school/childRecords/r", n)
				i.EndDate = day(m)
				if _, err := h.SubmitInvolvement(as(t, "school"), &irtv1.SubmitInvolvementRequest{Involvement: i}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := h.count(`SELECT count(*) FROM involvements i JOIN child_records r USING (record_id) WHERE i.child_id = r.child_id`); n != 16 {
		t.Errorf("%d involvements lie with their record's child, want 16", n)
	}
	h.sane()
}

// A record that is linked anew while a submission waits for its child's lock
// takes the submission along.
func TestSubmissionGoesWhereItsRecordHasGone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a, b := h.child(), h.child()
	h.record("school", "r", a)
	i := inv("school", "i1", uuid.Nil)
	i.ChildRecord = "agencies/school/childRecords/r"
	h.submit(i)
	h.submit(inv("school", "attached", a))
	var wg sync.WaitGroup
	h.relinkWhile("r", a, b, func() {
		wg.Go(func() {
			i.EndDate = "2026-06-30"
			if got, err := h.trySubmit(i); err != nil || got.GetChild() != childName(b) {
				t.Errorf("is with %s, %v; want %s", got.GetChild(), err, childName(b))
			}
		})
		eventually(t, func() bool { return h.count(waiting) > 0 })
	})
	wg.Wait()
	if got := locals(h.list(as(t, "gp"), &irtv1.ListInvolvementsRequest{Parent: childName(b), IncludeEnded: true})); got != "attached i1" && got != "i1 attached" {
		t.Errorf("with the new child: %q", got)
	}
	h.sane()
}

// waiting counts the connections that wait for a lock.
const waiting = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`

// relink moves a record and its involvements, as the children's pipeline does.
func (h *hub) relink(record string, from, to uuid.UUID) {
	h.relinkWhile(record, from, to, func() {})
}

// relinkWhile does meanwhile before it commits.
func (h *hub) relinkWhile(record string, from, to uuid.UUID, meanwhile func()) {
	tx, err := h.pool.Begin(h.t.Context())
	if err != nil {
		h.t.Error(err)
		return
	}
	defer tx.Rollback(context.WithoutCancel(h.t.Context()))
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{`SELECT 1 FROM children WHERE child_id IN ($1, $2) ORDER BY child_id FOR UPDATE`, []any{from, to}},
		{`UPDATE child_records SET child_id = $1 WHERE local_id = $2`, []any{to, record}},
		{`WITH gone AS (DELETE FROM involvements WHERE child_id = $1 AND record_local_id = $3 RETURNING *),
			kept AS (INSERT INTO involvements_history SELECT gone.*, now() + interval '1 second' FROM gone)
		INSERT INTO involvements SELECT $2::uuid, involvement_id, agency_id, local_id, record_id, record_local_id, role, practitioner_id,
			start_date, end_date, sensitive, sensitive_basis, create_time, now() + interval '1 second', revision + 1 FROM gone`, []any{from, to, record}},
	} {
		if _, err := tx.Exec(h.t.Context(), step.sql, step.args...); err != nil {
			h.t.Error(err)
			return
		}
	}
	meanwhile()
	if err := tx.Commit(h.t.Context()); err != nil {
		h.t.Error(err)
	}
}

// A transaction that locks children in another order makes a deadlock; whichever
// is ended by it, the submission goes through.
func TestSubmissionSurvivesDeadlock(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	one, two := h.child(), h.child() // ids grow, so one is locked before two
	h.submit(inv("school", "i1", one))
	blocked, released := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(released)
		tx, err := h.pool.Begin(context.WithoutCancel(h.t.Context()))
		if err != nil {
			t.Error(err)
			return
		}
		defer tx.Rollback(context.WithoutCancel(h.t.Context()))
		if _, err := tx.Exec(h.t.Context(), `SELECT 1 FROM children WHERE child_id = $1 FOR UPDATE`, two); err != nil {
			t.Error(err)
			return
		}
		close(blocked)
		eventually(t, func() bool { return h.count(waiting) > 0 }) // the submission holds one and waits for two
		_, _ = tx.Exec(h.t.Context(), `SELECT 1 FROM children WHERE child_id = $1 FOR UPDATE`, one)
	}()
	<-blocked
	if got := h.submit(inv("school", "i1", two)); got.GetChild() != childName(two) {
		t.Errorf("moved to %v", got)
	}
	<-released
	h.sane()
}

// eventually waits far longer than anything here takes, so that a busy machine
// does not fail it.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); {
		if time.Now().After(deadline) {
			t.Error("it never came to be")
			return
		}
	}
}

// A submission that fails in the database fails alone.
func TestOneBadSubmissionDoesNotFailItsNeighbours(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	// What no rule of the standard refuses and the database does: a trigger stands
	// in for a fault that nobody foresaw.
	h.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN IF NEW.local_id = 'bad' THEN RAISE 'refused'; END IF; RETURN NEW; END $$`)
	h.exec(`CREATE TRIGGER refuse BEFORE INSERT ON involvements FOR EACH ROW EXECUTE FUNCTION refuse()`)
	var wg sync.WaitGroup
	for n := range 32 {
		wg.Go(func() {
			id := fmt.Sprint("i", n)
			if n == 7 {
				id = "bad"
			}
			_, err := h.SubmitInvolvement(as(t, "school"), &irtv1.SubmitInvolvementRequest{Involvement: inv("school", id, child)})
			if (err != nil) != (id == "bad") {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	wg.Wait()
	if n := h.count(`SELECT count(*) FROM involvements`); n != 31 {
		t.Errorf("%d rows, want 31", n)
	}
	h.sane()
}
