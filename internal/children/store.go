package children

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/match"
)

// errStale makes the transaction start again: between matching and locking,
// another one changed a child that this one decided upon.
var errStale = &pgconn.PgError{Code: "40001", Severity: "ERROR", Message: "a candidate child changed while it was matched"}

// lockTouched locks the stored children that the batch changes, in order, and
// makes sure that they are still what was matched against.
func (w *write) lockTouched(ctx context.Context) (map[uuid.UUID]*entry, error) {
	stored := map[uuid.UUID]bool{}
	for id := range w.touched {
		if !w.created[id] {
			stored[id] = true
		}
	}
	if len(stored) == 0 {
		return nil, nil
	}
	entries, members, err := w.lockEntries(ctx, stored)
	if err != nil {
		return nil, err
	}
	for id := range stored {
		e := entries[id]
		if e == nil || e.mergedInto.UUID != w.formers[id] || !sameVersions(members[id], w.used[id]) {
			return nil, errStale
		}
		w.members[id] = inFull(w.members[id], members[id])
	}
	return entries, nil
}

// inFull puts records in the place of those of the same version of which only what
// matching looks at was read.
func inFull(records, full []*record) []*record {
	out := slices.Clone(records)
	for i, r := range out {
		if j := slices.IndexFunc(full, func(f *record) bool { return f.id == r.id && f.revision == r.revision }); j >= 0 {
			out[i] = full[j]
		}
	}
	return out
}

// lockEntries locks children by their rows and reads them, their records and
// their pins, in one round trip.
func (w *write) lockEntries(ctx context.Context, stored map[uuid.UUID]bool) (map[uuid.UUID]*entry, map[uuid.UUID][]*record, error) {
	ids := sorted(stored)
	entries, members := make(map[uuid.UUID]*entry, len(ids)), make(map[uuid.UUID][]*record, len(ids))
	b := &pgx.Batch{}
	b.Queue(`SELECT `+entryList+` FROM children WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE`, uuids(ids)).
		Query(func(rows pgx.Rows) error {
			all, err := scanEntries(rows)
			for _, e := range all {
				entries[e.id] = e
			}
			return err
		})
	b.Queue(membersQuery, uuids(ids)).Query(func(rows pgx.Rows) error {
		records, err := scanRecords(rows)
		for _, r := range records {
			members[r.childID] = append(members[r.childID], r)
		}
		return err
	})
	b.Queue(`SELECT `+pinList+` FROM child_pins WHERE child_id = ANY($1::uuid[])`, uuids(ids)).Query(func(rows pgx.Rows) error {
		pins, err := scanPins(rows)
		w.pins = pinsByChild(pins)
		return err
	})
	if err := w.tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, nil, fmt.Errorf("children: locking children: %w", err)
	}
	return entries, members, nil
}

func sorted(ids map[uuid.UUID]bool) []uuid.UUID {
	return slices.SortedFunc(maps.Keys(ids), func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
}

func sameVersions(a, b []*record) bool {
	return slices.EqualFunc(a, b, func(x, y *record) bool { return x.id == y.id && x.revision == y.revision })
}

// store writes everything the batch came to: superseded versions to history,
// present versions, keys, reviews, what follows a record to another child, and the
// events that tell of it all.
func (w *write) store(ctx context.Context, entries map[uuid.UUID]*entry) error {
	// Names that led here through a former child go back to it before the others follow
	// where this one goes.
	if err := w.partFormers(ctx, entries); err != nil {
		return err
	}
	if err := w.shortenRedirects(ctx, entries); err != nil {
		return err
	}
	for _, m := range w.moves {
		if m.whole {
			if err := w.movePins(ctx, m.from, m.to, w.actor); err != nil {
				return err
			}
		}
	}
	next, err := w.composeTouched(entries)
	if err != nil {
		return err
	}
	w.tellOfChildren(next, entries)
	moved, err := w.follow(ctx)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return w.storeEntries(ctx, next) },
		w.storeRecords,
		w.storeKeys,
		w.storeMoves,
		func(ctx context.Context) error {
			told, err := moved(ctx)
			w.events = append(w.events, told...)
			return err
		},
		w.storeReviews,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return w.storeWithEvents(ctx)
}

// storeWithEvents writes the rows that wait, and the events of all.
func (w *write) storeWithEvents(ctx context.Context) error {
	if err := events.AppendWith(&w.rows, w.events); err != nil {
		return err
	}
	return w.storeRows(ctx)
}

// storeRows writes the rows that wait to be written together, which is before any
// statement that must find them.
func (w *write) storeRows(ctx context.Context) error {
	if err := w.rows.Write(ctx, w.tx); err != nil {
		return fmt.Errorf("children: storing: %w", err)
	}
	return nil
}

// composeTouched makes the new versions of the children touched, leaving out
// those about which nothing new is said.
func (w *write) composeTouched(entries map[uuid.UUID]*entry) ([]*entry, error) {
	next := make([]*entry, 0, len(w.touched))
	for id := range w.touched {
		e, err := w.compose(id, entries[id])
		if err != nil {
			return nil, err
		}
		if before := entries[id]; before == nil || !e.sameAs(before) {
			next = append(next, e)
		}
	}
	// Ids grow with time, so rows in their order fill the index's last page
	// instead of touching it everywhere.
	slices.SortFunc(next, func(a, b *entry) int { return bytes.Compare(a.id[:], b.id[:]) })
	return next, nil
}

func (w *write) compose(id uuid.UUID, before *entry) (*entry, error) {
	e := &entry{id: id, state: irtv1.ChildState_CHILD_STATE_ACTIVE, created: w.now, knownFrom: w.now, revision: 1}
	if before != nil {
		e.created, e.revision, e.knownFrom = before.created, before.revision+1, After(w.now, before.knownFrom)
		e.person, e.provenance = before.person, before.provenance
	}
	_, isMerged := w.merged[id]
	switch {
	case isMerged:
		e.state, e.mergedInto = irtv1.ChildState_CHILD_STATE_MERGED, uuid.NullUUID{UUID: w.home(id), Valid: true}
	case len(w.members[id]) == 0:
		e.state = irtv1.ChildState_CHILD_STATE_WITHDRAWN
		if before == nil { // made of records that are withdrawn: their details are the last known
			return w.composeOf(e, w.freshUnder(id))
		}
	default:
		return w.composeOf(e, w.members[id])
	}
	return e, nil
}

func (w *write) composeOf(e *entry, records []*record) (*entry, error) {
	person, sources := compose(records, w.pins[e.id], w.s.kindOf)
	stored, err := json.Marshal(sources)
	if err != nil {
		return nil, fmt.Errorf("children: storing provenance: %w", err)
	}
	e.person, e.provenance = person, stored
	return e, nil
}

func (w *write) freshUnder(child uuid.UUID) []*record {
	return slices.DeleteFunc(slices.Clone(w.fresh), func(r *record) bool { return r.childID != child })
}

func (w *write) storeEntries(ctx context.Context, next []*entry) error {
	superseded := map[uuid.UUID]int32{}
	rows := make([][]any, len(next))
	for i, e := range next {
		if e.revision > 1 {
			superseded[e.id] = e.revision - 1
		}
		v, err := e.values()
		if err != nil {
			return err
		}
		rows[i] = v
	}
	if err := w.supersede(ctx, "children", "child_id", entryList, superseded); err != nil {
		return err
	}
	w.rows.Add("children", entryColumns, rows)
	return nil
}

func (w *write) storeRecords(ctx context.Context) error {
	superseded := map[uuid.UUID]int32{}
	slices.SortFunc(w.fresh, func(a, b *record) int { return bytes.Compare(a.id[:], b.id[:]) })
	rows := make([][]any, len(w.fresh))
	for i, r := range w.fresh {
		if r.revision > 1 {
			superseded[r.id] = r.revision - 1
		}
		v, err := r.values()
		if err != nil {
			return err
		}
		rows[i] = v
	}
	if err := w.supersede(ctx, "child_records", "record_id", recordList, superseded); err != nil {
		return err
	}
	w.rows.Add("child_records", recordColumns, rows)
	return nil
}

// supersede moves present versions, given by id with their revisions, to the history
// twin, where they were known until the new version is. Where one is not the present
// version any more, the transaction starts again: a record that was withdrawn is moved
// with its child, by who holds no lock of the record.
func (w *write) supersede(ctx context.Context, table, key, columns string, versions map[uuid.UUID]int32) error {
	if len(versions) == 0 {
		return nil
	}
	//nolint:rowserrcheck // ForEachRow does
	rows, err := w.tx.Query(ctx, `
		WITH old AS (DELETE FROM `+table+` WHERE `+key+` = ANY($1::uuid[]) RETURNING `+columns+`)
		INSERT INTO `+table+`_history (`+columns+`, known_to)
		SELECT `+columns+`, greatest($2::timestamptz, known_from + interval '1 microsecond') FROM old
		RETURNING `+key+`, revision`,
		uuids(slices.SortedFunc(maps.Keys(versions), compareIDs)), w.now)
	if err != nil {
		return fmt.Errorf("children: superseding %s: %w", table, err)
	}
	var id [16]byte
	var revision int32
	stale := false
	tag, err := pgx.ForEachRow(rows, []any{&id, &revision}, func() error {
		stale = stale || versions[id] != revision
		return nil
	})
	if err != nil {
		return fmt.Errorf("children: superseding %s: %w", table, err)
	}
	if stale || int(tag.RowsAffected()) != len(versions) {
		return errStale
	}
	return nil
}

// keyRow is one row of match_keys.
type keyRow struct {
	key    int64
	record uuid.UUID
}

func compareKeyRows(a, b keyRow) int {
	if c := cmp.Compare(a.key, b.key); c != 0 {
		return c
	}
	return bytes.Compare(a.record[:], b.record[:])
}

// storeKeys brings the blocking keys of the changed records up to date.
func (w *write) storeKeys(ctx context.Context) error {
	var add, drop, besides []keyRow
	for _, r := range w.fresh {
		if r.keysOf != match.KeyVersion {
			// Which keys it has cannot be told by what it says: it gets those that
			// it should have, and the others go when all are made anew (rekey.go).
			besides = appendMissing(besides, r.id, r.keys(), nil)
			continue
		}
		had, has := w.existing[r.id].keys(), r.keys()
		add = appendMissing(add, r.id, has, had)
		drop = appendMissing(drop, r.id, had, has)
	}
	if err := addBesides(ctx, w.tx, besides); err != nil {
		return err
	}
	if err := w.dropKeys(ctx, drop); err != nil {
		return err
	}
	slices.SortFunc(add, compareKeyRows) // the index is filled in its order
	rows := make([][]any, len(add))
	for i, k := range add {
		rows[i] = []any{k.key, [16]byte(k.record)}
	}
	w.rows.Add("match_keys", []string{"key", "record_id"}, rows)
	return nil
}

// appendMissing adds those of keys that are not in others.
func appendMissing(to []keyRow, id uuid.UUID, keys, others []uint64) []keyRow {
	for _, k := range keys {
		if !slices.Contains(others, k) {
			to = append(to, keyRow{int64(k), id}) //nolint:gosec // a key never has the upper bit set
		}
	}
	return to
}

func (w *write) dropKeys(ctx context.Context, drop []keyRow) error {
	return execKeys(ctx, w.tx, drop, `DELETE FROM match_keys m USING unnest($1::bigint[], $2::uuid[]) AS d(key, record_id)
		WHERE m.key = d.key AND m.record_id = d.record_id`)
}

// addBesides adds keys of which some may be there.
func addBesides(ctx context.Context, tx pgx.Tx, add []keyRow) error {
	return execKeys(ctx, tx, add, `INSERT INTO match_keys (key, record_id)
		SELECT key, record_id FROM unnest($1::bigint[], $2::uuid[]) AS a(key, record_id) ORDER BY 1, 2 ON CONFLICT DO NOTHING`)
}

func execKeys(ctx context.Context, tx pgx.Tx, rows []keyRow, sql string) error {
	if len(rows) == 0 {
		return nil
	}
	keys, records := make([]int64, len(rows)), make([]uuid.UUID, len(rows))
	for i, k := range rows {
		keys[i], records[i] = k.key, k.record
	}
	if _, err := tx.Exec(ctx, sql, keys, uuids(records)); err != nil {
		return fmt.Errorf("children: changing match keys: %w", err)
	}
	return nil
}
