package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/standard"
)

// connections is how many gRPC connections the callers share, as agencies'
// systems would each have one.
const connections = 8

// referenceSettings, in the database's URL, make the references as fast as they
// get: for a query that takes a list of ids PostgreSQL would otherwise make a plan
// each time it runs with a short one, at several times the cost of running it.
const referenceSettings = "&plan_cache_mode=force_generic_plan"

// lab is a hub of this run's own, and what measures it.
type lab struct {
	o       Options
	dir     string
	cluster *pg.Cluster
	pool    *pgxpool.Pool // of the references
	hub     *hubProcess
	each    *hubProcess // that audits each access by itself, once it is needed
	conns   []*grpc.ClientConn
	others  []*grpc.ClientConn // to each
	web     *http.Client
	callers *callers
	meter   meter
	people  *people

	children []subject  // all that are there
	busy     []subject  // those with ten involvements
	told     []told     // those with a long timeline
	raw      *rawWriter // once it is needed
}

// subject is a child to ask about.
type subject struct {
	id   uuid.UUID
	name string
}

// open makes the directory, the database and the hub.
func open(ctx context.Context, o Options) (*lab, error) {
	dir := o.Keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp(o.Dir, "irthub-bench-"); err != nil {
			return nil, err
		}
	}
	l := &lab{o: o, dir: dir, people: &people{today: standard.Today()}, web: webClient(o.Concurrency)}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) start(ctx context.Context) (err error) {
	// The database is this process's, and the hub joins it: so the references go
	// to the same one, over the same kind of connection.
	quiet := slog.New(slog.DiscardHandler)
	if l.cluster, err = pg.StartEmbedded(ctx, l.dir, quiet); err != nil {
		return err
	}
	if l.pool, err = pg.Open(ctx, l.cluster.URL()+referenceSettings, pg.Options{}); err != nil {
		return err
	}
	if err := pg.Migrate(ctx, l.pool); err != nil {
		return err
	}
	if err := register(ctx, l.pool); err != nil {
		return fmt.Errorf("registering agencies: %w", err)
	}
	if err := l.findPeople(ctx); err != nil {
		return fmt.Errorf("finding out who is there: %w", err)
	}
	key, err := identity.LoadOrCreateKey(l.dir)
	if err != nil {
		return err
	}
	l.callers = newCallers(key)
	if l.hub, err = startHub(ctx, l.o, l.dir); err != nil {
		return err
	}
	l.meter = meter{hubs: []int{l.hub.cmd.Process.Pid}, postmaster: postmasterOf(l.dir)}
	l.conns, err = dial(l.hub)
	return err
}

func dial(h *hubProcess) (conns []*grpc.ClientConn, err error) {
	for range connections {
		conn, err := grpc.NewClient(h.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// auditEach starts a second hub on the same database, which commits each access
// entry by itself.
func (l *lab) auditEach(ctx context.Context) (err error) {
	if l.each != nil {
		return nil
	}
	if l.each, err = startHub(ctx, l.o, l.dir, "--audit-each"); err != nil {
		return err
	}
	l.meter.hubs = append(l.meter.hubs, l.each.cmd.Process.Pid)
	l.others, err = dial(l.each)
	return err
}

// conn is a worker's connection.
func (l *lab) conn(worker int) *grpc.ClientConn { return l.conns[worker%len(l.conns)] }

// webClient keeps a connection for each worker, as gRPC does by itself.
func webClient(workers int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: workers, DisableCompression: true,
	}}
}

// close ends everything and removes the directory, unless it is kept.
func (l *lab) close() error {
	var errs []error
	for _, c := range append(l.conns, l.others...) {
		errs = append(errs, c.Close())
	}
	l.web.CloseIdleConnections()
	for _, h := range []*hubProcess{l.each, l.hub} {
		if h != nil {
			errs = append(errs, h.stop())
		}
	}
	if l.pool != nil {
		l.pool.Close()
	}
	if l.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), hubStop)
		defer cancel()
		errs = append(errs, l.cluster.Stop(ctx))
	}
	if l.o.Keep == "" {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	return errors.Join(errs...)
}

// findPeople finds how many people earlier runs have handed out, by the local ids of
// their records.
func (l *lab) findPeople(ctx context.Context) error {
	return l.pool.QueryRow(ctx, `
		SELECT coalesce(max(n + 1) FILTER (WHERE n < $1), 0), coalesce(max(n + 1 - $1) FILTER (WHERE n >= $1), 0)
		FROM (SELECT substr(local_id, 2)::int AS n FROM child_records WHERE local_id ~ '^p[0-9]+$') AS there`,
		strangersFrom).Scan(&l.people.used, &l.people.strangers)
}

// subjects reads which children a query selects.
func (l *lab) subjects(ctx context.Context, query string, args ...any) ([]subject, error) {
	rows, err := l.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s subject, err error) {
		err = row.Scan((*[16]byte)(&s.id))
		s.name = "children/" + standard.FormatChildID(s.id)
		return s, err
	})
}

// inTx runs do in a transaction of the reference's pool.
func (l *lab) inTx(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	return pg.InTx(ctx, l.pool, func(tx pgx.Tx) error { return do(ctx, tx) })
}
