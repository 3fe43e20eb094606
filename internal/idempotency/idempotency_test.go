package idempotency_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/idempotency"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

const (
	submit = irtv1.ChildService_SubmitChildRecord_FullMethodName
	search = irtv1.ChildService_SearchChildren_FullMethodName
	key    = "0c5f0a3e-7a57-4a0e-9d4b-1f7a39f3a0b1"
)

// hubs are two processes on one database, and how often what they do was done.
type hubs struct {
	t       *testing.T
	pool    *pgxpool.Pool
	keepers [2]*idempotency.Keeper
	done    atomic.Int32
	fails   error         // what doing it gives
	hold    chan struct{} // what it waits for
}

func newHubs(t *testing.T) *hubs {
	t.Helper()
	h := &hubs{t: t, pool: pgtest.New(t)}
	for i := range h.keepers {
		h.keepers[i] = idempotency.New(h.pool, func(err error) { t.Error(err) })
		t.Cleanup(h.keepers[i].Close)
	}
	return h
}

func record(given string) *irtv1.SubmitChildRecordRequest {
	return &irtv1.SubmitChildRecordRequest{ChildRecord: &irtv1.ChildRecord{Name: "agencies/a/childRecords/1", GivenName: given}}
}

// call calls a method at one of the processes.
func (h *hubs) call(process int, agency, method, key string, req proto.Message) (*irtv1.SubmitChildRecordResponse, error) {
	h.t.Helper()
	ctx := identity.NewContext(h.t.Context(), identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
	if key != "" {
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(idempotency.Header, key))
	}
	resp, err := h.keepers[process].Unary(ctx, req, &grpc.UnaryServerInfo{FullMethod: method}, func(_ context.Context, req any) (any, error) {
		if h.hold != nil {
			<-h.hold
		}
		n := h.done.Add(1)
		if h.fails != nil {
			return nil, h.fails
		}
		out := &irtv1.SubmitChildRecordResponse{Outcome: irtv1.SubmitOutcome(n)}
		if r, ok := req.(*irtv1.SubmitChildRecordRequest); ok {
			out.ChildRecord = proto.CloneOf(r.GetChildRecord())
			r.ChildRecord.GivenName = strings.ToUpper(r.GetChildRecord().GetGivenName()) // handlers normalise
		}
		return out, nil
	})
	answer, _ := resp.(*irtv1.SubmitChildRecordResponse)
	return answer, err
}

func (h *hubs) wantDone(what string, want int32) {
	h.t.Helper()
	if got := h.done.Load(); got != want {
		h.t.Errorf("%s: done %d times, want %d", what, got, want)
	}
}

func reason(err error) string {
	for _, d := range status.Convert(rpc.Edge(err)).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func TestACallThatIsSentAgainIsAnsweredAndNotDone(t *testing.T) {
	t.Parallel()
	h := newHubs(t)
	first, err := h.call(0, "a", submit, key, record("Amy"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.call(1, "a", submit, key, record("Amy")) // at another process
	if err != nil || !proto.Equal(first, again) {
		t.Errorf("answered %v, then %v, %v", first, again, err)
	}
	h.wantDone("the same", 1)

	_, err = h.call(1, "a", submit, key, record("Ben"))
	if status.Code(err) != codes.InvalidArgument || reason(err) != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("another request: %v", err)
	}
	for what, do := range map[string]func() error{
		"another agency": func() error { _, err := h.call(0, "b", submit, key, record("Ben")); return err },
		"another method": func() error {
			_, err := h.call(0, "a", irtv1.AgencyService_UpdateAgency_FullMethodName, key, record("Ben"))
			return err
		},
		"no key":        func() error { _, err := h.call(0, "a", submit, "", record("Amy")); return err },
		"a read":        func() error { _, err := h.call(0, "a", search, key, &irtv1.SearchChildrenRequest{}); return err },
		"another key":   func() error { _, err := h.call(0, "a", submit, key+"2", record("Amy")); return err },
		"a read, again": func() error { _, err := h.call(0, "a", search, key, &irtv1.SearchChildrenRequest{}); return err },
	} {
		before := h.done.Load()
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		h.wantDone(what, before+1)
	}
	for _, bad := range []string{"short", "with a space in it", strings.Repeat("x", 200), "sixteen letters\x01"} {
		if _, err := h.call(0, "a", submit, bad, record("Amy")); status.Code(err) != codes.InvalidArgument {
			t.Errorf("the key %q: %v", bad, err)
		}
	}
}

func TestCallsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	h := newHubs(t)
	h.hold = make(chan struct{})
	var all sync.WaitGroup
	answers := make(chan error, 8)
	for i := range 8 {
		all.Go(func() {
			_, err := h.call(i%2, "a", submit, key, record("Amy"))
			answers <- err
		})
	}
	h.hold <- struct{}{} // one of them is there; the others wait for its answer
	close(h.hold)
	all.Wait()
	close(answers)
	for err := range answers {
		if err != nil {
			t.Errorf("answered %v", err)
		}
	}
	h.wantDone("eight at once", 1)
}

func TestACallThatFailsCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHubs(t)
	h.fails = rpc.Overloaded()
	if _, err := h.call(0, "a", submit, key, record("Amy")); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
	h.fails = nil
	if _, err := h.call(1, "a", submit, key, record("Amy")); err != nil {
		t.Error(err)
	}
	h.wantDone("failed, then not", 2)
}

func TestWhatIsKeptSaysNothingAndIsForgotten(t *testing.T) {
	t.Parallel()
	h := newHubs(t)
	if _, err := h.call(0, "a", submit, key, record("Rosalind")); err != nil {
		t.Fatal(err)
	}
	var kept string
	if err := h.pool.QueryRow(t.Context(), `SELECT encode(answer, 'escape') || encode(call_hash, 'escape') ||
		encode(request_hash, 'escape') FROM idempotent_calls`).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"Rosalind", "childRecords", key} {
		if strings.Contains(kept, secret) {
			t.Errorf("what is kept holds %q", secret)
		}
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE idempotent_calls SET expire_time = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.call(1, "a", submit, key, record("Ben")); err != nil {
		t.Errorf("the key after a day: %v", err)
	}
	h.wantDone("after a day", 2)
	if _, err := h.pool.Exec(t.Context(), `UPDATE idempotent_calls SET expire_time = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := errors.Join(h.keepers[0].Forget(t.Context()),
		h.pool.QueryRow(t.Context(), `SELECT count(*) FROM idempotent_calls`).Scan(&n)); err != nil || n != 0 {
		t.Errorf("%d answers are kept after their time, %v", n, err)
	}
}

// A process that died in the middle of a call leaves its key: after the time that
// any call may take, the call can be done by another.
func TestACallThatWasLeftIsDone(t *testing.T) {
	t.Parallel()
	h := newHubs(t)
	if _, err := h.call(0, "a", submit, key, record("Amy")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE idempotent_calls SET answer = NULL`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.call(1, "a", submit, key, record("Amy")); status.Code(err) != codes.Aborted || reason(err) != "IDEMPOTENCY_IN_PROGRESS" {
		t.Errorf("while it may be under way: %v", err)
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE idempotent_calls SET lease_until = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.call(1, "a", submit, key, record("Amy")); err != nil {
		t.Error(err)
	}
	h.wantDone("left, and done again", 2)
}

func TestMethodsThatHeedTheKey(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{
		submit: true, irtv1.InvolvementService_SetLeadProfessional_FullMethodName: true,
		irtv1.AgencyService_CreateAgency_FullMethodName: true, irtv1.ImportService_CancelImport_FullMethodName: true,
		search: false, irtv1.ChildService_GetChild_FullMethodName: false, irtv1.MatchService_MatchChild_FullMethodName: false,
		irtv1.ChildService_SubmitChildRecords_FullMethodName: false, irtv1.StandardService_ValidateRecord_FullMethodName: false,
	} {
		if got := idempotency.Honoured(method); got != want {
			t.Errorf("%s: %v", method, got)
		}
	}
}
