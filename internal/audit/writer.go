package audit

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/batch"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

// writeTimeout bounds how long a caller waits for its entry, and how long one
// batch may take. It does not depend on the caller's own deadline: a call that
// was given up is recorded all the same.
const writeTimeout = 5 * time.Second

const (
	// checkTimeout bounds how long it takes to find out that nothing can be recorded.
	checkTimeout = 3 * time.Second
	// provenFor is how long a commit shows that the next would be made, too.
	provenFor = 5 * time.Second
)

// Writer makes entries durable, many with one commit: whatever has queued while
// the commit before was under way.
type Writer struct {
	batcher *batch.Batcher[*Entry, struct{}] // nil stands for an entry that would be written: see Check
	proven  atomic.Int64                     // when the last commit that was made had begun, Unix ns
}

// NewWriter starts a Writer; Close ends it. It uses two connections of the pool
// at most.
func NewWriter(pool *pgxpool.Pool) *Writer { return newWriter(pool, batch.Options{}) }

// NewWriterOfEach starts a Writer that gives every entry a transaction of its own,
// over as many connections as there are: what others do, for irthub bench to
// compare with.
func NewWriterOfEach(pool *pgxpool.Pool) *Writer {
	return newWriter(pool, batch.Options{MaxBatch: 1, Workers: int(pool.Config().MaxConns)})
}

func newWriter(pool *pgxpool.Pool, o batch.Options) *Writer {
	w := &Writer{}
	run := func(ctx context.Context, entries []*Entry) ([]batch.Outcome[struct{}], error) {
		began := time.Now()
		write := insert
		if !slices.ContainsFunc(entries, func(e *Entry) bool { return e != nil }) {
			write = func(ctx context.Context, _ execer, _ []*Entry) error { return try(ctx, pool) }
		}
		err := write(ctx, pool, entries)
		if err != nil && !(len(entries) == 1 && isThere(err)) {
			w.proven.Store(0)
			return nil, err
		}
		w.proven.Store(began.UnixNano())
		return make([]batch.Outcome[struct{}], len(entries)), nil
	}
	o.Name, o.Timeout, o.RetrySingly, o.Hopeless = "audit writer", writeTimeout, true, pg.Unavailable
	w.batcher = batch.New(o, run)
	return w
}

// isThere tells that an entry is in the log already: from a batch whose answer was
// lost, of which each is then tried by itself.
func isThere(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23505" // unique_violation: entry_id
}

// Write returns when the entry is durable, or with an error when it is not known
// to be; then nothing that it is about may be disclosed.
func (w *Writer) Write(ctx context.Context, e *Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if _, err := w.batcher.Do(ctx, e); err != nil {
		return err
	}
	e.Recorded()
	return nil
}

// Refused records that of the many things that the call of ctx is about the one of that
// name was refused, in an entry of its own, and returns what to answer: the refusal, or
// that it could not be recorded.
func (w *Writer) Refused(ctx context.Context, name string, refusal error) error {
	e := FromContext(ctx).Fork()
	e.SetQueryName(name)
	e.Finish(refusal)
	if err := w.Write(ctx, e); err != nil {
		return rpc.Unavailable(err, "The hub cannot record this access just now. Send it again.")
	}
	return refusal
}

// Check answers whether entries can be recorded now: the latest was within the last
// seconds, or one is written, taken back, and what is left of its transaction
// committed, by the same way that entries go. It leaves nothing in the log.
func (w *Writer) Check(ctx context.Context) error {
	if time.Since(time.Unix(0, w.proven.Load())) < provenFor {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := w.batcher.Do(ctx, nil)
	return err
}

// Pipelines are what the writer's batcher has done.
func (w *Writer) Pipelines() []batch.Stats { return []batch.Stats{w.batcher.Stats()} }

// Close writes what has queued and stops. It returns when that is done or ctx ends.
func (w *Writer) Close(ctx context.Context) error { return w.batcher.Close(ctx) }
