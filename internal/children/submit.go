package children

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/batch"
	"irthub/internal/events"
	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

// submission is one record on its way through the write pipeline: normalised,
// checked, and allowed.
type submission struct {
	id       uuid.UUID
	agency   string
	localID  string
	person   *irtv1.ChildRecord // the person fields alone; nil to withdraw
	queries  []string
	etag     string // of the version it replaces; empty: whichever
	imported bool   // from a file, perhaps of another hub: an etag counts only where there is a record
	withdraw bool
	again    bool // match it again as it stands
	explain  bool // whether the answer wants the evidence field by field
	access   *audit.Entry
	lane     batch.Lane // of its sender, among all that write
	shares   []uint64   // of a load: what it has in common with others; see sharesOf

	prepared    bool
	features    match.Features // set by prepare
	keys, blind []uint64       // set by prepare; made by blindKeys
}

// prepare does, outside any lock, what matching needs, unless it was done before.
func (s *submission) prepare() {
	if s.person == nil || s.prepared {
		return
	}
	s.prepared = true
	s.features = match.Prepare(personOf(s.person))
	s.keys = match.Keys(&s.features)
}

// answer is what became of a submission.
type answer struct {
	record  *record
	outcome irtv1.SubmitOutcome
	match   *irtv1.MatchExplanation
	newborn bool // the child was made by this write, so that nobody can have shielded it
}

type outcome = batch.Outcome[*answer]

// submit is the write pipeline's batch: one transaction, a handful of
// statements, whatever the number of records. Records are independent; one
// that is refused is refused alone.
func (s *Service) submit(ctx context.Context, subs []*submission) ([]outcome, error) {
	out := make([]outcome, len(subs))
	for _, round := range rounds(subs) {
		write := func(wary bool) error {
			return pg.InTxRetry(ctx, s.writes, func(tx pgx.Tx) error {
				w := &write{s: s, model: s.model(), from: tx, tx: tx, subs: subs, out: out, todo: round, wary: wary}
				return w.run(ctx)
			})
		}
		// Much of a load, which no batch mixes with single calls, may be as it is stored:
		// that is best found out before anything is locked.
		err := write(subs[0].lane.Bulk)
		if errors.Is(err, errUnforeseen) {
			err = write(true)
		}
		if err != nil {
			return nil, fmt.Errorf("children: submitting %d records: %w", len(subs), err)
		}
	}
	return out, s.bluntAnswers(ctx, out)
}

// errUnforeseen says that people put a record together with others whose locks are not
// held: who looks before locking knows that.
var errUnforeseen = errors.New("children: a record is bound to others")

// rounds splits a batch so that no record stands twice in a round: the second
// version of a record must find the first one written.
func rounds(subs []*submission) [][]int {
	var all [][]int
	nth := make(map[uuid.UUID]int, len(subs))
	for i, sub := range subs {
		sub.prepare()
		n := nth[sub.id]
		nth[sub.id]++
		if n == len(all) {
			all = append(all, nil)
		}
		all[n] = append(all[n], i)
	}
	return all
}

// write is one transaction of the pipeline.
type write struct {
	s     *Service
	model *match.Model // of all its decisions, also if another comes into use meanwhile
	from  querier      // what is read comes from here: tx, or for a rehearsal the pool
	tx    pgx.Tx
	subs  []*submission
	out   []outcome
	todo  []int // indexes of subs
	wary  bool  // look at what is stored before locking, as well as after

	now      time.Time             // when the hub comes to know this
	existing map[uuid.UUID]*record // stored versions of the records submitted
	bonds    bonds                 // what people decided about them
	held     locks                 // that it has, or is about to take
	index    blocks                // the children that may be meant
	members  map[uuid.UUID][]*record
	pins     map[uuid.UUID]pins      // of the children that are locked
	used     map[uuid.UUID][]*record // members as they were read, for the check after locking
	shielded map[uuid.UUID]bool      // of the children in members

	rows    pg.Copies   // that wait to be stored together
	fresh   []*record   // versions to store
	again   []uuid.UUID // records that were matched again: earlier reviews of them are answered
	moves   []move
	reviews []review
	open    map[uuid.UUID]bool // those of reviews that wait for an answer already
	events  []events.Event
	merged  map[uuid.UUID]uuid.UUID
	formers map[uuid.UUID]uuid.UUID // that had become one with the child that the last of their records leaves; see former.go

	mergedAt map[uuid.UUID]time.Time // when they had
	touched  map[uuid.UUID]bool
	created  map[uuid.UUID]bool

	deep      int                     // how many writes of this transaction led to it; see reunite
	movedFrom map[uuid.UUID]uuid.UUID // by record: the child it stood under before
	actor     string                  // the agency whose act it all is; "" for that of each record
}

// move takes a record's involvements to its new child; whole, all of the old
// child's, because it is no child of its own any more.
type move struct {
	record   uuid.UUID
	from, to uuid.UUID
	whole    bool
}

func (w *write) run(ctx context.Context) error {
	pending := w.todo
	if w.wary {
		if err := w.load(ctx, w.todo); err != nil {
			return err
		}
		pending = w.settle(w.todo)
	}
	if len(pending) > 0 {
		if err := w.change(ctx, pending); err != nil {
			return err
		}
	}
	return w.audit(ctx)
}

// change matches and stores what needs it, under the locks.
func (w *write) change(ctx context.Context, pending []int) error {
	switch err := w.enter(ctx, pending); {
	case err == errStale && !w.wary: //nolint:errorlint,err113 // enter's own
		return errUnforeseen
	case err != nil:
		return err
	}
	pending = w.settle(pending)
	if err := w.findCandidates(ctx, pending); err != nil {
		return err
	}
	if err := w.placeAll(ctx, pending); err != nil {
		return err
	}
	if err := w.storeAll(ctx); err != nil {
		return err
	}
	return w.reunite(ctx)
}

// enter locks what the submissions need, and reads what is stored of them and who is
// in their narrow blocks, in one round trip: before the locks, another process may have
// been first.
func (w *write) enter(ctx context.Context, which []int) error {
	b := &pgx.Batch{}
	w.held = w.locksFor(which)
	w.queueLocks(b)
	w.queueLoad(b, which)
	w.index = newBlocks()
	w.index.queue(b, w.narrowKeys(which))
	if err := w.tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("children: locking, and reading what is stored: %w", err)
	}
	if !w.heldAll() {
		return errStale
	}
	return nil
}

func (w *write) load(ctx context.Context, which []int) error {
	b := &pgx.Batch{}
	w.queueLoad(b, which)
	if err := w.from.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("children: reading what is stored: %w", err)
	}
	return nil
}

func (w *write) queueLoad(b *pgx.Batch, which []int) {
	ids := make([]uuid.UUID, len(which))
	for n, i := range which {
		ids[n] = w.subs[i].id
	}
	w.existing, w.bonds = make(map[uuid.UUID]*record, len(ids)), bonds{}
	b.Queue(`SELECT `+recordList+` FROM child_records WHERE record_id = ANY($1::uuid[])`, uuids(ids)).
		Query(func(rows pgx.Rows) error {
			records, err := scanRecords(rows)
			for _, r := range records {
				w.existing[r.id] = r
			}
			return err
		})
	b.Queue(bondQuery, uuids(ids)).Query(w.bonds.scan)
}

// settle answers what needs no change, and returns the rest.
func (w *write) settle(which []int) (pending []int) {
	for _, i := range which {
		sub, old := w.subs[i], w.existing[w.subs[i].id]
		w.out[i] = outcome{}
		switch {
		case sub.withdraw && old == nil:
			w.out[i].Err = rpc.NotFound("child record")
		case sub.etag != "" && sub.etag != etagOf(old) && (old != nil || !sub.imported):
			w.out[i].Err = rpc.Aborted(etagOf(old))
		case old != nil && old.says(sub):
			w.out[i].Value = &answer{record: old, outcome: irtv1.SubmitOutcome_SUBMIT_OUTCOME_UNCHANGED, match: old.explanation()}
		default:
			pending = append(pending, i)
		}
	}
	return pending
}

// says tells whether the stored version is already what is submitted.
func (r *record) says(sub *submission) bool {
	if sub.withdraw {
		return r.state == irtv1.ChildRecordState_CHILD_RECORD_STATE_WITHDRAWN
	}
	return r.state == irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE && proto.Equal(r.person, sub.person)
}

// explanation is how the record was matched when it was stored.
func (r *record) explanation() *irtv1.MatchExplanation {
	return &irtv1.MatchExplanation{
		Decision: r.matched.decision, Probability: float64(r.matched.probability),
		Weight: float64(r.matched.weight), RuleId: r.matched.rule, ModelVersion: r.matched.model,
	}
}

// rehearseAll answers submissions as if they were written, in their order.
func (s *Service) rehearseAll(ctx context.Context, subs []*submission) ([]outcome, error) {
	w := &write{s: s, model: s.model(), from: s.pool, subs: subs, out: make([]outcome, len(subs)), now: time.Now()}
	for i, sub := range subs {
		sub.prepare()
		w.todo = append(w.todo, i)
	}
	if err := w.rehearse(ctx); err != nil {
		return nil, err
	}
	for _, o := range w.out {
		if o.Value != nil && w.created[o.Value.record.childID] {
			o.Value.record.childID = uuid.Nil // it would be new, and has no name yet
		}
	}
	return w.out, s.bluntAnswers(ctx, w.out)
}

// rehearse does all of it but lock and store.
func (w *write) rehearse(ctx context.Context) error {
	if err := w.load(ctx, w.todo); err != nil {
		return err
	}
	pending := w.settle(w.todo)
	if err := w.readBlocks(ctx, pending); err != nil {
		return err
	}
	if err := w.findCandidates(ctx, pending); err != nil {
		return err
	}
	return w.placeAll(ctx, pending)
}

// begin empties what a write comes to.
func (w *write) begin() {
	w.merged, w.touched, w.created = map[uuid.UUID]uuid.UUID{}, map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	w.movedFrom, w.formers = map[uuid.UUID]uuid.UUID{}, map[uuid.UUID]uuid.UUID{}
	w.mergedAt = map[uuid.UUID]time.Time{}
}

func (w *write) placeAll(ctx context.Context, pending []int) error {
	w.begin()
	for _, i := range pending {
		if err := w.place(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// place decides where a submission belongs and puts its new version there.
func (w *write) place(ctx context.Context, i int) error {
	sub := w.subs[i]
	old := w.atHome(w.existing[sub.id])
	fresh := w.version(sub, old)
	w.out[i].Value = &answer{record: fresh, outcome: irtv1.SubmitOutcome_SUBMIT_OUTCOME_CREATED}
	if old != nil {
		w.out[i].Value.outcome = irtv1.SubmitOutcome_SUBMIT_OUTCOME_UPDATED
	}
	switch {
	case sub.withdraw:
		fresh.childID, fresh.matched = old.childID, old.matched
		w.again = append(w.again, fresh.id) // who is not there is no question
	case !sub.again && old != nil && old.state == fresh.state && reflect.DeepEqual(personOf(old.person), personOf(fresh.person)):
		fresh.childID, fresh.matched = old.childID, old.matched // nothing that matching looks at
		w.out[i].Value.match = old.explanation()
	default:
		var err error
		if w.out[i].Value.match, err = w.match(ctx, sub, old, fresh); err != nil {
			return err
		}
		if old != nil {
			w.again = append(w.again, fresh.id)
		}
		if sub.again && fresh.childID == old.childID {
			// Nothing to store but a review, for which the child must not become
			// another meanwhile.
			if w.isRaised(fresh) {
				w.touched[old.childID] = true
			}
			return nil
		}
	}
	w.settleIn(old, fresh, sub.keys)
	return nil
}

// atHome is the stored version of a record under the child that it belongs to by
// now: its own may have become one with another earlier in this batch, and taken
// along a record that had been withdrawn.
func (w *write) atHome(old *record) *record {
	if old == nil || w.home(old.childID) == old.childID {
		return old
	}
	moved := *old
	moved.childID = w.home(old.childID)
	return &moved
}

func (w *write) home(child uuid.UUID) uuid.UUID {
	for into, merged := w.merged[child]; merged; into, merged = w.merged[child] {
		child = into
	}
	return child
}

// version makes the new version of a record, not yet placed.
func (w *write) version(sub *submission, old *record) *record {
	r := &record{
		id: sub.id, agency: sub.agency, localID: sub.localID, person: sub.person, queries: sub.queries,
		state:   irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE,
		created: w.now, knownFrom: w.now, revision: 1, keysOf: match.KeyVersion, prepared: &sub.features, blocking: sub.keys,
	}
	if old != nil {
		r.created, r.revision, r.keysOf = old.created, old.revision+1, old.keysOf
		r.knownFrom = After(w.now, old.knownFrom)
	}
	if sub.withdraw {
		r.person, r.queries, r.prepared = old.person, old.queries, old.prepared
		r.state = irtv1.ChildRecordState_CHILD_RECORD_STATE_WITHDRAWN
	}
	return r
}

// settleIn updates the view of the index that the rest of the batch is matched
// against.
func (w *write) settleIn(old, fresh *record, keys []uint64) {
	w.fresh = append(w.fresh, fresh)
	w.touched[fresh.childID] = true
	if old != nil {
		w.touched[old.childID] = true
		w.members[old.childID] = without(w.members[old.childID], fresh.id)
	}
	if fresh.state == irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE {
		w.members[fresh.childID] = append(w.members[fresh.childID], fresh)
		w.index.add(keys, fresh.id, fresh.childID)
	}
}

// without returns a new slice, because w.used may hold the old one.
func without(records []*record, id uuid.UUID) []*record {
	kept := make([]*record, 0, len(records))
	for _, r := range records {
		if r.id != id {
			kept = append(kept, r)
		}
	}
	return kept
}

// audit stores an access entry for every submission that is answered, with what
// was done for it. Those refused are recorded by their callers' interceptors.
func (w *write) audit(ctx context.Context) error {
	entries := make([]*audit.Entry, 0, len(w.todo))
	for _, i := range w.todo {
		if a := w.out[i].Value; a != nil {
			// A fork, because a transaction that is retried must not say it twice.
			e := w.subs[i].access.Fork()
			e.SetQueryName(a.record.name())
			e.AddChild(a.record.childID)
			e.AddReturned(a.record.name())
			entries = append(entries, e)
			a.newborn = w.created[a.record.childID]
		}
	}
	if err := audit.Insert(ctx, w.tx, entries); err != nil {
		return fmt.Errorf("children: recording access: %w", err)
	}
	return nil
}
