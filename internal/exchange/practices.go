package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/exchange/csvfile"
	"irthub/internal/exchange/textfile"
	"irthub/internal/pg"
	"irthub/internal/standard"
)

// practiceBatch is how many practices are stored in one transaction.
const practiceBatch = 2000

// practiceColumns are the columns of epraccur.csv that are used, counted from 0,
// by the field of the agency; the file has no header. Source: NHS Organisation
// Data Service, epraccur file specification.
var practiceColumns = map[string]int{
	"ods_code": 0, "display_name": 1, "address_lines": 4, "postcode": 9, "status": 12, "telephone": 17,
}

// minPracticeColumns are those without which there is no practice. The register
// has 27; excerpts of it go about that end with the postcode.
const minPracticeColumns = 10

var practiceCode = regexp.MustCompile(`^([A-Z][0-9]{5}|[A-Z]{3}[0-9]{3})$`)

// practices is the reading of epraccur.csv. Every row is an agency, whatever its
// prescribing setting: the register is called one of GP practices, and who
// prescribes may work with children. Names and addresses are as the register
// writes them. Practices that are closed, dormant or only proposed are inactive.
type practices struct {
	*job
	file   *csvfile.Reader
	prefix *prefix
	last   place // of the row last read
	width  int
	rows   map[string]int32 // by code, where it stood first
	batch  []*irtv1.Agency
}

// place is where in a file a row stands.
type place struct {
	row int32
	end int64
	sum digest // of the file up to there
}

func (s *Service) readPractices(ctx context.Context, j *job, file *prefix) error {
	p := &practices{job: j, file: csvfile.NewReader(file), prefix: file, rows: map[string]int32{}}
	if j.code == nil {
		j.code = p.file.Encoding
	}
	err := p.read(ctx)
	if refreshErr := s.directory.Refresh(context.WithoutCancel(ctx)); err == nil { // some may be in
		err = refreshErr
	}
	return err
}

func (p *practices) read(ctx context.Context) error {
	row, err := p.file.Read()
	if errors.Is(err, io.EOF) {
		err = errEmpty
	}
	if err == nil && (len(row.Cells) < minPracticeColumns || !practiceCode.MatchString(strings.TrimSpace(row.Cells[0]))) {
		err = errNoPractices
	}
	p.width = len(row.Cells)
	p.file.Expect(p.width)
	for n := 1; err == nil; n++ {
		if n > maxRows {
			return tooMuch("The file has more than 1,000,000 rows")
		}
		if err := p.add(ctx, row); err != nil {
			return err
		}
		row, err = p.file.Read()
	}
	if !errors.Is(err, io.EOF) {
		return fileError(err)
	}
	if p.passing {
		return p.otherFile()
	}
	return p.flush(ctx)
}

var errNoPractices = &textfile.FormatError{
	RuleID:      "IMPORT_NO_PRACTICES",
	Description: "The first row is not a practice of epraccur.csv: a code such as A81001, a name, address and postcode.",
	Action:      "Send epraccur.csv of the NHS Organisation Data Service, unzipped and as it is.",
}

// add takes a practice into the batch, or refuses the row.
func (p *practices) add(ctx context.Context, row csvfile.Row) error {
	p.prefix.pass(p.file.Offset())
	p.last = place{row.Line, p.file.Offset(), p.prefix.digest()}
	if row.Fault == nil && len(row.Cells) != p.width {
		row.Fault = errWidth(len(row.Cells), p.width)
	}
	var agency *irtv1.Agency
	rejects := []*irtv1.ImportReject{}
	if row.Fault != nil {
		rejects = append(rejects, rejectOf(row.Line, row.Fault))
	} else {
		agency, rejects = p.practice(row)
	}
	if passed, err := p.passes(p.last.end, p.last.sum); passed || err != nil {
		return err
	}
	if len(rejects) > 0 {
		p.refuse(rejects, string(p.file.Raw()))
	} else {
		p.batch = append(p.batch, agency)
	}
	if len(p.batch) < practiceBatch && len(p.rejects) < maxHeldRejects {
		return nil
	}
	return p.flush(ctx)
}

// practice is the agency of a row, or why there is none.
func (p *practices) practice(row csvfile.Row) (*irtv1.Agency, []*irtv1.ImportReject) {
	cell := func(field string) string {
		if i := practiceColumns[field]; i < len(row.Cells) {
			return row.Cells[i]
		}
		return ""
	}
	code := strings.ToUpper(strings.TrimSpace(cell("ods_code")))
	if !practiceCode.MatchString(code) {
		return nil, []*irtv1.ImportReject{practiceReject(row.Line, standard.Fault{
			Field: "ods_code", RuleID: "STRING_PATTERN", Description: "The code is not that of a practice.",
			Action: "Send a code such as A81001 or GUE001.",
		})}
	}
	if first, taken := p.rows[code]; taken {
		return nil, []*irtv1.ImportReject{rejectOf(row.Line, &textfile.FormatError{
			RuleID:      "IMPORT_DUPLICATE_ROW",
			Description: fmt.Sprintf("The practice stands in row %d already.", first),
			Action:      "Keep the row that is right.",
		})}
	}
	p.rows[code] = row.Line
	address := practiceColumns["address_lines"]
	a := &irtv1.Agency{
		Name: agencies.Name("gp-" + strings.ToLower(code)), Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE,
		DisplayName: cell("display_name"), OdsCode: code, Postcode: cell("postcode"), Telephone: cell("telephone"),
		AddressLines: append([]string(nil), row.Cells[address:address+5]...), State: practiceState(cell("status")),
	}
	standard.NormaliseAgency(a)
	faults, _ := standard.Check(a, standard.Options{})
	var rejects []*irtv1.ImportReject
	for _, f := range faults {
		rejects = append(rejects, practiceReject(row.Line, f))
	}
	return a, rejects
}

// practiceState reads the register's status: A active, C closed, D dormant, P
// proposed. An excerpt without one leaves the state as it is.
func practiceState(status string) irtv1.AgencyState {
	switch strings.ToUpper(strings.TrimSpace(status)) {
	case "A":
		return irtv1.AgencyState_AGENCY_STATE_ACTIVE
	case "C", "D", "P":
		return irtv1.AgencyState_AGENCY_STATE_INACTIVE
	default:
		return irtv1.AgencyState_AGENCY_STATE_UNSPECIFIED
	}
}

// practiceReject names the column by its number, as the register's specification
// does.
func practiceReject(row int32, f standard.Fault) *irtv1.ImportReject {
	field, _, _ := strings.Cut(f.Field, "[")
	r := &irtv1.ImportReject{Row: row, RuleId: f.RuleID, Description: f.Description, Action: f.Action}
	if i, known := practiceColumns[field]; known {
		r.Column = strconv.Itoa(i + 1)
	}
	return r
}

// flush stores the batch; of a rehearsal only what it would do is counted.
func (p *practices) flush(ctx context.Context) error {
	var created, updated, unchanged int
	run := pg.InTxRetry
	if p.state.GetValidateOnly() {
		run = pg.Rehearse
	}
	err := run(ctx, p.s.pool, func(tx pgx.Tx) (err error) {
		created, updated, unchanged, err = agencies.UpsertAgencies(ctx, tx, p.batch)
		return err
	})
	if err != nil {
		return err
	}
	p.batch = p.batch[:0]
	p.state.Rows += int32(created + updated + unchanged) //nolint:gosec // at most a batch
	p.state.Accepted += int32(created + updated)         //nolint:gosec // at most a batch
	p.state.Unchanged += int32(unchanged)                //nolint:gosec // at most a batch
	p.state.AcknowledgedRow, p.state.AcknowledgedBytes, p.acknowledged = p.last.row, p.last.end, p.last.sum
	return p.saveIfDue(ctx)
}
