package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/limits"
	"irthub/internal/server"
	"irthub/internal/sharing"
	"irthub/internal/webhooks"
)

type serveCommand struct {
	dataFlag
	logFlags
	policiesFlag
	concernWindowFlag
	matchModelFlag

	GRPCAddr    string   `name:"grpc-addr" placeholder:"HOST:PORT" default:"127.0.0.1:8443" env:"IRTHUB_GRPC_ADDR" help:"Where to answer gRPC; port 0 takes a free one (default: 127.0.0.1:8443)."`
	HTTPAddr    string   `name:"http-addr" placeholder:"HOST:PORT" default:"127.0.0.1:8080" env:"IRTHUB_HTTP_ADDR" help:"Where to answer REST; port 0 takes a free one (default: 127.0.0.1:8080)."`
	MetricsAddr string   `name:"metrics-addr" placeholder:"HOST:PORT" env:"IRTHUB_METRICS_ADDR" help:"Where to answer Prometheus (GET /metrics); without it nowhere."`
	TLSCert     string   `name:"tls-cert" placeholder:"FILE" env:"IRTHUB_TLS_CERT" type:"path" help:"Certificate chain, PEM. Needed for addresses that other machines can reach."`
	TLSKey      string   `name:"tls-key" placeholder:"FILE" env:"IRTHUB_TLS_KEY" type:"path" help:"Private key of the certificate, PEM."`
	Demo        bool     `help:"Load the demonstration, an invented area of 2,000 children, into a hub that is empty, and print commands to try."`
	OIDCIssuer  []string `name:"oidc-issuer" placeholder:"URL[=AGENCY,...]" sep:"none" env:"IRTHUB_OIDC_ISSUER" help:"OpenID Connect issuer whose tokens are believed, with the audience irthub, and the agencies it may speak for (school-1, or school-* for all that begin so); may be repeated. Without any, tokens of irthub token are believed."`
	OIDCConfig  string   `name:"oidc-config" placeholder:"FILE" env:"IRTHUB_OIDC_CONFIG" type:"path" help:"Issuers with their audiences, agencies, roles and claims, as JSON: see docs/IDENTITY.md."`

	WebhookAllowPrivate bool `name:"webhook-allow-private" env:"IRTHUB_WEBHOOK_ALLOW_PRIVATE" help:"Let webhooks lead into private networks and to this machine: for agencies that are reached by one."`

	ClientCA          string   `name:"client-ca" placeholder:"FILE" env:"IRTHUB_CLIENT_CA" type:"path" help:"Certificates that client certificates must be signed by, PEM. A client certificate identifies the agency that has its name in the directory."`
	AuditEach         bool     `name:"audit-each" hidden:"" help:"For irthub bench to compare with: a transaction for each access entry."`
	RequireClientCert bool     `name:"require-client-cert" env:"IRTHUB_REQUIRE_CLIENT_CERT" help:"Refuse connections without a client certificate, at both doors."`
	AccessLimit       []string `name:"access-limit" placeholder:"ROLE=CHILDREN/SEARCHES" sep:"none" env:"IRTHUB_ACCESS_LIMIT" help:"How many different children a caller of a role may read of in an hour, and how many searches it may make, where data managers have set no other limit; may be repeated. See docs/LIMITS.md."`
}

// Help is shown by irthub serve --help.
func (serveCommand) Help() string {
	return `Runs a hub until it gets SIGINT or SIGTERM; then it ends calls under way, writes what it has accepted and exits with 0. When it can answer it prints one line of JSON on standard output: {"ready":true,"grpc":"host:port","http":"host:port"} (and "metrics", where asked for). Its log goes to standard error.

Without a database it runs a private PostgreSQL in DIR (apt-get install postgresql provides the programs). With IRTHUB_DATABASE_URL=postgres://… in the environment it uses that one; several hubs may share it. A pooler in transaction mode in front of it, such as PgBouncer, is named by IRTHUB_POOLER_URL.

Addresses that only this machine can reach are served in plain text; all others need --tls-cert and --tls-key.

Examples:

  irthub serve
  irthub serve --demo
  irthub serve --data /srv/irthub --grpc-addr 127.0.0.1:0 --http-addr 127.0.0.1:0
  irthub serve --grpc-addr :8443 --http-addr :443 --tls-cert hub.pem --tls-key hub.key --oidc-issuer https://login.example.gov.uk`
}

// Run runs the hub.
func (c *serveCommand) Run(ctx context.Context, s streams) error {
	collectLess()
	policy, err := c.load()
	if err != nil {
		return err
	}
	sharing.SetDefault(policy)
	log, err := c.logger(s.err)
	if err != nil {
		return err
	}
	issuers, err := c.issuers()
	if err != nil {
		return err
	}
	accessLimits := map[irtv1.Role]limits.Limit{}
	for _, text := range c.AccessLimit {
		role, limit, err := limits.ParseLimit(text)
		if err != nil {
			return usage(fmt.Errorf("--access-limit: %w", err))
		}
		accessLimits[role] = limit
	}
	concernWindow, err := c.window()
	if err != nil {
		return err
	}
	model, err := c.model()
	if err != nil {
		return err
	}
	config := server.Config{
		Data: c.Data, DatabaseURL: os.Getenv(databaseURLVariable),
		PoolerURL: os.Getenv(poolerURLVariable),
		GRPCAddr:  c.GRPCAddr, HTTPAddr: c.HTTPAddr, MetricsAddr: c.MetricsAddr, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		ClientCA: c.ClientCA, RequireClientCert: c.RequireClientCert, Webhooks: webhooks.Options{AllowPrivate: c.WebhookAllowPrivate},
		Issuers: issuers, AccessLimits: accessLimits, ConcernWindow: concernWindow, MatchModel: model, Version: version(), Log: log, AuditEach: c.AuditEach,
		Ready: func(a server.Addresses) {
			_ = json.NewEncoder(s.out).Encode(struct { // whoever reads it may have gone
				Ready   bool   `json:"ready"`
				GRPC    string `json:"grpc"`
				HTTP    string `json:"http"`
				Metrics string `json:"metrics,omitempty"`
			}{true, a.GRPC, a.HTTP, a.Metrics})
			if c.Demo {
				printCommands(s.err, c.Data, a)
			}
		},
	}
	if c.Demo {
		config.Prepare = func(ctx context.Context, hub *server.Hub) error { return c.loadDemo(ctx, hub, s) }
	}
	return server.Run(ctx, config)
}

// issuers are those of the command line and of the file. One issuer alone may speak
// for every agency; of several each must say for which.
func (c *serveCommand) issuers() ([]identity.Issuer, error) {
	var all []identity.Issuer
	for _, text := range c.OIDCIssuer {
		i := identity.IssuerOf(text)
		if !strings.Contains(text, "=") && (len(c.OIDCIssuer) > 1 || c.OIDCConfig != "") {
			return nil, usage(fmt.Errorf("--oidc-issuer %s: there are several issuers, so say for which agencies this one may speak: "+
				"--oidc-issuer %s=school-*,gp-1", i.URL, i.URL))
		}
		all = append(all, i)
	}
	if c.OIDCConfig == "" {
		return all, nil
	}
	file, err := os.ReadFile(c.OIDCConfig)
	if err != nil {
		return nil, fmt.Errorf("--oidc-config: %w", err)
	}
	more, err := identity.ReadIssuers(file)
	if err != nil {
		return nil, fmt.Errorf("--oidc-config %s: %w", c.OIDCConfig, err)
	}
	return append(all, more...), nil
}

// collectLess has the garbage collector run a quarter as often: a hub holds little
// and allocates much, and collecting took a fifth of its CPU. Near the memory
// limit it runs as often as it must. GOGC and GOMEMLIMIT in the environment win.
func collectLess() {
	const memory = 512 << 20
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory)
	}
}
