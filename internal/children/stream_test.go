package children_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
)

// stream is a call's stream with all its requests there already.
type stream struct {
	grpc.ServerStream
	ctx     context.Context //nolint:containedctx // a stream has one
	in      []*irtv1.SubmitChildRecordsRequest
	answers []*irtv1.SubmitChildRecordsResponse
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Recv() (*irtv1.SubmitChildRecordsRequest, error) {
	if len(s.in) == 0 {
		return nil, io.EOF
	}
	next := s.in[0]
	s.in = s.in[1:]
	return next, nil
}

func (s *stream) Send(m *irtv1.SubmitChildRecordsResponse) error {
	s.answers = append(s.answers, m)
	return nil
}

// Versions of one record in one stream are stored in their order, between other
// records and refused ones, and each is answered in its turn.
func TestStreamKeepsOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s := &stream{ctx: system(t, "school")}
	const versions = 700 // more than a window, and than a batch
	for i := range versions {
		v := with(jennifer(), func(r *irtv1.ChildRecord) {
			r.Name = "agencies/school/childRecords/p1"
			r.MiddleNames = fmt.Sprintf("V%c%c%c", 'a'+i/676, 'a'+i/26%26, 'a'+i%26)
		})
		s.in = append(s.in, &irtv1.SubmitChildRecordsRequest{RequestId: fmt.Sprint(i), ChildRecord: v})
		if i%7 == 0 {
			s.in = append(s.in, &irtv1.SubmitChildRecordsRequest{RequestId: "bad", ChildRecord: &irtv1.ChildRecord{Name: v.GetName()}})
		}
	}
	last := s.in[len(s.in)-1].GetChildRecord().GetMiddleNames()
	if err := h.SubmitChildRecords(s); err != nil {
		t.Fatal(err)
	}
	next := 0
	for _, a := range s.answers {
		switch {
		case a.GetRequestId() == "bad":
			if a.GetError().GetCode() == 0 {
				t.Error("a record without a name was accepted")
			}
		case a.GetRequestId() != fmt.Sprint(next):
			t.Fatalf("answer %s came when %d was due", a.GetRequestId(), next)
		case a.GetResult() == nil:
			t.Fatalf("version %d was refused: %v", next, a.GetError())
		default:
			next++
		}
	}
	if next != versions {
		t.Errorf("%d versions were answered, of %d", next, versions)
	}
	got, err := h.GetChildRecord(system(t, "school"), &irtv1.GetChildRecordRequest{Name: "agencies/school/childRecords/p1"})
	if err != nil || got.GetMiddleNames() != last {
		t.Errorf("the last version stored is %s, the last sent %s (error %v)", got.GetMiddleNames(), last, err)
	}
	if n := h.count(`SELECT count(*) FROM child_records_history`); n != versions-1 {
		t.Errorf("%d versions in history", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE decision = 'FAILED'`); n != versions/7 {
		t.Errorf("%d refusals in the access log", n)
	}
}
