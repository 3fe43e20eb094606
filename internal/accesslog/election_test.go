package accesslog_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"irthub/internal/accesslog"
	"irthub/internal/audit"
	"irthub/internal/pg"
)

// Many transactions commit out of order, some not at all, while two sequencers
// compete and their connections are cut again and again. In the end every entry
// that was committed has exactly one leaf, and no other has one.
func TestEveryCommittedEntryGetsOneLeaf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.start(t)
	writer := audit.NewWriter(b.pool)
	t.Cleanup(func() { _ = writer.Close(context.Background()) })
	var work sync.WaitGroup
	var mu sync.Mutex
	committed := map[[16]byte]bool{}
	note := func(all []*audit.Entry) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range all {
			committed[e.ID()] = true
		}
	}
	errAbandoned := errors.New("abandoned")
	for w := range 6 {
		work.Go(func() {
			for n := range 60 {
				all := entries(t.Context(), 1+n%7)
				err := pg.InTx(t.Context(), b.pool, func(tx pgx.Tx) error {
					if err := audit.Insert(t.Context(), tx, all); err != nil {
						return err
					}
					switch (n + w) % 5 {
					case 0:
						return errAbandoned
					case 1: // commits after many that began later
						_, err := tx.Exec(t.Context(), `SELECT pg_sleep(0.05)`)
						return err
					}
					return nil
				})
				switch {
				case err == nil:
					note(all)
				case !errors.Is(err, errAbandoned):
					t.Error(err)
				}
				one := entries(t.Context(), 1)
				if err := writer.Write(t.Context(), one[0]); err != nil {
					t.Error(err)
				}
				note(one)
			}
		})
	}
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Millisecond):
				b.cutSequencers(t)
			}
		}
	})
	work.Wait()
	close(stop)
	cutter.Wait()
	b.sequenced(t, int64(len(committed)))
	if n := b.count(t, `SELECT count(*) FROM audit_leaves`); n != int64(len(committed)) {
		t.Errorf("%d leaves of %d committed entries", n, len(committed))
	}
	rows, err := b.pool.Query(t.Context(), `SELECT entry_id FROM audit_leaves`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if !committed[id] {
			t.Errorf("a leaf of an entry that was not committed, or a second one")
		}
		delete(committed, id)
	}
	if len(committed) > 0 {
		t.Errorf("%d entries have no leaf", len(committed))
	}
	if r := b.verify(t, accesslog.Options{}); !r.Whole() || r.Waiting != 0 {
		t.Errorf("%d faults, the first %+v; %d waiting", r.Count, r.Faults[:min(1, len(r.Faults))], r.Waiting)
	}
}

// cutSequencers ends the connections of sequencers, elected and not.
func (b *bundle) cutSequencers(t testing.TB) (cut int64) {
	t.Helper()
	return b.count(t, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'irthub sequencer'`)
}

// One of two is elected; when it goes the other takes over, and the tree goes on.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.start(t)
	b.write(t, 10)
	b.sequenced(t, 10)
	second := b.start(t)
	b.write(t, 10)
	b.sequenced(t, 20)
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.write(t, 10)
	b.sequenced(t, 30)
	b.write(t, 10)
	if err := second.Close(t.Context()); err != nil { // integrates what is there
		t.Fatal(err)
	}
	if r := b.verify(t, accesslog.Options{}); !r.Whole() || r.Size != 40 {
		t.Errorf("%+v", r)
	}
}

// A process without the log's key is not elected; one that knows the key before its
// own goes on with the log, under the same name.
func TestKeyRollOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, 10)
	accesslog.Integrate(t, b.pool, b.keys)
	b.write(t, 10)
	stranger, err := accesslog.LoadOrCreateKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 1)
	s := accesslog.StartSequencer(t.Context(), b.pool, stranger, slog.New(tell{slog.DiscardHandler, told}))
	<-told
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM audit_leaves`); n != 10 {
		t.Errorf("%d leaves: a stranger went on with the log", n)
	}
	newer, err := accesslog.RollKey(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	if newer.Name() != b.keys.Name() || newer.VerifierKey() == b.keys.VerifierKey() {
		t.Errorf("rolled from %s to %s", b.keys.VerifierKey(), newer.VerifierKey())
	}
	accesslog.Integrate(t, b.pool, newer)
	if r, err := accesslog.Verify(t.Context(), b.pool, newer, accesslog.Options{}); err != nil || !r.Whole() || r.Size != 20 {
		t.Errorf("%+v, %v", r, err)
	}
	if r := b.verify(t, accesslog.Options{}); r.Whole() || r.Faults[0].Kind != accesslog.BadSign {
		t.Errorf("the old key alone opens the new checkpoint: %+v", r)
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, "access-log.key.*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// tell is a log that says when something is written to it.
type tell struct {
	slog.Handler
	told chan<- string
}

func (tell) Enabled(context.Context, slog.Level) bool { return true }

func (h tell) Handle(_ context.Context, r slog.Record) error {
	select {
	case h.told <- r.Message:
	default:
	}
	return nil
}

// Partitions are made ahead, and take over what the default partition held.
func TestPartitions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := b.write(t, 3)
	b.exec(t, `UPDATE audit_entries SET entry_id = $2 WHERE entry_id = $1`, [16]byte(all[0].ID()),
		[16]byte(accesslog.FirstID(time.Date(2031, 5, 17, 0, 0, 0, 0, time.UTC))))
	if n := b.count(t, `SELECT count(*) FROM audit_entries_default`); n != 1 {
		t.Errorf("%d entries in the default partition, want that of a year without partitions", n)
	}
	for range 2 {
		if err := accesslog.EnsurePartitions(t.Context(), b.pool, time.Date(2031, 4, 30, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM audit_entries_2031_05`); n != 1 {
		t.Errorf("%d entries in the partition of their month, want 1", n)
	}
	if n := b.count(t, `SELECT count(*) FROM audit_entries`); n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
}
