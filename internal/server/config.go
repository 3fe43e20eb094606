// Package server is the only wiring: it opens the database, makes the services
// and the interceptors they run behind, and serves both over gRPC and REST until
// it is told to stop.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/limits"
	"irthub/internal/match"
	"irthub/internal/rpc"
	"irthub/internal/webhooks"
)

// Config is what a hub is started with.
type Config struct {
	// Data is the directory of the hub's own files: its token key and, without
	// DatabaseURL, its private PostgreSQL.
	Data string
	// DatabaseURL is a database to use instead of a private one. It is a secret.
	DatabaseURL string
	// PoolerURL is a connection pooler in transaction mode in front of DatabaseURL,
	// such as PgBouncer; "" for none. It is a secret.
	PoolerURL string
	// GRPCAddr and HTTPAddr are HOST:PORT to listen on; port 0 takes a free one.
	GRPCAddr, HTTPAddr string
	// MetricsAddr is where Prometheus is answered; "" for nowhere.
	MetricsAddr string
	// TLSCert and TLSKey are PEM files. An address that other machines can reach
	// needs them.
	TLSCert, TLSKey string
	// ClientCA is a PEM file of the certificates that client certificates must be
	// signed by; empty: clients are not asked for one. RequireClientCert refuses
	// connections without one.
	ClientCA          string
	RequireClientCert bool
	// Issuers are the OpenID Connect issuers whose tokens are believed. Without any,
	// the hub believes tokens signed by its own key in Data.
	Issuers []identity.Issuer
	// Webhooks say where webhooks may lead.
	Webhooks webhooks.Options
	// AuditEach gives every access entry a transaction of its own: for irthub bench
	// to compare with.
	AuditEach bool
	// AccessLimits are how much callers of a role may read in an hour, where nobody
	// has set another limit; those of limits.Defaults for roles it does not name.
	AccessLimits map[irtv1.Role]limits.Limit
	// ConcernWindow is how near to today concerns of several agencies must have begun
	// to escalate, in days; 0 for the default.
	ConcernWindow int
	// MatchModel is what matching goes by, a model for an index; nil: the one built in.
	MatchModel *match.Model
	// Patience is how long the other side of a stream may stand still; rpc.Patience if
	// zero. Watchers have half of it, so that there is time to tell them.
	Patience time.Duration
	// Version of the binary, for people.
	Version string
	Log     *slog.Logger
	// Prepare runs once the hub can do its work and before it is reachable, such
	// as to load demo data; nil for nothing.
	Prepare func(context.Context, *Hub) error
	// Ready is told where the hub answers, once it does; nil for nobody.
	Ready func(Addresses)
}

// Addresses are where a hub answers.
type Addresses struct{ GRPC, HTTP, Metrics string }

// drainTime is how long calls under way may take to end when the hub stops.
const drainTime = 20 * time.Second

// check finds what would make the hub unsafe or unable to start, before anything
// is started.
func (c Config) check() error {
	if err := c.checkTLS(); err != nil {
		return err
	}
	if c.PoolerURL != "" && c.DatabaseURL == "" {
		return errors.New("IRTHUB_POOLER_URL goes with IRTHUB_DATABASE_URL: elections and migrations need the database itself")
	}
	for _, a := range []struct{ flag, addr string }{
		{"--grpc-addr", c.GRPCAddr}, {"--http-addr", c.HTTPAddr}, {"--metrics-addr", c.MetricsAddr},
	} {
		if a.addr == "" && a.flag == "--metrics-addr" {
			continue
		}
		host, _, err := net.SplitHostPort(a.addr)
		if err != nil {
			return fmt.Errorf("%s %q: it has the form HOST:PORT, such as 127.0.0.1:8443", a.flag, a.addr)
		}
		if c.TLSCert == "" && !isLoopback(host) {
			return fmt.Errorf("%s %s can be reached from other machines, so it needs TLS: give --tls-cert and --tls-key "+
				"(PEM files), or listen on 127.0.0.1 only", a.flag, a.addr)
		}
	}
	return nil
}

func (c Config) patience() time.Duration { return cmp.Or(c.Patience, rpc.Patience) }

// isLoopback says whether only this machine can reach a host. An empty host is
// every interface.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
