package involvement

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"irthub/internal/events"
	"irthub/internal/pg"
)

// qualify puts a table's name before each column of a list.
func qualify(columns, table string) string {
	list := strings.Split(columns, ",")
	for i, c := range list {
		list[i] = table + "." + strings.TrimSpace(c)
	}
	return strings.Join(list, ", ")
}

// store writes a round in one round trip: what was superseded to history, what is
// new in its place.
func (w *write) store(ctx context.Context) error {
	b := &pgx.Batch{}
	tally := &tally{}
	w.queueSuperseded(b, tally)
	w.queueFresh(b, tally)
	w.queueLeadChanges(b, tally)
	if b.Len() == 0 {
		return nil
	}
	if err := w.tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("involvement: storing: %w", err)
	}
	if tally.rows != tally.expected {
		return fmt.Errorf("involvement: stored %d rows of %d: %w", tally.rows, tally.expected, errStale)
	}
	return events.Append(ctx, w.tx, w.events())
}

// tally checks that every row to be written was written.
type tally struct{ rows, expected int64 }

func (t *tally) queue(b *pgx.Batch, expected int, sql string, args ...any) {
	if expected == 0 {
		return
	}
	t.expected += int64(expected)
	b.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		t.rows += tag.RowsAffected()
		return nil
	})
}

var supersedeSQL = `
	WITH old AS (
		DELETE FROM involvements i USING unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS q(child_id, involvement_id, known_to)
		WHERE i.child_id = q.child_id AND i.involvement_id = q.involvement_id
		RETURNING ` + qualify(columns, "i") + `, q.known_to
	)
	INSERT INTO involvements_history (` + columns + `, known_to) SELECT ` + columns + `, known_to FROM old`

func (w *write) queueSuperseded(b *pgx.Batch, t *tally) {
	var children, involvements []uuid.UUID
	var knownTo []time.Time
	for _, s := range w.superseded {
		children, involvements = append(children, s.version.childID), append(involvements, s.version.id)
		knownTo = append(knownTo, s.knownTo)
	}
	t.queue(b, len(children), supersedeSQL, uuids(children), uuids(involvements), knownTo)
}

const insertSQL = `
	INSERT INTO involvements (` + columns + `)
	SELECT ` + columns + ` FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[],
		$9::date[], $10::date[], $11::boolean[], $12::text[], $13::timestamptz[], $14::timestamptz[], $15::integer[])
		AS v(` + columns + `)`

func (w *write) queueFresh(b *pgx.Batch, t *tally) {
	n := len(w.fresh)
	children, ids, records := make([][16]byte, n), make([][16]byte, n), make([]zeronull.UUID, n)
	agencies, locals, recordLocals, roles := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	practitioners, bases, sensitive := make([]string, n), make([]string, n), make([]bool, n)
	starts, ends := make([]pgtype.Date, n), make([]pgtype.Date, n)
	created, known, revisions := make([]time.Time, n), make([]time.Time, n), make([]int32, n)
	for i, v := range w.fresh {
		children[i], ids[i], records[i] = v.childID, v.id, zeronull.UUID(v.recordID)
		agencies[i], locals[i], recordLocals[i], roles[i] = v.agency, v.localID, v.recordLocalID, v.role
		practitioners[i], bases[i], sensitive[i] = v.practitioner, v.basis, v.sensitive
		starts[i], ends[i] = pg.Date(v.start), pg.Date(v.end)
		created[i], known[i], revisions[i] = v.created, v.knownFrom, v.revision
	}
	t.queue(b, n, insertSQL, children, ids, agencies, locals, records, recordLocals, roles, practitioners,
		starts, ends, sensitive, bases, created, known, revisions)
}

var supersedeLeadSQL = `
	WITH old AS (
		DELETE FROM lead_professionals l USING unnest($1::uuid[], $2::date[], $3::timestamptz[]) AS q(child_id, start_date, known_to)
		WHERE l.child_id = q.child_id AND l.start_date = q.start_date
		RETURNING ` + qualify(leadColumns, "l") + `, q.known_to
	)
	INSERT INTO lead_professionals_history (` + leadColumns + `, known_to) SELECT ` + leadColumns + `, known_to FROM old`

const insertLeadSQL = `
	INSERT INTO lead_professionals (` + leadColumns + `)
	SELECT ` + leadColumns + ` FROM unnest($1::uuid[], $2::date[], $3::date[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[])
		AS v(` + leadColumns + `)`

func (w *write) queueLeadChanges(b *pgx.Batch, t *tally) {
	gone, fresh, knownTo := w.leadChanges()
	var children [][16]byte
	var starts []pgtype.Date
	for _, p := range gone {
		children, starts = append(children, p.child), append(starts, pg.Date(p.start))
	}
	t.queue(b, len(gone), supersedeLeadSQL, children, starts, knownTo)
	n := len(fresh)
	into, involvements := make([][16]byte, n), make([][16]byte, n)
	first, last, known := make([]pgtype.Date, n), make([]pgtype.Date, n), make([]time.Time, n)
	agencies, practitioners := make([]string, n), make([]string, n)
	for i, p := range fresh {
		into[i], involvements[i] = p.child, p.involvement
		first[i], last[i], known[i] = pg.Date(p.start), pg.Date(p.end), p.knownFrom
		agencies[i], practitioners[i] = p.agency, p.practitioner
	}
	t.queue(b, n, insertLeadSQL, into, first, last, involvements, agencies, practitioners, known)
}

// read reads leadColumns.
func (p *period) read(c *pg.Columns) {
	p.child, p.start, p.end, p.involvement = c.UUID(), c.Date(), c.Date(), c.UUID()
	p.agency, p.practitioner, p.knownFrom = c.Text(), c.Text(), c.Time()
}

func scanPeriod(row pgx.CollectableRow) (*period, error) {
	p, c := &period{}, pg.Columns{}
	c.Of(row)
	p.read(&c)
	return p, c.Err()
}
