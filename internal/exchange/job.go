package exchange

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/exchange/csvfile"
	"irthub/internal/pg"
)

const (
	// saveEvery is how old the stored progress of a running import may be.
	saveEvery = time.Second
	// maxFailures is how many rows the hub may fail to take, through faults of its
	// own, before it gives the import up.
	maxFailures = 100
	// maxHeldRejects is how many rejects wait to be stored.
	maxHeldRejects = 1000
)

// job is one import on its way: what has been counted, and what of that has been
// stored. It is used by one goroutine at a time.
type job struct {
	s      *Service
	id     uuid.UUID
	agency string
	state  *irtv1.Import
	file   *csvfile.Reader // set when it is read

	rejects  []*irtv1.ImportReject // not stored yet
	stored   int64                 // rejects that are
	saved    time.Time
	failures int // rows refused through faults of the hub
}

// begin stores the import, so that its progress can be asked for.
func (s *Service) begin(ctx context.Context, agency string, header *irtv1.ImportHeader) (*job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("exchange: making an id: %w", err)
	}
	now := time.Now().Truncate(time.Microsecond) // as it is stored
	j := &job{s: s, id: id, agency: agency, saved: now, state: &irtv1.Import{
		Name: importName(agency, id), Format: header.GetFormat(), ValidateOnly: header.GetValidateOnly(),
		State:      irtv1.ImportState_IMPORT_STATE_RUNNING,
		CreateTime: timestamppb.New(now), UpdateTime: timestamppb.New(now),
	}}
	audit.FromContext(ctx).SetQuery(&irtv1.Import{
		Name: j.state.GetName(), Format: header.GetFormat(), ValidateOnly: header.GetValidateOnly(),
	})
	return j, insertImport(ctx, s.pool, j)
}

// outcome is what became of one row.
type outcome struct {
	unchanged bool
	queries   int
	rejects   []*irtv1.ImportReject // why it was refused, if it was
	failure   error                 // the fault of the hub behind that, if there was one
	err       error                 // ends the import
}

// take counts a row, and stores what has been counted when it is time to.
func (j *job) take(ctx context.Context, o outcome) error {
	if o.err != nil {
		return o.err
	}
	if o.failure != nil {
		if j.failures++; j.failures > maxFailures {
			return o.failure
		}
	}
	j.state.Queries += int32(o.queries) //nolint:gosec // of one row
	switch {
	case len(o.rejects) > 0:
		j.refuse(o.rejects)
	case o.unchanged:
		j.state.Rows++
		j.state.Unchanged++
	default:
		j.state.Rows++
		j.state.Accepted++
	}
	return j.saveIfDue(ctx)
}

// refuse counts a row that is refused, and keeps why.
func (j *job) refuse(rejects []*irtv1.ImportReject) {
	j.state.Rows++
	j.state.Rejected++
	j.rejects = append(j.rejects, rejects...)
}

func (j *job) saveIfDue(ctx context.Context) error {
	if len(j.rejects) < maxHeldRejects && time.Since(j.saved) < saveEvery {
		return nil
	}
	return j.save(ctx)
}

// save stores the rejects that are not stored yet, and the progress, as one.
func (j *job) save(ctx context.Context) error {
	now := time.Now().Truncate(time.Microsecond)
	j.state.UpdateTime = timestamppb.New(now)
	if j.file != nil {
		j.state.Encoding = j.file.Encoding()
	}
	err := pg.InTxRetry(ctx, j.s.pool, func(tx pgx.Tx) error {
		if err := insertRejects(ctx, tx, j.id, j.stored, j.rejects); err != nil {
			return err
		}
		return updateImport(ctx, tx, j)
	})
	if err != nil {
		return err
	}
	j.stored += int64(len(j.rejects))
	j.rejects, j.saved = j.rejects[:0], now
	return nil
}

// end stores how the import ended, also where the caller has gone or the call
// is cancelled, and returns what it ended with. What was counted stays counted.
func (j *job) end(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	j.state.State = irtv1.ImportState_IMPORT_STATE_SUCCEEDED
	if err != nil {
		j.state.State = irtv1.ImportState_IMPORT_STATE_FAILED
	}
	if saveErr := j.save(ctx); err == nil {
		return saveErr
	}
	return err
}
