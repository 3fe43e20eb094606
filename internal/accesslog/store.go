package accesslog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrEmpty is what is returned before the first entry has its leaf.
var ErrEmpty = errors.New("accesslog: the log has no checkpoint yet")

// ErrNoCheckpoint is returned where there is no checkpoint of a size asked for.
var ErrNoCheckpoint = errors.New("accesslog: there is no checkpoint of that size")

// ErrNotFound is returned for an entry that there is not.
var ErrNotFound = errors.New("accesslog: no such entry")

// ErrNotSequenced is returned for an entry that has no leaf yet.
var ErrNotSequenced = errors.New("accesslog: the entry is not in the tree yet")

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// forEach runs a query and calls fn for each row, scanned into into.
func forEach(ctx context.Context, db Querier, into []any, fn func(), sql string, args ...any) error {
	rows, err := db.Query(ctx, sql, args...) //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		fn()
		return nil
	})
	return err
}

const checkpointColumns = `tree_size, root_hash, note, sign_time`

// LastCheckpoint reads the newest checkpoint. It does not check the signature: who
// is given the note does.
func LastCheckpoint(ctx context.Context, db Querier) (*Checkpoint, error) {
	return lastCheckpoint(ctx, db)
}

func lastCheckpoint(ctx context.Context, db Querier) (*Checkpoint, error) {
	c, err := scanCheckpoint(db.QueryRow(ctx, `SELECT `+checkpointColumns+` FROM audit_checkpoints ORDER BY tree_size DESC LIMIT 1`))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrEmpty
	}
	return c, err
}

// CheckpointOf reads the checkpoint of a size.
func CheckpointOf(ctx context.Context, db Querier, size int64) (*Checkpoint, error) {
	c, err := scanCheckpoint(db.QueryRow(ctx, `SELECT `+checkpointColumns+` FROM audit_checkpoints WHERE tree_size = $1`, size))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNoCheckpoint
	}
	return c, err
}

func scanCheckpoint(row pgx.Row) (*Checkpoint, error) {
	c := &Checkpoint{}
	var root []byte
	if err := row.Scan(&c.Size, &root, &c.Note, &c.SignTime); err != nil {
		return nil, fmt.Errorf("accesslog: reading a checkpoint: %w", err)
	}
	if len(root) != tlog.HashSize {
		return nil, errors.New("accesslog: the checkpoint's root is no hash: run irthub audit verify")
	}
	c.Root = tlog.Hash(root)
	return c, nil
}

// DatabaseVerifiers reads the verifier keys that hubs left in the database. Whoever
// can change the log there can change these too: they are for those who were given
// no key, and serve against mistakes only.
func DatabaseVerifiers(ctx context.Context, db Querier) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT convert_from(key, 'UTF8') FROM hub_keys WHERE starts_with(name, $1) ORDER BY create_time DESC`, verifierKeyName)
	if err != nil {
		return nil, fmt.Errorf("accesslog: reading verifier keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("accesslog: reading verifier keys: %w", err)
	}
	return keys, nil
}

// readTiles reads tiles, in the order asked for; one that is not there has no hashes.
func readTiles(ctx context.Context, db Querier, want []tile) ([]tile, error) {
	levels, indexes := make([]int16, len(want)), make([]int64, len(want))
	for i, t := range want {
		levels[i], indexes[i] = int16(t.level), t.index //nolint:gosec // below 8
	}
	rows, err := db.Query(ctx, `SELECT t.hashes FROM unnest($1::smallint[], $2::bigint[]) WITH ORDINALITY AS q(level, tile_index, place)
		LEFT JOIN audit_tiles t USING (level, tile_index) ORDER BY q.place`, levels, indexes)
	if err != nil {
		return nil, fmt.Errorf("accesslog: reading tiles: %w", err)
	}
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("accesslog: reading tiles: %w", err)
	}
	got := make([]tile, len(want))
	for i, t := range want {
		got[i] = tile{t.level, t.index, hashes[i]}
	}
	return got, nil
}

func loadTree(ctx context.Context, db Querier, size int64) (*tree, error) {
	want, _ := growing(size)
	got, err := readTiles(ctx, db, want)
	if err != nil {
		return nil, err
	}
	return restore(size, got)
}

// Proof shows to whoever trusts the checkpoint that an entry is in the log.
type Proof struct {
	Checkpoint *Checkpoint
	Index      int64
	Leaf       []byte
	Hashes     tlog.RecordProof
	// Personal and Salt open the hash of the personal parts; nil once purged.
	Personal, Salt []byte
}

// leafOf is an entry with its place in the tree.
type leafOf struct {
	entry        Entry
	index        int64 // -1: it has none yet
	salt, purged []byte
}

// content is the leaf's text.
func (l *leafOf) content() (leaf, personal []byte, err error) {
	if len(l.purged) == 0 {
		personal = l.entry.personal()
		return l.entry.leaf(personalHash(l.salt, personal)), personal, nil
	}
	if len(l.purged) != tlog.HashSize {
		return nil, nil, errors.New("accesslog: the hash of purged parts is no hash: run irthub audit verify")
	}
	return l.entry.leaf([tlog.HashSize]byte(l.purged)), nil, nil
}

// GetEntry reads one entry, and its place in the tree: -1 if it has none yet.
func GetEntry(ctx context.Context, db Querier, id uuid.UUID) (*Entry, int64, error) {
	l, err := getLeaf(ctx, db, id)
	if err != nil {
		return nil, 0, err
	}
	return &l.entry, l.index, nil
}

func getLeaf(ctx context.Context, db Querier, id uuid.UUID) (*leafOf, error) {
	rows, err := db.Query(ctx, `SELECT coalesce(l.leaf_index, -1), l.salt, l.personal_hash, `+entryColumns+`
		FROM audit_entries e LEFT JOIN audit_leaves l ON l.entry_id = e.entry_id WHERE e.entry_id = $1`, [16]byte(id))
	if err != nil {
		return nil, fmt.Errorf("accesslog: reading an entry: %w", err)
	}
	defer rows.Close()
	l := &leafOf{}
	if !rows.Next() {
		return nil, errors.Join(ErrNotFound, rows.Err())
	}
	if _, err := newEntryScan(&l.index, &l.salt, &l.purged).scan(rows, &l.entry); err != nil {
		return nil, err
	}
	return l, nil
}

// Prove makes the proof of an entry for the checkpoint of a size, or for the newest
// if size is 0. It fails where the tiles do not fit the checkpoint.
func Prove(ctx context.Context, db Querier, id uuid.UUID, size int64) (*Proof, error) {
	l, err := getLeaf(ctx, db, id)
	if err != nil {
		return nil, err
	}
	if l.index < 0 {
		return nil, ErrNotSequenced
	}
	checkpoint, err := lastCheckpoint(ctx, db)
	if size > 0 {
		checkpoint, err = CheckpointOf(ctx, db, size)
	}
	if err != nil {
		return nil, err
	}
	if l.index >= checkpoint.Size {
		return nil, ErrNoCheckpoint // that checkpoint was before the entry
	}
	p := &Proof{Checkpoint: checkpoint, Index: l.index, Salt: l.salt}
	if p.Leaf, p.Personal, err = l.content(); err != nil {
		return nil, err
	}
	hashes := tlog.TileHashReader(tlog.Tree{N: checkpoint.Size, Hash: checkpoint.Root}, tileReader{ctx, db})
	if p.Hashes, err = tlog.ProveRecord(checkpoint.Size, l.index, hashes); err != nil {
		return nil, fmt.Errorf("accesslog: the tree does not fit its checkpoint: %w", err)
	}
	return p, nil
}

// tileReader lets tlog read tiles from the database.
type tileReader struct {
	ctx context.Context //nolint:containedctx // tlog's interface takes none
	db  Querier
}

// Height implements tlog.TileReader.
func (tileReader) Height() int { return tileHeight }

// SaveTiles implements tlog.TileReader.
func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader. A tile as it was at a smaller size of the
// tree is the beginning of what it is now.
func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	want := make([]tile, len(tiles))
	for i, t := range tiles {
		want[i] = tile{level: t.L, index: t.N}
	}
	got, err := readTiles(r.ctx, r.db, want)
	if err != nil {
		return nil, err
	}
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		if len(got[i].hashes) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("accesslog: tile %d of level %d is not there, or cut short", t.N, t.L)
		}
		data[i] = got[i].hashes[:t.W*tlog.HashSize]
	}
	return data, nil
}
