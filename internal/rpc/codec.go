package rpc

import (
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that codec wraps
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxRequest is the largest message a caller may send, in bytes: a 1 MiB chunk of
// a file and what surrounds it. A record needs a few kilobytes.
const MaxRequest = 1<<20 + 64<<10

// maxReceived is where the gRPC library itself cuts off, with an error that has
// no ErrorInfo. It lies above MaxRequest so that nearly everybody gets ours.
const maxReceived = 4 << 20

// ServerOptions are the options that a gRPC server of the hub needs for malformed
// and oversized requests, and unknown methods, to be answered as errors.proto says.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxReceived),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return NoSuchMethod() }),
	}
}

// codec is the protobuf codec, save that it never fails to decode a request. The
// gRPC library answers what cannot be decoded with INTERNAL before any
// interceptor runs; here the fault travels on inside the message, as an unknown
// field, to the validating interceptor, after identity and audit have done their work.
type codec struct {
	encoding.CodecV2
}

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// faultField is the number of the unknown field that carries the fault: the
// largest there is, which no schema of ours uses.
const faultField = protowire.Number(1<<29 - 1)

// Kinds of fault that the field carries.
const (
	faultEncoding = iota + 1
	faultUTF8
	faultSize
)

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if data.Len() > MaxRequest {
		mark(m, faultSize, data.Len())
		return nil
	}
	if err := c.CodecV2.Unmarshal(data, v); err != nil {
		mark(m, decodeFault(err), 0)
	}
	return nil
}

func decodeFault(err error) uint64 {
	if strings.Contains(err.Error(), "UTF-8") { // the library has no error value for it
		return faultUTF8
	}
	return faultEncoding
}

// mark empties m and leaves the fault in it.
func mark(m proto.Message, fault uint64, size int) {
	proto.Reset(m)
	b := protowire.AppendTag(nil, faultField, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, fault<<56|uint64(size)) //nolint:gosec // a length is not negative
	m.ProtoReflect().SetUnknown(b)
}

// decoded returns the fault that Unmarshal left in m, as the caller is told it.
func decoded(m protoreflect.Message) error {
	b := m.GetUnknown()
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != faultField || typ != protowire.Fixed64Type {
		return nil
	}
	v, n := protowire.ConsumeFixed64(b[n:])
	if n < 0 {
		return nil
	}
	switch v >> 56 {
	case faultSize:
		return TooLarge(int(v&(1<<56-1)), MaxRequest)
	case faultUTF8:
		return Malformed("a text in it is not UTF-8")
	default:
		return Malformed("it cannot be read as a " + string(m.Descriptor().FullName()))
	}
}

// unknownField returns the path and number of a field that the schema does not
// have, anywhere in m. Dropping it silently would lose data that the caller
// believes accepted.
func unknownField(m protoreflect.Message) (message string, number protowire.Number, found bool) {
	if num, _, n := protowire.ConsumeTag(m.GetUnknown()); n > 0 {
		return string(m.Descriptor().FullName()), num, true
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil || fd.IsMap() {
			return true
		}
		if !fd.IsList() {
			message, number, found = unknownField(v.Message())
			return !found
		}
		for i := 0; i < v.List().Len() && !found; i++ {
			message, number, found = unknownField(v.List().Get(i).Message())
		}
		return !found
	})
	return message, number, found
}
