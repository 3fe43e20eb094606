package children

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/match"
	"irthub/internal/pg"
)

// Blocking keys are made by this program, and another release may make others
// (match.KeyVersion). Every record knows the version of its keys. Those of another
// version are found by the keys that both make alike, and no others: until all are
// made anew, matching sees less than it should.

// errOlderHub ends making keys anew that would never end.
var errOlderHub = errors.New("children: records with keys of another version keep coming: a hub of another release is at work on this database. End it and run this again")

// rekeyLock is the advisory lock of the process that makes keys anew.
const rekeyLock = 0x6972745f6b657973 // "irt_keys"

// rekeyWait is how long it is tried for.
const rekeyWait = 5 * time.Second

// keysAreStale tells whether there are records with blocking keys of another version
// than this program's. An index that is all of this version, such as an empty one,
// is noted to be.
func keysAreStale(ctx context.Context, db Querier) (bool, error) {
	version, err := oneNumber(ctx, db, `SELECT key_version FROM match_index`)
	if err != nil || version == match.KeyVersion {
		return false, err
	}
	version, err = oneNumber(ctx, db, `
		WITH noted AS (
			UPDATE match_index SET key_version = $1
			WHERE NOT EXISTS (SELECT FROM child_records WHERE match_key_version <> $1) RETURNING key_version
		)
		SELECT coalesce((SELECT key_version FROM noted), 0)`, match.KeyVersion)
	return version != match.KeyVersion, err
}

func oneNumber(ctx context.Context, db Querier, sql string, args ...any) (int, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return 0, fmt.Errorf("children: asking for the version of keys: %w", err)
	}
	n, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	if err != nil {
		return 0, fmt.Errorf("children: asking for the version of keys: %w", err)
	}
	return n, nil
}

func warnOfKeys(ctx context.Context, log *slog.Logger) {
	log.WarnContext(ctx, "records have blocking keys of another version, and matching does not find all of them: "+
		"run irthub match rematch, beside this hub or without it", "key_version", match.KeyVersion)
}

// ErrOtherKeys says that records have blocking keys of a version in which none is as
// it is in this program's: a hub would find nobody, and make every child anew.
var ErrOtherKeys = errors.New("children: the records' blocking keys are all others than those of this release, so that no child would be found by them: " +
	"end the hubs of other releases, run irthub match rematch, and start this hub then")

// findable is ErrOtherKeys where there are such records.
func findable(ctx context.Context, db Querier) error {
	n, err := oneNumber(ctx, db, `SELECT count(*) FROM (SELECT FROM child_records WHERE match_key_version < $1 LIMIT 1) one`, match.KeysAlikeSince)
	if err == nil && n > 0 {
		err = ErrOtherKeys
	}
	return err
}

// rekey makes the keys of all records anew whose keys are of another version, in
// batches beside a hub that is at work. Broken off, it goes on with what is left.
// Then matching everything again begins from the start.
func (r *rematch) rekey(ctx context.Context) (err error) {
	stale, err := keysAreStale(ctx, r.s.pool)
	if err != nil || !stale {
		return err
	}
	if r.o.DryRun {
		r.tally.Rekeyed, err = r.stale(ctx)
		return err
	}
	conn, err := r.elected(ctx)
	if conn != nil {
		defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	}
	if err != nil {
		return err
	}
	// Keys are found by their record here alone, so that this index need not always be.
	for _, sql := range []string{`DROP INDEX CONCURRENTLY IF EXISTS match_keys_by_record`, `CREATE INDEX CONCURRENTLY match_keys_by_record ON match_keys (record_id)`} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("children: making keys anew: %w", err)
		}
	}
	if err := r.rekeyAll(ctx); err != nil {
		return err
	}
	for _, sql := range []string{
		// Of records that were purged or withdrawn with keys that nobody could name.
		`DELETE FROM match_keys m WHERE NOT EXISTS (SELECT FROM child_records r WHERE r.record_id = m.record_id AND r.state = 1)`,
		`DROP INDEX CONCURRENTLY match_keys_by_record`,
		`DELETE FROM match_rematches WHERE end_time IS NULL`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("children: making keys anew: %w", err)
		}
	}
	stale, err = keysAreStale(ctx, r.s.pool)
	if err == nil && stale {
		err = errOlderHub
	}
	return err
}

// elected is a connection of its own, on which nothing is timed out, with the lock.
func (r *rematch) elected(ctx context.Context) (*pgx.Conn, error) {
	config := r.s.pool.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = "irthub match rematch"
	config.RuntimeParams["statement_timeout"] = "0"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("children: connecting to make keys anew: %w", err)
	}
	// The server may take a moment to find out that a process before this one has ended.
	for since := time.Now(); ; {
		var mine bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(rekeyLock)).Scan(&mine); err != nil {
			return conn, fmt.Errorf("children: making keys anew: %w", err)
		}
		switch {
		case mine:
			return conn, nil
		case time.Since(since) > rekeyWait:
			return conn, errors.New("children: another process is making keys anew: wait for it to end")
		}
		select {
		case <-ctx.Done():
			return conn, ctx.Err()
		case <-time.After(rekeyWait / 20):
		}
	}
}

func (r *rematch) stale(ctx context.Context) (n int, err error) {
	err = r.s.pool.QueryRow(ctx, `SELECT count(*) FROM child_records WHERE match_key_version <> $1`, match.KeyVersion).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("children: counting records: %w", err)
	}
	return n, nil
}

func (r *rematch) rekeyAll(ctx context.Context) error {
	total, err := r.stale(ctx)
	if err != nil {
		return err
	}
	// A record that changes meanwhile may come to stand behind; not many do.
	for rounds := 0; ; rounds++ {
		before := r.tally.Rekeyed
		for after, done := uuid.Nil, false; !done; {
			had := r.tally.Rekeyed
			if after, done, err = r.rekeyBatch(ctx, after); err != nil {
				return fmt.Errorf("children: making keys anew after %d records: %w", r.tally.Rekeyed, err)
			}
			if r.o.Rekeying != nil {
				r.o.Rekeying(r.tally.Rekeyed-had, max(total, r.tally.Rekeyed))
			}
		}
		if r.tally.Rekeyed == before {
			return nil
		}
		if rounds == rekeyRounds {
			return errOlderHub
		}
	}
}

// rekeyRounds is how often all records are looked through for keys of another version.
const rekeyRounds = 5

// rekeyBatch does one batch, under the locks that keep submissions of its records out.
func (r *rematch) rekeyBatch(ctx context.Context, after uuid.UUID) (last uuid.UUID, done bool, err error) {
	n := 0
	err = pg.InTxRetry(ctx, r.s.pool, func(tx pgx.Tx) error {
		const which = ` FROM child_records WHERE match_key_version <> $1 AND record_id `
		rows, err := tx.Query(ctx, `SELECT record_id`+which+`> $2 ORDER BY record_id LIMIT $3`, match.KeyVersion, [16]byte(after), r.o.Batch)
		if err != nil {
			return fmt.Errorf("children: looking for records: %w", err)
		}
		ids, err := pgx.CollectRows(rows, scanUUID)
		if err != nil {
			return fmt.Errorf("children: looking for records: %w", err)
		}
		n, done = 0, len(ids) < r.o.Batch
		if len(ids) == 0 {
			return nil
		}
		last = ids[len(ids)-1]
		w := &write{s: r.s, model: r.model, from: tx, tx: tx, held: locksOfRecords(ids)}
		if err := w.lock(ctx); err != nil {
			return err
		}
		records, err := queryRecords(ctx, tx, `SELECT `+recordList+which+`= ANY($2::uuid[])`, match.KeyVersion, uuids(ids))
		if err != nil {
			return err
		}
		n = len(records)
		return w.rekey(ctx, records)
	})
	if err == nil {
		r.tally.Rekeyed += n
	}
	return last, done, err
}

// rekey stores the keys that records should have in place of those they have.
func (w *write) rekey(ctx context.Context, records []*record) error {
	has := map[uuid.UUID][]uint64{}
	rows, err := w.tx.Query(ctx, `SELECT record_id, key FROM match_keys WHERE record_id = ANY($1::uuid[])`, uuids(idsOf(records))) //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return fmt.Errorf("children: reading match keys: %w", err)
	}
	var id [16]byte
	var key int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &key}, func() error {
		has[id] = append(has[id], uint64(key)) //nolint:gosec // a key never has the upper bit set
		return nil
	}); err != nil {
		return fmt.Errorf("children: reading match keys: %w", err)
	}
	var add, drop []keyRow
	for _, r := range records {
		add = appendMissing(add, r.id, r.keys(), has[r.id])
		drop = appendMissing(drop, r.id, has[r.id], r.keys())
	}
	if err := w.dropKeys(ctx, drop); err != nil {
		return err
	}
	if err := addBesides(ctx, w.tx, add); err != nil {
		return err
	}
	// Not a version of the record: nothing that anybody said has changed.
	_, err = w.tx.Exec(ctx, `UPDATE child_records SET match_key_version = $2 WHERE record_id = ANY($1::uuid[])`, uuids(idsOf(records)), match.KeyVersion)
	if err != nil {
		return fmt.Errorf("children: keeping the version of keys: %w", err)
	}
	return nil
}
