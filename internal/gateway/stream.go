package gateway

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// NewStream implements grpc.ClientConnInterface: the service runs in a goroutine
// of its own, and every message waits until the other side takes it, so that a
// slow service slows its caller down and nothing piles up between them.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, name string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	m := c.methods[name]
	if m == nil || m.stream == nil {
		return nil, status.Error(codes.Unimplemented, "this hub has no method "+name)
	}
	call := &transport{method: name}
	ctx, cancel := context.WithCancel(ctx)
	p := &pipe{
		ctx:      ctx,
		call:     call,
		requests: make(chan any),
		answers:  make(chan any),
		done:     make(chan struct{}),
	}
	server := &serverStream{pipe: p, ctx: serverContext(ctx, call)}
	go func() {
		defer cancel()
		p.err = c.stream(m.service, server, &grpc.StreamServerInfo{
			FullMethod: name, IsClientStream: m.stream.ClientStreams, IsServerStream: m.stream.ServerStreams,
		}, m.stream.Handler)
		close(p.done)
	}()
	return &clientStream{pipe: p, single: !desc.ServerStreams, many: desc.ClientStreams, opts: opts}, nil
}

// pipe joins the two ends of a stream.
type pipe struct {
	ctx      context.Context
	call     *transport
	requests chan any      // closed by the client when it has sent all
	answers  chan any      // never closed: done says that no more come
	done     chan struct{} // closed when the service has returned
	err      error         // what it returned; read after done
}

// clientStream is the caller's end. It implements grpc.ClientStream.
type clientStream struct {
	*pipe
	single    bool // the method answers once
	many      bool // the caller sends many messages
	opts      []grpc.CallOption
	closeOnce sync.Once
}

// Context implements grpc.ClientStream.
func (s *clientStream) Context() context.Context { return s.ctx }

// Header implements grpc.ClientStream; it waits for the end of the call.
func (s *clientStream) Header() (metadata.MD, error) {
	<-s.done
	return s.call.header, nil
}

// Trailer implements grpc.ClientStream.
func (s *clientStream) Trailer() metadata.MD {
	<-s.done
	return s.call.trailer
}

// CloseSend implements grpc.ClientStream.
func (s *clientStream) CloseSend() error {
	s.closeOnce.Do(func() { close(s.requests) })
	return nil
}

// SendMsg implements grpc.ClientStream. io.EOF says that the service has
// returned; RecvMsg then gives its error. Where only one message is sent it says
// nothing, as gRPC's own does, because callers then go on to RecvMsg.
func (s *clientStream) SendMsg(m any) error {
	select {
	case s.requests <- m:
		return nil
	case <-s.done:
	case <-s.ctx.Done():
	}
	if !s.many {
		return nil
	}
	return io.EOF
}

// RecvMsg implements grpc.ClientStream. Where the method answers once it waits
// until the service has returned, for an answer counts only when the
// interceptors, audit among them, have let it go.
func (s *clientStream) RecvMsg(into any) error {
	select {
	case m := <-s.answers:
		if s.single {
			if err := s.end(); err != nil {
				return err
			}
		}
		return hand(into, m)
	case <-s.done:
		if err := s.end(); err != nil {
			return err
		}
		return io.EOF
	}
}

// end waits until the service has returned, and gives its error.
func (s *clientStream) end() error {
	<-s.done
	s.call.report(s.opts)
	if s.err != nil {
		return asStatus(s.err)
	}
	return nil
}

// serverStream is the service's end. It implements grpc.ServerStream.
type serverStream struct {
	*pipe
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *serverStream) Context() context.Context { return s.ctx }

// SetHeader implements grpc.ServerStream.
func (s *serverStream) SetHeader(md metadata.MD) error { return s.call.SetHeader(md) }

// SendHeader implements grpc.ServerStream.
func (s *serverStream) SendHeader(md metadata.MD) error { return s.call.SetHeader(md) }

// SetTrailer implements grpc.ServerStream.
func (s *serverStream) SetTrailer(md metadata.MD) { _ = s.call.SetTrailer(md) }

// SendMsg implements grpc.ServerStream.
func (s *serverStream) SendMsg(m any) error {
	select {
	case s.answers <- m:
		return nil
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// RecvMsg implements grpc.ServerStream.
func (s *serverStream) RecvMsg(into any) error {
	select {
	case m, ok := <-s.requests:
		switch {
		case ok:
			return hand(into, m)
		case s.ctx.Err() != nil: // the caller has gone: what came is not all there was to come
			return status.FromContextError(s.ctx.Err()).Err()
		}
		return io.EOF
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}
