package children_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/standard"
)

// ageKeys makes the index as another release left it, which made some keys otherwise:
// half of them are others.
func (h *hub) ageKeys() {
	h.t.Helper()
	h.exec(`UPDATE match_keys SET key = key # 1 WHERE key % 2 = 0`)
	h.keysOf(match.KeyVersion + 1)
}

// keysOf has all keys said to be of a version.
func (h *hub) keysOf(version int) {
	h.t.Helper()
	h.exec(`UPDATE child_records SET match_key_version = $1`, version)
	h.exec(`UPDATE match_index SET key_version = $1`, version)
}

// A hub does not start on an index in which it would find nobody, and does once keys
// have been made anew; where most keys are alike it starts.
func TestNoStartOverOtherKeys(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	start := func() error {
		l, err := h.StartLearning(t.Context(), slog.New(slog.DiscardHandler))
		if err == nil {
			l.Close()
		}
		return err
	}
	h.exec(`UPDATE match_index SET key_version = $1`, match.KeysAlikeSince-1)
	if err := start(); err != nil {
		t.Errorf("over an empty index: %v", err)
	}
	h.send("school", "a", people()[0])
	h.keysOf(match.KeysAlikeSince - 1)
	if err := start(); !errors.Is(err, children.ErrOtherKeys) {
		t.Errorf("over other keys: %v", err)
	}
	if _, err := rematch(t.Context(), t, h.pool, children.RematchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := start(); err != nil {
		t.Errorf("over its own: %v", err)
	}
	h.keysOf(match.KeysAlikeSince)
	if err := start(); err != nil {
		t.Errorf("over keys that are mostly alike: %v", err)
	}
}

// keys are all there are, as text.
func (h *hub) keys() (all string) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), `SELECT coalesce(string_agg(key || ' ' || record_id, E'\n' ORDER BY key, record_id), '') FROM match_keys`).Scan(&all); err != nil {
		h.t.Fatal(err)
	}
	return all
}

// Keys that an earlier release made are made anew: as if they had always been so.
func TestKeysAreMadeAnew(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for i, who := range people() {
		h.send("school", string(rune('a'+i)), who)
		h.send("gp", string(rune('a'+i)), with(who, func(r *irtv1.ChildRecord) { r.NhsNumber = "" }))
	}
	if _, err := h.WithdrawChildRecord(system(t, "gp"), &irtv1.WithdrawChildRecordRequest{Name: "agencies/gp/childRecords/b"}); err != nil {
		t.Fatal(err)
	}
	want, records := h.keys(), h.count(`SELECT count(*) FROM child_records`)
	versions := h.count(`SELECT count(*) FROM child_records_history`)
	h.ageKeys()
	if h.keys() == want {
		t.Fatal("the keys are as they were: the test tests nothing")
	}
	dry, err := rematch(t.Context(), t, h.pool, children.RematchOptions{DryRun: true})
	if err != nil || dry.Rekeyed != records {
		t.Errorf("dry: %+v, %v", dry, err)
	}

	ctx, stop := context.WithCancel(t.Context())
	broken, err := rematch(ctx, t, h.pool, children.RematchOptions{Batch: 3, Rekeying: func(int, int) { stop() }})
	if !errors.Is(err, context.Canceled) || broken.Rekeyed != 3 {
		t.Fatalf("broken off: %+v, %v", broken, err)
	}
	got, err := rematch(t.Context(), t, h.pool, children.RematchOptions{Batch: 3})
	if err != nil || got.Rekeyed != records-3 || !got.Finished || got.Resumed || got.Same != got.Records || got.Records != records-1 {
		t.Errorf("%+v, %v", got, err)
	}
	if h.keys() != want {
		t.Error("the keys are not what they were")
	}
	if n := h.count(`SELECT count(*) FROM child_records WHERE match_key_version <> $1`, match.KeyVersion); n != 0 || h.count(`SELECT key_version FROM match_index`) != match.KeyVersion {
		t.Errorf("%d records have keys of another version", n)
	}
	if h.count(`SELECT count(*) FROM child_records_history`) != versions {
		t.Error("making keys anew made versions of records")
	}
	if h.count(`SELECT count(*) FROM pg_class WHERE relname = 'match_keys_by_record'`) != 0 {
		t.Error("an index is left behind")
	}
	again, err := rematch(t.Context(), t, h.pool, children.RematchOptions{})
	if err != nil || again.Rekeyed != 0 || h.keys() != want {
		t.Errorf("again: %+v, %v", again, err)
	}
	h.checkInvariants()
}

// While keys are of another version, records change, are withdrawn and are purged all
// the same, and what that leaves behind goes when keys are made anew.
func TestRecordsChangeBeforeKeysAreMadeAnew(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for i, who := range people() {
		h.send("school", string(rune('a'+i)), who)
	}
	h.ageKeys()
	moved := with(people()[2], func(r *irtv1.ChildRecord) { r.Postcode = "NR9 9ZZ" })
	h.send("school", "c", moved)
	if found := h.send("gp", "c", moved); found.GetChild() != h.send("school", "c", moved).GetChild() {
		t.Error("a record that changed since is not found by its new keys")
	}
	if _, err := h.WithdrawChildRecord(system(t, "school"), &irtv1.WithdrawChildRecordRequest{Name: "agencies/school/childRecords/d"}); err != nil {
		t.Fatal(err)
	}
	gone := standard.RecordID("school", "e")
	if err := h.purge("school", "e"); err != nil {
		t.Fatal(err)
	}
	if n := h.count(`SELECT count(*) FROM match_keys WHERE record_id = $1`, [16]byte(gone)); n != 0 {
		t.Errorf("%d keys of a child that was purged are left", n)
	}
	if _, err := rematch(t.Context(), t, h.pool, children.RematchOptions{}); err != nil {
		t.Fatal(err)
	}
	after := h.keys()
	h.checkInvariants()

	fresh := newHub(t)
	for i, who := range people() {
		switch local := string(rune('a' + i)); local {
		case "c":
			fresh.send("school", local, moved)
			fresh.send("gp", local, moved)
		case "d", "e":
		default:
			fresh.send("school", local, who)
		}
	}
	if fresh.keys() != after {
		t.Error("the keys are not those of an index that was made so")
	}
}

// Keys are made anew while records come in.
func TestKeysAreMadeAnewBesideAHub(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const n = 60
	for i := range n {
		h.send("school", stranger(i).GetName()[len("agencies/school/childRecords/"):], stranger(i))
	}
	h.ageKeys()
	done := make(chan error, 1)
	go func() {
		for i := range n {
			r := stranger(i)
			r.MiddleNames = "Ann"
			if _, err := h.SubmitChildRecord(system(t, "school"), &irtv1.SubmitChildRecordRequest{ChildRecord: r}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	_, err := rematch(t.Context(), t, h.pool, children.RematchOptions{Batch: 2})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	got := h.keys()
	fresh := newHub(t)
	for i := range n {
		fresh.send("school", stranger(i).GetName()[len("agencies/school/childRecords/"):], with(stranger(i), func(r *irtv1.ChildRecord) { r.MiddleNames = "Ann" }))
	}
	if fresh.keys() != got {
		t.Error("the keys are not those of an index that was made so")
	}
	h.checkInvariants()
}

// purge removes the child of a record for good.
func (h *hub) purge(agency, local string) error {
	id := standard.RecordID(agency, local)
	return pg.InTx(h.t.Context(), h.pool, func(tx pgx.Tx) error {
		var child [16]byte
		if err := tx.QueryRow(h.t.Context(), `SELECT child_id FROM child_records WHERE record_id = $1`, [16]byte(id)).Scan(&child); err != nil {
			return err
		}
		if err := children.Hold(h.t.Context(), tx, child); err != nil {
			return err
		}
		_, err := children.Purge(h.t.Context(), tx, child)
		return err
	})
}
