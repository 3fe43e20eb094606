package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// reloadEvery is how soon files of certificates that have changed are read again.
const reloadEvery = 2 * time.Second

// certificates are the hub's own certificate and those that its clients' must be
// signed by, read again from their files when these change, so that a certificate is
// renewed without a restart. What is read is good for new connections.
type certificates struct {
	config  Config
	present atomic.Pointer[tls.Config]
	seen    string // of the files, when they were read
}

// loadCertificates reads the files; nil where the hub serves in plain text.
func loadCertificates(c Config) (*certificates, error) {
	if c.TLSCert == "" {
		return nil, nil //nolint:nilnil // no TLS is a valid setting
	}
	s := &certificates{config: c}
	return s, s.load()
}

func (s *certificates) load() error {
	seen := s.look()
	cert, err := tls.LoadX509KeyPair(s.config.TLSCert, s.config.TLSKey)
	if err != nil {
		return fmt.Errorf("loading the TLS certificate: %w", err)
	}
	// A session that is taken up again would skip the check of the client's
	// certificate against what --client-ca says by then.
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: s.config.ClientCA != ""}
	if s.config.ClientCA != "" {
		if config.ClientCAs, err = readPool(s.config.ClientCA); err != nil {
			return err
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
		if s.config.RequireClientCert {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	s.present.Store(config)
	s.seen = seen
	return nil
}

func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("loading --client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("loading --client-ca: %s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// look is what tells whether the files have changed.
func (s *certificates) look() string {
	text := ""
	for _, file := range []string{s.config.TLSCert, s.config.TLSKey, s.config.ClientCA} {
		if info, err := os.Stat(file); err == nil {
			text += fmt.Sprintln(file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return text
}

// follow reads the files again when they have changed, until ctx ends. Files that
// do not fit each other, as while they are being replaced, change nothing.
func (s *certificates) follow(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.look() == s.seen {
			continue
		}
		if err := s.load(); err != nil {
			log.WarnContext(ctx, "the certificates have changed and cannot be loaded; those before stay in use", "error", err)
			continue
		}
		log.InfoContext(ctx, "the certificates were loaded again")
	}
}

// server is the configuration of a door that speaks the protocols; nil in plain text.
func (s *certificates) server(protocols ...string) *tls.Config {
	if s == nil {
		return nil
	}
	config := s.present.Load().Clone()
	config.NextProtos = protocols
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := s.present.Load().Clone()
		now.NextProtos = protocols
		return now, nil
	}
	return config
}

// checkTLS finds what does not fit together among the settings of TLS.
func (c Config) checkTLS() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together: give both or neither")
	case c.ClientCA != "" && c.TLSCert == "":
		return errors.New("--client-ca needs TLS: give --tls-cert and --tls-key")
	case c.RequireClientCert && c.ClientCA == "":
		return errors.New("--require-client-cert needs --client-ca: which certificates are to be believed?")
	}
	return nil
}
