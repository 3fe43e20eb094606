package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"

	"irthub/internal/telemetry"
)

// Run runs a hub until ctx ends, then drains it: calls under way get drainTime
// to end, what was accepted is written, a private PostgreSQL is stopped. It
// returns nil if all of that went well, also when ctx ends before the hub is ready.
func Run(ctx context.Context, c Config) error {
	err := run(ctx, c)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		c.Log.Info("told to stop before the hub was ready")
		return nil
	}
	return err
}

func run(ctx context.Context, c Config) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	certificates, err := loadCertificates(c)
	if err != nil {
		return err
	}
	doors, err := listen(c)
	if err != nil {
		return err
	}
	defer doors.close()
	tracing, err := telemetry.StartTracing(ctx, c.Version, c.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ended(ctx, tracing.Close)) }()
	db, err := openDatabase(ctx, c, tracing)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	hub, err := newHub(ctx, c, db)
	if err != nil {
		return err
	}
	hub.tracing = tracing
	defer func() { err = errors.Join(err, ended(ctx, hub.close)) }()
	if c.Prepare != nil {
		if err := c.Prepare(ctx, hub); err != nil {
			return err
		}
	}
	return serve(ctx, hub, doors, certificates)
}

// ended ends something within drainTime, whatever ended ctx.
func ended(ctx context.Context, end func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return end(ctx)
}

// doors are the listeners. They are opened first, so that a port in use is found
// out before a database is started, and nothing is accepted before serve.
type doors struct{ grpc, http, metrics net.Listener } // metrics may be nil

func listen(c Config) (*doors, error) {
	var config net.ListenConfig
	grpc, err := config.Listen(context.Background(), "tcp", c.GRPCAddr)
	if err != nil {
		return nil, fmt.Errorf("listening for gRPC: %w", err)
	}
	http, err := config.Listen(context.Background(), "tcp", c.HTTPAddr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening for REST: %w", err), grpc.Close())
	}
	d := &doors{grpc: grpc, http: http}
	if c.MetricsAddr == "" {
		return d, nil
	}
	if d.metrics, err = config.Listen(context.Background(), "tcp", c.MetricsAddr); err != nil {
		d.close()
		return nil, fmt.Errorf("listening for Prometheus: %w", err)
	}
	return d, nil
}

// close closes listeners that no server has closed yet.
func (d *doors) close() {
	_ = d.grpc.Close()
	_ = d.http.Close()
	if d.metrics != nil {
		_ = d.metrics.Close()
	}
}

// serve answers on both doors until ctx ends or one of them fails.
func serve(ctx context.Context, hub *Hub, d *doors, c *certificates) error {
	grpcServer := newGRPCServer(hub, c.server("h2"))
	httpServer, err := newHTTPServer(hub, c.server("h2", "http/1.1"))
	if err != nil {
		return err
	}
	running, ctx := errgroup.WithContext(ctx)
	if c != nil {
		running.Go(func() error {
			c.follow(ctx, hub.config.Log)
			return nil
		})
	}
	running.Go(func() error { return grpcServer.serve(d.grpc) })
	running.Go(func() error { return httpServer.serve(d.http) })
	running.Go(func() error {
		grpcServer.watchHealth(ctx, hub.ready, hub.config.Log)
		return nil
	})
	running.Go(func() error {
		<-ctx.Done() // told to stop, or one of the others failed
		hub.config.Log.Info("stopping: no new calls, waiting for those under way")
		hub.Events.Stop() // which would go on for ever
		drainBoth(ctx, grpcServer, httpServer)
		return nil
	})
	grpcServer.setHealth(hub.ready(ctx))
	addresses := Addresses{GRPC: d.grpc.Addr().String(), HTTP: d.http.Addr().String()}
	if d.metrics != nil {
		addresses.Metrics = d.metrics.Addr().String()
		running.Go(func() error { return serveMetrics(ctx, hub, d.metrics, c.server("h2", "http/1.1")) })
	}
	hub.config.Log.Info("ready", "grpc", addresses.GRPC, "http", addresses.HTTP, "version", hub.config.Version)
	if hub.config.Ready != nil {
		hub.config.Ready(addresses)
	}
	return running.Wait()
}

// drainBoth drains the doors side by side.
func drainBoth(ctx context.Context, grpcServer *grpcServer, httpServer *httpServer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { grpcServer.drain(ctx) })
	both.Go(func() { httpServer.drain(ctx) })
	both.Wait()
}
