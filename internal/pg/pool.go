// Package pg is the hub's way to PostgreSQL: the pool, transactions, what an
// error means for the caller, migrations, and a private cluster for a hub that
// was given no database. The SQL itself stands in each feature's store.go.
package pg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options shape a pool. The zero value is right for a hub.
type Options struct {
	// MaxConns bounds the pool. Zero means the URL's pool_max_conns, or else
	// four per core and at least 8, at most 16: the batchers need few
	// connections, and 8 to 16 measured better than 64 on two cores.
	MaxConns int32
	// PoolerURL is a connection pooler in front of the database, in transaction
	// mode, that the pool's connections go through; "" for none. It is a secret.
	PoolerURL string
	// Tracer is told of every statement; nil for none.
	Tracer pgx.QueryTracer
}

// sessionDefaults hold for every connection of a pool whose URL does not say
// otherwise. The timeouts free what a lost client, a bad plan or a forgotten
// transaction would hold for ever; each is far above any normal use.
var sessionDefaults = map[string]string{
	"application_name":                    "irthub",
	"timezone":                            "UTC",
	"statement_timeout":                   "30s", // as long as a batch may take
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "60s",
}

// Open connects a pool to the database at url, a postgres:// URL or a
// key=value string as libpq has them; host may be a socket directory, as
// ?host=/run/postgresql or percent-encoded in the host's place. It fails when
// the database cannot be reached now. The error never holds the password.
func Open(ctx context.Context, url string, o Options) (*pgxpool.Pool, error) {
	cfg, err := poolConfig(url, o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("pg: opening the pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("pg: reaching the database: %w", err)
	}
	return pool, nil
}

// Apart makes a pool of at most n connections of its own beside pool, to the same
// database in the same way, for work all over a large index: each process of the
// server has to map every page of shared memory that it is at for the first time, so
// that work is quicker where it is the same few that do it, for half a day. It connects
// when it is used.
func Apart(pool *pgxpool.Pool, n int32) *pgxpool.Pool {
	cfg := pool.Config()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = max(min(n, cfg.MaxConns), 1), 0, 0
	cfg.MaxConnLifetime, cfg.MaxConnIdleTime = max(12*time.Hour, cfg.MaxConnLifetime), max(12*time.Hour, cfg.MaxConnIdleTime)
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 12 // not all of them at once
	apart, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		panic(err) //nolint:forbidigo // never: all it could refuse is a number that is not positive
	}
	return apart
}

func poolConfig(url string, o Options) (*pgxpool.Config, error) {
	url, err := socketHostToQuery(url)
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("pg: database URL: %w", err)
	}
	switch {
	case o.MaxConns > 0:
		cfg.MaxConns = o.MaxConns
	case !strings.Contains(url, "pool_max_conns"):
		cfg.MaxConns = int32(min(16, max(8, 4*runtime.NumCPU())))
	}
	cfg.ConnConfig.Tracer = o.Tracer
	cfg.PingTimeout = 5 * time.Second
	cfg.AfterConnect = scanTimesInUTC
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement // the fastest by far of pgx's modes
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	for name, value := range sessionDefaults {
		if _, set := cfg.ConnConfig.RuntimeParams[name]; !set {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	if o.PoolerURL != "" {
		if err := throughPooler(cfg, o.PoolerURL); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// scanTimesInUTC makes timestamptz values come out in UTC: pgx would give them
// the location of whatever machine the hub runs on.
func scanTimesInUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name:  "timestamptz",
		OID:   pgtype.TimestamptzOID,
		Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// socketHostToQuery moves a percent-encoded socket directory, which libpq
// takes in the host's place and Go's URL parser refuses, to the host parameter.
func socketHostToQuery(raw string) (string, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme != "postgres" && scheme != "postgresql" {
		return raw, nil
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host := rest[strings.LastIndexByte(rest[:end], '@')+1 : end]
	if len(host) < 3 || !strings.EqualFold(host[:3], "%2F") {
		return raw, nil
	}
	dir, port, hasPort := strings.Cut(host, ":")
	dir, err := url.PathUnescape(dir)
	if err != nil {
		return "", errors.New("pg: database URL: the socket directory in the host's place is not percent-encoded properly")
	}
	params := url.Values{"host": {dir}}
	if hasPort {
		params.Set("port", port)
	}
	tail, query, hasQuery := strings.Cut(rest[end:], "?")
	if hasQuery {
		query = "&" + query
	}
	return scheme + "://" + strings.TrimSuffix(rest[:end], host) + tail + "?" + encodeParams(params) + query, nil
}
