package children

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/status"

	"irthub/internal/audit"
	"irthub/internal/batch"
	"irthub/internal/events"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

// Write is a thing that hangs on a child, on its way through a Writer: admitted, and
// allowed as far as that can be told without the stored facts.
type Write struct {
	ID            uuid.UUID // of the thing
	Name          string    // of the thing, for the access log
	Agency        string    // that writes it: each has a turn in every batch
	Child, Record uuid.UUID // by which its child is meant, as of Asked; either may be Nil
	Access        *audit.Entry
	// Apply writes it, or refuses it with an error that has a status before it has
	// written anything. It may be called again, after a transaction that came to
	// nothing, and leaves nothing behind outside of it that then would be wrong.
	Apply func(context.Context, pgx.Tx) ([]events.Event, error)

	bulk, noted bool
}

// Writer is the write pipeline of things that hang on children, one kind each: a
// batch of them is one transaction. One that is refused does not touch the others.
type Writer struct {
	pool    *pgxpool.Pool
	access  *audit.Writer
	class   int32 // keeps its locks apart from those of other kinds
	batcher *batch.Batcher[*Write, struct{}]

	rehearser *batch.Batcher[*Write, struct{}]
}

// NewWriter starts a pipeline, which uses up to two connections to write and two to
// rehearse; Close ends it. name is that of what is written, class as of LockName.
func NewWriter(pool *pgxpool.Pool, access *audit.Writer, name string, class int32) *Writer {
	w := &Writer{pool: pool, access: access, class: class}
	lane := func(c *Write) batch.Lane { return batch.Lane{Key: c.Agency, Bulk: c.bulk} }
	w.batcher = batch.NewFair(batch.Options{Name: name, RetrySingly: true, Hopeless: pg.Unavailable}, lane, w.run)
	w.rehearser = batch.NewFair(Rehearsals(name), lane, w.rehearse)
	return w
}

// Rehearsals shape the pipeline in which writes of that name are tried out: each in a
// transaction of its own, so that none meets what another would have written, but few at
// once, and in turns, because they hold the same locks as those that are written.
func Rehearsals(name string) batch.Options {
	return batch.Options{Name: "rehearsals of " + name, MaxBatch: 1, MaxQueue: 256}
}

// Pipelines are what it has done.
func (w *Writer) Pipelines() []batch.Stats {
	return []batch.Stats{w.batcher.Stats(), w.rehearser.Stats()}
}

// Close writes what was accepted and refuses what comes after.
func (w *Writer) Close(ctx context.Context) error {
	return errors.Join(w.batcher.Close(ctx), w.rehearser.Close(ctx))
}

// Do writes what a call is about, whose access is recorded with it; where too much
// is waiting, the call is refused at once. With validateOnly it only finds out whether
// it would be refused, and the caller's interceptor records the access.
func (w *Writer) Do(ctx context.Context, c *Write, validateOnly bool) error {
	if validateOnly {
		_, err := w.rehearser.TryDo(ctx, c)
		return err
	}
	if _, err := w.batcher.TryDo(ctx, c); err != nil {
		return err
	}
	c.Access.Recorded()
	return nil
}

// DoOne writes one of the many things that a stream or a file is about, waiting for
// a place in the pipeline, or only finds out whether it would be refused. It has an
// access entry of its own beside that of ctx, also where it is refused. admit makes
// it, or refuses it.
func (w *Writer) DoOne(ctx context.Context, name string, validateOnly bool, admit func() (*Write, error)) error {
	if err := w.doOne(ctx, name, validateOnly, admit); err != nil {
		return w.access.Refused(ctx, name, err)
	}
	return nil
}

func (w *Writer) doOne(ctx context.Context, name string, validateOnly bool, admit func() (*Write, error)) error {
	c, err := rpc.Guard(admit) // a panic must not end the hub
	if err != nil {
		return err
	}
	c.bulk = true
	if validateOnly {
		_, err = w.rehearser.Do(ctx, c)
		return err
	}
	c.Access = c.Access.Fork()
	c.Access.SetQueryName(name)
	_, err = w.batcher.Do(ctx, c)
	return err
}

// rehearse works writes out and undoes them.
func (w *Writer) rehearse(ctx context.Context, all []*Write) (out []batch.Outcome[struct{}], err error) {
	err = pg.Rehearse(ctx, w.pool, func(tx pgx.Tx) error {
		out, _, err = w.apply(ctx, tx, all)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("children: rehearsing: %w", err)
	}
	return out, nil
}

// run is a batch.
func (w *Writer) run(ctx context.Context, all []*Write) (out []batch.Outcome[struct{}], err error) {
	err = pg.InTxRetry(ctx, w.pool, func(tx pgx.Tx) error {
		var told []events.Event
		if out, told, err = w.apply(ctx, tx, all); err != nil {
			return err
		}
		if err := events.Append(ctx, tx, told); err != nil {
			return err
		}
		return recordAccess(ctx, tx, all, out)
	})
	if err != nil {
		return nil, fmt.Errorf("children: writing %d: %w", len(all), err)
	}
	return out, nil
}

// apply writes all that is not refused, one after the other.
func (w *Writer) apply(ctx context.Context, tx pgx.Tx, all []*Write) (out []batch.Outcome[struct{}], told []events.Event, err error) {
	if err := w.lock(ctx, tx, all); err != nil {
		return nil, nil, err
	}
	out = make([]batch.Outcome[struct{}], len(all))
	for i, c := range all {
		more, err := c.Apply(ctx, tx)
		switch _, refused := status.FromError(err); {
		case err == nil:
			told = append(told, more...)
		case refused:
			out[i].Err = err
		default:
			return nil, nil, err
		}
	}
	return out, told, nil
}

// subjectsSQL finds the children that are meant by records $1 and children $2.
const subjectsSQL = `
	SELECT child_id FROM child_records WHERE record_id = ANY($1::uuid[]) AND state = 1
	UNION SELECT coalesce(merged_into, child_id) FROM children WHERE child_id = ANY($2::uuid[])`

// lock takes what a batch needs to itself, in an order that all batches keep: the
// things by advisory locks on their ids, as LockName takes them one by one, and then
// the children.
func (w *Writer) lock(ctx context.Context, tx pgx.Tx, all []*Write) error {
	keys, records, named := make([]int32, len(all)), make([]uuid.UUID, len(all)), make([]uuid.UUID, len(all))
	for i, c := range all {
		keys[i], records[i], named[i] = nameKey(c.ID), c.Record, c.Child
	}
	slices.Sort(keys)
	var touched [][16]byte
	b := &pgx.Batch{}
	pg.ByKey(b)
	b.Queue(`SELECT pg_advisory_xact_lock($1, k) FROM unnest($2::int[]) AS k`, w.class, slices.Compact(keys))
	b.Queue(subjectsSQL, uuids(records), uuids(named)).Query(func(rows pgx.Rows) (err error) {
		touched, err = pgx.CollectRows(rows, pgx.RowTo[[16]byte])
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("children: finding what to lock: %w", err)
	}
	ids := make([]uuid.UUID, len(touched))
	for i, id := range touched {
		ids[i] = id
	}
	return Hold(ctx, tx, ids...)
}

// nameKey is what the advisory lock of a thing is taken on.
func nameKey(id uuid.UUID) int32 { return int32(binary.BigEndian.Uint32(id[12:])) } //nolint:gosec // any 32 bits do

// recordAccess stores the access entries of what was written; those of what was
// refused are its callers'.
func recordAccess(ctx context.Context, tx pgx.Tx, all []*Write, out []batch.Outcome[struct{}]) error {
	entries := make([]*audit.Entry, 0, len(all))
	for i, c := range all {
		if out[i].Err != nil {
			continue
		}
		if !c.noted { // by an attempt before
			c.Access.AddReturned(c.Name)
			c.noted = true
		}
		entries = append(entries, c.Access)
	}
	return audit.Insert(ctx, tx, entries)
}

// Pools are the service's own connections, by what they are for.
func (s *Service) Pools() map[string]*pgxpool.Pool {
	return map[string]*pgxpool.Pool{"submissions": s.writes}
}
