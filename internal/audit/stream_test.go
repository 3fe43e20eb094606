package audit_test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
)

func (b *testBundle) decisions(t *testing.T) (got []string) {
	t.Helper()
	for _, e := range b.entries(t) {
		got = append(got, e.Decision)
		for _, r := range e.Returned {
			got = append(got, "returned "+r)
		}
	}
	return got
}

// exchange sends a message and returns what comes back.
func exchange(t *testing.T, s interface {
	Send(*irtv1.SubmitChildRecordsRequest) error
	Recv() (*irtv1.SubmitChildRecordsResponse, error)
}, id string,
) error {
	t.Helper()
	if err := s.Send(&irtv1.SubmitChildRecordsRequest{RequestId: id}); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	_, err := s.Recv()
	return err
}

// What a stream discloses is durable before the answer that discloses it; a
// message that discloses nothing new costs nothing.
func TestAStreamIsRecordedAsItGoes(t *testing.T) {
	t.Parallel()
	b := setup(t, &service{stream: func(s recordStream) error {
		for {
			r, err := s.Recv()
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			case r.GetRequestId() == "fail":
				return errors.New("x")
			case r.GetRequestId() != "":
				audit.FromContext(s.Context()).AddReturned(r.GetRequestId())
			}
			if err := s.Send(&irtv1.SubmitChildRecordsResponse{}); err != nil {
				return err
			}
		}
	}})
	s, err := b.children.SubmitChildRecords(b.as(t, irtv1.Role_ROLE_AGENCY_SYSTEM))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		send string
		want []string
	}{
		{"", []string{"ALLOWED"}},
		{"", []string{"ALLOWED"}},
		{"one", []string{"ALLOWED", "ALLOWED", "returned one"}},
		{"two", []string{"ALLOWED", "ALLOWED", "returned one", "ALLOWED", "returned two"}},
	} {
		if err := exchange(t, s, step.send); err != nil {
			t.Fatal(err)
		}
		if got := b.decisions(t); !slices.Equal(got, step.want) {
			t.Fatalf("after %q: %q, want %q", step.send, got, step.want)
		}
	}
	if err := exchange(t, s, "fail"); status.Code(err) != codes.Internal {
		t.Fatal(err)
	}
	if got := b.decisions(t); got[len(got)-1] != "FAILED" || len(got) != 6 {
		t.Errorf("at the end: %q", got)
	}
}

func TestAStreamThatIsRefusedOrSilentIsAnEntry(t *testing.T) {
	t.Parallel()
	b := setup(t, &service{stream: func(recordStream) error { return nil }})
	for _, role := range []irtv1.Role{irtv1.Role_ROLE_AUDITOR, irtv1.Role_ROLE_AGENCY_SYSTEM} {
		s, err := b.children.SubmitChildRecords(b.as(t, role))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Recv()
		if denied := status.Code(err) == codes.PermissionDenied; denied != (role == irtv1.Role_ROLE_AUDITOR) {
			t.Errorf("%v: %v", role, err)
		}
	}
	if got := b.decisions(t); !slices.Equal(got, []string{"DENIED", "ALLOWED"}) {
		t.Errorf("the entries are %v", got)
	}
}

// Each record of a stream is an entry by the same caller in the same call.
func TestForkedEntries(t *testing.T) {
	t.Parallel()
	var b *testBundle
	b = setup(t, &service{stream: func(s recordStream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		e := audit.FromContext(s.Context()).Fork()
		e.SetQueryName(`agencies/a/childRecords/"1"`)
		e.Finish(errors.New("x"))
		if err := b.writer.Write(s.Context(), e); err != nil {
			return err
		}
		return s.Send(&irtv1.SubmitChildRecordsResponse{})
	}})
	s, err := b.children.SubmitChildRecords(b.as(t, irtv1.Role_ROLE_AGENCY_SYSTEM))
	if err != nil {
		t.Fatal(err)
	}
	if err := exchange(t, s, "1"); err != nil {
		t.Fatal(err)
	}
	all := b.entries(t)
	if len(all) != 2 {
		t.Fatalf("want two entries, got %+v", all)
	}
	forked := all[slices.IndexFunc(all, func(r row) bool { return r.Decision == "FAILED" })]
	if forked.query(t)["name"] != `agencies/a/childRecords/"1"` || forked.StatusCode != int(codes.Internal) ||
		forked.AgencyID != "st-marys" || forked.RequestID != all[0].RequestID || all[0].EntryID == all[1].EntryID {
		t.Errorf("the entries are %+v", all)
	}
}

func TestAMissingEntryTakesNotesForNothing(t *testing.T) {
	t.Parallel()
	e := audit.FromContext(t.Context())
	e.AddReturned("x")
	e.AddWithheld("x")
	e.AddChild()
	e.SetQueryName("x")
	e.Finish(nil)
	e.Recorded()
	if e.Fork() != nil {
		t.Error("an entry came of none")
	}
}
