package rpc

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// UnaryValidate is the innermost interceptor of unary calls. It refuses every
// request that cannot be decoded or has fields the schema does not know
// (MALFORMED_REQUEST), and holds requests to the standard (VALIDATION_FAILED).
//
// One kind of request it leaves to the handler: those that carry a resource, such
// as SubmitChildRecordRequest or UpdateAgencyRequest, because the resource must be
// normalised, or completed by a mask or an id, before it can be judged, and because
// its queries belong in the answer. Their handlers call standard.Check themselves
// and answer with Invalid. HandlerValidates says which requests those are. Of theirs,
// only the request_id of streams is looked at here.
func UnaryValidate(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := validate(req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// StreamValidate does for every message received on a stream what UnaryValidate
// does for requests. A message that it refuses ends the stream.
func StreamValidate(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, &validStream{ss})
}

type validStream struct{ grpc.ServerStream }

// RecvMsg implements grpc.ServerStream.
func (s *validStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return validate(m)
}

func validate(req any) error {
	m, ok := req.(proto.Message)
	if !ok {
		return Malformed("it is not a protocol buffer message")
	}
	r := m.ProtoReflect()
	if err := decoded(r); err != nil {
		return err
	}
	if !ours(r.Descriptor()) {
		return nil
	}
	if message, number, found := unknownField(r); found {
		return Malformed(fmt.Sprintf("%s has no field number %d in this hub's version of the standard", message, number))
	}
	if HandlerValidates(r.Descriptor()) {
		return checkMark(m)
	}
	if search, ok := m.(*irtv1.SearchChildrenRequest); ok { // as people type it: "sw1a1aa", "female"
		standard.NormaliseSearch(search)
	}
	if faults, _ := standard.Check(m, standard.Options{}); len(faults) > 0 {
		return Invalid(faults)
	}
	return nil
}

// checkMark holds the caller's mark of a request of a stream to its bound: handlers,
// who look at the resource, hand it back as it is.
func checkMark(m proto.Message) error {
	marked, ok := m.(interface{ GetRequestId() string })
	if !ok || len(marked.GetRequestId()) <= shortMark {
		return nil
	}
	faults, _ := standard.Check(m, standard.Options{})
	faults = slices.DeleteFunc(faults, func(f standard.Fault) bool { return f.Field != "request_id" })
	if len(faults) == 0 {
		return nil
	}
	return Invalid(faults)
}

// shortMark is a length in bytes that is within the bound of request_id, whatever it is.
const shortMark = 64

// ours tells the hub's messages from those of health and reflection.
func ours(d protoreflect.MessageDescriptor) bool { return d.ParentFile().Package() == "irt.v1" }

// handlerValidates remembers HandlerValidates by the message's full name.
var handlerValidates sync.Map

// HandlerValidates reports whether a request carries a resource (a message with
// the google.api.resource option, in a field of its own), so that its handler and
// not the interceptor holds it to the standard.
func HandlerValidates(d protoreflect.MessageDescriptor) bool {
	if known, ok := handlerValidates.Load(d.FullName()); ok {
		return known.(bool)
	}
	carries := false
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if f.Message() != nil && proto.HasExtension(f.Message().Options(), annotations.E_Resource) {
			carries = true
		}
	}
	handlerValidates.Store(d.FullName(), carries)
	return carries
}
