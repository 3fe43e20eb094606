package rpc

import (
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
)

// Patience is how long the other side of a stream may stand still before the hub lets
// go of it, where nobody says otherwise.
const Patience = time.Minute

// StreamPatience ends a stream whose receiver takes no answer in for so long, with
// RESOURCE_EXHAUSTED (SLOW_CONSUMER): what a stream holds in the hub is not for those
// to keep who do not read. Streams of the methods named see to it by themselves.
//
// Only the end of a call lets go of an answer on its way, so the handler runs in a
// goroutine of its own, and is left to end by itself; what it still sends goes nowhere.
func StreamPatience(limit time.Duration, but ...string) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if !info.IsServerStream || slices.Contains(but, info.FullMethod) {
			return handler(srv, ss)
		}
		p := &patient{ServerStream: ss}
		ended := make(chan error, 1)
		go func() {
			_, err := Guard(func() (any, error) { return nil, handler(srv, p) })
			ended <- err
		}()
		check := time.NewTicker(limit / 8)
		defer check.Stop()
		for {
			select {
			case err := <-ended:
				return err
			case <-check.C:
				if p.giveUp(limit) {
					return errSlowConsumer()
				}
			}
		}
	}
}

// patient is a stream that knows since when an answer has been on its way.
type patient struct {
	grpc.ServerStream
	sending atomic.Int64 // when that began, by the clock in µs; 0: none is; givenUp
}

const givenUp = -1

// giveUp says whether an answer has been on its way for too long, and then has no
// other follow it.
func (p *patient) giveUp(limit time.Duration) bool {
	since := p.sending.Load()
	return since > 0 && time.Since(time.UnixMicro(since)) >= limit && p.sending.CompareAndSwap(since, givenUp)
}

// SendMsg implements grpc.ServerStream.
func (p *patient) SendMsg(m any) error {
	began := time.Now().UnixMicro()
	if !p.sending.CompareAndSwap(0, began) {
		return errSlowConsumer()
	}
	err := p.ServerStream.SendMsg(m)
	if !p.sending.CompareAndSwap(began, 0) {
		return errSlowConsumer()
	}
	return err
}

func errSlowConsumer() error {
	return Error(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_SLOW_CONSUMER,
		"You took no answer in for too long. Call again and read answers as they come; what was not answered may be sent again.")
}
