package limits

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

// counting says whether a method's answers are counted: those that disclose personal
// data, for which it needs a purpose. Events name things and show nothing of them.
func counting(method string) bool {
	access, _ := identity.Access(method)
	return access.GetPurposeRequired() && !strings.HasPrefix(method, "/irt.v1.EventService/")
}

// finds are the methods that look for a child by what is known of it.
var finds = map[string]bool{"SearchChildren": true, "LookupChild": true, "MatchChild": true}

// Unary holds unary calls to the limits of their callers. A child counts when it
// would be answered; one that is over the limit is not.
func (l *Limiter) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if !counting(info.FullMethod) {
		return handler(ctx, req)
	}
	caller := identity.FromContext(ctx)
	if finds[path.Base(info.FullMethod)] {
		if err := l.spend(ctx, &caller, searches, nil); err != nil {
			return nil, err
		}
	}
	resp, err := handler(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := l.spend(ctx, &caller, children, audit.FromContext(ctx).Children()); err != nil {
		return nil, err
	}
	return resp, nil
}

// Stream does for each answer of a stream what Unary does for one.
func (l *Limiter) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !counting(info.FullMethod) {
		return handler(srv, ss)
	}
	caller := identity.FromContext(ss.Context())
	return handler(srv, &limitedStream{ServerStream: ss, l: l, caller: &caller})
}

type limitedStream struct {
	grpc.ServerStream
	l      *Limiter
	caller *identity.Caller
}

// SendMsg implements grpc.ServerStream.
func (s *limitedStream) SendMsg(m any) error {
	ctx := s.Context()
	if err := s.l.spend(ctx, s.caller, children, audit.FromContext(ctx).Children()); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// alert tells the data managers, once an hour for each caller. What is refused is
// refused all the same if that fails.
func (l *Limiter) alert(ctx context.Context, k accountKey) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
	defer cancel()
	err := pg.InTxRetry(ctx, l.pool, func(tx pgx.Tx) error {
		first, err := claimAlert(ctx, tx, k)
		if err != nil || !first {
			return err
		}
		return events.Append(ctx, tx, []events.Event{{
			Kind: irtv1.EventKind_EVENT_KIND_ACCESS_LIMIT_EXCEEDED, Agency: k.agency, Resource: k.resource(),
			Time: time.Now(),
		}})
	})
	if err != nil {
		l.log.WarnContext(ctx, "a caller has gone over its limit, and the data managers cannot be told", "agency", k.agency,
			"request_id", rpc.RequestID(ctx), "error", err)
	}
}
