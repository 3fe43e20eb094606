package involvement

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/pg"
)

// lockClass keeps the advisory locks of involvements apart from everybody else's.
const lockClass = 0x494e56 // "INV"

// lock takes what a batch needs to itself, in an order that all batches keep:
// the involvements, by advisory locks on their ids, because one that is new has
// no row to lock; then the children, by their rows, which is what the children's
// pipeline locks to merge them or to link a record anew. A batch takes at most
// two locks a change, so it cannot exhaust PostgreSQL's lock table.
//
// lock takes the first and returns the children; load locks those.
func lock(ctx context.Context, tx pgx.Tx, changes []*change) (touched []uuid.UUID, err error) {
	var involvements, records, children []uuid.UUID
	var keys []int32
	for _, c := range changes {
		involvements = append(involvements, c.id)
		keys = append(keys, int32(uint32(c.id[12])<<24|uint32(c.id[13])<<16|uint32(c.id[14])<<8|uint32(c.id[15]))) //nolint:gosec // any 32 bits do
		if c.submit != nil {
			records = append(records, c.submit.recordID)
		}
		children = append(children, c.child())
	}
	slices.Sort(keys)
	b := &pgx.Batch{}
	pg.ByKey(b)
	b.Queue(`SELECT pg_advisory_xact_lock($1, k) FROM unnest($2::int[]) AS k`, lockClass, slices.Compact(keys))
	b.Queue(`
		SELECT child_id FROM involvements WHERE involvement_id = ANY($1::uuid[])
		UNION SELECT child_id FROM child_records WHERE record_id = ANY($2::uuid[])
		UNION SELECT survivor FROM (`+survivorsSQL("$3")+`) s`,
		uuids(involvements), uuids(records), uuids(children)).Query(func(rows pgx.Rows) error {
		touched, err = pgx.CollectRows(rows, scanID)
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("involvement: finding what to lock: %w", err)
	}
	return touched, nil
}

// child is the one that a change names, or the zero id.
func (c *change) child() uuid.UUID {
	switch {
	case c.submit != nil:
		return c.submit.child
	case c.lead != nil:
		return c.lead.child
	}
	return uuid.Nil
}

// survivorsSQL finds, for each child of an array, the one it has become by
// merging, itself where it has not been merged. UNION ends at a circle, which
// then has no survivor.
func survivorsSQL(array string) string {
	return `
		WITH RECURSIVE chain AS (
			SELECT child_id AS asked, child_id AS survivor, merged_into FROM children WHERE child_id = ANY(` + array + `::uuid[])
			UNION
			SELECT chain.asked, c.child_id, c.merged_into FROM chain JOIN children c ON c.child_id = chain.merged_into
		)
		SELECT asked, survivor FROM chain WHERE merged_into IS NULL`
}

// load reads, in one round trip and under the locks, all that the round decides on.
func (w *write) load(ctx context.Context) error {
	w.reset()
	b := &pgx.Batch{}
	b.Queue(`SELECT child_id FROM children WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE`, uuids(w.locked))
	// Not now(), which is when the transaction began: it may have waited since.
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&w.now) })
	w.queueInvolvements(b)
	w.queueRecords(b)
	w.queueContacts(b)
	w.queueLeads(b)
	if err := w.tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("involvement: reading what is stored: %w", err)
	}
	return w.verifyLocks()
}

func (w *write) reset() {
	w.present = map[uuid.UUID]*version{}
	w.records, w.linked = map[uuid.UUID]record{}, map[uuid.UUID][]record{}
	w.survivors = map[uuid.UUID]uuid.UUID{}
	w.contacts = map[contactKey]contact{}
	w.storedLeads, w.leads = map[uuid.UUID][]*period{}, map[uuid.UUID][]*period{}
	for _, child := range w.locked {
		w.storedLeads[child] = nil // also of those that have had none
	}
}

func (w *write) queueInvolvements(b *pgx.Batch) {
	ids := make([]uuid.UUID, len(w.changes))
	for i, c := range w.changes {
		ids[i] = c.id
	}
	b.Queue(`SELECT `+columns+` FROM involvements WHERE involvement_id = ANY($1::uuid[])`, uuids(ids)).
		Query(func(rows pgx.Rows) error {
			versions, err := pgx.CollectRows(rows, scanVersion)
			for _, v := range versions {
				w.present[v.id] = v
			}
			return err
		})
}

// queueRecords reads the records that submissions name, the survivors of the
// children that changes name, and the records by which agencies know the latter.
func (w *write) queueRecords(b *pgx.Batch) {
	var records, children []uuid.UUID
	var agencies []string
	for _, c := range w.changes {
		if c.submit != nil {
			records = append(records, c.submit.recordID)
		}
		children = append(children, c.child())
		agencies = append(agencies, c.agency)
	}
	b.Queue(`SELECT record_id, agency_id, local_id, child_id, state = 1 FROM child_records WHERE record_id = ANY($1::uuid[])`,
		uuids(records)).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanRecord)
		for _, r := range found {
			w.records[r.id] = r
		}
		return err
	})
	b.Queue(survivorsSQL("$1"), uuids(children)).Query(func(rows pgx.Rows) error {
		var asked, survivor [16]byte
		_, err := pgx.ForEachRow(rows, []any{&asked, &survivor}, func() error {
			w.survivors[asked] = survivor
			return nil
		})
		return err
	})
	b.Queue(`
		SELECT DISTINCT r.record_id, r.agency_id, r.local_id, r.child_id, true
		FROM (`+survivorsSQL("$1")+`) s
		JOIN unnest($1::uuid[], $2::text[]) AS q(child_id, agency_id) ON q.child_id = s.asked
		JOIN child_records r ON r.child_id = s.survivor AND r.agency_id = q.agency_id AND r.state = 1`,
		uuids(children), agencies).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanRecord)
		for _, r := range found {
			w.linked[r.child] = append(w.linked[r.child], r)
		}
		return err
	})
}

func (w *write) queueContacts(b *pgx.Batch) {
	var agencies, practitioners []string
	for _, c := range w.changes {
		if c.submit != nil {
			agencies, practitioners = append(agencies, c.agency), append(practitioners, c.submit.practitioner)
		}
	}
	ids := make([]uuid.UUID, len(w.changes))
	for i, c := range w.changes {
		ids[i] = c.id
	}
	// Those submitted, and those that stored versions name.
	b.Queue(`
		SELECT agency_id, practitioner_id, `+contactColumns+` FROM practitioners
		WHERE (agency_id, practitioner_id) IN (
			SELECT a, p FROM unnest($1::text[], $2::text[]) AS q(a, p)
			UNION SELECT agency_id, practitioner_id FROM involvements WHERE involvement_id = ANY($3::uuid[]))`,
		agencies, practitioners, uuids(ids)).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		var from pg.Columns
		for rows.Next() {
			from.Of(rows)
			k, c := contactKey{agency: from.Text(), practitioner: from.Text()}, contact{}
			c.read(&from)
			w.contacts[k] = c
		}
		return errors.Join(from.Err(), rows.Err())
	})
}

// queueLeads reads the periods of every child that the batch locked.
func (w *write) queueLeads(b *pgx.Batch) {
	b.Queue(`SELECT `+leadColumns+` FROM lead_professionals WHERE child_id = ANY($1::uuid[])`, uuids(w.locked)).
		Query(func(rows pgx.Rows) error {
			periods, err := pgx.CollectRows(rows, scanPeriod)
			for _, p := range periods {
				w.storedLeads[p.child] = append(w.storedLeads[p.child], p)
				w.leads[p.child] = append(w.leads[p.child], p)
			}
			return err
		})
}

// verifyLocks makes sure that everything the round may touch lies under a lock.
func (w *write) verifyLocks() error {
	held := make(map[uuid.UUID]bool, len(w.locked))
	for _, id := range w.locked {
		held[id] = true
	}
	for _, v := range w.present {
		if !held[v.childID] {
			return errStale
		}
	}
	for _, r := range w.records {
		if !held[r.child] {
			return errStale
		}
	}
	for _, survivor := range w.survivors {
		if !held[survivor] {
			return errStale
		}
	}
	return nil
}

func scanRecord(row pgx.CollectableRow) (r record, err error) {
	err = row.Scan((*[16]byte)(&r.id), &r.agency, &r.localID, (*[16]byte)(&r.child), &r.active)
	return r, err
}

func scanID(row pgx.CollectableRow) (id uuid.UUID, err error) {
	err = row.Scan((*[16]byte)(&id))
	return id, err
}

// uuids turns ids into what pgx takes as uuid[] without writing them as text.
func uuids(ids []uuid.UUID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}
