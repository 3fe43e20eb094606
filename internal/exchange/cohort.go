package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/exchange/csvfile"
	"irthub/internal/exchange/textfile"
	"irthub/internal/standard"
)

// cohort is the reading of a school cohort or class list.
type cohort struct {
	table
	agency string
	sheet  *sheet
	ids    *localIDs
	school string // the URN of the importing school, where the file has no column for it
	rows   int    // read
}

func openCohort(ctx context.Context, s *Service, j *job, file io.Reader) (source, error) {
	c := &cohort{table: table{file: csvfile.NewReader(file)}, agency: j.agency}
	header, err := c.header()
	if err != nil {
		return nil, err
	}
	if c.sheet, err = readHeader(header); err != nil {
		return nil, err
	}
	if c.ids, err = loadLocalIDs(ctx, s.pool); err != nil {
		return nil, err
	}
	j.state.IgnoredColumns, j.header = c.sheet.ignored, c.names
	if c.sheet.column[schoolURN] == absent {
		if a, _ := s.directory.Get(j.agency); a.Kind == irtv1.AgencyKind_AGENCY_KIND_SCHOOL {
			c.school = a.URN
		}
	}
	return c, nil
}

// next implements source.
func (c *cohort) next() (*line, error) {
	row, err := c.file.Read()
	for err == nil && c.rows < instructionRows && isInstruction(row.Cells) {
		row, err = c.file.Read()
	}
	if err != nil {
		return nil, err
	}
	c.rows++
	l := c.line(row, c.sheet.width)
	if l.fault != nil {
		return l, nil //nolint:nilerr // it goes on with the line
	}
	child := c.sheet.read(row.Cells)
	l.record = child.record
	l.tell = func(faults []standard.Fault) []*irtv1.ImportReject { return child.rejects(c.sheet, l.number, faults) }
	if c.school != "" {
		l.record.SchoolUrn = c.school
	}
	id := standard.CleanText(c.sheet.cell(row.Cells, localID))
	if id == "" {
		id = c.ids.of(c.agency, l.record)
	}
	l.record.Name = agencies.Name(c.agency) + "/childRecords/" + id
	return l, nil
}

// table is a file of comma-separated values with a header.
type table struct {
	file  *csvfile.Reader
	names []string // of the columns, once the header is read
}

// header reads the first row. Columns that a file of rejects has added have no names in it.
func (t *table) header() (csvfile.Row, error) {
	header, err := t.file.Read()
	if errors.Is(err, io.EOF) {
		err = errEmpty
	}
	t.names = slices.Clone(header.Cells) // the slice is used again
	header.Cells = slices.Clone(t.names)
	clear(header.Cells[:added(t.names)])
	t.file.Expect(len(t.names))
	return header, err
}

// line is a row that has as many cells as the header, or the fault of one that has
// not.
func (t *table) line(row csvfile.Row, width int) *line {
	if row.Fault == nil && len(row.Cells) != width {
		row.Fault = errWidth(len(row.Cells), width)
	}
	return &line{number: row.Line, fault: row.Fault, raw: string(t.file.Raw())}
}

// offset implements source.
func (t *table) offset() int64 { return t.file.Offset() }

// encoding implements source.
func (t *table) encoding() string { return t.file.Encoding() }

var errEmpty = &textfile.FormatError{
	RuleID: "IMPORT_EMPTY", Description: "The file is empty.", Action: "Send the file with its header and its rows.",
}

func errWidth(cells, width int) *textfile.FormatError {
	return &textfile.FormatError{
		RuleID:      "IMPORT_ROW_LENGTH",
		Description: fmt.Sprintf("The row has %d cells and the header %d, so it cannot be said which belongs to which column.", cells, width),
		Action:      "Check for a comma too many or too few; put cells that hold a comma between quotation marks.",
	}
}
