package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/concerns"
	"irthub/internal/consent"
	"irthub/internal/contact"
	"irthub/internal/identity"
	"irthub/internal/involvement"
	"irthub/internal/pg"
	"irthub/internal/referrals"
	"irthub/internal/rpc"
	"irthub/internal/timeline"
)

// listTimeline reads timelines of fifty entries over gRPC, each as a practitioner of
// the agency whose record the child has, audited.
func listTimeline(_ context.Context, l *lab) (operation, error) {
	return func(worker int) func(context.Context) error {
		client, r := irtv1.NewTimelineServiceClient(l.conn(worker)), chance(worker)
		return func(ctx context.Context) error {
			child := l.told[r.IntN(len(l.told))]
			md, err := l.callers.headers(child.home, irtv1.Role_ROLE_PRACTITIONER)
			if err != nil {
				return err
			}
			resp, err := client.ListTimelineEntries(metadata.NewOutgoingContext(ctx, md), &irtv1.ListTimelineEntriesRequest{Parent: child.name})
			if err == nil && len(resp.GetEntries()) != toldEntries {
				err = fmt.Errorf("a timeline had %d entries in place of %d", len(resp.GetEntries()), toldEntries)
			}
			return err
		}
	}, nil
}

// rawTimeline is what ListTimelineEntries would cost a program that has nothing between
// it and the database: the statements that the hub itself sends for one timeline, with
// their arguments, all in one round trip (pgx.Batch), and every column of every row
// scanned. They are those that the hub's own services send in this process beforehand,
// so they are never others than the hub's.
func rawTimeline(ctx context.Context, l *lab) (operation, error) {
	sent, err := l.statementsOfTimelines(ctx)
	if err != nil {
		return nil, fmt.Errorf("preparing the raw reference of a timeline: %w", err)
	}
	return func(worker int) func(context.Context) error {
		r := chance(worker)
		targetsOf := map[string][]any{}
		return func(ctx context.Context) error {
			b, rows := &pgx.Batch{}, 0
			for _, s := range sent[r.IntN(len(sent))] {
				b.Queue(s.sql, s.args...).Query(func(found pgx.Rows) error {
					for ; found.Next(); rows++ {
						into := targetsOf[s.sql]
						if into == nil {
							into = targets(found.FieldDescriptions())
							targetsOf[s.sql] = into
						}
						if err := found.Scan(into...); err != nil {
							return err
						}
					}
					return found.Err()
				})
			}
			err := l.pool.SendBatch(ctx, b).Close()
			if err == nil && rows < toldEntries-toldMoves {
				err = fmt.Errorf("the raw statements of a timeline brought %d rows", rows)
			}
			return err
		}
	}, nil
}

// statement is what was sent to the database.
type statement struct {
	sql  string
	args []any
}

// recorder keeps the statements of a pool's connections, with names of arguments in
// the form that goes to the database. It is told by pgx, of several at once.
type recorder struct {
	mu   sync.Mutex
	sent []statement
	err  error
}

func (r *recorder) add(ctx context.Context, conn *pgx.Conn, sql string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(args) > 0 {
		if named, ok := args[0].(pgx.QueryRewriter); ok {
			var err error
			sql, args, err = named.RewriteQuery(ctx, conn, sql, args[1:])
			r.err = errors.Join(r.err, err)
		}
	}
	r.sent = append(r.sent, statement{sql, args})
}

// take gives what was sent since it was last called.
func (r *recorder) take() ([]statement, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.sent
	r.sent = nil
	return sent, r.err
}

// TraceQueryStart implements pgx.QueryTracer.
func (r *recorder) TraceQueryStart(ctx context.Context, conn *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	r.add(ctx, conn, d.SQL, d.Args)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (r *recorder) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, d pgx.TraceBatchQueryData) {
	r.add(ctx, conn, d.SQL, d.Args)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// statementsOfTimelines are what the hub's services send for the timeline of each child
// of whom there is much to tell.
func (l *lab) statementsOfTimelines(ctx context.Context) (all [][]statement, err error) {
	sent := &recorder{}
	pool, err := pg.Open(ctx, l.cluster.URL(), pg.Options{Tracer: sent})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	service, stop, err := l.timelines(ctx, pool)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if _, err := sent.take(); err != nil {
		return nil, err
	}
	for _, child := range l.told {
		ctx := identity.NewContext(ctx, identity.Caller{
			Agency: child.home, Role: irtv1.Role_ROLE_PRACTITIONER, Practitioner: practitionerID(0), Purpose: irtv1.Purpose_PURPOSE_DIRECT_CARE,
		})
		ctx = audit.NewContext(ctx, audit.New(ctx, irtv1.TimelineService_ListTimelineEntries_FullMethodName))
		resp, err := service.ListTimelineEntries(ctx, &irtv1.ListTimelineEntriesRequest{Parent: child.name})
		if err != nil {
			return nil, err
		}
		if len(resp.GetEntries()) != toldEntries {
			return nil, fmt.Errorf("a timeline had %d entries in place of %d", len(resp.GetEntries()), toldEntries)
		}
		statements, err := sent.take()
		if err != nil {
			return nil, err
		}
		all = append(all, statements)
	}
	l.o.Progress(fmt.Sprintf("a timeline takes %d statements", len(all[0])))
	return all, nil
}

// timelines is the service of timelines, over others that read from a pool.
func (l *lab) timelines(ctx context.Context, pool *pgxpool.Pool) (*timeline.Service, func() error, error) {
	directory, err := agencies.NewDirectory(ctx, l.pool, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the directory: %w", err)
	}
	tokens, err := rpc.NewPageTokens(make([]byte, 32))
	if err != nil {
		directory.Close()
		return nil, nil, err
	}
	writer := audit.NewWriter(l.pool)
	index, with := children.New(pool, directory, tokens, writer), involvement.New(pool, directory, tokens, writer)
	raised := concerns.New(pool, directory, tokens, writer, concerns.Options{})
	referred := referrals.New(pool, directory, tokens, writer, with.Involve)
	agreed, asked := consent.New(pool, directory, tokens, writer), contact.New(pool, directory, tokens)
	service := timeline.New(timeline.Sources{
		Children: index, Involvements: with, Concerns: raised, Referrals: referred, Consents: agreed, Contacts: asked,
	}, tokens)
	return service, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), hubStop)
		defer cancel()
		defer directory.Close()
		return errors.Join(asked.Close(ctx), agreed.Close(ctx), referred.Close(ctx), raised.Close(ctx), with.Close(ctx), index.Close(ctx), writer.Close(ctx))
	}, nil
}
