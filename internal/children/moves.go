package children

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// shortenRedirects brings the children that lead to one that is being merged
// straight to where it leads: a name that was merged is one step from its child.
func (w *write) shortenRedirects(ctx context.Context, entries map[uuid.UUID]*entry) error {
	if len(w.merged) == 0 {
		return nil
	}
	merged := make([]uuid.UUID, 0, len(w.merged))
	for id := range w.merged {
		merged = append(merged, id)
	}
	rows, err := w.tx.Query(ctx, `SELECT `+entryList+` FROM children
		WHERE merged_into = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE`, uuids(merged))
	if err != nil {
		return fmt.Errorf("children: looking for redirects: %w", err)
	}
	leading, err := scanEntries(rows)
	if err != nil {
		return err
	}
	for _, e := range leading {
		w.redirect(e, entries, e.mergedInto.UUID)
	}
	return nil
}

// redirect makes a merged child lead to another.
func (w *write) redirect(e *entry, entries map[uuid.UUID]*entry, to uuid.UUID) {
	if w.touched[e.id] { // it is to become something else
		return
	}
	entries[e.id], w.merged[e.id], w.touched[e.id] = e, to, true
}

const (
	involvementColumns = `involvement_id, agency_id, local_id, record_id, record_local_id, role, practitioner_id,
		start_date, end_date, sensitive, sensitive_basis, create_time`
	leadColumns       = `involvement_id, agency_id, practitioner_id, start_date, end_date`
	nominationColumns = `nomination_id, agency_id, nominated_by, involvement_id, recipient_id, local_id, practitioner_id, replaces_id,
		start_date, state, decline_reason, expire_time, create_time`
)

// storeMoves takes involvements, lead professionals and their nominations along with a record that
// came to another child. Moves are rare, so they go one by one.
func (w *write) storeMoves(ctx context.Context) error {
	for _, m := range w.moves {
		for _, sql := range []string{moveInvolvements, moveLeads, moveNominations, moveWithdrawn} {
			if _, err := w.tx.Exec(ctx, sql, [16]byte(m.from), [16]byte(m.to), [16]byte(m.record), m.whole, w.now); err != nil {
				return fmt.Errorf("children: moving what follows a record: %w", err)
			}
		}
		if err := moveSharing(ctx, w.tx, m, w.now); err != nil {
			return err
		}
	}
	return nil
}

// Records that were withdrawn stay with the entry they were of, also when it
// becomes one with another: should they be revived, they begin from there.
var moveWithdrawn = `
	WITH gone AS (
		DELETE FROM child_records WHERE $4::bool AND child_id = $1::uuid AND record_id <> $3::uuid
		RETURNING ` + recordList + `
	), kept AS (
		INSERT INTO child_records_history (` + recordList + `, known_to)
		SELECT ` + recordList + `, greatest($5::timestamptz, known_from + interval '1 microsecond') FROM gone
	)
	INSERT INTO child_records (` + recordList + `)
	SELECT ` + strings.Join(relinkedColumns("$5"), ", ") + ` FROM gone`

// relinkedColumns are those of a record's next version, under child $2 from now on.
func relinkedColumns(now string) []string {
	next := slices.Clone(recordColumns)
	for i, c := range next {
		switch c {
		case "child_id":
			next[i] = "$2::uuid"
		case "known_from":
			next[i] = "greatest(" + now + "::timestamptz, known_from + interval '1 microsecond')"
		case "revision":
			next[i] = "revision + 1"
		}
	}
	return next
}

var moveInvolvements = moveSQL("involvements", involvementColumns, goesAlong)

// A nomination goes along with the involvement that it nominates.
var moveNominations = moveSQL("lead_nominations", nominationColumns, `($4::bool OR involvement_id IN (
		SELECT i.involvement_id FROM involvements i WHERE i.child_id = $2::uuid AND i.record_id = $3::uuid))`)

// A lead professional goes along with the involvement; where the new child has
// one already, that one stays and the other is history.
var moveLeads = strings.ReplaceAll(`
	WITH gone AS (
		DELETE FROM lead_professionals l WHERE l.child_id = $1::uuid
			AND ($4::bool OR l.involvement_id IN (
				SELECT i.involvement_id FROM involvements i WHERE i.child_id = $2::uuid AND i.record_id = $3::uuid))
		RETURNING COLUMNS, known_from
	), kept AS (
		INSERT INTO lead_professionals_history (child_id, COLUMNS, known_from, known_to)
		SELECT $1::uuid, COLUMNS, known_from, greatest($5::timestamptz, known_from + interval '1 microsecond') FROM gone
	)
	INSERT INTO lead_professionals (child_id, COLUMNS, known_from)
	SELECT $2::uuid, COLUMNS, greatest($5::timestamptz, known_from + interval '1 microsecond') FROM gone g
	WHERE NOT EXISTS (
		SELECT 1 FROM lead_professionals l WHERE l.child_id = $2::uuid
			AND l.start_date <= coalesce(g.end_date, 'infinity') AND g.start_date <= coalesce(l.end_date, 'infinity'))`,
	"COLUMNS", leadColumns)
