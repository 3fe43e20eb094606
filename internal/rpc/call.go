package rpc

import (
	"context"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// RequestIDKey is the metadata in which every answer names its call; the log and
// the access log hold the same id. A caller may choose it: a UUID, or 16 to 64
// hexadecimal digits. Anything else is replaced, since it might be a person's data.
const RequestIDKey = "x-request-id"

// call is what is known of one call, for its log line.
type call struct {
	log       *slog.Logger
	requestID string
	agency    string                                                         // set by identity
	onBeat    bool                                                           // set by LeaveOnBeat
	hold      func(ctx context.Context, bytes int) (leave func(), err error) // set by Room
}

type callKey struct{}

// RequestID returns the id of the call that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.requestID
	}
	return ""
}

// SetAgency tells the call's log line whose call it is. Only identity calls it.
func SetAgency(ctx context.Context, agencyID string) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.agency = agencyID
	}
}

// Limits bound the time of unary calls. Streams last as long as both sides like.
type Limits struct {
	Default time.Duration // for callers that set no deadline; 15 s if zero
	Max     time.Duration // whatever the caller says; 60 s if zero
	Slow    time.Duration // calls that took longer are logged as warnings; 2 s if zero
}

func (l Limits) withDefaults() Limits {
	if l.Default <= 0 {
		l.Default = 15 * time.Second
	}
	if l.Max <= 0 {
		l.Max = 60 * time.Second
	}
	if l.Slow <= 0 {
		l.Slow = 2 * time.Second
	}
	return l
}

// bound applies the limits to ctx.
func (l Limits) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := l.Default
	if at, ok := ctx.Deadline(); ok {
		limit = l.Max
		if time.Until(at) <= limit {
			return ctx, func() {}
		}
	}
	return context.WithTimeout(ctx, limit)
}

// UnaryCall is the outermost interceptor of unary calls: it gives the call its
// id and its time limit, turns panics and unforeseen errors into answers, and
// logs one line when it ends: method, code, time, agency, request id, and the
// cause of a fault of the hub. It never logs a request, an answer, or a person's data.
// Successes are logged at debug level (the access log has them), refusals at
// info, slow calls at warn and faults of the hub at error.
func UnaryCall(log *slog.Logger, limits Limits) grpc.UnaryServerInterceptor {
	limits = limits.withDefaults()
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		start := time.Now()
		ctx, c := newCall(ctx, log)
		_ = grpc.SetHeader(ctx, metadata.Pairs(RequestIDKey, c.requestID)) // fails without a transport, as in tests
		ctx, cancel := limits.bound(ctx)
		defer cancel()
		resp, err := Guard(func() (any, error) { return handler(ctx, req) })
		keepBeat(ctx, c, start, err)
		logCall(ctx, log, info.FullMethod, c, time.Since(start), limits.Slow, err)
		return resp, err
	}
}

// StreamCall is UnaryCall for streams, without a time limit.
func StreamCall(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		start := time.Now()
		ctx, c := newCall(ss.Context(), log)
		_ = ss.SetHeader(metadata.Pairs(RequestIDKey, c.requestID))
		_, err := Guard(func() (any, error) {
			return nil, handler(srv, WithContext(ss, ctx))
		})
		keepBeat(ctx, c, start, err)
		logCall(ctx, log, info.FullMethod, c, time.Since(start), 0, err)
		return err
	}
}

// denialBeat is how far apart the moments are at which denials leave, counted from
// when each call came.
const denialBeat = 25 * time.Millisecond

// LeaveOnBeat has the answer of the call leave as denials do, whatever it is: for
// methods whose answers say no without being errors.
func LeaveOnBeat(ctx context.Context) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.onBeat = true
	}
}

// keepBeat holds a denial, or the answer that there is no such thing, back until the
// next beat: what there is takes a little longer to refuse than what there is not,
// and that would tell the one from the other.
func keepBeat(ctx context.Context, c *call, start time.Time, err error) {
	if code := status.Code(err); code != codes.PermissionDenied && code != codes.NotFound && !c.onBeat {
		return
	}
	select {
	case <-time.After(denialBeat - time.Since(start)%denialBeat):
	case <-ctx.Done():
	}
}

func newCall(ctx context.Context, log *slog.Logger) (context.Context, *call) {
	c := &call{log: log, requestID: requestID(ctx)}
	return context.WithValue(ctx, callKey{}, c), c
}

func requestID(ctx context.Context) string {
	if asked := metadata.ValueFromIncomingContext(ctx, RequestIDKey); len(asked) == 1 && acceptableID(asked[0]) {
		return asked[0]
	}
	id := uuid.New()
	return hex.EncodeToString(id[:])
}

func acceptableID(s string) bool {
	if len(s) == 36 {
		return uuid.Validate(s) == nil
	}
	return len(s) >= 16 && len(s) <= 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// logCall writes the line of one call; slow is 0 for streams, which may be long.
func logCall(ctx context.Context, log *slog.Logger, method string, c *call, took, slow time.Duration, err error) {
	cause := causeAttrs(err)
	level := levelOf(status.Code(err))
	if status.Code(err) == codes.Unavailable && cause == nil {
		level = slog.LevelInfo // nothing failed: a stream was told to come back, since the hub stops
	}
	if slow > 0 && took > slow {
		level = max(level, slog.LevelWarn)
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs,
		slog.String("method", method), slog.String("code", status.Code(err).String()),
		slog.Duration("took", took), slog.String("agency", c.agency), slog.String("request_id", c.requestID))
	log.LogAttrs(ctx, level, "call", append(attrs, cause...)...)
}

// causeAttrs are the private parts of a fault of the hub.
func causeAttrs(err error) []slog.Attr {
	e, ok := err.(*edgeError) //nolint:errorlint // Guard has unwrapped it
	if !ok || e.cause == nil {
		return nil
	}
	attrs := []slog.Attr{slog.String("cause", privateText(e.cause))}
	if e.id != "" {
		attrs = append(attrs, slog.String("error_id", e.id))
	}
	if e.stack != nil {
		attrs = append(attrs, slog.String("stack", string(e.stack)))
	}
	return attrs
}

func levelOf(code codes.Code) slog.Level {
	switch code {
	case codes.OK:
		return slog.LevelDebug
	case codes.Internal, codes.Unknown, codes.DataLoss, codes.Unavailable:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// LoggedStatus is the status to put into an answer that holds an error, such as
// that of one record of a stream. A fault of the hub is logged here, since no
// interceptor sees it.
func LoggedStatus(ctx context.Context, log *slog.Logger, err error) *status.Status {
	err = Edge(err)
	if attrs := causeAttrs(err); attrs != nil {
		log.LogAttrs(ctx, levelOf(status.Code(err)), "part of a call",
			append(attrs, slog.String("code", status.Code(err).String()), slog.String("request_id", RequestID(ctx)))...)
	}
	return status.Convert(err)
}

// PartStatus is LoggedStatus for a part of the call that ctx belongs to, by that call's
// log.
func PartStatus(ctx context.Context, err error) *rpcstatus.Status {
	log := slog.New(slog.DiscardHandler)
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		log = c.log
	}
	return LoggedStatus(ctx, log, err).Proto()
}

// WithContext gives a stream another context.
func WithContext(ss grpc.ServerStream, ctx context.Context) grpc.ServerStream { //nolint:revive // the stream is what it is about
	return &contextStream{ss, ctx}
}

type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *contextStream) Context() context.Context { return s.ctx }
