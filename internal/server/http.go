package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"irthub/internal/gateway"
)

// httpServer is the REST door.
type httpServer struct{ *http.Server }

func newHTTPServer(h *Hub, tlsConfig *tls.Config) (*httpServer, error) {
	handler, err := gateway.New(gateway.Options{
		Conn: h.Conn(), Ready: h.ready, Log: h.config.Log, Version: h.config.Version, Patience: h.config.patience(),
	})
	if err != nil {
		return nil, err
	}
	return &httpServer{&http.Server{
		Handler: handler, TLSConfig: tlsConfig,
		// How long bodies and answers may take is set for each request by the gateway.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderList,
		ErrorLog:          slog.NewLogLogger(h.config.Log.Handler(), slog.LevelDebug), // broken connections, mostly
	}}, nil
}

// serve runs until drain or an error.
func (s *httpServer) serve(listener net.Listener) error {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(listener, "", "")
	} else {
		err = s.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// drain takes no new requests and waits for those under way, until ctx ends; then
// it breaks them off.
func (s *httpServer) drain(ctx context.Context) {
	if s.Shutdown(ctx) != nil {
		_ = s.Close() // nothing is left to be done about it
	}
}

// serveMetrics answers Prometheus until ctx ends. Metrics hold no personal data
// and need no token; an address that other machines can reach has TLS, as the
// other doors have.
func serveMetrics(ctx context.Context, h *Hub, listener net.Listener, tlsConfig *tls.Config) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.metrics.Handler())
	s := &httpServer{&http.Server{
		Handler: mux, TLSConfig: tlsConfig, MaxHeaderBytes: maxHeaderList,
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(h.config.Log.Handler(), slog.LevelDebug),
	}}
	context.AfterFunc(ctx, func() { _ = s.Close() }) // a scrape may be broken off
	return s.serve(listener)
}
