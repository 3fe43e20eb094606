package redact_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/redact"
	"irthub/internal/sharing"
)

func involved() *sharing.Decision {
	return sharing.Decide(sharing.See, sharing.Facts{
		Identified: true, Role: irtv1.Role_ROLE_PRACTITIONER, Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL,
		Purpose: irtv1.Purpose_PURPOSE_EDUCATION, Involved: true,
	})
}

func child() *irtv1.Child {
	return &irtv1.Child{Name: "children/x", GivenName: "Jo", Postcode: "NR1 3JU", State: irtv1.ChildState_CHILD_STATE_ACTIVE}
}

func answer(t *testing.T, handler func(ctx context.Context) proto.Message) proto.Message {
	t.Helper()
	resp, err := redact.Unary(t.Context(), nil, &grpc.UnaryServerInfo{}, func(ctx context.Context, _ any) (any, error) {
		return handler(ctx), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp.(proto.Message)
}

// A handler that forgets to show a message about a child sends nothing of it.
func TestWhatWasNotShownDoesNotLeave(t *testing.T) {
	t.Parallel()
	got := answer(t, func(context.Context) proto.Message { return child() }).(*irtv1.Child)
	if got.GetName() == "" || got.GetState() == 0 || got.GetGivenName() != "" || got.GetPostcode() != "" {
		t.Errorf("left: %v", got)
	}
	list := answer(t, func(ctx context.Context) proto.Message {
		out := &irtv1.ListInvolvementsResponse{NextPageToken: "t"}
		for i := range 20 {
			v := &irtv1.Involvement{Name: "agencies/a/involvements/b", PractitionerDisplayName: "Kim"}
			if i%2 == 0 {
				redact.Show(ctx, v, involved())
			}
			out.Involvements = append(out.Involvements, v)
		}
		return out
	}).(*irtv1.ListInvolvementsResponse)
	if len(list.GetInvolvements()) != 10 || list.GetNextPageToken() != "t" {
		t.Errorf("%d of the 10 that were shown left", len(list.GetInvolvements()))
	}
	for _, v := range list.GetInvolvements() {
		if v.GetPractitionerDisplayName() != "Kim" {
			t.Errorf("%v", v)
		}
	}
	deep := answer(t, func(ctx context.Context) proto.Message {
		c := child()
		redact.Show(ctx, c, involved())
		return &irtv1.MergeChildrenResponse{Child: c, ChildRecords: []string{"agencies/a/childRecords/b"}}
	}).(*irtv1.MergeChildrenResponse)
	if deep.GetChild().GetPostcode() == "" || len(deep.GetChildRecords()) != 0 {
		t.Errorf("within an answer: %v", deep)
	}
}

type sent struct {
	grpc.ServerStream
	ctx      context.Context
	messages []any
}

func (s *sent) Context() context.Context { return s.ctx }
func (s *sent) SendMsg(m any) error      { s.messages = append(s.messages, m); return nil }

// It holds for each message of a stream, and what was sent is forgotten.
func TestStreamsAreHeldToIt(t *testing.T) {
	t.Parallel()
	s := &sent{ctx: t.Context()}
	err := redact.Stream(nil, s, &grpc.StreamServerInfo{}, func(_ any, ss grpc.ServerStream) error {
		shown, forgotten := child(), child()
		redact.Show(ss.Context(), shown, involved())
		for _, m := range []*irtv1.Child{shown, forgotten, shown} {
			if err := ss.SendMsg(m); err != nil {
				return err
			}
			s.messages[len(s.messages)-1] = proto.CloneOf(m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"NR1 3JU", "", ""} {
		if got := s.messages[i].(*irtv1.Child).GetPostcode(); got != want {
			t.Errorf("message %d: %q, want %q", i, got, want)
		}
	}
}
