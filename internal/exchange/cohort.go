package exchange

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/batch"
	"irthub/internal/children"
	"irthub/internal/exchange/csvfile"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// window is how many rows of a file are in the pipeline at once: enough that its
// batches are full.
const window = 1024

// cohort is the reading of a school cohort or class list.
type cohort struct {
	*job
	sheet  *sheet
	ids    *localIDs
	claims *claims
	seed   maphash.Seed
	school string // the URN of the importing school, where the file has no column for it

	rows int // read
}

// line is a row on its way into the index.
type line struct {
	number int32
	fault  *csvfile.FormatError // of a row that is no record
	child  child
	turn   *turn
}

func (s *Service) readCohort(ctx context.Context, j *job, file *upload) error {
	j.file = csvfile.NewReader(file)
	header, err := j.file.Read()
	if errors.Is(err, io.EOF) {
		err = errEmpty
	}
	if err != nil {
		return fileError(err)
	}
	c := &cohort{job: j, claims: newClaims(), seed: maphash.MakeSeed()}
	if c.sheet, err = readHeader(header); err != nil {
		return fileError(err)
	}
	if c.ids, err = loadLocalIDs(ctx, s.pool); err != nil {
		return err
	}
	j.state.IgnoredColumns = c.sheet.ignored
	if c.sheet.column[schoolURN] == absent {
		if a, _ := s.directory.Get(j.agency); a.Kind == irtv1.AgencyKind_AGENCY_KIND_SCHOOL {
			c.school = a.URN
		}
	}
	begin := func(ctx context.Context, l *line) func() outcome {
		return func() outcome { return c.submit(ctx, l) } // rows of one child wait for their turns
	}
	return batch.Ordered(ctx, window, c.next, begin, func(o outcome) error { return j.take(ctx, o) })
}

var errEmpty = &csvfile.FormatError{
	RuleID: "IMPORT_EMPTY", Description: "The file is empty.", Action: "Send the file with its header and its rows.",
}

// next gives the row that follows, and io.EOF after the last.
func (c *cohort) next() (*line, error) {
	l, err := rpc.Guard(c.read) // a panic must not end the hub
	if err == nil && l == nil {
		err = io.EOF
	}
	return l, err
}

// read reads the row that follows; nil after the last.
func (c *cohort) read() (*line, error) {
	row, err := c.file.Read()
	for err == nil && c.rows < instructionRows && isInstruction(row.Cells) {
		row, err = c.file.Read()
	}
	if errors.Is(err, io.EOF) {
		return nil, nil //nolint:nilnil // the end is no error, and Guard would make one of it
	}
	if err != nil {
		return nil, fileError(err)
	}
	if c.rows++; c.rows > maxRows {
		return nil, tooMuch("The file has more than 1,000,000 rows")
	}
	if row.Fault == nil && len(row.Cells) != c.sheet.width {
		row.Fault = errWidth
	}
	if row.Fault != nil {
		return &line{number: row.Line, fault: row.Fault}, nil //nolint:nilerr // it goes on with the line
	}
	return c.line(row), nil
}

var errWidth = &csvfile.FormatError{
	RuleID:      "IMPORT_ROW_LENGTH",
	Description: "The row has more or fewer cells than the header, so it cannot be said which belongs to which column.",
	Action:      "Check for a comma too many or too few; put cells that hold a comma between quotation marks.",
}

// line makes the record of a row, and takes its turn.
func (c *cohort) line(row csvfile.Row) *line {
	l := &line{number: row.Line, child: c.sheet.read(row.Cells)}
	r := l.child.record
	if c.school != "" {
		r.SchoolUrn = c.school
	}
	id := standard.CleanText(c.sheet.cell(row.Cells, localID))
	if id == "" {
		id = c.ids.of(c.agency, r)
	}
	r.Name = agencies.Name(c.agency) + "/childRecords/" + id
	sum := sha256.Sum256([]byte(id))
	l.turn = c.claims.enter(claimKey(sum[:16]), claim{row: uint32(row.Line), sum: c.sum(r)}) //nolint:gosec // a file has fewer lines
	return l
}

// sum tells rows of different content apart.
func (c *cohort) sum(r *irtv1.ChildRecord) uint32 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	write := func(texts ...string) {
		for _, s := range texts {
			_, _ = h.WriteString(s)
			_ = h.WriteByte(0)
		}
	}
	write(r.GetGivenName(), r.GetFamilyName(), r.GetPreferredGivenName(), r.GetDateOfBirth(), r.GetSex(),
		r.GetNhsNumber(), r.GetUpn(), r.GetPostcode(), r.GetSchoolUrn())
	write(r.GetAddressLines()...)
	for _, carer := range r.GetCarers() {
		write("carer", carer.GetDisplayName(), carer.GetRelationship(), carer.GetTelephone(), carer.GetEmail())
	}
	return uint32(h.Sum64()) //nolint:gosec // half of it
}

// submit settles a row; many are settled at once.
func (c *cohort) submit(ctx context.Context, l *line) outcome {
	if l.fault != nil {
		return outcome{rejects: []*irtv1.ImportReject{rejectOf(l.number, l.fault)}}
	}
	o, err := rpc.Guard(func() (outcome, error) { return c.settle(ctx, l) })
	if err == nil {
		return o
	}
	return c.refused(ctx, l, err)
}

// settle puts the record of a row into the index, unless an earlier row has it.
func (c *cohort) settle(ctx context.Context, l *line) (o outcome, err error) {
	accepted := false
	defer func() { c.claims.leave(l.turn, accepted) }()
	holder, err := l.turn.wait(ctx)
	switch {
	case err != nil:
		return o, err
	case holder.row == 0:
	case holder.sum == l.turn.own.sum:
		return outcome{unchanged: true}, nil
	default:
		faults, _ := standard.Check(l.child.record, standard.Options{})
		return outcome{rejects: append(l.child.rejects(c.sheet, l.number, faults), rejectOf(l.number, repeated(holder.row)))}, nil
	}
	resp, err := c.s.records.Submit(ctx, l.child.record, children.SubmitOptions{ValidateOnly: c.state.GetValidateOnly()})
	if err != nil {
		return o, err
	}
	accepted = true
	return outcome{
		unchanged: resp.GetOutcome() == irtv1.SubmitOutcome_SUBMIT_OUTCOME_UNCHANGED,
		queries:   len(resp.GetQueries()),
	}, nil
}

func repeated(row uint32) *csvfile.FormatError {
	return &csvfile.FormatError{
		RuleID:      "IMPORT_DUPLICATE_ROW",
		Description: fmt.Sprintf("The row is about the same child as row %d, and says something else.", row),
		Action:      "Keep the one that is right. If they are two children, give each its own NHS number or LOCAL_ID.",
	}
}

// refused says why a row was refused, or ends the import where the hub cannot go
// on: then no row after it would fare better.
func (c *cohort) refused(ctx context.Context, l *line, err error) outcome {
	switch status.Code(err) {
	case codes.InvalidArgument:
		if faults, _ := standard.Check(l.child.record, standard.Options{}); len(faults) > 0 {
			return outcome{rejects: l.child.rejects(c.sheet, l.number, faults)}
		}
	case codes.Internal:
		rpc.LoggedStatus(ctx, c.s.log, err)
		return outcome{rejects: []*irtv1.ImportReject{rejectOf(l.number, errFailed)}, failure: err}
	}
	return outcome{err: err}
}

var errFailed = &csvfile.FormatError{
	RuleID:      "IMPORT_ROW_FAILED",
	Description: "The hub could not take the row, through a fault of its own.",
	Action:      "Send the row again; if it is refused again, report it to those who run the hub.",
}
