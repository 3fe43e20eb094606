package rpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

// bytesCodec sends bytes as they are, as a careless or hostile client might.
type bytesCodec struct{ encoding.Codec }

func (bytesCodec) Name() string                  { return "proto" }
func (bytesCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (bytesCodec) Unmarshal([]byte, any) error   { return nil }

func field(n protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), value)
}

func inside(n protowire.Number, message []byte) []byte { return field(n, string(message)) }

var badRequests = map[string]struct {
	method string
	bytes  []byte
	code   codes.Code
	reason string
	says   string
}{
	"not protobuf":             {"GetChild", []byte{0xff, 0xff, 0xff}, codes.InvalidArgument, "MALFORMED_REQUEST", "irt.v1.GetChildRequest"},
	"a wrong type":             {"GetChild", append(protowire.AppendTag(nil, 2, protowire.BytesType), 5, 'x'), codes.InvalidArgument, "MALFORMED_REQUEST", ""},
	"invalid UTF-8":            {"GetChild", field(1, "children/\xc3\x28"), codes.InvalidArgument, "MALFORMED_REQUEST", "UTF-8"},
	"an unknown field":         {"GetChild", append(field(1, "children/x"), field(99, "?")...), codes.InvalidArgument, "MALFORMED_REQUEST", "99"},
	"an unknown field, deeper": {"SubmitChildRecord", inside(1, inside(31, field(77, "?"))), codes.InvalidArgument, "MALFORMED_REQUEST", "77"},
	"over the limit":           {"GetChild", field(1, strings.Repeat("x", rpc.MaxRequest)), codes.ResourceExhausted, "TOO_LARGE", ""},
	"3 MB":                     {"SubmitChildRecord", inside(1, field(2, strings.Repeat("x", 3<<20))), codes.ResourceExhausted, "TOO_LARGE", ""},
	"a broken rule":            {"GetChild", nil, codes.InvalidArgument, "VALIDATION_FAILED", "name"},
}

func TestBadRequestsNeverReachTheHandler(t *testing.T) {
	t.Parallel()
	called := func() { t.Error("the handler was called") }
	b := setup(t, children{
		get: func(context.Context, *irtv1.GetChildRequest) (*irtv1.Child, error) {
			called()
			return &irtv1.Child{}, nil
		},
		submit: func(context.Context, *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
			called()
			return &irtv1.SubmitChildRecordResponse{}, nil
		},
	}, rpc.Limits{}, grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{}), grpc.MaxCallSendMsgSize(64<<20)))
	for name, c := range badRequests {
		t.Run(name, func(t *testing.T) {
			err := b.conn.Invoke(t.Context(), "/irt.v1.ChildService/"+c.method, c.bytes, new([]byte))
			wantError(t, err, c.code, c.reason)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
}

func TestBadMessagesEndAStream(t *testing.T) {
	t.Parallel()
	b := setup(t, children{stream: func(s grpc.BidiStreamingServer[irtv1.SubmitChildRecordsRequest, irtv1.SubmitChildRecordsResponse]) error {
		_, err := s.Recv()
		if err == nil {
			t.Error("the handler got the message")
		}
		return err
	}}, rpc.Limits{}, grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})))
	for name, c := range map[string]struct {
		message []byte
		reason  string
	}{
		"not protobuf":  {[]byte{0xff}, "MALFORMED_REQUEST"},
		"unknown field": {field(99, "?"), "MALFORMED_REQUEST"},
		"a long mark":   {append(field(1, strings.Repeat("x", 65)), inside(2, nil)...), "VALIDATION_FAILED"}, // and only that is judged here
	} {
		t.Run(name, func(t *testing.T) {
			s, err := b.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/irt.v1.ChildService/SubmitChildRecords")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SendMsg(c.message); err != nil {
				t.Fatal(err)
			}
			wantError(t, s.RecvMsg(new([]byte)), codes.InvalidArgument, c.reason)
		})
	}
}

func TestUnknownMethods(t *testing.T) {
	t.Parallel()
	b := setup(t, children{}, rpc.Limits{})
	for _, method := range []string{"/irt.v1.ChildService/DeleteEverything", "/no.such.Service/Method", "/irt.v1.MatchService/MatchChild"} {
		err := b.conn.Invoke(t.Context(), method, &irtv1.GetChildRequest{}, &irtv1.Child{})
		wantError(t, err, codes.Unimplemented, "NO_SUCH_METHOD")
	}
	_, err := b.client().LookupChild(t.Context(), &irtv1.LookupChildRequest{Identifier: &irtv1.LookupChildRequest_Upn{Upn: "x"}})
	wantError(t, err, codes.Unimplemented, "NO_SUCH_METHOD") // generated code says it of a method nobody wrote
}

// A request that carries a resource reaches its handler whatever the resource
// holds: only the handler can normalise it and answer with its queries.
func TestResourcesAreLeftToTheHandler(t *testing.T) {
	t.Parallel()
	var got *irtv1.ChildRecord
	b := setup(t, children{submit: func(_ context.Context, r *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
		got = r.GetChildRecord()
		return &irtv1.SubmitChildRecordResponse{}, nil
	}}, rpc.Limits{})
	_, err := b.client().SubmitChildRecord(t.Context(), &irtv1.SubmitChildRecordRequest{ChildRecord: &irtv1.ChildRecord{Postcode: "nr13ju"}})
	if err != nil || got.GetPostcode() != "nr13ju" {
		t.Errorf("%v, got %v", err, got)
	}
	for m, want := range map[proto.Message]bool{
		&irtv1.SubmitChildRecordRequest{}:  true,
		&irtv1.SubmitChildRecordsRequest{}: true,
		&irtv1.MatchChildRequest{}:         true,
		&irtv1.ValidateRecordRequest{}:     true,
		&irtv1.SubmitInvolvementRequest{}:  true,
		&irtv1.CreateAgencyRequest{}:       true,
		&irtv1.UpdateAgencyRequest{}:       true,
		&irtv1.CreatePractitionerRequest{}: true,
		&irtv1.UpdatePractitionerRequest{}: true,
		&irtv1.GetChildRequest{}:           false,
		&irtv1.SearchChildrenRequest{}:     false,
		&irtv1.LookupChildRequest{}:        false,
		&irtv1.EndInvolvementRequest{}:     false,
		&irtv1.CreateImportRequest{}:       false,
		&irtv1.ListInvolvementsRequest{}:   false,
	} {
		if got := rpc.HandlerValidates(m.ProtoReflect().Descriptor()); got != want {
			t.Errorf("%s: left to its handler: %v, want %v", m.ProtoReflect().Descriptor().Name(), got, want)
		}
	}
}

// FuzzRequest sends any bytes as a request: it must be answered, and with a fault
// of the caller or not at all.
func FuzzRequest(f *testing.F) {
	for _, c := range badRequests {
		if len(c.bytes) < 100 {
			f.Add(c.bytes)
		}
	}
	service := children{submit: func(context.Context, *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
		return &irtv1.SubmitChildRecordResponse{}, nil
	}}
	b := setup(f, service, rpc.Limits{}, grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})))
	f.Fuzz(func(t *testing.T, request []byte) {
		err := b.conn.Invoke(t.Context(), "/irt.v1.ChildService/SubmitChildRecord", request, new([]byte))
		if c := status.Code(err); c != codes.OK && c != codes.InvalidArgument {
			t.Errorf("%x: %v", request, err)
		}
	})
}
