package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/batch"
	"irthub/internal/pg"
)

// writeTimeout bounds how long a caller waits for its entry, and how long one
// batch may take. It does not depend on the caller's own deadline: a call that
// was given up is recorded all the same.
const writeTimeout = 5 * time.Second

// Writer makes entries durable, many with one commit: whatever has queued while
// the commit before was under way.
type Writer struct {
	batcher *batch.Batcher[*Entry, struct{}]
}

// NewWriter starts a Writer; Close ends it. It uses two connections of the pool
// at most.
func NewWriter(pool *pgxpool.Pool) *Writer {
	run := func(ctx context.Context, entries []*Entry) ([]batch.Outcome[struct{}], error) {
		if err := insert(ctx, pool, entries); err != nil {
			return nil, err
		}
		return make([]batch.Outcome[struct{}], len(entries)), nil
	}
	return &Writer{batch.New(batch.Options{
		Name: "audit writer", Timeout: writeTimeout, RetrySingly: true, Hopeless: pg.Unavailable,
	}, run)}
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

// Pipelines are what the writer's batcher has done.
func (w *Writer) Pipelines() []batch.Stats { return []batch.Stats{w.batcher.Stats()} }

// Close writes what has queued and stops. It returns when that is done or ctx ends.
func (w *Writer) Close(ctx context.Context) error { return w.batcher.Close(ctx) }
