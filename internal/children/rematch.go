package children

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/match"
	"irthub/internal/pg"
)

// RematchOptions say how everything is matched again.
type RematchOptions struct {
	DryRun   bool                  // change nothing, and begin at the first record
	Restart  bool                  // begin at the first record, also where an earlier run ended or was broken off
	Batch    int                   // records at a time; 100 if 0, at most 500
	Progress func(done, total int) // called after each batch; may be nil
	Rekeying func(done, total int) // the same while keys are made anew; may be nil
	Follower Follower              // of what moves, as of a hub's; may be nil
	Model    *match.Model          // to match by; nil: that by which the hubs on the database go
}

// RematchTally counts what matching everything again came to or, in a dry run, would.
type RematchTally struct {
	Model    string         `json:"model_version"`
	Rekeyed  int            `json:"rekeyed"`  // records whose blocking keys were of another version; in a dry run are
	Records  int            `json:"records"`  // looked at
	Changed  int            `json:"changed"`  // since they were read: matched by their own submission
	Same     int            `json:"same"`     // stay where they are
	Merged   int            `json:"merged"`   // stood alone, and become one with another child
	Moved    int            `json:"moved"`    // leave others for another child
	Parted   int            `json:"parted"`   // leave others for a child of their own
	Reviews  int            `json:"reviews"`  // raised that were not open before
	Bands    map[string]int `json:"bands"`    // what was decided, by band
	ByRule   map[string]int `json:"by_rule"`  // and by the hard rule that decided
	Finished bool           `json:"finished"` // nothing is left to do
	DryRun   bool           `json:"dry_run"`  // nothing was written
	Resumed  bool           `json:"-"`        // an earlier run was gone on with
}

func (t *RematchTally) add(o *RematchTally) {
	t.Rekeyed += o.Rekeyed
	t.Records, t.Changed, t.Same = t.Records+o.Records, t.Changed+o.Changed, t.Same+o.Same
	t.Merged, t.Moved, t.Parted, t.Reviews = t.Merged+o.Merged, t.Moved+o.Moved, t.Parted+o.Parted, t.Reviews+o.Reviews
	for band, n := range o.Bands {
		t.Bands[band] += n
	}
	for rule, n := range o.ByRule {
		t.ByRule[rule] += n
	}
}

func newTally(model string) *RematchTally {
	return &RematchTally{Model: model, Bands: map[string]int{}, ByRule: map[string]int{}}
}

const (
	rematchBatch       = 100
	rematchBatchAtMost = 500
)

// rematch is a run through all records in force, in the order of their keys.
type rematch struct {
	s     *Service
	model *match.Model
	o     RematchOptions
	tally *RematchTally
	after uuid.UUID // the last record done
}

// Rematch matches every record in force again, as the hub does when it is submitted
// with other details: after the model changed. Blocking keys that an earlier version
// made are made anew before. What people decided holds. It works in batches, each a
// transaction that also keeps how far it has come, so that it can be broken off and gone
// on with, and beside a hub that is at work.
func Rematch(ctx context.Context, pool *pgxpool.Pool, directory *agencies.Directory, o RematchOptions) (*RematchTally, error) {
	if o.Batch <= 0 {
		o.Batch = rematchBatch
	}
	o.Batch = min(o.Batch, rematchBatchAtMost)
	s := &Service{pool: pool, directory: directory, follower: o.Follower, base: match.Default()}
	if err := s.chooseModel(ctx, &o); err != nil {
		return nil, err
	}
	r := &rematch{s: s, model: s.model(), o: o, tally: newTally(s.model().Version)}
	r.tally.DryRun = o.DryRun
	if err := r.rekey(ctx); err != nil {
		return r.tally, err
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	total, err := r.left(ctx)
	if err != nil {
		return nil, err
	}
	for done := 0; !r.tally.Finished; {
		n, err := r.next(ctx)
		if err != nil {
			return r.tally, fmt.Errorf("children: matching again after %d records: %w", r.tally.Records, err)
		}
		done += n
		if o.Progress != nil {
			o.Progress(n, max(total, done))
		}
	}
	return r.tally, nil
}

// begin takes up where an earlier run with this model was broken off.
func (r *rematch) begin(ctx context.Context) error {
	if r.o.DryRun || r.o.Restart {
		return nil
	}
	var tally []byte
	err := r.s.pool.QueryRow(ctx, `SELECT position, tally FROM match_rematches WHERE model_version = $1 AND end_time IS NULL`,
		r.model.Version).Scan((*[16]byte)(&r.after), &tally)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(tally, r.tally)
	}
	if err != nil {
		return fmt.Errorf("children: reading how far matching again has come: %w", err)
	}
	r.tally.Resumed = true
	return nil
}

func (r *rematch) left(ctx context.Context) (total int, err error) {
	err = r.s.pool.QueryRow(ctx, `SELECT count(*) FROM child_records WHERE state = 1 AND record_id > $1`, [16]byte(r.after)).Scan(&total)
	if err != nil {
		return 0, fmt.Errorf("children: counting records: %w", err)
	}
	return total, nil
}

// next does one batch.
func (r *rematch) next(ctx context.Context) (int, error) {
	records, err := queryRecords(ctx, r.s.pool, `SELECT `+recordList+` FROM child_records
		WHERE record_id > $1 AND state = 1 ORDER BY record_id LIMIT $2`, [16]byte(r.after), r.o.Batch)
	if err != nil {
		return 0, err
	}
	position, finished := r.after, len(records) < r.o.Batch
	if len(records) > 0 {
		position = records[len(records)-1].id
	}
	var batch *RematchTally
	run := func(w *write, store func(context.Context) error) error {
		todo := w.takeAgain(records)
		if err := w.rematch(ctx, todo, store); err != nil {
			return err
		}
		batch = w.count(todo)
		return nil
	}
	if r.o.DryRun {
		err = run(&write{s: r.s, model: r.model, from: r.s.pool, now: time.Now()}, nil)
	} else {
		err = pg.InTxRetry(ctx, r.s.pool, func(tx pgx.Tx) error {
			w := &write{s: r.s, model: r.model, from: tx, tx: tx}
			if err := run(w, w.storeAll); err != nil {
				return err
			}
			return r.keep(ctx, w, batch, position, finished)
		})
	}
	if err != nil {
		return 0, err
	}
	r.tally.add(batch)
	r.after, r.tally.Finished = position, finished
	return len(records), nil
}

// keep stores how far the run has come, and that the children it changed were
// changed, in the batch's own transaction.
func (r *rematch) keep(ctx context.Context, w *write, batch *RematchTally, position uuid.UUID, finished bool) error {
	sum := newTally(r.tally.Model)
	sum.add(r.tally)
	sum.add(batch)
	sum.Finished = finished
	tally, err := json.Marshal(sum)
	if err != nil {
		return fmt.Errorf("children: storing a tally: %w", err)
	}
	if _, err := w.tx.Exec(ctx, `
		INSERT INTO match_rematches (model_version, position, tally, start_time, update_time, end_time)
		VALUES ($1, $2, $3, $4, $4, CASE WHEN $5 THEN $4::timestamptz END)
		ON CONFLICT (model_version) DO UPDATE SET position = excluded.position, tally = excluded.tally, update_time = excluded.update_time,
			end_time = excluded.end_time, start_time = CASE WHEN $6 THEN excluded.start_time ELSE match_rematches.start_time END`,
		r.model.Version, [16]byte(position), tally, w.now, finished, r.tally.Records == 0); err != nil {
		return fmt.Errorf("children: storing how far matching again has come: %w", err)
	}
	return w.auditHub(ctx)
}

// As whose act, and by what, the access log has it: a command of those who run the
// hub, and no agency's call.
const (
	rematchAgency = "hub"
	rematchMethod = "/irthub/RematchRecords"
)

// rematch is change for records that are matched again as they are. store is nil
// for a rehearsal.
func (w *write) rematch(ctx context.Context, todo []int, store func(context.Context) error) error {
	if err := w.load(ctx, todo); err != nil {
		return err
	}
	if store != nil {
		if err := w.enter(ctx, todo); err != nil {
			return err
		}
	}
	pending := make([]int, 0, len(todo))
	for _, i := range todo {
		if old := w.existing[w.subs[i].id]; old != nil && old.says(w.subs[i]) {
			pending = append(pending, i)
		}
	}
	if store == nil {
		if err := w.readBlocks(ctx, pending); err != nil {
			return err
		}
	}
	if err := w.findCandidates(ctx, pending); err != nil {
		return err
	}
	if err := w.placeAll(ctx, pending); err != nil {
		return err
	}
	if store == nil {
		return w.findOpen(ctx)
	}
	if err := store(ctx); err != nil {
		return err
	}
	return w.reunite(ctx)
}

// storeAll locks what the write touches and stores it.
func (w *write) storeAll(ctx context.Context) error {
	entries, err := w.lockTouched(ctx)
	if err != nil {
		return err
	}
	return w.store(ctx, entries)
}

// count is what a batch came to.
func (w *write) count(todo []int) *RematchTally {
	t := newTally(w.model.Version)
	whole := map[uuid.UUID]bool{}
	for _, m := range w.moves {
		whole[m.record] = m.whole
	}
	for _, i := range todo {
		a := w.out[i].Value
		t.Records++
		switch {
		case a == nil:
			t.Changed++
			continue
		case w.movedFrom[w.subs[i].id] == uuid.Nil:
			t.Same++
		case whole[w.subs[i].id]:
			t.Merged++
		case w.created[a.record.childID] || w.formers[a.record.childID] != uuid.Nil:
			t.Parted++
		default:
			t.Moved++
		}
		t.Bands[decisionText(a.match.GetDecision())]++
		if rule := a.match.GetRuleId(); rule != "" {
			t.ByRule[rule]++
		}
	}
	for i := range w.reviews {
		if !w.open[w.reviews[i].id()] {
			t.Reviews++
		}
	}
	return t
}

func decisionText(d irtv1.MatchDecision) string {
	switch d {
	case irtv1.MatchDecision_MATCH_DECISION_LINK:
		return "link"
	case irtv1.MatchDecision_MATCH_DECISION_REVIEW:
		return "review"
	}
	return "new"
}
