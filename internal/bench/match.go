package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

// MatchIDs are the figures of matching: what irthub bench match takes.
func MatchIDs() []string {
	return []string{"match_candidates_per_s", "match_alone", "match_sql_share", "match_scoring_share", "match_commit_share"}
}

// candidatesEach is how many records one is compared with at a time: about what a
// household and its namesakes come to.
const candidatesEach = 8

// scoreCandidates compares records with others, on one core and without a database.
func scoreCandidates(ctx context.Context, l *lab) ([]*Figure, error) {
	var everybody []person
	for first := 0; first < 64*group; first += group {
		everybody = append(everybody, l.people.groupOf(first)...)
	}
	prepared := make([]match.Features, len(everybody))
	for i, p := range everybody {
		prepared[i] = match.Prepare(personOf(p.records[0]))
	}
	model := match.Default()
	load, r := newLoad(), chance(0)
	candidates := make([]match.Candidate, candidatesEach)
	before, began := l.meter.read(), time.Now()
	for ; time.Since(began) < l.o.Duration && ctx.Err() == nil; load.done += candidatesEach {
		// Half of them from the same household, or near it.
		n := r.IntN(len(prepared))
		for i := range candidates {
			other := r.IntN(len(prepared))
			if i%2 == 0 {
				other = min(n/group*group+r.IntN(group), len(prepared)-1)
			}
			candidates[i] = match.Candidate{Child: match.ChildKey{byte(i)}, Features: &prepared[other]}
		}
		model.Decide(&prepared[n], candidates)
	}
	load.counted, load.elapsed, load.cpu = load.done, time.Since(began), l.meter.read().minus(before)
	return []*Figure{figure(trial{id: "match_candidates_per_s", unit: "candidates/s"}, 1, []side{{sum: load}}, nil)}, ctx.Err()
}

func personOf(r *irtv1.ChildRecord) match.Person {
	return match.Person{
		GivenName: r.GetGivenName(), MiddleNames: r.GetMiddleNames(), FamilyName: r.GetFamilyName(),
		DateOfBirth: r.GetDateOfBirth(), Sex: r.GetSex(), Postcode: r.GetPostcode(), AddressLines: r.GetAddressLines(),
		NHSNumber: r.GetNhsNumber(), UPN: r.GetUpn(),
	}
}

// matchChild has the hub score what a practice knows of a child who is there,
// without writing.
func matchChild(_ context.Context, l *lab) (operation, error) {
	return func(worker int) func(context.Context) error {
		client, r := irtv1.NewMatchServiceClient(l.conn(worker)), chance(worker)
		md, err := l.callers.headers(dataManager, irtv1.Role_ROLE_DATA_MANAGER)
		if err != nil {
			return failing(err)
		}
		return func(ctx context.Context) error {
			n := r.IntN(l.people.taken())
			records := l.people.groupOf(n)[n%group].records
			record := records[len(records)-1]
			resp, err := client.MatchChild(metadata.NewOutgoingContext(ctx, md), &irtv1.MatchChildRequest{ChildRecord: record})
			if err == nil && len(resp.GetCandidates()) == 0 {
				err = errors.New("a child who is there was not found")
			}
			return err
		}
	}, nil
}

// stages adds up the time that statements take, the commit by itself. It is told
// by pgx, of one connection at a time.
type stages struct{ statements, commit atomic.Int64 }

type stageKey struct{}

type stage struct {
	began  time.Time
	commit bool
}

func (s *stages) begin(ctx context.Context, sql string) context.Context {
	return context.WithValue(ctx, stageKey{}, stage{time.Now(), sql == "commit"})
}

func (s *stages) end(ctx context.Context) {
	one, ok := ctx.Value(stageKey{}).(stage)
	switch {
	case !ok:
	case one.commit:
		s.commit.Add(int64(time.Since(one.began)))
	default:
		s.statements.Add(int64(time.Since(one.began)))
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (s *stages) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	return s.begin(ctx, d.SQL)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *stages) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) { s.end(ctx) }

// TraceBatchStart implements pgx.BatchTracer.
func (s *stages) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return s.begin(ctx, "")
}

// TraceBatchQuery implements pgx.BatchTracer: its statements are part of it.
func (s *stages) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (s *stages) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) { s.end(ctx) }

// TraceCopyFromStart implements pgx.CopyFromTracer.
func (s *stages) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	return s.begin(ctx, "")
}

// TraceCopyFromEnd implements pgx.CopyFromTracer.
func (s *stages) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromEndData) {
	s.end(ctx)
}

// shareStages submits new children one after another to the hub's own write
// pipeline, in this process, and tells what share of the time is spent in SQL (with
// the reading of its rows), in the commit, and in the hub's own work: normalising,
// scoring, deciding, composing.
func shareStages(ctx context.Context, l *lab) (_ []*Figure, err error) {
	spent := &stages{}
	pool, err := pg.Open(ctx, l.cluster.URL(), pg.Options{Tracer: spent})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	service, stop, err := l.pipeline(ctx, pool)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	submit := func() error {
		record := l.people.next().records[0]
		caller := identity.Caller{Agency: agencyOf(record), Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_DIRECT_CARE}
		ctx := identity.NewContext(ctx, caller)
		ctx = audit.NewContext(ctx, audit.New(ctx, irtv1.ChildService_SubmitChildRecord_FullMethodName))
		_, err := service.SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{ChildRecord: record})
		return err
	}
	for warm := time.Now(); time.Since(warm) < min(l.o.Duration/warmUpShare, warmUpAtMost); {
		if err := submit(); err != nil {
			return nil, err
		}
	}
	spent.statements.Store(0)
	spent.commit.Store(0)
	load := newLoad()
	for began := time.Now(); time.Since(began) < l.o.Duration; load.done++ {
		one := time.Now()
		if err := submit(); err != nil {
			return nil, err
		}
		load.elapsed += time.Since(one)
		_ = load.latencies.RecordValue(min(max(time.Since(one).Microseconds(), leastLatency), mostLatency))
	}
	load.counted = load.done
	share := func(id string, of time.Duration) *Figure {
		f := figure(trial{id: id, unit: percent}, 1, []side{{sum: load}}, nil)
		f.Value = 100 * of.Seconds() / load.elapsed.Seconds()
		f.Absolute = f.Value
		return f
	}
	statements, commit := time.Duration(spent.statements.Load()), time.Duration(spent.commit.Load())
	return []*Figure{
		share("match_sql_share", statements), share("match_scoring_share", load.elapsed-statements-commit), share("match_commit_share", commit),
	}, nil
}

// pipeline is the service of children, on a pool.
func (l *lab) pipeline(ctx context.Context, pool *pgxpool.Pool) (*children.Service, func() error, error) {
	directory, err := agencies.NewDirectory(ctx, pool, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the directory: %w", err)
	}
	tokens, err := rpc.NewPageTokens(make([]byte, 32))
	if err != nil {
		directory.Close()
		return nil, nil, err
	}
	writer := audit.NewWriter(pool)
	service := children.New(pool, directory, tokens, writer)
	return service, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), hubStop)
		defer cancel()
		defer directory.Close()
		return errors.Join(service.Close(ctx), writer.Close(ctx))
	}, nil
}
