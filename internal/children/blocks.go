package children

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/match"
)

// blocks tells which children share a blocking key.
type blocks struct {
	byKey map[uint64][]uuid.UUID  // children, by narrow key
	broad map[uint64][]uuid.UUID  // records, by broad key
	count map[uint64]int          // records, by key; of a full block one more than it may bring
	child map[uuid.UUID]uuid.UUID // of the records that broad keys bring
}

func newBlocks() blocks {
	return blocks{
		byKey: map[uint64][]uuid.UUID{}, broad: map[uint64][]uuid.UUID{},
		count: map[uint64]int{}, child: map[uuid.UUID]uuid.UUID{},
	}
}

// add enters a record of a child under its keys. A narrow block that is full
// takes no more; a broad one then brings nobody.
func (b *blocks) add(keys []uint64, record, child uuid.UUID) {
	for _, k := range keys {
		broad, most := match.KeyKind(k).Broad(), blockCap(k)
		b.count[k] = min(b.count[k]+1, most+1)
		switch {
		case broad && b.count[k] > most:
			delete(b.broad, k)
		case broad:
			b.broad[k] = append(b.broad[k], record)
			b.child[record] = child
		case b.count[k] <= most && !slices.Contains(b.byKey[k], child):
			b.byKey[k] = append(b.byKey[k], child)
		}
	}
}

// blockCap is how many records one blocking key may bring. Of a block that holds
// more the answer says so; the other keys of the record still find its like.
func blockCap(key uint64) int {
	if match.KeyKind(key).Broad() {
		return match.BroadBlockCap
	}
	return match.BlockCap
}

// children are those that share any of the keys, the oldest first, so that the
// outcome does not depend on the order in which the database found them; of
// broad keys those of the likeliest records but the one that is submitted.
func (b *blocks) children(keys []uint64, submitted uuid.UUID) (ids []uuid.UUID, narrowed bool) {
	for _, k := range keys {
		narrowed = narrowed || b.count[k] > blockCap(k)
		ids = append(ids, b.byKey[k]...)
	}
	for _, r := range b.likeliest(keys, submitted) {
		if child, read := b.child[r]; read {
			ids = append(ids, child)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids), narrowed
}

func (b *blocks) likeliest(keys []uint64, except uuid.UUID) []uuid.UUID {
	return match.Likeliest(keys, func(k uint64) []uuid.UUID {
		records := b.broad[k]
		if slices.Contains(records, except) {
			records = slices.DeleteFunc(slices.Clone(records), func(id uuid.UUID) bool { return id == except })
		}
		return records
	}, compareIDs)
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// read reads the blocks of narrow keys.
func (b *blocks) read(ctx context.Context, q querier, keys []uint64) error {
	if len(keys) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	b.queue(batch, keys)
	if err := q.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("children: finding candidates: %w", err)
	}
	return nil
}

// queue has the blocks of narrow keys read with what else is in a batch.
func (b *blocks) queue(batch *pgx.Batch, keys []uint64) {
	if len(keys) == 0 {
		return
	}
	// LATERAL with a bound inside is what keeps both look-ups nested loops over
	// their indexes, whatever the planner thinks of the size of the tables.
	batch.Queue(`
		SELECT q.key, r.child_id
		FROM unnest($1::bigint[]) AS q(key)
		CROSS JOIN LATERAL (SELECT m.record_id FROM match_keys m WHERE m.key = q.key LIMIT $2) m
		CROSS JOIN LATERAL (SELECT r.child_id FROM child_records r WHERE r.record_id = m.record_id LIMIT 1) r`,
		signedKeys(keys), match.BlockCap+1).Query(func(rows pgx.Rows) error {
		var key int64
		var child [16]byte
		_, err := pgx.ForEachRow(rows, []any{&key, &child}, func() error {
			k := uint64(key) //nolint:gosec // a key never has the upper bit set
			if b.count[k]++; b.count[k] <= match.BlockCap && !slices.Contains(b.byKey[k], child) {
				b.byKey[k] = append(b.byKey[k], child)
			}
			return nil
		})
		return err
	})
}

// inNarrow are the children in the blocks of narrow keys that were read.
func (b *blocks) inNarrow(keys []uint64) map[uuid.UUID]bool {
	wanted := map[uuid.UUID]bool{}
	for _, k := range keys {
		for _, child := range b.byKey[k] {
			wanted[child] = true
		}
	}
	return wanted
}

// signedKeys are the keys as the database has them, each once and in order.
func signedKeys(keys []uint64) []int64 {
	signed := make([]int64, len(keys))
	for i, k := range keys {
		signed[i] = int64(k) //nolint:gosec // a key never has the upper bit set
	}
	slices.Sort(signed)
	return slices.Compact(signed)
}

// readBroad reads the blocks of the submissions' broad keys and returns the
// children of the likeliest records in them. A block that is over its bound
// brings no record, and none of its records is looked up.
func (b *blocks) readBroad(ctx context.Context, q querier, subs []*submission) (map[uuid.UUID]bool, error) {
	var keys []uint64
	for _, sub := range subs {
		_, broad := match.Split(sub.keys)
		keys = append(keys, broad...)
	}
	if len(keys) == 0 {
		return map[uuid.UUID]bool{}, nil
	}
	rows, err := q.Query(ctx, `
		SELECT q.key, b.ids
		FROM unnest($1::bigint[]) AS q(key)
		CROSS JOIN LATERAL (
			SELECT array_agg(m.record_id) AS ids
			FROM (SELECT record_id FROM match_keys WHERE key = q.key ORDER BY key, record_id LIMIT $2) m) b
		WHERE b.ids IS NOT NULL`, signedKeys(keys), match.BroadBlockCap+1)
	if err != nil {
		return nil, fmt.Errorf("children: finding further candidates: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key int64
		var ids []uuid.UUID
		if err := rows.Scan(&key, &ids); err != nil {
			return nil, fmt.Errorf("children: reading further candidates: %w", err)
		}
		k := uint64(key) //nolint:gosec // a key never has the upper bit set
		if b.count[k] = len(ids); len(ids) <= match.BroadBlockCap {
			b.broad[k] = ids
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("children: finding further candidates: %w", err)
	}
	var records []uuid.UUID
	for _, sub := range subs {
		records = append(records, b.likeliest(sub.keys, sub.id)...)
	}
	return b.readChildren(ctx, q, records)
}

// readChildren reads which children the records are of.
func (b *blocks) readChildren(ctx context.Context, q querier, records []uuid.UUID) (map[uuid.UUID]bool, error) {
	wanted := map[uuid.UUID]bool{}
	if len(records) == 0 {
		return wanted, nil
	}
	slices.SortFunc(records, compareIDs)
	rows, err := q.Query(ctx, `
		SELECT r.record_id, r.child_id
		FROM unnest($1::uuid[]) AS q(record_id)
		CROSS JOIN LATERAL (SELECT c.record_id, c.child_id FROM child_records c WHERE c.record_id = q.record_id LIMIT 1) r`,
		uuids(slices.Compact(records)))
	if err != nil {
		return nil, fmt.Errorf("children: finding further candidates: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var record, child [16]byte
		if err := rows.Scan(&record, &child); err != nil {
			return nil, fmt.Errorf("children: reading further candidates: %w", err)
		}
		b.child[record] = child
		wanted[child] = true
	}
	return wanted, rows.Err()
}
