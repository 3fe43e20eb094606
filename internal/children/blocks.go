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

// blocks tells which records share a blocking key, and whose they are.
type blocks struct {
	records map[uint64][]uuid.UUID  // by key
	count   map[uint64]int          // records, by key; of a full block one more than it may bring
	child   map[uuid.UUID]uuid.UUID // by record, where that is known
}

func newBlocks() blocks {
	return blocks{records: map[uint64][]uuid.UUID{}, count: map[uint64]int{}, child: map[uuid.UUID]uuid.UUID{}}
}

// add enters a record of a child under its keys. A narrow block that is full
// takes no more; a broad one then brings nobody.
func (b *blocks) add(keys []uint64, record, child uuid.UUID) {
	if len(keys) == 0 {
		return
	}
	b.child[record] = child
	for _, k := range keys {
		if slices.Contains(b.records[k], record) {
			continue
		}
		most := blockCap(k)
		b.count[k] = min(b.count[k]+1, most+1)
		switch {
		case b.count[k] <= most:
			b.records[k] = append(b.records[k], record)
		case match.KeyKind(k).Broad():
			delete(b.records, k)
		}
	}
}

// know takes in whose the records of children are.
func (b *blocks) know(members map[uuid.UUID][]*record) {
	for child, records := range members {
		for _, r := range records {
			b.child[r.id] = child
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

// children are those whom the keys bring, the oldest first, so that the outcome does
// not depend on the order in which the database found them. narrowed tells that a key,
// or all together, would have brought more.
func (b *blocks) children(keys []uint64, submitted uuid.UUID) (ids []uuid.UUID, narrowed bool) {
	records, narrowed := b.nearest(keys, submitted)
	for _, k := range keys {
		narrowed = narrowed || b.count[k] > blockCap(k)
	}
	for _, r := range append(records, b.likeliest(keys, submitted)...) {
		if child, known := b.child[r]; known {
			ids = append(ids, child)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids), narrowed
}

// nearest are the records that the narrow ones among the keys bring, in order.
func (b *blocks) nearest(keys []uint64, submitted uuid.UUID) (records []uuid.UUID, cut bool) {
	return match.Nearest(submitted, keys, b.of, compareIDs)
}

// of are the records under a key.
func (b *blocks) of(key uint64) []uuid.UUID { return b.records[key] }

// meet tells whether what is submitted under keys meets a record by some of them alone:
// one shared key is not always enough.
func (b *blocks) meet(keys []uint64, submitted uuid.UUID, r *record, by []uint64) bool {
	weak := match.Weak(submitted, keys, b.of)
	few := 0
	for _, k := range r.keys() {
		if !slices.Contains(by, k) {
			continue
		}
		if few++; few > 1 || !weak(k) {
			return true
		}
	}
	return false
}

// likeliest are those that the broad ones bring, but the one that is submitted.
func (b *blocks) likeliest(keys []uint64, except uuid.UUID) []uuid.UUID {
	return match.Likeliest(keys, func(k uint64) []uuid.UUID {
		records := b.records[k]
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
	// LATERAL with a bound inside is what keeps the look-up a nested loop over the
	// index, whatever the planner thinks of the size of the table.
	batch.Queue(`
		SELECT q.key, m.record_id
		FROM unnest((SELECT $1::bigint[])) AS q(key)
		CROSS JOIN LATERAL (SELECT record_id FROM match_keys WHERE key = q.key ORDER BY key, record_id LIMIT $2) m`,
		signedKeys(keys), match.BlockCap+1).Query(func(rows pgx.Rows) error {
		var key int64
		var record [16]byte
		_, err := pgx.ForEachRow(rows, []any{&key, &record}, func() error {
			k := uint64(key) //nolint:gosec // a key never has the upper bit set
			if b.count[k]++; b.count[k] <= match.BlockCap {
				b.records[k] = append(b.records[k], record)
			}
			return nil
		})
		return err
	})
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
// likeliest records in them. A block that is over its bound brings none.
func (b *blocks) readBroad(ctx context.Context, q querier, subs []*submission) ([]uuid.UUID, error) {
	var keys []uint64
	for _, sub := range subs {
		_, broad := match.Split(sub.keys)
		keys = append(keys, broad...)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	rows, err := q.Query(ctx, `
		SELECT q.key, b.ids
		FROM unnest((SELECT $1::bigint[])) AS q(key)
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
			b.records[k] = ids
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("children: finding further candidates: %w", err)
	}
	var records []uuid.UUID
	for _, sub := range subs {
		records = append(records, b.likeliest(sub.keys, sub.id)...)
	}
	slices.SortFunc(records, compareIDs)
	return slices.Compact(records), nil
}
