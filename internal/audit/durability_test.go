package audit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/pg/pgtest"
)

// answer is what a caller of GetChild got.
type answer struct {
	child *irtv1.Child
	err   error
}

// block locks the table of entries until the returned function is called.
func (b *testBundle) block(t *testing.T) (release func()) {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE audit_entries IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := tx.Rollback(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// waiting waits until writers of the access log wait for the lock, and returns
// their processes.
func (b *testBundle) waiting(t *testing.T) []int32 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		rows, err := b.pool.Query(ctx, `SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'audit_entries'::regclass
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if err != nil {
			t.Fatal(err)
		}
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) > 0 {
			return pids
		}
	}
}

func TestNoAnswerLeavesBeforeItsEntryIsDurable(t *testing.T) {
	t.Parallel()
	b := setup(t, &service{get: answers})
	release := b.block(t)
	defer release()
	got := make(chan answer, 1)
	ctx := b.reader(t)
	go func() {
		child, err := b.children.GetChild(ctx, getChild)
		got <- answer{child, err}
	}()
	b.waiting(t)
	select {
	case a := <-got:
		t.Fatalf("answered %v, %v while the entry could not be written", a.child, a.err)
	default:
	}
	release()
	if a := <-got; a.err != nil || a.child.GetName() != "children/abc" {
		t.Errorf("then answered %v, %v", a.child, a.err)
	}
	b.only(t)
}

// The database goes away in the middle of a batch. Who gets an answer has an entry;
// everybody else gets UNAVAILABLE and no part of the answer.
func TestFaultLostDatabaseWithholdsTheAnswers(t *testing.T) {
	t.Parallel()
	const callers = 64
	b := setup(t, &service{get: answers})
	release := b.block(t)
	defer release()
	got := make(chan answer, callers)
	ctx := b.reader(t)
	for range callers {
		go func() {
			child, err := b.children.GetChild(ctx, getChild)
			got <- answer{child, err}
		}()
	}
	for _, pid := range b.waiting(t) {
		if _, err := b.pool.Exec(t.Context(), "SELECT pg_terminate_backend($1)", pid); err != nil {
			t.Fatal(err)
		}
	}
	lost := <-got // of the batch that was under way
	if status.Code(lost.err) != codes.Unavailable || lost.child.GetName() != "" {
		t.Errorf("a caller of the lost batch got %v, %v", lost.child, lost.err)
	}
	release()
	answered := 0
	for range callers - 1 {
		switch a := <-got; {
		case a.err == nil:
			answered++
		case status.Code(a.err) != codes.Unavailable || a.child.GetName() != "":
			t.Errorf("got %v, %v", a.child, a.err)
		}
	}
	if n := len(b.entries(t)); n < answered {
		t.Errorf("%d were answered, %d entries are there", answered, n)
	}
	if _, err := b.children.GetChild(ctx, getChild); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// The log cannot be written at all: refusals too are held back, and say why.
func TestAnAuditFailureWithholdsEverything(t *testing.T) {
	t.Parallel()
	b := setup(t, &service{get: answers})
	if _, err := b.pool.Exec(t.Context(), "ALTER TABLE audit_entries ADD CHECK (agency_id <> 'st-marys')"); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{b.reader(t), b.as(t, irtv1.Role_ROLE_AUDITOR)} {
		child, err := b.children.GetChild(ctx, getChild)
		if status.Code(err) != codes.Unavailable || child.GetName() != "" {
			t.Errorf("got %v, %v", child, err)
		}
	}
	s, err := b.children.SubmitChildRecords(b.as(t, irtv1.Role_ROLE_AUDITOR))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a stream: %v", err)
	}
}

// Once an entry of a stream is lost, nothing more leaves, whatever its handler does.
func TestAnAuditFailureEndsAStream(t *testing.T) {
	t.Parallel()
	b := setup(t, &service{stream: func(s recordStream) error {
		for i := range 3 {
			audit.FromContext(s.Context()).AddReturned(fmt.Sprint(i))
			_ = s.Send(&irtv1.SubmitChildRecordsResponse{})
		}
		return nil
	}})
	if _, err := b.pool.Exec(t.Context(), "ALTER TABLE audit_entries ADD CHECK (returned <> '{1}')"); err != nil {
		t.Fatal(err)
	}
	s, err := b.children.SubmitChildRecords(b.as(t, irtv1.Role_ROLE_AGENCY_SYSTEM))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the second answer: %v, %v", m, err)
	}
}

func TestManyCallersHaveAnEntryEach(t *testing.T) {
	t.Parallel()
	const callers, calls = 64, 8
	b := setup(t, &service{get: answers})
	ctx := b.reader(t)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				if _, err := b.children.GetChild(ctx, getChild); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(b.entries(t)); n != callers*calls {
		t.Errorf("%d calls made %d entries", callers*calls, n)
	}
}

// An entry that the database refuses does not take its neighbours down with it.
func TestABadEntryFailsAlone(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	if _, err := pool.Exec(t.Context(), "ALTER TABLE audit_entries ADD CHECK (method <> 'bad')"); err != nil {
		t.Fatal(err)
	}
	w := audit.NewWriter(pool)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			method := "good"
			if i%10 == 0 {
				method = "bad"
			}
			if err := w.Write(t.Context(), audit.New(t.Context(), method)); (err != nil) != (method == "bad") {
				t.Errorf("%s: %v", method, err)
			}
		})
	}
	wg.Wait()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), audit.New(t.Context(), "late")); err == nil {
		t.Error("a closed writer wrote")
	}
}
