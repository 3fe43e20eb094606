package limits_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/limits"
	"irthub/internal/pg/pgtest"
)

var (
	getChild = &grpc.UnaryServerInfo{FullMethod: irtv1.ChildService_GetChild_FullMethodName}
	search   = &grpc.UnaryServerInfo{FullMethod: irtv1.ChildService_SearchChildren_FullMethodName}
	submit   = &grpc.UnaryServerInfo{FullMethod: irtv1.ChildService_SubmitChildRecord_FullMethodName}
)

func newLimiter(t testing.TB, pool *pgxpool.Pool, practitioner limits.Limit) *limits.Limiter {
	t.Helper()
	l, err := limits.New(context.Background(), pool, map[irtv1.Role]limits.Limit{irtv1.Role_ROLE_PRACTITIONER: practitioner}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

var nurse = identity.Caller{Agency: "clinic", Practitioner: "nurse", Role: irtv1.Role_ROLE_PRACTITIONER, Purpose: irtv1.Purpose_PURPOSE_DIRECT_CARE}

// call is a call that is about children, as the hub's interceptors hand it on.
func call(ctx context.Context, l *limits.Limiter, c identity.Caller, info *grpc.UnaryServerInfo, children ...uuid.UUID) error {
	ctx = identity.NewContext(ctx, c)
	ctx = audit.NewContext(ctx, audit.New(ctx, info.FullMethod))
	_, err := l.Unary(ctx, nil, info, func(ctx context.Context, _ any) (any, error) {
		audit.FromContext(ctx).AddChild(children...)
		return "an answer", nil
	})
	return err
}

func wantOver(t *testing.T, what string, err error) {
	t.Helper()
	st := status.Convert(err)
	reason, delay := "", time.Duration(0)
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.RetryInfo:
			delay = d.GetRetryDelay().AsDuration()
		}
	}
	if st.Code() != codes.ResourceExhausted || reason != "ACCESS_LIMIT_EXCEEDED" || delay < time.Second || delay > time.Hour {
		t.Errorf("%s: %v, reason %q, retry after %v", what, err, reason, delay)
	}
}

func ids(n int) []uuid.UUID {
	all := make([]uuid.UUID, n)
	for i := range all {
		all[i] = uuid.Must(uuid.NewV7())
	}
	return all
}

func TestDifferentChildrenAreCounted(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	l := newLimiter(t, pool, limits.Limit{Children: 3, Searches: 1000})
	ctx, all := t.Context(), ids(9)
	for range 5 { // the same again costs nothing
		for _, id := range all[:3] {
			if err := call(ctx, l, nurse, getChild, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantOver(t, "a fourth", call(ctx, l, nurse, getChild, all[3]))
	wantOver(t, "a list with a fourth in it", call(ctx, l, nurse, getChild, all[0], all[3]))
	if err := call(ctx, l, nurse, getChild, all[:3]...); err != nil {
		t.Errorf("those that were paid for: %v", err)
	}
	if err := call(ctx, l, nurse, submit, all[4:]...); err != nil {
		t.Errorf("a write, which discloses nothing: %v", err)
	}
	other := nurse
	other.Practitioner = "another"
	if err := call(ctx, l, other, getChild, all[5]); err != nil {
		t.Errorf("a colleague: %v", err)
	}
	emergency := nurse
	emergency.Purpose = irtv1.Purpose_PURPOSE_EMERGENCY
	if err := call(ctx, l, emergency, getChild, all[6]); err != nil {
		t.Errorf("an emergency: %v", err)
	}
	var events int
	var agency, resource string
	if err := pool.QueryRow(ctx, `SELECT count(*), min(agency_id), min(resource) FROM event_outbox WHERE kind = 40 AND audience = 2`).
		Scan(&events, &agency, &resource); err != nil || events != 1 || agency != "clinic" || resource != "agencies/clinic/practitioners/nurse" {
		t.Errorf("%d alerts of %s, %s: %v", events, agency, resource, err)
	}
}

func TestSearchesAreCounted(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, pgtest.New(t), limits.Limit{Children: 1000, Searches: 2})
	for range 2 {
		if err := call(t.Context(), l, nurse, search); err != nil {
			t.Fatal(err)
		}
	}
	wantOver(t, "a third search", call(t.Context(), l, nurse, search))
	if err := call(t.Context(), l, nurse, getChild, ids(1)...); err != nil {
		t.Errorf("a read: %v", err)
	}
}

// An agency's system that asks for its practitioners draws on theirs and on its own.
func TestASystemDrawsOnItsPractitionersToo(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, pgtest.New(t), limits.Limit{Children: 1, Searches: 1000})
	system := identity.Caller{Agency: "clinic", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, OnBehalfOf: "agencies/clinic/practitioners/nurse"}
	all := ids(4)
	if err := call(t.Context(), l, system, getChild, all[0]); err != nil {
		t.Fatal(err)
	}
	wantOver(t, "the practitioner through the system", call(t.Context(), l, system, getChild, all[1]))
	wantOver(t, "the practitioner herself", call(t.Context(), l, nurse, getChild, all[2]))
	system.OnBehalfOf = ""
	if err := call(t.Context(), l, system, getChild, all[3]); err != nil {
		t.Errorf("the system by itself: %v", err)
	}
}

// Two processes and many callers at once never let through more than the allowance,
// and what one of them holds in hand is there for the other when it stops.
func TestProcessesShareAnAllowance(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	const allowed = 200
	one, two := newLimiter(t, pool, limits.Limit{Children: allowed, Searches: 1}), newLimiter(t, pool, limits.Limit{Children: allowed, Searches: 1})
	start := time.Now()
	var answered atomic.Int64
	var wait sync.WaitGroup
	for i := range 32 {
		l := []*limits.Limiter{one, two}[i%2]
		wait.Go(func() {
			for range 12 {
				if call(t.Context(), l, nurse, getChild, uuid.New()) == nil {
					answered.Add(1)
				}
			}
		})
	}
	wait.Wait()
	grown := int64(time.Since(start).Seconds()/3600*allowed) + 1
	if n := answered.Load(); n > allowed+grown || n < allowed*8/10 {
		t.Errorf("%d reads were let through, want about %d and no more", n, allowed)
	}
	two.Close(t.Context())
	for call(t.Context(), one, nurse, getChild, uuid.New()) == nil {
		answered.Add(1)
	}
	if n := answered.Load(); n > allowed+grown+1 {
		t.Errorf("%d reads after the other process gave back what it held", n)
	}
}

// An allowance grows again with time.
func TestAnAllowanceGrows(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	l := newLimiter(t, pool, limits.Limit{Children: 60, Searches: 1000})
	n := 0
	for call(t.Context(), l, nurse, getChild, uuid.New()) == nil {
		n++
	}
	if n < 60 || n > 61 {
		t.Errorf("%d children at first", n)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE access_allowances SET update_time = update_time - interval '10 minutes'`); err != nil {
		t.Fatal(err)
	}
	again := newLimiter(t, pool, limits.Limit{Children: 60, Searches: 1000}) // which remembers no refusal
	for n = 0; call(t.Context(), again, nurse, getChild, uuid.New()) == nil; n++ {
	}
	if n < 10 || n > 11 {
		t.Errorf("%d children ten minutes later, want a sixth", n)
	}
}

func TestLimitsOfTheCommandLine(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"practitioner=300/100": true, "agency-system=1/1": true,
		"practitioner": false, "practitioner=300": false, "nurse=1/1": false, "practitioner=0/1": false, "practitioner=1/x": false, "practitioner=-1/1": false, "": false,
	} {
		if _, _, err := limits.ParseLimit(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	l := newLimiter(b, pgtest.New(b), limits.Limit{Children: 9_000_000, Searches: 9_000_000})
	all := ids(10_000)
	ctx := identity.NewContext(b.Context(), nurse)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		ctx := audit.NewContext(ctx, audit.New(ctx, getChild.FullMethod))
		id := all[i%len(all)]
		i++
		if _, err := l.Unary(ctx, nil, getChild, func(ctx context.Context, _ any) (any, error) {
			audit.FromContext(ctx).AddChild(id)
			return nil, nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}
