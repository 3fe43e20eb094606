package accesslog

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"
)

// upperTiles compares the tiles above the leaves, and those that grow, with what the
// leaves make of them.
func (v *verification) upperTiles(ctx context.Context) error {
	var want []tile
	for _, t := range v.tiles.changed() {
		if t.level > 0 || len(t.hashes) < tileBytes {
			want = append(want, t)
		}
	}
	got, err := readTiles(ctx, v.tx, want)
	if err != nil {
		return err
	}
	for i, t := range want {
		if t.level == 0 && len(got[i].hashes) <= len(t.hashes) {
			continue // compared leaf by leaf
		}
		if !bytes.Equal(got[i].hashes, t.hashes) {
			v.report.fault(TreeNode, -1, uuid.Nil, "tile %d of level %d of the tree was changed", t.index, t.level)
		}
	}
	return nil
}

// beyond finds leaves and checkpoints where the tree has ended.
func (v *verification) beyond(ctx context.Context) error {
	var index, size int64
	var id [16]byte
	if err := forEach(ctx, v.tx, []any{&index, &id}, func() {
		v.report.fault(Inserted, index, id, "entry %s stands at leaf %d, which no checkpoint covers", uuid.UUID(id), index)
	}, `SELECT leaf_index, entry_id FROM audit_leaves WHERE leaf_index < 0 OR leaf_index >= $1 ORDER BY leaf_index LIMIT 100`, v.size); err != nil {
		return err
	}
	return forEach(ctx, v.tx, []any{&size}, func() {
		v.report.fault(BadSign, -1, uuid.Nil, "the checkpoint of %d entries is not as the hub signed it", size)
	}, `SELECT tree_size FROM audit_checkpoints WHERE tree_size <= 0 OR tree_size > $1 LIMIT 100`, v.size)
}

// childPairs are the children of entries, which audit_child_entries lists.
type childPairs struct{ children, entries [][16]byte }

func (p *childPairs) add(e *Entry) {
	for _, child := range distinct(e.Children) {
		p.children, p.entries = append(p.children, child), append(p.entries, e.ID)
	}
}

// checkByChild finds entries that the list of a child leaves out.
func (v *verification) checkByChild(ctx context.Context, p *childPairs) error {
	v.byChild += int64(len(p.children))
	var entry, child [16]byte
	return forEach(ctx, v.tx, []any{&entry, &child}, func() {
		v.report.fault(Unlisted, -1, entry, "entry %s is missing from the list of accesses to a child it is about", uuid.UUID(entry))
	}, `SELECT q.entry_id, q.child_id FROM unnest($1::uuid[], $2::uuid[]) AS q(child_id, entry_id)
		LEFT JOIN audit_child_entries c ON c.child_id = q.child_id AND c.entry_id = q.entry_id WHERE c.entry_id IS NULL`,
		p.children, p.entries)
}

// noMoreByChild finds accesses listed with children they are not about.
func (v *verification) noMoreByChild(ctx context.Context) error {
	var n int64
	if err := v.tx.QueryRow(ctx, `SELECT count(*) FROM audit_child_entries`).Scan(&n); err != nil || n <= v.byChild {
		return err
	}
	var entry [16]byte
	return forEach(ctx, v.tx, []any{&entry}, func() {
		v.report.fault(Unlisted, -1, entry, "entry %s is listed with a child that it is not about", uuid.UUID(entry))
	}, `SELECT c.entry_id FROM audit_child_entries c WHERE NOT EXISTS (
		SELECT FROM audit_entries e WHERE e.entry_id = c.entry_id AND c.child_id = ANY(e.children)) LIMIT 100`)
}

// unlogged finds entries that have no leaf and do not wait for one: the hub writes
// none such.
func (v *verification) unlogged(ctx context.Context) error {
	if _, err := v.tx.Exec(ctx, `SET LOCAL enable_hashjoin = on`); err != nil { // whole tables now
		return err
	}
	var entry [16]byte
	return forEach(ctx, v.tx, []any{&entry}, func() {
		v.report.fault(Inserted, -1, entry, "entry %s has no leaf and does not wait for one: the hub did not log it, or its waiting was undone",
			uuid.UUID(entry))
	}, `SELECT e.entry_id FROM audit_entries e
		WHERE NOT EXISTS (SELECT FROM audit_leaves l WHERE l.entry_id = e.entry_id)
			AND NOT EXISTS (SELECT FROM audit_queue q WHERE q.entry_id = e.entry_id)
		ORDER BY e.entry_id LIMIT 100`)
}

// waiting looks through the queue: what is gone from it unlogged, and what waits
// though a sequencer was at work after it came.
func (v *verification) waiting(ctx context.Context) error {
	worked, err := v.worked(ctx)
	if err != nil {
		return err
	}
	var id [16]byte
	var came *time.Time
	var method string
	return forEach(ctx, v.tx, []any{&id, &came, &method}, func() {
		switch {
		case came == nil:
			v.report.fault(Removed, -1, id, "entry %s went before it had its leaf", uuid.UUID(id))
			return
		case worked.Sub(*came) > waitLimit:
			v.report.fault(LeftOut, -1, id, "entry %s has waited for its leaf since %s, and others were served after it",
				uuid.UUID(id), came.Format(time.RFC3339))
		}
		v.report.Waiting++
		if v.report.Oldest.IsZero() || came.Before(v.report.Oldest) {
			v.report.Oldest = *came
		}
		v.accounted.until(method)
	}, `SELECT q.entry_id, e.entry_time, coalesce(e.method, '') FROM audit_queue q
		LEFT JOIN audit_entries e ON e.entry_id = q.entry_id ORDER BY q.entry_id`)
}

// worked is until when a sequencer has certainly been at work: an entry that came
// then has a leaf, or one process has been elected for longer than entries may wait.
func (v *verification) worked(ctx context.Context) (time.Time, error) {
	var elected bool
	err := v.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid::bigint = $1 AND objid::bigint = $2
			AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND backend_start < now() - $3::interval)`,
		int64(sequencerLock)>>32, int64(sequencerLock)&(1<<32-1), waitLimit).Scan(&elected)
	if elected {
		return time.Now(), err
	}
	return v.newest, err
}

// purges finds entries without personal parts that no purge accounts for.
func (v *verification) purges(context.Context) error {
	p := v.accounted
	v.report.Purged = p.count
	if p.count > 0 && !p.newest.Before(p.before) {
		v.report.fault(Purged, p.index, p.entry, "the personal parts of entry %s, leaf %d, are gone, and no purge that the log knows of reached it",
			p.entry, p.index)
	}
	return nil
}
