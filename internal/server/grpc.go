package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"irthub/internal/rpc"
)

const (
	maxStreams    = 1000     // concurrent calls of one connection
	maxHeaderList = 32 << 10 // bytes of metadata
	healthEvery   = 2 * time.Second

	// streamWorkers is how many goroutines stay to serve calls. A new one begins
	// with a small stack and must move to a larger one twice on its way through the
	// interceptors, which took an eighth of the CPU of a read; calls beyond these
	// have a new one each. What a worker keeps is its stack, some 16 KiB.
	streamWorkers = 512
)

// grpcServer is the gRPC door.
type grpcServer struct {
	*grpc.Server
	health *health.Server
}

func newGRPCServer(h *Hub, tlsConfig *tls.Config) *grpcServer {
	options := append(rpc.ServerOptions(),
		grpc.ChainUnaryInterceptor(h.unary()...),
		grpc.ChainStreamInterceptor(h.stream()...),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.ConnectionTimeout(10*time.Second),
		// A lost client is noticed within three minutes; a client may ask for signs
		// of life every ten seconds; connections are made anew every hour, so that
		// they spread over the hubs there are.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: 2 * time.Minute, Timeout: 20 * time.Second,
			MaxConnectionIdle: 15 * time.Minute, MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: time.Hour,
		}),
	)
	if tlsConfig != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(tlsConfig)))
	}
	s := &grpcServer{Server: grpc.NewServer(options...), health: health.NewServer()}
	h.register(s)
	s.setHealth(errNotReady)
	grpc_health_v1.RegisterHealthServer(s, s.health)
	reflection.Register(s)
	return s
}

var errNotReady = errors.New("server: not ready yet")

// setHealth answers the health service's question for the hub and each service.
func (s *grpcServer) setHealth(err error) {
	state := grpc_health_v1.HealthCheckResponse_SERVING
	if err != nil {
		state = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	s.health.SetServingStatus("", state)
	for name := range s.GetServiceInfo() {
		s.health.SetServingStatus(name, state)
	}
}

// watchHealth keeps the health service's answers true until ctx ends, and tells the
// log when they change.
func (s *grpcServer) watchHealth(ctx context.Context, ready func(context.Context) error, log *slog.Logger) {
	was := true
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			asked, cancel := context.WithTimeout(ctx, healthEvery)
			err := ready(asked)
			cancel()
			if ctx.Err() != nil {
				return
			}
			s.setHealth(err)
			switch {
			case err != nil && was:
				log.ErrorContext(ctx, "the hub cannot do its work just now", "error", err)
			case err == nil && !was:
				log.InfoContext(ctx, "the hub can do its work again")
			}
			was = err == nil
		}
	}
}

// drain takes no new calls and waits for those under way, until ctx ends; then it
// breaks them off.
func (s *grpcServer) drain(ctx context.Context) {
	s.health.Shutdown()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.GracefulStop()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.Stop()
		<-done
	}
}

// serve runs until drain or an error.
func (s *grpcServer) serve(listener net.Listener) error {
	err := s.Serve(listener)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}
