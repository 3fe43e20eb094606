package identity

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"irthub/internal/rpc"
)

// streamCheck is how often the standing of a stream's caller is looked at while
// nothing passes.
const streamCheck = time.Second

// Stream is Unary for streams. While the stream lasts, nothing the caller sends is
// taken and nothing is sent to it once its token has expired, or it has been shut
// out; a stream that stands still is ended then, too.
func (a *Authenticator) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := a.authenticate(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	k, ok := ctx.Value(callerKey{}).(*known)
	if !ok || k.refused != nil { // public, or for Authorise to refuse
		return handler(srv, rpc.WithContext(ss, ctx))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &watchedStream{ServerStream: rpc.WithContext(ss, ctx), a: a, known: k}
	go s.watch(cancel)
	err = handler(srv, s)
	if cause, ok := errors.AsType[shutOutError](context.Cause(ctx)); ok && err != nil {
		return cause.error
	}
	return err
}

// shutOutError is why a stream was ended from outside.
type shutOutError struct{ error }

type watchedStream struct {
	grpc.ServerStream
	a     *Authenticator
	known *known
}

// watch ends the stream's context once the caller may not go on.
func (s *watchedStream) watch(cancel context.CancelCauseFunc) {
	tick := time.NewTicker(streamCheck)
	defer tick.Stop()
	for {
		select {
		case <-s.Context().Done():
			return
		case <-tick.C:
			if err := s.check(); err != nil && s.Context().Err() == nil {
				cancel(shutOutError{err})
				return
			}
		}
	}
}

// check says whether the caller may still be served.
func (s *watchedStream) check() error {
	if err := s.known.token.checkTime(s.a.now()); err != nil {
		return err
	}
	now := *s.known // standing writes to it, and the handler reads the other
	refused, err := s.a.standing(s.Context(), &now)
	return errors.Join(refused, err)
}

// RecvMsg implements grpc.ServerStream.
func (s *watchedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.check()
}

// SendMsg implements grpc.ServerStream.
func (s *watchedStream) SendMsg(m any) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}
