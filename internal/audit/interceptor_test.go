package audit_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

var getChild = &irtv1.GetChildRequest{Name: "children/abc"}

func answers(context.Context, *irtv1.GetChildRequest) (*irtv1.Child, error) {
	return &irtv1.Child{Name: "children/abc"}, nil
}

func TestAnEntryHoldsTheWholeAccess(t *testing.T) {
	t.Parallel()
	one, two := uuid.New(), uuid.New()
	odd := []string{`agencies/a"b\c,{d}/childRecords/1`, "", "NULL", "new\nline"}
	b := setup(t, &service{get: func(ctx context.Context, _ *irtv1.GetChildRequest) (*irtv1.Child, error) {
		e := audit.FromContext(ctx)
		e.AddChild(one)
		e.AddChild(two, one)
		e.AddReturned(odd...)
		e.AddWithheld("SENSITIVE_BROKERED", "SENSITIVE_BROKERED")
		return &irtv1.Child{}, nil
	}})
	ctx := b.as(t, irtv1.Role_ROLE_MEDIATOR, "irt-purpose", "EMERGENCY", "irt-reason", `"Missing" since noon`,
		"irt-on-behalf-of", "agencies/other/practitioners/p-2")
	var header metadata.MD
	before := time.Now().Add(-time.Second)
	if _, err := b.children.GetChild(ctx, getChild, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	got := b.only(t)
	if got.EntryTime.Before(before) || time.Since(got.EntryTime) < 0 || got.EntryID.Version() != 7 {
		t.Errorf("the entry is of %v, with a UUID of version %d", got.EntryTime, got.EntryID.Version())
	}
	if q := got.query(t); len(q) != 1 || q["name"] != "children/abc" {
		t.Errorf("the query is %v", q)
	}
	if !slices.Equal(got.Children, []string{one.String(), two.String()}) || !slices.Equal(got.Returned, odd) ||
		!slices.Equal(got.Withheld, []string{"SENSITIVE_BROKERED"}) {
		t.Errorf("children %q, returned %q, withheld %q", got.Children, got.Returned, got.Withheld)
	}
	got.EntryID, got.EntryTime, got.Query, got.Children, got.Returned, got.Withheld = uuid.Nil, time.Time{}, "", nil, nil, nil
	want := row{
		AgencyID: "st-marys", PractitionerID: "p-1", Role: "mediator", OnBehalfOf: "agencies/other/practitioners/p-2",
		Purpose: "EMERGENCY", Reason: `"Missing" since noon`, Method: "/irt.v1.ChildService/GetChild",
		Decision: "ALLOWED", ClientAddress: "127.0.0.1", RequestID: header.Get(rpc.RequestIDKey)[0],
	}
	if !equal(got, want) {
		t.Errorf("the entry is\n%+v, want\n%+v", got, want)
	}
}

func equal(a, b row) bool {
	return a.AgencyID == b.AgencyID && a.PractitionerID == b.PractitionerID && a.Role == b.Role && a.OnBehalfOf == b.OnBehalfOf &&
		a.Purpose == b.Purpose && a.Reason == b.Reason && a.Method == b.Method && a.Decision == b.Decision &&
		a.StatusCode == b.StatusCode && a.ClientAddress == b.ClientAddress && a.RequestID == b.RequestID
}

// Refused and failed calls of a known caller are accesses too.
func TestRefusedAndFailedCallsAreEntries(t *testing.T) {
	t.Parallel()
	failing := func(f func() error) func(context.Context, *irtv1.GetChildRequest) (*irtv1.Child, error) {
		return func(ctx context.Context, _ *irtv1.GetChildRequest) (*irtv1.Child, error) {
			audit.FromContext(ctx).AddReturned("children/abc")
			return nil, f()
		}
	}
	for name, c := range map[string]struct {
		role     irtv1.Role
		purpose  string
		request  *irtv1.GetChildRequest
		handler  func(context.Context, *irtv1.GetChildRequest) (*irtv1.Child, error)
		code     codes.Code
		decision string
	}{
		"not that role":      {irtv1.Role_ROLE_AUDITOR, "AUDIT", getChild, nil, codes.PermissionDenied, "DENIED"},
		"no purpose":         {irtv1.Role_ROLE_PRACTITIONER, "", getChild, nil, codes.InvalidArgument, "FAILED"},
		"an unknown purpose": {irtv1.Role_ROLE_PRACTITIONER, "CURIOSITY", getChild, nil, codes.InvalidArgument, "FAILED"},
		"invalid":            {irtv1.Role_ROLE_PRACTITIONER, "AUDIT", &irtv1.GetChildRequest{}, nil, codes.InvalidArgument, "FAILED"},
		"denied by policy":   {irtv1.Role_ROLE_PRACTITIONER, "AUDIT", getChild, failing(rpc.Denied), codes.PermissionDenied, "DENIED"},
		"not found": {
			irtv1.Role_ROLE_PRACTITIONER, "AUDIT", getChild,
			failing(func() error { return rpc.NotFound("child") }), codes.NotFound, "FAILED",
		},
		"a fault": {irtv1.Role_ROLE_PRACTITIONER, "AUDIT", getChild, failing(func() error { return errors.New("x") }), codes.Internal, "FAILED"},
		"a panic": {irtv1.Role_ROLE_PRACTITIONER, "AUDIT", getChild, failing(func() error { panic("x") }), codes.Internal, "FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, &service{get: c.handler})
			_, err := b.children.GetChild(b.as(t, c.role, "irt-purpose", c.purpose), c.request)
			if status.Code(err) != c.code {
				t.Fatalf("answered %v, want %v", err, c.code)
			}
			got := b.only(t)
			if got.Decision != c.decision || got.StatusCode != int(c.code) || got.AgencyID != "st-marys" || got.Method != "/irt.v1.ChildService/GetChild" {
				t.Errorf("the entry is %+v", got)
			}
			if c.handler != nil && !slices.Equal(got.Returned, []string{"children/abc"}) {
				t.Errorf("returned %q", got.Returned)
			}
		})
	}
}

func TestCallsOfPublicMethodsAreNot(t *testing.T) {
	t.Parallel()
	b := setup(t, &service{get: answers})
	if _, err := irtv1.NewStandardServiceClient(b.conn).GetStandard(b.reader(t), &irtv1.GetStandardRequest{}); err != nil {
		t.Errorf("a public method: %v", err)
	}
	if _, err := healthpb.NewHealthClient(b.conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health: %v", err)
	}
	if all := b.entries(t); len(all) > 0 {
		t.Errorf("entries: %+v", all)
	}
}

// The content of a record is personal data that the tables hold already.
func TestAWriteIsRecordedWithoutItsContent(t *testing.T) {
	t.Parallel()
	b := setup(t, &service{submit: func(context.Context, *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
		return &irtv1.SubmitChildRecordResponse{}, nil
	}})
	_, err := b.children.SubmitChildRecord(b.as(t, irtv1.Role_ROLE_AGENCY_SYSTEM), &irtv1.SubmitChildRecordRequest{
		Strict: true, ChildRecord: &irtv1.ChildRecord{Name: "agencies/st-marys/childRecords/1", GivenName: "Aoife"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := b.only(t)
	if strings.Contains(got.Query, "Aoife") || !strings.Contains(got.Query, "agencies/st-marys/childRecords/1") || got.query(t)["strict"] != true {
		t.Errorf("the query is %s", got.Query)
	}
}

// A search is recorded as it was asked, whatever was asked.
func TestSearchesAreRecordedAsTheyWereAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request *irtv1.SearchChildrenRequest
		key     string
		want    string
	}{
		"criteria":      {&irtv1.SearchChildrenRequest{FamilyName: "O'Neill"}, "familyName", "O'Neill"},
		"a NUL":         {&irtv1.SearchChildrenRequest{FamilyName: `a\u0000` + "\x00b"}, "familyName", `a\u0000` + "\ufffdb"},
		"much too long": {&irtv1.SearchChildrenRequest{FamilyName: strings.Repeat("a", 20_000)}, "omitted", "20004 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, &service{})
			_, err := b.children.SearchChildren(b.reader(t), c.request)
			if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument {
				t.Fatal(err)
			}
			if got := b.only(t).query(t)[c.key]; got != c.want {
				t.Errorf("%s is %q, want %q", c.key, got, c.want)
			}
		})
	}
}

// A write pipeline stores the entry in the transaction of the write; then there is
// one, and if the call fails afterwards another says so.
func TestAWriteStoresItsOwnEntry(t *testing.T) {
	t.Parallel()
	var after error
	var b *testBundle
	b = setup(t, &service{submit: func(ctx context.Context, _ *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
		e := audit.FromContext(ctx)
		e.AddChild(uuid.New())
		if err := pg.InTx(ctx, b.pool, func(tx pgx.Tx) error { return audit.Insert(ctx, tx, []*audit.Entry{e}) }); err != nil {
			return nil, err
		}
		e.Recorded()
		return &irtv1.SubmitChildRecordResponse{}, after
	}})
	ctx := b.as(t, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if _, err := b.children.SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := b.only(t); got.Decision != "ALLOWED" || len(got.Children) != 1 {
		t.Errorf("the entry is %+v", got)
	}
	after = errors.New("lost")
	if _, err := b.children.SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{}); status.Code(err) != codes.Internal {
		t.Fatal(err)
	}
	var decisions []string
	for _, e := range b.entries(t) {
		decisions = append(decisions, e.Decision)
	}
	if !slices.Equal(decisions, []string{"ALLOWED", "ALLOWED", "FAILED"}) {
		t.Errorf("the entries are %v", decisions)
	}
}

// What a rolled-back write recorded is gone with it, and the interceptor records
// the failure.
func TestARolledBackWriteLeavesTheFailureOnly(t *testing.T) {
	t.Parallel()
	var b *testBundle
	b = setup(t, &service{submit: func(ctx context.Context, _ *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
		return nil, pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
			if err := audit.Insert(ctx, tx, []*audit.Entry{audit.FromContext(ctx)}); err != nil {
				return err
			}
			return rpc.Aborted(`"x"`)
		})
	}})
	if _, err := b.children.SubmitChildRecord(b.as(t, irtv1.Role_ROLE_AGENCY_SYSTEM), &irtv1.SubmitChildRecordRequest{}); status.Code(err) != codes.Aborted {
		t.Fatal(err)
	}
	if got := b.only(t); got.Decision != "FAILED" || got.StatusCode != int(codes.Aborted) {
		t.Errorf("the entry is %+v", got)
	}
}

// Hanging up must not be a way to look without being seen.
func TestACallThatWasGivenUpIsRecorded(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	b := setup(t, &service{get: func(ctx context.Context, _ *irtv1.GetChildRequest) (*irtv1.Child, error) {
		hangUp()
		<-ctx.Done()
		return &irtv1.Child{}, nil
	}})
	md, _ := metadata.FromOutgoingContext(b.reader(t))
	if _, err := b.children.GetChild(metadata.NewOutgoingContext(ctx, md), getChild); status.Code(err) != codes.Canceled {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) && len(b.entries(t)) == 0 { // the hub goes on by itself
		runtime.Gosched()
	}
	b.only(t)
}

// Wired without identity, audit refuses rather than let a call by unrecorded.
func TestAuditNeedsACaller(t *testing.T) {
	t.Parallel()
	w := audit.NewWriter(nil)
	info := &grpc.UnaryServerInfo{FullMethod: "/irt.v1.ChildService/GetChild"}
	_, err := audit.UnaryInterceptor(w)(t.Context(), getChild, info, func(context.Context, any) (any, error) {
		t.Error("the handler was called")
		return nil, nil
	})
	if err == nil {
		t.Error("a call without a caller was let by")
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
