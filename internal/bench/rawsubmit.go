package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/standard"
)

// The raw reference of a submission writes into twins of the hub's tables, in a
// schema of their own: with the same columns, indexes and rows, so that the hub
// need not match against what the reference wrote.
const twins = "reference"

// written are the tables that the submission of a new child's only record writes to;
// passing are those of them whose rows a sequencer takes away again within a second.
var (
	written = []string{"children", "child_records", "match_keys", "audit_entries"}
	passing = []string{"audit_queue", "event_outbox"}
)

// examplesAtMost is how many submissions the reference repeats, in turn.
const examplesAtMost = 2000

// rawSubmit is what SubmitChildRecord would cost a program that has nothing
// between it and the database, and neither checks nor matches: the rows that the
// hub wrote for a new child, inserted again under new ids, one transaction for each
// record, in one round trip (pgx.Batch), which is the fastest way to do that.
func rawSubmit(ctx context.Context, l *lab) (operation, error) {
	w, err := l.rawWriter(ctx)
	return func(int) func(context.Context) error {
		return func(ctx context.Context) error { return l.pool.SendBatch(ctx, w.batch()).Close() }
	}, err
}

// rawSubmitStatements is rawSubmit as most programs are written: begin, a
// statement for each table, commit, each a round trip.
func rawSubmitStatements(ctx context.Context, l *lab) (operation, error) {
	w, err := l.rawWriter(ctx)
	return func(int) func(context.Context) error {
		return func(ctx context.Context) error {
			return pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
				for _, q := range w.batch().QueuedQueries {
					if _, err := tx.Exec(ctx, q.SQL, q.Arguments...); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}, err
}

// rawWriter is made once for each size of the index.
func (l *lab) rawWriter(ctx context.Context) (*rawWriter, error) {
	if l.raw != nil {
		return l.raw, nil
	}
	l.o.Progress("preparing the raw reference of a submission")
	w := &rawWriter{}
	err := pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		if err := makeTwins(ctx, tx); err != nil {
			return err
		}
		return w.load(ctx, tx)
	})
	if err == nil {
		err = l.vacuum(ctx, twins)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing the raw reference: %w", err)
	}
	l.raw = w
	return w, nil
}

// rawWriter holds submissions to repeat: of each table, what is inserted and the
// rows of the examples.
type rawWriter struct {
	children, records, entries twin
	keys                       [][]int64
	next                       atomic.Int64
}

// twin is a twin table and rows to insert into it.
type twin struct {
	table   string
	columns []string
	insert  string
	rows    [][]any
}

const insertQueue = `INSERT INTO ` + twins + `.audit_queue (entry_id) VALUES ($1)`

// insertEvent tells of a new child, as the hub does.
const insertEvent = `INSERT INTO ` + twins + `.event_outbox (event_id, kind, child_id, agency_id, audience, event_time)
	VALUES ($1, 1, $2, 'school-1', 1, now())`

const insertKeys = `INSERT INTO ` + twins + `.match_keys (key, record_id) SELECT k, $2::uuid FROM unnest($1::bigint[]) AS k`

// batch is the next submission.
func (w *rawWriter) batch() *pgx.Batch {
	n := int(w.next.Add(1)) % len(w.keys)
	child, record := [16]byte(standard.NewChildID()), [16]byte(uuid.New())
	entry, event := [16]byte(uuid.Must(uuid.NewV7())), [16]byte(uuid.Must(uuid.NewV7()))
	b := &pgx.Batch{}
	w.children.queue(b, n, map[string]any{"child_id": child})
	w.records.queue(b, n, map[string]any{"child_id": child, "record_id": record})
	b.Queue(insertKeys, elsewhere(w.keys[n]), record)
	w.entries.queue(b, n, map[string]any{"entry_id": entry, "children": [][16]byte{child}})
	b.Queue(insertQueue, entry)
	b.Queue(insertEvent, event, child)
	return b
}

// elsewhere are the keys as another child's would be: those of one place are at one
// place still, but each place is any. The same few thousand places over and over would be
// at hand, which those of new children are not.
func elsewhere(keys []int64) []int64 {
	out, moved := make([]int64, len(keys)), make(map[int32]uint32, len(keys))
	for i, k := range keys {
		key := uint64(k) //nolint:gosec // a key is never negative
		to, known := moved[match.KeyPlace(key)]
		if !known {
			to = rand.Uint32() //nolint:gosec // where a made-up row goes
			moved[match.KeyPlace(key)] = to
		}
		out[i] = int64(match.KeyAt(key, to)) //nolint:gosec // as above
	}
	return out
}

// queue inserts the n-th row with other values in some columns.
func (t *twin) queue(b *pgx.Batch, n int, other map[string]any) {
	row := slices.Clone(t.rows[n])
	for column, v := range other {
		row[slices.Index(t.columns, column)] = v
	}
	b.Queue(t.insert, row...)
}

func makeTwins(ctx context.Context, tx pgx.Tx) error {
	steps := []string{
		`SET LOCAL statement_timeout = 0`,
		`DROP SCHEMA IF EXISTS ` + twins + ` CASCADE`,
		`CREATE SCHEMA ` + twins,
	}
	for _, table := range written {
		columns, err := columnsOf(ctx, tx, table)
		if err != nil {
			return err
		}
		list := strings.Join(columns, ", ")
		steps = append(steps,
			`CREATE TABLE `+twins+`.`+table+` (LIKE `+table+` INCLUDING ALL)`,
			`INSERT INTO `+twins+`.`+table+` (`+list+`) SELECT `+list+` FROM `+table)
	}
	for _, table := range passing {
		steps = append(steps, `CREATE TABLE `+twins+`.`+table+` (LIKE `+table+` INCLUDING ALL)`)
	}
	for _, sql := range steps {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// load reads what the hub wrote for children that have one record.
func (w *rawWriter) load(ctx context.Context, tx pgx.Tx) error {
	children, records, err := onlyRecords(ctx, tx)
	if err != nil {
		return err
	}
	if err := w.children.load(ctx, tx, "children", "t.child_id = q.id", children); err != nil {
		return err
	}
	if err := w.records.load(ctx, tx, "child_records", "t.record_id = q.id", records); err != nil {
		return err
	}
	if err := w.entries.load(ctx, tx, "audit_entries", "t.children[1] = q.id AND t.method LIKE '%/SubmitChildRecord%'", children); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT array_agg(m.key) FROM unnest($1::uuid[]) WITH ORDINALITY AS q(id, n)
		JOIN match_keys m ON m.record_id = q.id GROUP BY n ORDER BY n`, records)
	if err != nil {
		return err
	}
	if w.keys, err = pgx.CollectRows(rows, pgx.RowTo[[]int64]); err != nil {
		return err
	}
	if n := len(w.keys); n == 0 || n != len(w.children.rows) || n != len(w.records.rows) || n != len(w.entries.rows) {
		return fmt.Errorf("%d submissions were found with %d children, %d records and %d access entries",
			n, len(w.children.rows), len(w.records.rows), len(w.entries.rows))
	}
	return nil
}

// onlyRecords are children whose only record was submitted once, by a call and not with
// a file.
func onlyRecords(ctx context.Context, tx pgx.Tx) (children, records [][16]byte, err error) {
	rows, err := tx.Query(ctx, `
		SELECT c.child_id, r.record_id
		FROM (SELECT DISTINCT children[1] AS child_id FROM (
			SELECT children FROM audit_entries WHERE method LIKE '%/SubmitChildRecord%' AND decision = 'ALLOWED'
			ORDER BY entry_id DESC LIMIT 10 * $1) e) called
		JOIN children c USING (child_id) JOIN child_records r USING (child_id)
		WHERE c.revision = 1 AND r.revision = 1 ORDER BY c.child_id DESC LIMIT $1`, examplesAtMost)
	if err != nil {
		return nil, nil, err
	}
	var child, record [16]byte
	_, err = pgx.ForEachRow(rows, []any{&child, &record}, func() error {
		children, records = append(children, child), append(records, record)
		return nil
	})
	return children, records, errors.Join(err, rows.Err())
}

// load reads a table's rows for the given ids, in their order.
func (t *twin) load(ctx context.Context, tx pgx.Tx, table, which string, ids [][16]byte) (err error) {
	t.table = table
	if t.columns, err = columnsOf(ctx, tx, table); err != nil {
		return err
	}
	t.insert = `INSERT INTO ` + twins + `.` + table + ` (` + strings.Join(t.columns, ", ") + `) VALUES (` + places(len(t.columns)) + `)`
	rows, err := tx.Query(ctx, `SELECT DISTINCT ON (q.n) t.`+strings.Join(t.columns, ", t.")+`
		FROM unnest($1::uuid[]) WITH ORDINALITY AS q(id, n) JOIN `+table+` t ON `+which+` ORDER BY q.n`, ids)
	if err != nil {
		return err
	}
	t.rows, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) {
		into := targets(row.FieldDescriptions())
		return into, row.Scan(into...)
	})
	return err
}

// places are the parameters $1 to $n.
func places(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(all, ", ")
}
