package bench

import (
	"context"
	"time"
)

// trial is how one figure is taken.
type trial struct {
	id   string
	unit string // of the absolute figures
	// workers is how many calls are under way at once.
	workers func(Options) int
	// product and reference make the two sides' operations.
	product   func(context.Context, *lab) (operation, error)
	reference func(context.Context, *lab) (operation, error) // nil: the figure stands by itself
	// inProcess says that the reference is this process's own work with
	// PostgreSQL: what the hub's is for the product. Otherwise it is the hub's too.
	inProcess bool
	// once takes figures in its own way, in place of product and reference: id, and
	// those beside it.
	once   func(context.Context, *lab) ([]*Figure, error)
	beside []string
	// latency makes the median the figure, in place of the rate.
	latency bool
}

// Units.
const (
	perSecond     = "requests/s"
	rowsPerSecond = "rows/s"
	milliseconds  = "ms"
	mebibytes     = "MiB"
	percent       = "%"
)

// asAsked is as many calls at once as were asked for.
func asAsked(o Options) int { return o.Concurrency }

// atMost is as many, and never more than n.
func atMost(n int) func(Options) int { return func(o Options) int { return min(n, o.Concurrency) } }

// trials are all figures, in the order in which they are taken: what writes comes
// last, since it makes the index grow.
var trials = []trial{
	{id: "grpc_echo", unit: perSecond, workers: asAsked, product: echo},
	{id: "get_vs_pgx", unit: perSecond, workers: asAsked, product: getChild, reference: rawGetChild, inProcess: true},
	{id: "get_vs_sync_audit", unit: perSecond, workers: asAsked, product: getChild, reference: getChildAuditedEach},
	{id: "get_alone", unit: milliseconds, workers: atMost(1), product: getChild, reference: rawGetChild, inProcess: true, latency: true},
	{id: "involvements_vs_pgx", unit: perSecond, workers: asAsked, product: listInvolvements, reference: rawListInvolvements, inProcess: true},
	{id: "timeline_vs_pgx", unit: perSecond, workers: atMost(64), product: listTimeline, reference: rawTimeline, inProcess: true},
	{id: "rest_vs_grpc", unit: perSecond, workers: asAsked, product: getChildREST, reference: getChild},
	{id: "search", unit: perSecond, workers: atMost(64), product: searchChildren},
	{id: "submit_vs_pgx", unit: perSecond, workers: atMost(64), product: submitRecord, reference: rawSubmit, inProcess: true},
	{id: "submit_vs_statements", unit: perSecond, workers: atMost(64), product: submitRecord, reference: rawSubmitStatements, inProcess: true},
	{id: "submit_alone", unit: milliseconds, workers: atMost(1), product: submitRecord, reference: rawSubmit, inProcess: true, latency: true},
	{id: "submit_p99_beside_load", once: submitBesideLoad},
	{id: "match_candidates_per_s", once: scoreCandidates},
	{id: "match_alone", unit: milliseconds, workers: atMost(1), product: matchChild, latency: true},
	{id: "match_sql_share", once: shareStages, beside: []string{"match_scoring_share", "match_commit_share"}},
	{id: "watch_p99_ms", once: watchEvents},
	{id: "concern_event_p99_ms", once: concernEvents},
	{id: "import_vs_copy", unit: rowsPerSecond, once: importCohort, beside: []string{"import_rows_per_s", "hub_mem_mib"}},
}

// ids are all figures of a trial.
func (t *trial) ids() []string { return append([]string{t.id}, t.beside...) }

// IDs are the ids of the figures, in order.
func IDs() []string {
	var ids []string
	for _, t := range trials {
		ids = append(ids, t.ids()...)
	}
	return ids
}

// rounds is how many turns each side has. They go first in turn, so that what
// drifts, or what one leaves behind for the other, evens out.
const rounds = 4

// warmUp is how long a side runs before it is measured, as a share of the time it
// is measured; and at most so long.
const (
	warmUpShare  = 4
	warmUpAtMost = time.Second
)

// take takes the figures of one trial.
func (l *lab) take(ctx context.Context, t trial) ([]*Figure, error) {
	if t.once != nil {
		return t.once(ctx, l)
	}
	sides, err := l.sides(ctx, t)
	if err != nil {
		return nil, err
	}
	for _, s := range sides {
		if _, err := l.drive(ctx, t.workers(l.o), min(l.o.Duration/warmUpShare, warmUpAtMost), s.do); err != nil {
			return nil, err
		}
	}
	var ratios []float64
	for r := range rounds {
		turn := make([]*load, len(sides))
		for i := range sides {
			n := (i + r) % len(sides)
			if turn[n], err = l.drive(ctx, t.workers(l.o), l.o.Duration/rounds, sides[n].do); err != nil {
				return nil, err
			}
			sides[n].sum.add(turn[n])
		}
		if len(turn) == 2 {
			ratios = append(ratios, ratio(t, turn[0], turn[1]))
		}
	}
	return []*Figure{figure(t, t.workers(l.o), sides, ratios)}, nil
}

// side is one of the two that take turns.
type side struct {
	do  operation
	sum *load
}

func (l *lab) sides(ctx context.Context, t trial) ([]side, error) {
	makers := []func(context.Context, *lab) (operation, error){t.product}
	if t.reference != nil {
		makers = append(makers, t.reference)
	}
	sides := make([]side, len(makers))
	for i, make := range makers {
		do, err := make(ctx, l)
		if err != nil {
			return nil, err
		}
		sides[i] = side{do, newLoad()}
	}
	return sides, nil
}
