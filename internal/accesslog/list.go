package accesslog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Filter says which entries to list: all of the conditions that are given hold.
type Filter struct {
	Children     []uuid.UUID // about any of these
	Agency       string      // by its callers
	Practitioner string      // of Agency
	Since, Until time.Time   // from, and before; zero for no bound
	Before       uuid.UUID   // of ids before this one, which was the last of the page before
	Limit        int
}

// Listed is an entry of a list, with its place in the tree: -1 if it has none yet.
type Listed struct {
	Entry
	Index int64
}

// span is how far an entry's id may be from its time.
const span = time.Second

// ids is the range of ids that the filter's times allow: from, and before.
func (f *Filter) ids() (from, before uuid.UUID) {
	if !f.Since.IsZero() {
		from = FirstID(f.Since.Add(-span))
	}
	before = uuid.Max
	if !f.Until.IsZero() {
		before = FirstID(f.Until.Add(span))
	}
	if f.Before != uuid.Nil {
		before = f.Before
	}
	return from, before
}

// where writes only the conditions there are, so that each kind of list has a plan of
// its own.
func (f *Filter) where() (conditions string, args pgx.NamedArgs) {
	from, before := f.ids()
	args = pgx.NamedArgs{"from": [16]byte(from), "before": [16]byte(before), "limit": f.Limit}
	all := []string{`e.entry_id >= @from AND e.entry_id < @before`}
	if len(f.Children) > 0 {
		// Those with a leaf are listed; the few that wait are looked through.
		all = append(all, `e.entry_id IN (SELECT entry_id FROM audit_child_entries
				WHERE child_id = ANY(@children::uuid[]) AND entry_id >= @from AND entry_id < @before
			UNION ALL SELECT q.entry_id FROM audit_queue q JOIN audit_entries a USING (entry_id)
				WHERE a.children && @children::uuid[])`)
		args["children"] = uuidArray(f.Children)
	}
	if f.Agency != "" {
		all, args["agency"] = append(all, `e.agency_id = @agency`), f.Agency
	}
	if f.Practitioner != "" {
		all, args["practitioner"] = append(all, `e.practitioner_id = @practitioner`), f.Practitioner
	}
	if !f.Since.IsZero() {
		all, args["since"] = append(all, `e.entry_time >= @since`), f.Since
	}
	if !f.Until.IsZero() {
		all, args["until"] = append(all, `e.entry_time < @until`), f.Until
	}
	return strings.Join(all, " AND "), args
}

// List lists entries, the newest first.
func List(ctx context.Context, db Querier, f Filter) ([]Listed, error) {
	conditions, args := f.where()
	rows, err := db.Query(ctx, `SELECT coalesce(l.leaf_index, -1), `+entryColumns+` FROM audit_entries e
		LEFT JOIN audit_leaves l ON l.entry_id = e.entry_id WHERE `+conditions+` ORDER BY e.entry_id DESC LIMIT @limit`, args)
	if err != nil {
		return nil, fmt.Errorf("accesslog: listing entries: %w", err)
	}
	defer rows.Close()
	var all []Listed
	var index int64
	scan := newEntryScan(&index)
	for rows.Next() {
		var l Listed
		if _, err := scan.scan(rows, &l.Entry); err != nil {
			return nil, err
		}
		l.Index = index
		all = append(all, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("accesslog: listing entries: %w", err)
	}
	return all, nil
}

func uuidArray(ids []uuid.UUID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}
