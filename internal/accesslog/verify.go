package accesslog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	// verifyChunk is how many leaves are read at once.
	verifyChunk = 4096
	// maxFaults is how many faults are named; more are only counted.
	maxFaults = 1000
	// waitLimit is how long an entry may wait for its leaf, while a sequencer is at
	// work, before it counts as left out.
	waitLimit = 5 * time.Minute
)

// Kind is what is wrong with a log.
type Kind string

// The kinds of fault.
const (
	Removed     Kind = "removed"           // an entry is gone
	Altered     Kind = "altered"           // an entry is not what was logged
	Reordered   Kind = "reordered"         // an entry stands in another's place
	Inserted    Kind = "inserted"          // an entry is there that the hub did not log
	LeftOut     Kind = "left out"          // an entry waits too long for its leaf
	Unlisted    Kind = "unlisted"          // an entry is missing from, or false in, the list of a child's accesses
	Purged      Kind = "purged"            // personal parts are gone, and no purge accounts for it
	TreeNode    Kind = "tree node"         // a hash of the tree was changed
	BadSign     Kind = "checkpoint"        // a checkpoint was changed or forged
	Rewound     Kind = "rewound"           // the log is older than a checkpoint that is kept elsewhere
	NoKeptMatch Kind = "other than before" // the log is not the one that a checkpoint kept elsewhere is of
)

// Fault is one thing wrong. Entry is the zero UUID, and Index -1, where it is not
// about an entry.
type Fault struct {
	Kind  Kind
	Index int64
	Entry uuid.UUID
	Words string
}

// String is the fault in words.
func (f Fault) String() string { return string(f.Kind) + ": " + f.Words }

// Report is what Verify found.
type Report struct {
	Size    int64
	Root    tlog.Hash
	Waiting int64     // entries without a leaf yet
	Oldest  time.Time // the oldest of those; zero if there are none
	Purged  int64     // entries whose personal parts were purged
	Faults  []Fault   // a thousand at most: by place in the log, then those without one
	Count   int64     // of all faults
}

// Whole reports whether nothing is wrong.
func (r *Report) Whole() bool { return r.Count == 0 }

func (r *Report) fault(kind Kind, index int64, id uuid.UUID, format string, args ...any) {
	r.Count++
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, Fault{kind, index, id, fmt.Sprintf(format, args...)})
	}
}

// sort puts the first bad entry first.
func (r *Report) sort() {
	slices.SortStableFunc(r.Faults, func(a, b Fault) int {
		return cmp.Compare(uint64(a.Index), uint64(b.Index)) //nolint:gosec // -1 becomes the largest
	})
}

// Options are how to verify.
type Options struct {
	// Since is a checkpoint kept elsewhere; nil for none.
	Since *Checkpoint
	// Progress is told how many leaves have been checked of how many; nil for nobody.
	Progress func(done, of int64)
}

// Verify recomputes the log from its entries, as it stood when it was called, and
// compares it with the tree, with every checkpoint, with the lists by child and
// with what waits. It changes nothing and keeps nobody from working. An error means
// that it could not be verified; what is wrong with the log is in the report.
func Verify(ctx context.Context, pool *pgxpool.Pool, keys *Keys, o Options) (*Report, error) {
	r := &Report{}
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`SET LOCAL statement_timeout = 0`, `SET LOCAL idle_in_transaction_session_timeout = 0`,
			`SET LOCAL enable_hashjoin = off`, `SET LOCAL enable_mergejoin = off`, // each chunk goes by key
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		v := &verification{tx: tx, keys: keys, o: o, report: r, entries: &tree{}, tiles: &tree{}}
		return v.run(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("accesslog: verifying: %w", err)
	}
	return r, nil
}
