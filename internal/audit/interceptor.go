package audit

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"irthub/internal/identity"
	"irthub/internal/rpc"
)

// errNotIdentified is a fault of the wiring: audit runs after identity.
var errNotIdentified = errors.New("audit: a call of a method that is not public came without a caller")

// begin makes the entry of a call, or nil for a public method, which has none.
func begin(ctx context.Context, method string, req any) (*Entry, error) {
	access, known := identity.Access(method)
	if known && access.GetPublic() {
		return nil, nil
	}
	if !identity.FromContext(ctx).Identified() {
		return nil, errNotIdentified
	}
	e := New(ctx, method)
	if m, ok := req.(proto.Message); ok {
		e.query = queryOf(m, access.GetPurposeRequired())
	}
	return e, nil
}

// UnaryInterceptor records every call of an identified caller: its entry is
// durable before its answer leaves, be that an answer, a refusal or a failure. If
// it cannot be made durable the caller gets UNAVAILABLE and nothing else.
func UnaryInterceptor(w *Writer) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		e, err := begin(ctx, info.FullMethod, req)
		if err != nil {
			return nil, err
		}
		if e == nil {
			return handler(ctx, req)
		}
		resp, err := rpc.Guard(func() (any, error) { return handler(NewContext(ctx, e), req) })
		if auditErr := w.end(ctx, e, err); auditErr != nil {
			return nil, errUnrecorded(auditErr)
		}
		return resp, err
	}
}

func errUnrecorded(cause error) error {
	return rpc.Unavailable(cause, "The hub cannot record this access just now, and discloses nothing that it cannot record. "+
		"Send it again; a change that was made is not made twice.")
}

// end makes the outcome of a call durable. What ended well may have been recorded
// by a write pipeline. What ended badly is a new entry, since a pipeline that the
// caller no longer waits for may still be about to write the first.
func (w *Writer) end(ctx context.Context, e *Entry, err error) error {
	if err == nil {
		if e.isRecorded() {
			return nil
		}
		return w.Write(ctx, e)
	}
	failed := e.after()
	failed.Finish(err)
	return w.Write(ctx, failed)
}

func (e *Entry) isRecorded() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.recorded && !e.unsaid
}

// StreamInterceptor records streams. A durable entry says that the stream began
// before its first answer leaves; whatever handlers add to the entry of the stream
// is durable before the next answer leaves; and a stream that was refused or
// failed is recorded as such. Streams of writes have an entry for each thing
// written besides: see Fork.
func StreamInterceptor(w *Writer) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx := ss.Context()
		e, err := begin(ctx, info.FullMethod, nil)
		if err != nil {
			return err
		}
		if e == nil {
			return handler(srv, ss)
		}
		audited := &auditedStream{ServerStream: rpc.WithContext(ss, NewContext(ctx, e)), w: w, entry: e}
		_, err = rpc.Guard(func() (any, error) { return nil, handler(srv, audited) })
		return audited.end(err)
	}
}

// auditedStream records before it sends.
type auditedStream struct {
	grpc.ServerStream
	w     *Writer
	entry *Entry
	lost  error // an entry could not be written: nothing more leaves
}

// RecvMsg implements grpc.ServerStream. The first message is the stream's query.
func (s *auditedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if msg, ok := m.(proto.Message); ok && err == nil {
		s.entry.setFirstQuery(msg)
	}
	return err
}

// setFirstQuery keeps what a stream is about.
func (e *Entry) setFirstQuery(m proto.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.query == "" {
		access, _ := identity.Access(e.method)
		e.query = queryOf(m, access.GetPurposeRequired())
	}
}

// SendMsg implements grpc.ServerStream.
func (s *auditedStream) SendMsg(m any) error {
	if err := s.flush(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// flush writes what the entry holds, unless all of that has been written.
func (s *auditedStream) flush() error {
	if s.lost != nil {
		return s.lost
	}
	if s.entry.isRecorded() {
		return nil
	}
	if err := s.w.Write(s.ServerStream.Context(), s.entry.cut()); err != nil {
		s.lost = errUnrecorded(err)
		return s.lost
	}
	return nil
}

// cut takes what the entry holds out of it, into one to write now.
func (e *Entry) cut() *Entry {
	now := e.after()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.children, e.returned, e.withheld = nil, nil, nil
	e.recorded, e.unsaid = true, false
	return now
}

func (s *auditedStream) end(err error) error {
	if s.lost != nil {
		return s.lost
	}
	if auditErr := s.w.end(s.ServerStream.Context(), s.entry, err); auditErr != nil {
		return errUnrecorded(auditErr)
	}
	return err
}
