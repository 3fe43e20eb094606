package accesslog

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"
)

// verification is one run of Verify. It makes the tree twice, from the entries and
// from the hashes of leaves that the tiles hold, and lets signed checkpoints judge
// which of the two is right where they differ.
type verification struct {
	tx     pgx.Tx
	keys   *Keys
	o      Options
	report *Report

	size           int64 // of the last checkpoint that is in order
	entries, tiles *tree
	judged         int64     // up to this size a checkpoint agreed
	firstUnjudged  uuid.UUID // the entry of leaf judged
	lost           bool      // no later checkpoint can agree any more

	undecided []misfit // since judged
	misfits   []misfit // decided
	byChild   int64    // rows that audit_child_entries should have
	accounted purges
	newest    time.Time // the latest entry that has a leaf
}

// misfit is a leaf whose entry does not have the hash that the tiles hold.
type misfit struct {
	index       int64
	id          uuid.UUID
	entry, tile tlog.Hash
	tileWrong   bool // the entry is right, and the tile is not
}

func (v *verification) run(ctx context.Context) error {
	if err := v.findSize(ctx); err != nil {
		return err
	}
	for from := int64(0); from < v.size; from += verifyChunk {
		to := min(from+verifyChunk, v.size)
		if err := v.chunk(ctx, from, to); err != nil {
			return err
		}
		if v.o.Progress != nil {
			v.o.Progress(to, v.size)
		}
	}
	v.settle()
	v.report.Size, v.report.Root = v.entries.size, v.entries.root()
	for _, step := range []func(context.Context) error{
		v.upperTiles, v.beyond, v.noMoreByChild, v.unlogged, v.waiting, v.purges,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if since := v.o.Since; since != nil && since.Size > v.size {
		v.report.fault(Rewound, -1, uuid.Nil, "the checkpoint that was kept is of %d entries, and the log has a tree of %d", since.Size, v.size)
	}
	v.report.sort()
	return nil
}

// findSize takes the size of the newest checkpoint. If that is not in order, it takes
// all the leaves there are, which are then compared with the tiles alone.
func (v *verification) findSize(ctx context.Context) error {
	var leaves int64
	if err := v.tx.QueryRow(ctx, `SELECT coalesce(max(leaf_index) + 1, 0) FROM audit_leaves`).Scan(&leaves); err != nil {
		return err
	}
	for before, newest := int64(1<<63-1), true; ; newest = false {
		var note string
		err := v.tx.QueryRow(ctx, `SELECT tree_size, note FROM audit_checkpoints WHERE tree_size < $1
			ORDER BY tree_size DESC LIMIT 1`, before).Scan(&before, &note)
		if errors.Is(err, pgx.ErrNoRows) {
			v.size = leaves
			return nil
		}
		if err != nil {
			return err
		}
		if c, err := OpenCheckpoint([]byte(note), v.keys); err == nil && c.Size == before {
			if v.size = c.Size; !newest {
				v.size = max(v.size, leaves)
			}
			return nil
		}
	}
}

// chunk checks the leaves of a range: their entries, their hashes in the tiles, the
// lists by child, and the checkpoints that end in it.
func (v *verification) chunk(ctx context.Context, from, to int64) error {
	stored, err := v.storedHashes(ctx, from, to)
	if err != nil {
		return err
	}
	judges, err := v.readCheckpoints(ctx, from, to)
	if err != nil {
		return err
	}
	rows, err := v.tx.Query(ctx, `SELECT n.leaf_index, l.entry_id, l.salt, l.personal_hash, `+entryColumns+`
		FROM generate_series($1::bigint, $2::bigint - 1) AS n(leaf_index)
		LEFT JOIN audit_leaves l ON l.leaf_index = n.leaf_index
		LEFT JOIN audit_entries e ON e.entry_id = l.entry_id ORDER BY n.leaf_index`, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	var id *[16]byte
	var l leafOf
	scan := newEntryScan(&l.index, &id, &l.salt, &l.purged)
	pairs := &childPairs{}
	for rows.Next() {
		there, err := scan.scan(rows, &l.entry)
		if err != nil {
			return err
		}
		v.leaf(&l, id, there, stored[l.index-from])
		pairs.add(&l.entry)
		for ; len(judges) > 0 && judges[0].Size == v.entries.size; judges = judges[1:] {
			v.judge(judges[0])
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	v.entries.dropLeafTiles()
	v.tiles.dropLeafTiles()
	return v.checkByChild(ctx, pairs)
}

// leaf checks one leaf. Where the entry is gone both trees go on with the hash that
// stands in the tiles, so that what comes after is judged by itself.
func (v *verification) leaf(l *leafOf, id *[16]byte, there bool, stored *tlog.Hash) {
	if v.judged == l.index && id != nil {
		v.firstUnjudged = *id
	}
	var hash tlog.Hash
	switch {
	case id == nil:
		v.report.fault(Removed, l.index, uuid.Nil, "leaf %d is gone, and with it which entry it was", l.index)
	case !there:
		v.report.fault(Removed, l.index, *id, "entry %s, leaf %d, is gone", uuid.UUID(*id), l.index)
	default:
		hash = v.entryHash(l)
	}
	switch {
	case stored == nil:
		v.report.fault(TreeNode, l.index, l.entry.ID, "the hash of leaf %d is missing from the tree", l.index)
		stored = &hash
	case !there:
		hash = *stored
	case hash != *stored:
		v.undecided = append(v.undecided, misfit{index: l.index, id: l.entry.ID, entry: hash, tile: *stored})
	}
	v.entries.push(hash)
	v.tiles.push(*stored)
}

// entryHash is the leaf hash of an entry as it is now.
func (v *verification) entryHash(l *leafOf) tlog.Hash {
	if len(l.purged) > 0 && l.entry.hasPersonal() {
		v.report.fault(Altered, l.index, l.entry.ID, "entry %s, leaf %d, was purged, and has personal parts all the same", l.entry.ID, l.index)
	}
	v.accounted.note(l)
	if l.entry.Time.After(v.newest) {
		v.newest = l.entry.Time
	}
	content, _, err := l.content()
	if err != nil {
		return tlog.Hash{} // fits nothing
	}
	return tlog.RecordHash(content)
}

// judge compares both trees with a checkpoint that is signed by a known key.
func (v *verification) judge(c *Checkpoint) {
	entries, tiles := v.entries.root(), v.tiles.root()
	switch kept := c == v.o.Since; {
	case entries == c.Root:
		v.decide(true)
	case tiles == c.Root:
		v.decide(false)
	case kept:
		v.report.fault(NoKeptMatch, -1, uuid.Nil, "the checkpoint that was kept, of %d entries, is of another log than the one here", c.Size)
		return
	case !v.lost && len(v.undecided) == 0:
		v.report.fault(Altered, v.judged, v.firstUnjudged,
			"of the leaves %d to %d, from entry %s on, some were altered, and the tree with them: the checkpoint of %d entries does not agree",
			v.judged, c.Size-1, v.firstUnjudged, c.Size)
		v.lost = true
	case !v.lost:
		v.decide(false)
		v.lost = true
	}
	v.judged = c.Size
}

// decide settles what is undecided: either the entries are right and the tiles are
// not, or it is the other way round. Both trees go on from the right one.
func (v *verification) decide(entriesRight bool) {
	if len(v.undecided) == 0 {
		return
	}
	for _, m := range v.undecided {
		m.tileWrong = entriesRight
		v.misfits = append(v.misfits, m)
	}
	v.undecided = v.undecided[:0]
	if entriesRight {
		v.tiles = v.entries.clone()
	} else {
		v.entries = v.tiles.clone()
	}
}

// settle names the misfits. An entry whose hash should stand where another's does
// was moved.
func (v *verification) settle() {
	v.decide(false)
	moved := map[tlog.Hash]bool{}
	for _, m := range v.misfits {
		moved[m.entry] = true
	}
	for _, m := range v.misfits {
		switch {
		case m.tileWrong:
			v.report.fault(TreeNode, m.index, m.id, "the hash of leaf %d in the tree was changed; entry %s is as it was logged", m.index, m.id)
		case moved[m.tile]:
			v.report.fault(Reordered, m.index, m.id, "entry %s stands at leaf %d, which is another's place", m.id, m.index)
		default:
			v.report.fault(Altered, m.index, m.id, "entry %s, leaf %d, is not what was logged", m.id, m.index)
		}
	}
}

// storedHashes are the hashes of leaves that the tiles hold, nil where they hold none.
func (v *verification) storedHashes(ctx context.Context, from, to int64) ([]*tlog.Hash, error) {
	var want []tile
	for index := from / tileWidth; index*tileWidth < to; index++ {
		want = append(want, tile{index: index})
	}
	got, err := readTiles(ctx, v.tx, want)
	if err != nil {
		return nil, err
	}
	stored := make([]*tlog.Hash, to-from) // from begins a tile: verifyChunk is a multiple of tileWidth
	for i := range stored {
		hashes := got[i/tileWidth].hashes
		if at := i % tileWidth * tlog.HashSize; at+tlog.HashSize <= len(hashes) {
			h := tlog.Hash(hashes[at:])
			stored[i] = &h
		}
	}
	return stored, nil
}

// readCheckpoints reads those whose trees end in a range, names those that are not
// in order, and returns the others with the one that was kept, by size.
func (v *verification) readCheckpoints(ctx context.Context, from, to int64) ([]*Checkpoint, error) {
	rows, err := v.tx.Query(ctx, `SELECT tree_size, root_hash, note FROM audit_checkpoints
		WHERE tree_size > $1 AND tree_size <= $2 ORDER BY tree_size`, from, to)
	if err != nil {
		return nil, err
	}
	type row struct {
		Size int64
		Root []byte
		Note string
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, err
	}
	opened, wrong := make([]*Checkpoint, len(all)), make([]error, len(all))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, r := range all {
		group.Go(func() error {
			opened[i], wrong[i] = OpenCheckpoint([]byte(r.Note), v.keys)
			return nil
		})
	}
	_ = group.Wait() // none fails
	var judges []*Checkpoint
	since := v.o.Since
	for i, r := range all {
		if since != nil && since.Size > from && since.Size < r.Size {
			judges, since = append(judges, since), nil
		}
		switch {
		case wrong[i] != nil:
			v.report.fault(BadSign, -1, uuid.Nil, "the checkpoint of %d entries is not as the hub signed it: %v", r.Size, wrong[i])
		case opened[i].Size != r.Size || !bytes.Equal(opened[i].Root[:], r.Root):
			v.report.fault(BadSign, -1, uuid.Nil, "the checkpoint of %d entries does not stand as it was signed", r.Size)
		default:
			judges = append(judges, opened[i])
		}
	}
	if since != nil && since.Size > from && since.Size <= to {
		judges = append(judges, since)
	}
	return judges, nil
}
