package children

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/batch"
	"irthub/internal/pg"
)

// Lister reads lists about children, of one kind, for many callers at a time. Its
// statement is written for one, with arguments by name; one run of it serves all who
// asked meanwhile, so that they share the round trip and the beginning of the plan,
// which is most of what a short list costs.
type Lister[V any] struct {
	pool   *pgxpool.Pool
	name   string
	sql    string
	common func() pgx.NamedArgs
	scan   func() func(pgx.CollectableRow) (V, error)
	reader *batch.Batcher[pgx.NamedArgs, []V]

	prepare sync.Once
	many    string     // the statement for many
	columns []argument // of those who ask, in the order of its first places
	shared  []string   // the names of common's, in the order of those that follow
	unfit   error
}

// listsAtOnce is how many lists one run brings at most.
const listsAtOnce = 64

// NewLister starts one, which uses up to two connections; Close ends it. name is that
// of what is listed. sql has a LIMIT and an order, and its arguments are those of List
// and those that common gives, which are the same for all who ask: nil for none. scan
// makes what reads the rows of one run.
func NewLister[V any](pool *pgxpool.Pool, name, sql string, common func() pgx.NamedArgs, scan func() func(pgx.CollectableRow) (V, error)) *Lister[V] {
	if common == nil {
		common = func() pgx.NamedArgs { return nil }
	}
	l := &Lister[V]{pool: pool, name: name, sql: sql, common: common, scan: scan}
	l.reader = batch.New(batch.Options{Name: "lists of " + name, MaxBatch: listsAtOnce, Hopeless: pg.Unavailable}, l.run)
	return l
}

// Scans is the scan of a Lister whose rows are read each by itself.
func Scans[V any](scan func(pgx.CollectableRow) (V, error)) func() func(pgx.CollectableRow) (V, error) {
	return func() func(pgx.CollectableRow) (V, error) { return scan }
}

// List reads one list. The values of args are of the types that columnOf knows, the
// same each time.
func (l *Lister[V]) List(ctx context.Context, args pgx.NamedArgs) ([]V, error) {
	return l.reader.Do(ctx, args)
}

// Pipelines are what it has done.
func (l *Lister[V]) Pipelines() []batch.Stats { return []batch.Stats{l.reader.Stats()} }

// Close answers those who have asked and refuses those who come after.
func (l *Lister[V]) Close(ctx context.Context) error { return l.reader.Close(ctx) }

// run answers a batch.
func (l *Lister[V]) run(ctx context.Context, asked []pgx.NamedArgs) ([]batch.Outcome[[]V], error) {
	common := l.common()
	l.prepare.Do(func() { l.unfit = l.forMany(asked[0], common) })
	if l.unfit != nil {
		return nil, l.unfit
	}
	args := make([]any, 0, len(l.columns)+len(l.shared))
	for _, c := range l.columns {
		args = append(args, c.column(asked, c.name))
	}
	for _, name := range l.shared {
		args = append(args, common[name])
	}
	rows, err := l.pool.Query(ctx, l.many, args...)
	if err != nil {
		return nil, fmt.Errorf("children: listing %s: %w", l.name, err)
	}
	defer rows.Close()
	out, scan := make([]batch.Outcome[[]V], len(asked)), l.scan()
	var last pg.Columns
	row := AlsoScan(rows, nil) // whose it is, which is read here
	for rows.Next() {
		last.Of(rows)
		last.Skip(len(rows.RawValues()) - 1)
		whose := last.Int64()
		v, err := scan(row)
		if err = cmp.Or(err, last.Err()); err != nil {
			return nil, fmt.Errorf("children: reading lists of %s: %w", l.name, err)
		}
		out[whose-1].Value = append(out[whose-1].Value, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("children: reading lists of %s: %w", l.name, err)
	}
	return out, nil
}

// AlsoScan is a row whose last columns are scanned into more, after those that its
// reader asks for; nil passes over one.
func AlsoScan(row pgx.CollectableRow, more ...any) pgx.CollectableRow {
	return &alsoScan{CollectableRow: row, more: more}
}

type alsoScan struct {
	pgx.CollectableRow
	more, into []any
}

// Scan implements pgx.CollectableRow.
func (r *alsoScan) Scan(into ...any) error {
	r.into = append(append(r.into[:0], into...), r.more...)
	return r.CollectableRow.Scan(r.into...)
}

// argument is a column of what is asked.
type argument struct {
	name   string
	column func([]pgx.NamedArgs, string) any // the values of all who ask, as pgx takes an array
}

var argumentName = regexp.MustCompile(`@[a-z_]+`)

// forMany makes the statement for one into one for many: each row of what it lists has
// as its last column whose it is, counted from 1. The arrays stand in subqueries so that
// their length is no cause to plan anew each time.
func (l *Lister[V]) forMany(one, common pgx.NamedArgs) (err error) {
	var names, arrays []string
	places := map[string]string{} // where each argument is to be found
	for _, at := range argumentName.FindAllString(l.sql, -1) {
		name := at[1:]
		if _, ofAll := common[name]; ofAll || places[at] != "" {
			continue
		}
		sqlType, column := columnOf(one[name])
		if column == nil {
			return fmt.Errorf("children: a list of %s cannot be asked for with %s of type %T", l.name, at, one[name])
		}
		l.columns = append(l.columns, argument{name, column})
		arrays = append(arrays, fmt.Sprintf("(SELECT $%d::%s[])", len(l.columns), sqlType))
		names, places[at] = append(names, `"`+name+`"`), `q."`+name+`"`
	}
	for name := range common {
		l.shared = append(l.shared, name)
		places["@"+name] = fmt.Sprintf("$%d", len(l.columns)+len(l.shared))
	}
	//nolint:unqueryvet // the columns that are listed within
	l.many = `SELECT l.*, whose FROM unnest(` + strings.Join(arrays, ", ") + `) WITH ORDINALITY AS q(` + strings.Join(names, ", ") + `, whose)
		CROSS JOIN LATERAL (` + argumentName.ReplaceAllStringFunc(l.sql, func(at string) string { return places[at] }) + `) l`
	return nil
}

// columnOf is the type of an argument in SQL, and what makes an array of those of many;
// nil for a type that is not among them.
func columnOf(value any) (sqlType string, column func([]pgx.NamedArgs, string) any) {
	switch value.(type) {
	case [16]byte:
		return "uuid", arrayOf[[16]byte]
	case string:
		return "text", arrayOf[string]
	case bool:
		return "bool", arrayOf[bool]
	case int16:
		return "int2", arrayOf[int16]
	case int32:
		return "int4", arrayOf[int32]
	case int:
		return "int8", arrayOf[int]
	case pgtype.Date:
		return "date", arrayOf[pgtype.Date]
	case time.Time:
		return "timestamptz", arrayOf[time.Time]
	case pgtype.Timestamptz:
		return "timestamptz", arrayOf[pgtype.Timestamptz]
	}
	return "", nil
}

func arrayOf[T any](asked []pgx.NamedArgs, name string) any {
	values := make([]T, len(asked))
	for i, one := range asked {
		values[i] = one[name].(T)
	}
	return values
}
