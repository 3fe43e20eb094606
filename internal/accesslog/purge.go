package accesslog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
)

// purgeMethod begins the method of the entry that a purge leaves in the log. What
// was purged stands in the method itself, since a later purge takes all else.
const purgeMethod = "irthub audit purge --before "

// purgeBatch is how many entries are purged in one transaction.
const purgeBatch = 2000

// purges is what a log says of its purges: how far they reached, and the newest
// entry that was purged.
type purges struct {
	before time.Time
	count  int64
	newest time.Time
	entry  uuid.UUID
	index  int64
}

func (p *purges) note(l *leafOf) {
	p.until(l.entry.Method)
	if len(l.purged) > 0 {
		p.count++
		if l.entry.Time.After(p.newest) {
			p.newest, p.entry, p.index = l.entry.Time, l.entry.ID, l.index
		}
	}
}

// until takes in the method of an entry, which may be a purge's.
func (p *purges) until(method string) {
	text, ok := strings.CutPrefix(method, purgeMethod)
	if !ok {
		return
	}
	if before, err := time.Parse(time.RFC3339, text); err == nil && before.After(p.before) {
		p.before = before
	}
}

// ErrTooRecent refuses to purge entries less than a year old.
var ErrTooRecent = errors.New("accesslog: entries are kept whole for a year at least")

// Purge forgets for good the personal parts of entries before an instant: who of
// the agency it was, for whom, from where, why, which children, the query, and what
// was returned. Their salted hash stays, so that the tree stands. The purge is an
// entry of the log itself. It returns how many entries were purged; after an error
// those stay purged.
func Purge(ctx context.Context, pool *pgxpool.Pool, before time.Time) (n int64, err error) {
	before = before.UTC().Truncate(time.Second)
	if time.Since(before) < 365*24*time.Hour {
		return 0, ErrTooRecent
	}
	if err := logPurge(ctx, pool, before); err != nil {
		return 0, err
	}
	for from := int64(0); from >= 0; {
		err := pg.InTxRetry(ctx, pool, func(tx pgx.Tx) error {
			next, purged, err := purge(ctx, tx, from, before)
			if err == nil {
				from, n = next, n+purged
			}
			return err
		})
		if err != nil {
			return n, fmt.Errorf("accesslog: purging: %w", err)
		}
	}
	return n, nil
}

func logPurge(ctx context.Context, pool *pgxpool.Pool, before time.Time) error {
	id := uuid.Must(uuid.NewV7())
	_, err := pool.Exec(ctx, `WITH inserted AS (
			INSERT INTO audit_entries (entry_id, entry_time, agency_id, role, method, decision, status_code)
			VALUES ($1, $2, 'hub', 'hub-operator', $3, 'ALLOWED', 0) RETURNING entry_id)
		INSERT INTO audit_queue (entry_id) SELECT entry_id FROM inserted`,
		[16]byte(id), time.Now(), purgeMethod+before.Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("accesslog: recording a purge: %w", err)
	}
	return nil
}

// purge purges among the leaves from an index on. It returns the index to go on
// from, or -1 at the end.
func purge(ctx context.Context, tx pgx.Tx, from int64, before time.Time) (next, n int64, err error) {
	rows, err := tx.Query(ctx, `SELECT l.leaf_index, l.salt, `+entryColumns+` FROM audit_leaves l
		JOIN audit_entries e ON e.entry_id = l.entry_id
		WHERE l.leaf_index >= $1 AND l.leaf_index < $1 + $2 ORDER BY l.leaf_index`, from, purgeBatch)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	var l leafOf
	scan := newEntryScan(&l.index, &l.salt)
	var f forgotten
	next = -1
	for rows.Next() {
		if _, err := scan.scan(rows, &l.entry); err != nil {
			return 0, 0, err
		}
		next = from + purgeBatch
		if l.salt != nil && l.entry.Time.Before(before) && !strings.HasPrefix(l.entry.Method, purgeMethod) {
			f.add(&l)
		}
	}
	if err := rows.Err(); err != nil || len(f.ids) == 0 {
		return next, 0, err
	}
	return next, int64(len(f.ids)), f.forget(ctx, tx)
}

// forgotten are the entries that a batch purges.
type forgotten struct {
	ids    [][16]byte
	hashes [][]byte
	pairs  childPairs
}

func (f *forgotten) add(l *leafOf) {
	hash := personalHash(l.salt, l.entry.personal())
	f.ids, f.hashes = append(f.ids, l.entry.ID), append(f.hashes, hash[:])
	f.pairs.add(&l.entry)
}

func (f *forgotten) forget(ctx context.Context, tx pgx.Tx) error {
	queued := &pgx.Batch{}
	queued.Queue(`UPDATE audit_leaves l SET salt = NULL, personal_hash = q.hash
		FROM unnest($1::uuid[], $2::bytea[]) AS q(id, hash) WHERE l.entry_id = q.id`, f.ids, f.hashes)
	queued.Queue(`UPDATE audit_entries e SET practitioner_id = '', on_behalf_of = '', client_address = '', request_id = '',
			reason = '', children = '{}', returned = '{}', query = NULL
		FROM unnest($1::uuid[]) AS q(id) WHERE e.entry_id = q.id`, f.ids)
	queued.Queue(`DELETE FROM audit_child_entries c USING unnest($1::uuid[], $2::uuid[]) AS q(child_id, entry_id)
		WHERE c.child_id = q.child_id AND c.entry_id = q.entry_id`, f.pairs.children, f.pairs.entries)
	return tx.SendBatch(ctx, queued).Close()
}
