package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Conn is a connection to the hub's own services without a socket: to callers a
// gRPC client connection, to services a registrar. Every call runs the same
// interceptors as one that came over the network, so identity, policy and audit
// see REST callers exactly as they see gRPC callers. Compared with dialling the
// hub's own port it leaves out HTTP/2, TLS and the encoding of every message;
// BenchmarkUnary has the figures.
//
// The caller hands its messages over: it must not touch one after sending it.
type Conn struct {
	unary   grpc.UnaryServerInterceptor
	stream  grpc.StreamServerInterceptor
	methods map[string]*method
}

// method is one method of a registered service: a unary one or a stream.
type method struct {
	service any
	unary   *grpc.MethodDesc
	stream  *grpc.StreamDesc
}

// NewConn makes a connection on which every call runs the given interceptors,
// the first of each outermost, as grpc.ChainUnaryInterceptor has it.
func NewConn(unary []grpc.UnaryServerInterceptor, stream []grpc.StreamServerInterceptor) *Conn {
	return &Conn{
		unary:   chainUnary(unary),
		stream:  chainStream(stream),
		methods: map[string]*method{},
	}
}

// RegisterService implements grpc.ServiceRegistrar. All services must be
// registered before the first call.
func (c *Conn) RegisterService(desc *grpc.ServiceDesc, service any) {
	for i := range desc.Methods {
		m := &desc.Methods[i]
		c.methods["/"+desc.ServiceName+"/"+m.MethodName] = &method{service: service, unary: m}
	}
	for i := range desc.Streams {
		s := &desc.Streams[i]
		c.methods["/"+desc.ServiceName+"/"+s.StreamName] = &method{service: service, stream: s}
	}
}

// Invoke implements grpc.ClientConnInterface: one unary call, run by the
// caller's own goroutine. Errors are gRPC statuses with their details.
func (c *Conn) Invoke(ctx context.Context, name string, request, answer any, opts ...grpc.CallOption) error {
	m := c.methods[name]
	if m == nil || m.unary == nil {
		return status.Error(codes.Unimplemented, "this hub has no method "+name)
	}
	call := &transport{method: name}
	decode := func(into any) error { return hand(into, request) }
	got, err := m.unary.Handler(m.service, serverContext(ctx, call), decode, c.unary)
	call.report(opts)
	if err != nil {
		return asStatus(err)
	}
	return hand(answer, got)
}

// hand copies one side's message into the other's, as encoding and decoding
// would. Sharing sub-messages instead measured no faster.
func hand(to, from any) error {
	dst, ok := to.(proto.Message)
	src, ok2 := from.(proto.Message)
	if !ok || !ok2 {
		return status.Error(codes.Internal, "not a protocol buffer message")
	}
	proto.Merge(dst, src)
	return nil
}

// asStatus makes an error look as it would after crossing a network.
func asStatus(err error) error {
	if st, ok := status.FromError(err); ok {
		return st.Err()
	}
	return status.FromContextError(err).Err()
}

// remoteKey is the context key of the HTTP caller's end of the connection.
type remoteKey struct{}

// withRemote notes from which address the HTTP request came, and what TLS says of
// the connection, the client's certificate among it; state is nil in plain text.
// Only the gateway can: the key is private to it.
func withRemote(ctx context.Context, addr net.Addr, state *tls.ConnectionState) context.Context {
	p := &peer.Peer{Addr: addr}
	if state != nil {
		p.AuthInfo = credentials.TLSInfo{State: *state}
	}
	return context.WithValue(ctx, remoteKey{}, p)
}

// forwarded are the metadata keys that a REST caller may set. Whatever else the
// gateway library derives from headers (x-forwarded-for and its like) stops here.
var forwarded = []string{
	"authorization", "irt-purpose", "irt-reason", "irt-on-behalf-of",
	"idempotency-key", "if-match", "x-request-id", "traceparent",
}

// serverContext is the context a call arrives with at the service: the caller's
// metadata as incoming metadata, and the HTTP caller's connection as the peer, so
// that an interceptor finds both where it finds them for gRPC callers.
func serverContext(ctx context.Context, call *transport) context.Context {
	out, _ := metadata.FromOutgoingContext(ctx)
	in := make(metadata.MD, len(out))
	for key, values := range out {
		if slices.Contains(forwarded, key) {
			in[key] = values
		}
	}
	if p, ok := ctx.Value(remoteKey{}).(*peer.Peer); ok {
		ctx = peer.NewContext(ctx, p)
	}
	ctx = metadata.NewIncomingContext(ctx, in)
	return grpc.NewContextWithServerTransportStream(ctx, call)
}

// transport collects the header and trailer a handler sets. It implements
// grpc.ServerTransportStream.
type transport struct {
	method  string
	mu      sync.Mutex
	header  metadata.MD
	trailer metadata.MD
}

// Method implements grpc.ServerTransportStream.
func (t *transport) Method() string { return t.method }

// SetHeader implements grpc.ServerTransportStream.
func (t *transport) SetHeader(md metadata.MD) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.header = metadata.Join(t.header, md)
	return nil
}

// SendHeader implements grpc.ServerTransportStream.
func (t *transport) SendHeader(md metadata.MD) error { return t.SetHeader(md) }

// SetTrailer implements grpc.ServerTransportStream.
func (t *transport) SetTrailer(md metadata.MD) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trailer = metadata.Join(t.trailer, md)
	return nil
}

// report gives the caller the header and trailer it asked for.
func (t *transport) report(opts []grpc.CallOption) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = t.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = t.trailer
		}
	}
}

// chainUnary makes one interceptor of several, the first outermost.
func chainUnary(all []grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		next := handler
		for _, i := range slices.Backward(all) {
			inner := next
			next = func(ctx context.Context, req any) (any, error) { return i(ctx, req, info, inner) }
		}
		return next(ctx, req)
	}
}

// chainStream makes one interceptor of several, the first outermost.
func chainStream(all []grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	return func(service any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		next := handler
		for _, i := range slices.Backward(all) {
			inner := next
			next = func(service any, s grpc.ServerStream) error { return i(service, s, info, inner) }
		}
		return next(service, s)
	}
}
