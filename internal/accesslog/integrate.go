package accesslog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"irthub/internal/pg"
)

// batchSize is how many entries become leaves in one transaction at most.
const batchSize = 8192

// leader is the elected sequencer: what it knows of the tree it lets grow.
type leader struct {
	conn *pgx.Conn
	keys *Keys
	tree *tree
}

// lead takes up the tree where the last checkpoint left it. It refuses a tree that
// does not fit its checkpoint, or whose checkpoint no known key has signed: to go
// on would be to sign what somebody else has made.
func lead(ctx context.Context, conn *pgx.Conn, keys *Keys) (*leader, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	last, err := lastCheckpoint(ctx, conn)
	if errors.Is(err, ErrEmpty) {
		return &leader{conn, keys, &tree{}}, registerVerifier(ctx, conn, keys)
	}
	if err != nil {
		return nil, err
	}
	signed, err := OpenCheckpoint([]byte(last.Note), keys)
	if err != nil {
		return nil, fmt.Errorf("%w: this process cannot go on with the log; give it the key of the hub that began it "+
			"(%s), or name that key in %s", err, keyFile, verifiersFile)
	}
	t, err := loadTree(ctx, conn, signed.Size)
	if err != nil {
		return nil, err
	}
	if signed.Origin != keys.Name() || t.root() != signed.Root {
		return nil, errors.New("accesslog: the tree does not fit its last checkpoint: run irthub audit verify")
	}
	return &leader{conn, keys, t}, registerVerifier(ctx, conn, keys)
}

// verifierKeyName is where hub_keys holds the verifier keys of a log, by their hash.
const verifierKeyName = "access-log-verifier/"

// registerVerifier leaves the verifier key in the database, for who has no better
// source: see DatabaseVerifiers.
func registerVerifier(ctx context.Context, conn *pgx.Conn, keys *Keys) error {
	_, err := conn.Exec(ctx, `INSERT INTO hub_keys (name, key) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`,
		fmt.Sprintf("%s%08x", verifierKeyName, keys.signer.KeyHash()), []byte(keys.own))
	if err != nil {
		return fmt.Errorf("accesslog: leaving the verifier key: %w", err)
	}
	return nil
}

// integrateAll makes leaves until nothing waits, and returns how many.
func (l *leader) integrateAll(ctx context.Context) (made int, err error) {
	for {
		n, err := l.integrate(ctx)
		made += n
		if err != nil || n < batchSize {
			return made, err
		}
	}
}

// integrate makes leaves of at most batchSize waiting entries, and a checkpoint, in
// one transaction: there is never a leaf that no checkpoint covers.
func (l *leader) integrate(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	next := l.tree
	err = pgx.BeginFunc(ctx, l.conn, func(tx pgx.Tx) error {
		queue, err := waiting(ctx, tx)
		if err != nil || len(queue) == 0 {
			return err
		}
		batch, err := makeLeaves(ctx, tx, queue, l.tree.size)
		if err != nil {
			return err
		}
		if n = len(batch.leaves); n == 0 {
			return errors.New("accesslog: entries that wait for their leaf are gone: run irthub audit verify")
		}
		next = l.tree.clone()
		for _, h := range batch.hashes {
			next.push(h)
		}
		return l.store(ctx, tx, batch, next, queue)
	})
	if err != nil {
		return 0, fmt.Errorf("accesslog: integrating entries: %w", err)
	}
	l.tree = next
	return n, nil
}

// place is a row of audit_queue, and where it stands.
type place struct {
	row string // its ctid
	id  [16]byte
}

// waiting are the entries that wait, in the order of their ids, which is about that
// of time.
func waiting(ctx context.Context, tx pgx.Tx) (queue []place, err error) {
	var p place
	err = forEach(ctx, tx, []any{&p.row, &p.id}, func() { queue = append(queue, p) },
		`SELECT ctid::text, entry_id FROM audit_queue LIMIT $1`, batchSize)
	slices.SortFunc(queue, func(a, b place) int { return bytes.Compare(a.id[:], b.id[:]) })
	return queue, err
}

// leaves are a batch, column by column.
type leaves struct {
	leaves   [][]any // of audit_leaves
	children [][]any // of audit_child_entries
	hashes   []tlog.Hash
	found    map[[16]byte]bool
}

// makeLeaves reads the entries that wait and makes leaves of them.
func makeLeaves(ctx context.Context, tx pgx.Tx, queue []place, first int64) (*leaves, error) {
	ids := make([][16]byte, len(queue))
	for i, p := range queue {
		ids[i] = p.id
	}
	rows, err := tx.Query(ctx, `SELECT `+entryColumns+` FROM unnest($1::uuid[]) WITH ORDINALITY AS q(entry_id, place)
		JOIN audit_entries e ON e.entry_id = q.entry_id ORDER BY q.place`, ids) // by key: connect turns other joins off
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	salts := make([]byte, SaltSize*len(ids))
	_, _ = rand.Read(salts) // never fails
	b := &leaves{found: make(map[[16]byte]bool, len(ids))}
	scan := newEntryScan()
	var e Entry
	for rows.Next() {
		if _, err := scan.scan(rows, &e); err != nil {
			return nil, err
		}
		b.add(&e, first, salts[:SaltSize:SaltSize])
		salts = salts[SaltSize:]
	}
	return b, rows.Err()
}

func (b *leaves) add(e *Entry, first int64, salt []byte) {
	b.leaves = append(b.leaves, []any{first + int64(len(b.leaves)), [16]byte(e.ID), salt})
	b.hashes = append(b.hashes, e.hash(salt))
	b.found[e.ID] = true
	for _, child := range distinct(e.Children) {
		b.children = append(b.children, []any{[16]byte(child), [16]byte(e.ID)})
	}
}

func distinct(ids []uuid.UUID) []uuid.UUID {
	if len(ids) < 2 {
		return ids
	}
	out := slices.Clone(ids)
	slices.SortFunc(out, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

// store writes what a batch made. The primary key of audit_leaves would refuse a
// second sequencer even if the lock did not keep it away.
func (l *leader) store(ctx context.Context, tx pgx.Tx, b *leaves, t *tree, queue []place) error {
	slices.SortFunc(b.children, func(x, y []any) int {
		a, b := x[0].([16]byte), y[0].([16]byte)
		return bytes.Compare(a[:], b[:])
	})
	var rows pg.Copies
	rows.Add("audit_leaves", []string{"leaf_index", "entry_id", "salt"}, b.leaves)
	rows.Add("audit_child_entries", []string{"child_id", "entry_id"}, b.children)
	if err := rows.Write(ctx, tx); err != nil {
		return err
	}
	checkpoint, err := sign(l.keys, t.size, t.root(), time.Now())
	if err != nil {
		return err
	}
	var done []string // what waits and is gone stays in the queue, for Verify to name
	for _, p := range queue {
		if b.found[p.id] {
			done = append(done, p.row)
		}
	}
	queued := &pgx.Batch{}
	queueTiles(queued, t.changed())
	queued.Queue(`INSERT INTO audit_checkpoints (tree_size, root_hash, note, sign_time) VALUES ($1, $2, $3, $4)`,
		checkpoint.Size, checkpoint.Root[:], checkpoint.Note, checkpoint.SignTime)
	queued.Queue(`DELETE FROM audit_queue WHERE ctid = ANY($1::text[]::tid[])`, done)
	return tx.SendBatch(ctx, queued).Close()
}

func queueTiles(queued *pgx.Batch, tiles []tile) {
	var levels []int16
	var indexes []int64
	var hashes [][]byte
	for _, t := range tiles {
		levels = append(levels, int16(t.level)) //nolint:gosec // below 8
		indexes = append(indexes, t.index)
		hashes = append(hashes, t.hashes)
	}
	queued.Queue(`INSERT INTO audit_tiles (level, tile_index, hashes)
		SELECT level, tile_index, hashes FROM unnest($1::smallint[], $2::bigint[], $3::bytea[]) AS t (level, tile_index, hashes)
		ON CONFLICT (level, tile_index) DO UPDATE SET hashes = excluded.hashes`, levels, indexes, hashes)
}
