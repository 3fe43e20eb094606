package exchange

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/batch"
	"irthub/internal/children"
	"irthub/internal/exchange/textfile"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// window is the rows of a file that are in the pipeline at once: enough that its
// batches are full.
var window = batch.Window[*line]{Inputs: 1024, Hold: func(ctx context.Context, l *line) (leave func(), err error) {
	return rpc.Hold(ctx, rowCost*len(l.raw))
}}

// rowCost is how many times its own size a row takes while it is in the pipeline: as it
// was sent, its fields, and the record.
const rowCost = 3

// source gives the rows of a file of one form.
type source interface {
	// next gives the row that follows, and io.EOF after the last. Any other error
	// says that the file cannot be read on.
	next() (*line, error)
	// offset is where in the file the row last given ends.
	offset() int64
	// encoding names the encoding that the file was found to be in so far.
	encoding() string
}

// line is a row on its way into the index.
type line struct {
	number  int32
	raw     string                // as it was sent, where the form needs it put into UTF-8
	fault   *textfile.FormatError // of a row that cannot be read
	rejects []*irtv1.ImportReject // of one that can, and is no record all the same

	record *irtv1.ChildRecord
	parts  []hanging
	thing  string // what the row is about, as people call it
	// tell says the faults of the record in the words of the file, and tellOther
	// those of one of the parts.
	tell      func([]standard.Fault) []*irtv1.ImportReject
	tellOther func(int, []standard.Fault) []*irtv1.ImportReject

	turn *turn
	end  int64  // where in the file it ends
	sum  digest // of the file up to there
}

// subject is the name of what a row is about: no two rows of a file may say
// different things of it.
func (l *line) subject() string {
	if l.record != nil {
		return l.record.GetName()
	}
	if len(l.parts) > 0 {
		return l.parts[0].GetName()
	}
	return ""
}

// intake takes the rows of a file in.
type intake struct {
	*job
	src    source
	prefix *prefix
	claims *claims
	seed   maphash.Seed
	buf    []byte

	rows    int
	refused []int32 // the rows that an earlier run has refused, in order
}

// takeIn takes a file in, after what an earlier run has acknowledged of it.
func (s *Service) takeIn(ctx context.Context, j *job, file *prefix, src source) error {
	in := &intake{job: j, src: src, prefix: file, claims: newClaims(&s.remembered), seed: maphash.MakeSeed()}
	defer in.claims.close()
	if j.passing {
		var err error
		if in.refused, err = rejectedRows(ctx, s.pool, j.id); err != nil {
			return err
		}
	}
	begin := func(ctx context.Context, l *line) func() outcome {
		return func() outcome { return in.submit(ctx, l) } // rows of one child wait for their turns
	}
	return batch.Ordered(rpc.NewImport(ctx), window, in.next, begin, func(o outcome) error { return j.take(ctx, o) })
}

// next gives the row that follows, and io.EOF after the last.
func (in *intake) next() (*line, error) {
	l, err := rpc.Guard(in.read) // a panic must not end the hub
	if err == nil && l == nil {
		err = io.EOF
	}
	return l, err
}

// read reads the row that follows; nil after the last.
func (in *intake) read() (*line, error) {
	for {
		l, err := in.src.next()
		if errors.Is(err, io.EOF) {
			if in.passing {
				return nil, in.otherFile()
			}
			return nil, nil //nolint:nilnil // the end is no error, and Guard would make one of it
		}
		if err != nil {
			return nil, fileError(err)
		}
		if in.rows++; in.rows > maxRows {
			return nil, tooMuch("The file has more than 1,000,000 rows")
		}
		if in.claims.full() {
			return nil, rpc.Unavailable(nil, "The hub takes in as many large files as it has memory for. What was acknowledged stays; go on with the import in a minute.")
		}
		in.place(l)
		passed, err := in.passes(l.end, l.sum)
		if err != nil || !passed {
			return l, err
		}
		in.pass(l)
	}
}

// place notes where in the file a row stands, and takes its turn.
func (in *intake) place(l *line) {
	l.end = in.src.offset()
	raw := in.prefix.pass(l.end)
	switch {
	case l.raw != "":
	case len(raw) <= maxKeptRow:
		l.raw = string(raw)
	default:
		l.raw = textfile.Beginning(raw)
	}
	if !in.passing || l.end == in.state.GetAcknowledgedBytes() {
		l.sum = in.prefix.digest()
	}
	if l.fault == nil && len(l.rejects) == 0 {
		key := sha256.Sum256([]byte(l.subject()))
		l.turn = in.claims.enter(claimKey(key[:16]), claim{row: uint32(l.number), sum: in.content(l)}) //nolint:gosec // a file has fewer lines
	}
}

// pass goes by a row that is settled. It stands for its child unless it was
// refused.
func (in *intake) pass(l *line) {
	if l.turn != nil {
		_, was := slices.BinarySearch(in.refused, l.number)
		in.claims.leave(l.turn, !was)
	}
}

var errOtherFile = &textfile.FormatError{
	RuleID:      "IMPORT_OTHER_FILE",
	Description: "This is not the file that the import began with, or it was changed since. Nothing of it went in.",
	Action:      "Send the same file, or send this one as an import of its own.",
}

// content tells rows of different content apart.
func (in *intake) content(l *line) uint32 {
	var h maphash.Hash
	h.SetSeed(in.seed)
	write := func(m proto.Message) {
		in.buf, _ = proto.MarshalOptions{Deterministic: true}.MarshalAppend(in.buf[:0], m)
		_, _ = h.Write(in.buf)
	}
	if l.record != nil {
		write(l.record)
	}
	for _, p := range l.parts {
		write(p)
	}
	return uint32(h.Sum64()) //nolint:gosec // half of it
}

// submit settles a row; many are settled at once.
func (in *intake) submit(ctx context.Context, l *line) outcome {
	o := outcome{line: l}
	switch {
	case l.fault != nil:
		o.rejects = []*irtv1.ImportReject{rejectOf(l.number, l.fault)}
		return o
	case len(l.rejects) > 0:
		o.rejects = l.rejects
		return o
	}
	settled, err := rpc.Guard(func() (outcome, error) { return in.settle(ctx, l) })
	if err == nil {
		settled.line = l
		return settled
	}
	o.tell = settled.tell
	in.refusal(ctx, err, &o)
	return o
}

// settle puts the row's record into the index, and then what hangs on it, unless
// an earlier row has the record.
func (in *intake) settle(ctx context.Context, l *line) (o outcome, err error) {
	accepted := false
	defer func() { in.claims.leave(l.turn, accepted) }()
	holder, err := l.turn.wait(ctx)
	switch {
	case err != nil:
		return o, err
	case holder.row == 0:
	case holder.sum == l.turn.own.sum:
		return outcome{unchanged: true}, nil
	default:
		return outcome{rejects: append(l.faults(), rejectOf(l.number, l.repeated(holder.row)))}, nil
	}
	if len(l.parts) > 0 { // a row with parts goes in whole or not at all
		if rejects := l.faults(); len(rejects) > 0 {
			return outcome{rejects: rejects}, nil
		}
	}
	o.unchanged = true
	if l.record != nil {
		resp, err := in.s.records.Submit(ctx, l.record, children.SubmitOptions{ValidateOnly: in.state.GetValidateOnly()})
		if err != nil {
			o.tell = l.tell
			return o, err
		}
		o.unchanged = resp.GetOutcome() == irtv1.SubmitOutcome_SUBMIT_OUTCOME_UNCHANGED
		o.queries = resp.GetQueries()
	}
	for i, p := range l.parts {
		changed, err := in.submitPart(ctx, l, p)
		if err != nil {
			o.tell = func(faults []standard.Fault) []*irtv1.ImportReject { return l.tellOther(i, faults) }
			return o, err
		}
		o.unchanged = o.unchanged && !changed
	}
	accepted = true
	return o, nil
}

// submitPart submits one of the parts of a row. The record of a rehearsal is not there
// for it to hang on.
func (in *intake) submitPart(ctx context.Context, l *line, p hanging) (changed bool, err error) {
	if in.state.GetValidateOnly() && l.record != nil {
		return false, nil
	}
	return in.s.submitPart(ctx, p, in.state.GetValidateOnly())
}

// faults are what a row breaks of the standard, in the words of its file.
func (l *line) faults() (rejects []*irtv1.ImportReject) {
	if l.record != nil {
		faults, _ := standard.Check(l.record, standard.Options{})
		rejects = l.tell(faults)
	}
	for i, p := range l.parts {
		normal := proto.Clone(p)
		normalise(normal)
		faults, _ := standard.Check(normal, standard.Options{})
		rejects = append(rejects, l.tellOther(i, faults)...)
	}
	return rejects
}

// repeated is the fault of a row about what an earlier one is about.
func (l *line) repeated(row uint32) *textfile.FormatError {
	f := &textfile.FormatError{
		RuleID:      "IMPORT_DUPLICATE_ROW",
		Description: fmt.Sprintf("The row is about the same child as row %d, and says something else.", row),
		Action:      "Keep the one that is right. If they are two children, give each its own NHS number or LOCAL_ID.",
	}
	if l.record == nil {
		f.Description = fmt.Sprintf("The row is about the same %s as row %d, and says something else.", l.thing, row)
		f.Action = "Keep the one that is right, or give each an id of its own."
	}
	return f
}

// refusal says why a row was refused, or ends the import where the hub cannot go
// on: then no row after it would fare better.
func (in *intake) refusal(ctx context.Context, err error, o *outcome) {
	l := o.line
	switch code := status.Code(err); code {
	case codes.Internal:
		rpc.LoggedStatus(ctx, in.s.log, err)
		o.rejects, o.failure = []*irtv1.ImportReject{rejectOf(l.number, errFailed)}, err
	case codes.InvalidArgument, codes.NotFound, codes.Aborted, codes.FailedPrecondition, codes.AlreadyExists:
		if o.rejects = l.faults(); code != codes.InvalidArgument || len(o.rejects) == 0 {
			o.rejects = o.asTold(err)
		}
	case codes.PermissionDenied:
		if l.record == nil {
			o.rejects = o.asTold(err)
			return
		}
		o.err = err
	default:
		o.err = err
	}
}

// asTold puts the hub's own words for a refusal into rejects, by the columns of the file
// where it names fields.
func (o *outcome) asTold(err error) []*irtv1.ImportReject {
	st := status.Convert(err)
	reject := &irtv1.ImportReject{Row: o.line.number, RuleId: "IMPORT_ROW_REFUSED", Description: st.Message()}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reject.RuleId = d.GetReason()
		case *errdetails.BadRequest:
			var faults []standard.Fault
			for _, v := range d.GetFieldViolations() {
				_, field, _ := strings.Cut(v.GetField(), ".") // of the request, in which the row is a field
				faults = append(faults, standard.Fault{Field: field, RuleID: v.GetReason(), Description: v.GetDescription()})
			}
			if len(faults) > 0 {
				return o.tell(faults)
			}
		}
	}
	return []*irtv1.ImportReject{reject}
}

var errFailed = &textfile.FormatError{
	RuleID:      "IMPORT_ROW_FAILED",
	Description: "The hub could not take the row, through a fault of its own.",
	Action:      "Send the row again; if it is refused again, report it to those who run the hub.",
}
