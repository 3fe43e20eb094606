package exchange

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

const (
	// saveEvery is how old the stored progress of a running import may be.
	saveEvery = time.Second
	// maxFailures is how many rows the hub may fail to take, through faults of its
	// own, before it gives the import up.
	maxFailures = 100
	// maxHeldRejects is how many rejects wait to be stored, and maxHeldRows how much
	// of the rows, in bytes.
	maxHeldRejects = 1000
	maxHeldRows    = 1 << 20
	// maxKept is how much is kept of the rejected rows of an import, and maxKeptRow
	// of one, in bytes.
	maxKept    = 16 << 20
	maxKeptRow = 64 << 10
	// keepRows is for how long they are kept: a working week to correct them in.
	keepRows = 7 * 24 * time.Hour
	// keepImports is for how long an import itself is kept after it ended or broke off.
	keepImports = 90 * 24 * time.Hour
)

// job is one import on its way: what has been counted, and what of that has been
// stored. It is used by one goroutine at a time.
type job struct {
	s      *Service
	id     uuid.UUID
	runner uuid.UUID // of this run of it: who else takes it up, stops this one
	agency string
	state  *irtv1.Import
	header []string                 // of the file, where it has one
	code   func() (encoding string) // once it is known
	stop   context.CancelCauseFunc

	acknowledged digest // of the file up to acknowledged_bytes
	rules        map[ruleCount]int32

	rejects  []*irtv1.ImportReject // not stored yet
	kept     []keptRow             // the same of rows
	keptSize int64
	heldSize int64 // of that, what is not stored yet
	stored   int64 // rejects that are
	saved    time.Time
	failures int  // rows refused through faults of the hub
	passing  bool // rows are still those that an earlier run has settled
	foreign  bool // what was sent is not the file that the import began with
}

// ruleCount is what is counted: a rule, and how it was graded.
type ruleCount struct {
	rule  string
	grade irtv1.RuleGrade
}

// keptRow is a row that was rejected, as it was sent.
type keptRow struct {
	row     int32
	content string
}

// newJob makes an import that is not stored yet.
func (s *Service) newJob(agency string, header *irtv1.ImportHeader) (*job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("exchange: making an id: %w", err)
	}
	now := time.Now().Truncate(time.Microsecond) // as it is stored
	return &job{
		s: s, id: id, runner: uuid.New(), agency: agency, saved: now, rules: map[ruleCount]int32{},
		state: &irtv1.Import{
			Name: importName(agency, id), Format: header.GetFormat(), ValidateOnly: header.GetValidateOnly(),
			State: irtv1.ImportState_IMPORT_STATE_RUNNING, Size: header.GetSize(),
			CreateTime: timestamppb.New(now), UpdateTime: timestamppb.New(now),
		},
	}, nil
}

// note makes the access entry of the call say which import it is.
func (j *job) note(ctx context.Context) {
	audit.FromContext(ctx).SetQuery(&irtv1.Import{
		Name: j.state.GetName(), Format: j.state.GetFormat(), ValidateOnly: j.state.GetValidateOnly(),
	})
}

// passes tells whether a row that ends at a place of the file, and the digest up to
// there, is one that an earlier run has settled.
func (j *job) passes(end int64, sum digest) (passed bool, err error) {
	if !j.passing {
		return false, nil
	}
	switch acknowledged := j.state.GetAcknowledgedBytes(); {
	case end < acknowledged:
		return true, nil
	case end > acknowledged || sum != j.acknowledged:
		return false, j.otherFile()
	}
	j.passing = false
	return true, nil
}

// otherFile ends a run that was sent another file than the import's.
func (j *job) otherFile() error {
	j.foreign = true
	return fileError(errOtherFile)
}

// outcome is what became of one row.
type outcome struct {
	line      *line
	unchanged bool
	queries   []*irtv1.Query
	rejects   []*irtv1.ImportReject // why it was refused, if it was
	failure   error                 // the fault of the hub behind that, if there was one
	err       error                 // ends the import

	// tell says the faults of what was refused, the record or a part, in the words of the file.
	tell func([]standard.Fault) []*irtv1.ImportReject
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
	for _, q := range o.queries {
		j.state.Queries++
		j.rules[ruleCount{q.GetRuleId(), irtv1.RuleGrade_RULE_GRADE_QUERY}]++
	}
	switch {
	case len(o.rejects) > 0:
		j.refuse(o.rejects, o.line.raw)
	case o.unchanged:
		j.state.Rows++
		j.state.Unchanged++
	default:
		j.state.Rows++
		j.state.Accepted++
	}
	j.state.AcknowledgedRow, j.state.AcknowledgedBytes, j.acknowledged = o.line.number, o.line.end, o.line.sum
	return j.saveIfDue(ctx)
}

// refuse counts a row that is refused, and keeps why and, as far as there is room,
// what it was.
func (j *job) refuse(rejects []*irtv1.ImportReject, raw string) {
	j.state.Rows++
	j.state.Rejected++
	j.rejects = append(j.rejects, rejects...)
	for _, r := range rejects {
		j.rules[ruleCount{r.GetRuleId(), irtv1.RuleGrade_RULE_GRADE_ERROR}]++
	}
	raw = strings.ReplaceAll(strings.ToValidUTF8(strings.TrimRight(raw, "\r\n"), "\uFFFD"), "\x00", "\uFFFD")
	if size := int64(len(raw)); size > 0 && size <= maxKeptRow && j.keptSize+size <= maxKept {
		j.keptSize += size
		j.heldSize += size
		j.kept = append(j.kept, keptRow{rejects[0].GetRow(), raw})
	}
}

func (j *job) saveIfDue(ctx context.Context) error {
	if len(j.rejects) < maxHeldRejects && j.heldSize < maxHeldRows && time.Since(j.saved) < saveEvery {
		return nil
	}
	return j.save(ctx)
}

// save stores the rejects that are not stored yet, and the progress, as one; unless
// another run has taken the import up. It stops this run where it was asked to.
func (j *job) save(ctx context.Context) error {
	now := time.Now().Truncate(time.Microsecond)
	j.state.UpdateTime = timestamppb.New(now)
	if j.code != nil {
		j.state.Encoding = j.code()
	}
	j.state.RuleCounts = j.ruleCounts()
	var cancelled bool
	err := pg.InTxRetry(ctx, j.s.pool, func(tx pgx.Tx) (err error) {
		if cancelled, err = updateImport(ctx, tx, j); err != nil {
			return err
		}
		if err := insertRejects(ctx, tx, j.id, j.stored, j.rejects); err != nil {
			return err
		}
		return insertKept(ctx, tx, j.id, j.kept)
	})
	if err != nil {
		return err
	}
	if cancelled && j.stop != nil {
		j.stop(errCancelled)
	}
	j.stored += int64(len(j.rejects))
	clear(j.kept)
	j.rejects, j.kept, j.heldSize, j.saved = j.rejects[:0], j.kept[:0], 0, now
	return nil
}

// ruleCounts are the counts as they are told: errors first, then by how often.
func (j *job) ruleCounts() []*irtv1.ImportRuleCount {
	all := make([]*irtv1.ImportRuleCount, 0, len(j.rules))
	for r, n := range j.rules {
		all = append(all, newRuleCount(r.rule, r.grade, n))
	}
	sortCounts(all)
	return all
}

func sortCounts(all []*irtv1.ImportRuleCount) {
	slices.SortFunc(all, func(a, b *irtv1.ImportRuleCount) int {
		return cmp.Or(cmp.Compare(a.GetGrade(), b.GetGrade()), cmp.Compare(b.GetCount(), a.GetCount()),
			strings.Compare(a.GetRuleId(), b.GetRuleId()))
	})
}

func newRuleCount(id string, grade irtv1.RuleGrade, n int32) *irtv1.ImportRuleCount {
	return &irtv1.ImportRuleCount{RuleId: id, Grade: grade, Count: n, Description: ruleText(id)}
}

// end stores how the import ended, also where the caller has gone or the call is
// cancelled, and returns what the caller is told. What was counted stays counted.
func (j *job) end(ctx context.Context, cause, err error) error {
	if errors.Is(cause, errTakenUp) || errors.Is(err, errTakenUp) {
		return errRunning()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	switch {
	case err == nil:
		j.state.State = irtv1.ImportState_IMPORT_STATE_SUCCEEDED
	case errors.Is(cause, errCancelled):
		j.state.State, err = irtv1.ImportState_IMPORT_STATE_CANCELLED, errImportCancelled()
	case isOfFile(err) && !j.foreign: // with its own file, an import may still go on
		j.state.State, j.state.Failure = irtv1.ImportState_IMPORT_STATE_FAILED, status.Convert(rpc.Edge(err)).Message() // as the caller is told
	default:
		j.state.State = irtv1.ImportState_IMPORT_STATE_INTERRUPTED
	}
	saveErr := j.save(ctx)
	switch {
	case errors.Is(saveErr, errTakenUp):
		return errRunning()
	case err == nil:
		err = saveErr
	}
	if err != nil {
		return err
	}
	stored, _, err := getImport(ctx, j.s.pool, j.agency, j.id) // with what is worked out when it is read
	j.state = stored
	return err
}

// isOfFile tells an error that the same file would meet again.
func isOfFile(err error) bool {
	code := status.Code(err)
	return code == codes.InvalidArgument || code == codes.ResourceExhausted || code == codes.PermissionDenied
}

// Causes for which a run is stopped from outside.
var (
	errCancelled = errors.New("exchange: the import was cancelled")
	errTakenUp   = errors.New("exchange: another run has taken the import up")
)

func errImportCancelled() error {
	return rpc.Error(codes.Aborted, irtv1.ErrorReason_ERROR_REASON_IMPORT_CANCELLED,
		"The import was cancelled. What was acknowledged before that stays.")
}

// whole notes the digest of a file that was read to its end.
func (j *job) whole(sum []byte) { j.state.Sha256 = hex.EncodeToString(sum) }
