package accesslog

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Text is what of a checkpoint is signed.
func Text(c *Checkpoint) string { return c.text() }

// SignAndOpen signs any text with the log's key and reads it as a checkpoint.
func SignAndOpen(keys *Keys, text string) (*Checkpoint, error) {
	signed, err := note.Sign(&note.Note{Text: text}, keys.signer)
	if err != nil {
		return nil, err
	}
	c, err := parseText(text)
	if opened, openErr := OpenCheckpoint(signed, keys); openErr == nil {
		return opened, nil
	}
	return c, err
}

// Integrate makes leaves of all that waits, as an elected sequencer does.
func Integrate(t testing.TB, pool *pgxpool.Pool, keys *Keys) {
	t.Helper()
	conn, err := (&Sequencer{pool: pool}).connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	l, err := lead(context.Background(), conn, keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.integrateAll(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// PersonalHash is the hash of an entry's personal parts as they are now.
func PersonalHash(t testing.TB, pool *pgxpool.Pool, id uuid.UUID) []byte {
	t.Helper()
	l, err := getLeaf(context.Background(), pool, id)
	if err != nil {
		t.Fatal(err)
	}
	hash := personalHash(l.salt, l.entry.personal())
	return hash[:]
}

// entryHashes are the leaf hashes of the entries as they are now, in order.
func entryHashes(t testing.TB, pool *pgxpool.Pool) (all []tlog.Hash) {
	t.Helper()
	rows, err := pool.Query(context.Background(), `SELECT l.salt, `+entryColumns+` FROM audit_leaves l
		JOIN audit_entries e USING (entry_id) ORDER BY l.leaf_index`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var salt []byte
	var e Entry
	scan := newEntryScan(&salt)
	for rows.Next() {
		if _, err := scan.scan(rows, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e.hash(salt))
	}
	return all
}

// RebuildTiles makes the tiles fit the entries as they are now.
func RebuildTiles(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	built := &tree{}
	for _, h := range entryHashes(t, pool) {
		built.push(h)
	}
	writeTiles(t, pool, built)
}

func writeTiles(t testing.TB, pool *pgxpool.Pool, built *tree) {
	t.Helper()
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM audit_tiles`)
	queueTiles(batch, built.changed())
	if err := pool.SendBatch(context.Background(), batch).Close(); err != nil {
		t.Fatal(err)
	}
}

// SignAsOther writes a checkpoint of the log as it is now, signed by other keys.
func SignAsOther(t testing.TB, pool *pgxpool.Pool, keys *Keys) {
	t.Helper()
	built := &tree{}
	for _, h := range entryHashes(t, pool) {
		built.push(h)
	}
	c, err := sign(keys, built.size, built.root(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(context.Background(), `INSERT INTO audit_checkpoints VALUES ($1, $2, $3, now())`, c.Size, c.Root[:], c.Note); err != nil {
		t.Fatal(err)
	}
}

// Rewind makes the log what it was when its tree had a size, of which there is a
// checkpoint.
func Rewind(t testing.TB, pool *pgxpool.Pool, size int64) {
	t.Helper()
	built := &tree{}
	for _, h := range entryHashes(t, pool)[:size] {
		built.push(h)
	}
	for _, sql := range []string{
		`DELETE FROM audit_checkpoints WHERE tree_size > $1`,
		`DELETE FROM audit_child_entries WHERE entry_id IN (SELECT entry_id FROM audit_leaves WHERE leaf_index >= $1)`,
		`DELETE FROM audit_entries WHERE entry_id IN (SELECT entry_id FROM audit_leaves WHERE leaf_index >= $1)`,
		`DELETE FROM audit_leaves WHERE leaf_index >= $1`,
	} {
		if _, err := pool.Exec(context.Background(), sql, size); err != nil {
			t.Fatal(err)
		}
	}
	writeTiles(t, pool, built)
}
