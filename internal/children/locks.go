package children

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/match"
	"irthub/internal/pg"
)

// Matching must not run twice at once on two records of one child, or the child
// would be made twice. So a write takes advisory locks on what its records could
// share with others before it looks for candidates: the blocking keys, and the records
// themselves. They are taken in order, so that two writes do not wait for each other;
// only one that reunites records takes further ones, and may have to begin again. A
// large batch would fill the database's lock table: it takes one lock on the whole
// index instead.
const (
	lockClass   = 0x495254 // "IRT": apart from anybody else's advisory locks
	wholeIndex  = -1
	locksAtMost = 1024 // of some 64 records; PostgreSQL has room for 6,400 where nobody says otherwise
)

// lock takes what is in w.held.
func (w *write) lock(ctx context.Context) error {
	b := &pgx.Batch{}
	w.queueLocks(b)
	if err := w.tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("children: locking: %w", err)
	}
	return nil
}

func (w *write) queueLocks(b *pgx.Batch) {
	pg.ByKey(b)
	if len(w.held) > locksAtMost {
		b.Queue(`SELECT pg_advisory_xact_lock($1, $2)`, lockClass, wholeIndex)
	} else {
		b.Queue(`SELECT pg_advisory_xact_lock_shared($1, $2)`, lockClass, wholeIndex)
		b.Queue(`SELECT count(pg_advisory_xact_lock($1, l)) FROM unnest($2::int[]) AS l`, lockClass, []int32(w.held))
	}
	// Not now(), which is when the transaction began: it may have waited since.
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&w.now) })
}

// locks are the names of advisory locks in order, each once. None is negative.
type locks []int32

func inOrder(names []int32) locks {
	slices.Sort(names)
	return slices.Compact(names)
}

// of tells whether the lock of a record is among them.
func (l locks) of(record uuid.UUID) bool {
	_, found := slices.BinarySearch(l, lockOfRecord(record))
	return found
}

func locksOfRecords(ids []uuid.UUID) locks {
	names := make([]int32, len(ids))
	for i, id := range ids {
		names[i] = lockOfRecord(id)
	}
	return inOrder(names)
}

// lockOfRecord lies above the locks of keys.
func lockOfRecord(id uuid.UUID) int32 {
	return int32(binary.BigEndian.Uint32(id[12:])>>2 | 1<<30) //nolint:gosec // it has 31 bits
}

// lockOfKey is made of what a key is by itself. Its place would do for many keys at once,
// but is shared by many who share no key: all who were born on a day.
func lockOfKey(key uint64) int32 { return int32(match.KeyOwn(key) & (1<<30 - 1)) }

// sharesOf is what the record of a load is locked by, where others may be too.
func sharesOf(sub *submission) []uint64 { return sub.shares }

// locksFor are those of submissions: of the records, of those that people put together
// with them, which must see each other, and of their keys.
func (w *write) locksFor(pending []int) locks {
	var names []int32
	for _, i := range pending {
		sub := w.subs[i]
		names = append(names, lockOfRecord(sub.id))
		for _, b := range w.bonds[sub.id] {
			names = append(names, lockOfRecord(b.other))
		}
		for _, k := range sub.keys {
			names = append(names, lockOfKey(k))
		}
	}
	return inOrder(names)
}

// heldAll tells whether the locks cover what people decided by now: a decision made
// while they were waited for may be about a record that nobody thought of.
func (w *write) heldAll() bool {
	for _, all := range w.bonds {
		for _, b := range all {
			if !w.held.of(b.other) {
				return false
			}
		}
	}
	return true
}
