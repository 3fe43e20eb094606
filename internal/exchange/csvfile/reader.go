// Package csvfile reads files of comma-separated values as offices really send
// them: in UTF-8, ISO-8859-1 or Windows-1252, with or without a byte order mark,
// with blank rows, with single rows damaged. Its memory is bounded whatever the
// file holds.
package csvfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"irthub/internal/exchange/textfile"
)

const (
	// MaxRow is the longest row, in bytes.
	MaxRow = 64 << 10
	// MaxColumns is how many cells a row may have.
	MaxColumns = 200
)

// Row is one row.
type Row struct {
	// Line is the number of the line at which the row begins; the first is 1. A
	// row whose quoted cells hold line breaks takes up several lines.
	Line int32 // a file has fewer lines than 2^31: at most 1 GiB
	// Cells are the row's values. The slice is used again by the next Read; the
	// strings in it stay.
	Cells []string
	// Fault is set where the row cannot be read. There are no Cells then, and the
	// next Read goes on with the line after Line.
	Fault *textfile.FormatError
}

// Reader reads rows one after another. Damage stays where it is: a row with a
// quotation mark out of place, too long or too wide is given as a Row with a
// Fault, and reading goes on with the next line.
type Reader struct {
	in      *bufio.Reader
	started bool
	line    int32 // at which the next row begins
	read    int64 // bytes of the file that rows so far take up
	raw     []byte
	width   int // as of Expect; 0 while it is not known
	text    encoding
	latin   []byte // decoded row, used again

	record bytes.Reader // what csv reads: one row
	csv    *csv.Reader
	offset int64 // of csv, when it last stopped
}

// NewReader makes a Reader of a file. It reads ahead by up to 128 KiB.
func NewReader(file io.Reader) *Reader {
	r := &Reader{in: bufio.NewReaderSize(file, 2*MaxRow), line: 1}
	r.restart()
	return r
}

// restart makes a csv reader that has seen nothing.
func (r *Reader) restart() {
	r.csv = csv.NewReader(&r.record)
	r.csv.FieldsPerRecord = -1
	r.csv.ReuseRecord = true
	r.csv.TrimLeadingSpace = true // so that a quotation mark after a space opens a cell
	r.offset = 0
}

// Expect says how many cells rows have, once the header is read. Then a row of several
// lines is one in which a mark opens a cell by mistake where it has another number of
// them, or where its lines have it: it is the first line alone, so that the rows that the
// cell would take in are not lost.
func (r *Reader) Expect(width int) { r.width = width }

// Offset is where in the file the row last read ends, in bytes.
func (r *Reader) Offset() int64 { return r.read }

// Raw is the row last read as it stands in the file, in UTF-8. It holds until the
// next Read. Of a row that is too long it is the first 1,024 bytes and an ellipsis.
func (r *Reader) Raw() []byte { return r.raw }

// Encoding names the encoding that the file was found to be in so far: "UTF-8"
// (also for plain ASCII), "ISO-8859-1" or "Windows-1252".
func (r *Reader) Encoding() string { return r.text.String() }

// Read returns the next row that is not blank, and io.EOF after the last. Any
// other error ends the reading: a *textfile.FormatError where the file as a whole cannot be
// read, which the first Read says, or an error of the underlying reader.
func (r *Reader) Read() (Row, error) {
	if !r.started {
		if err := r.start(); err != nil {
			return Row{}, err
		}
		r.started = true
	}
	for {
		row, err := r.next()
		if err != nil || row.Fault != nil || !blank(row.Cells) {
			return row, err
		}
	}
}

// start looks at the beginning of the file.
func (r *Reader) start() error {
	head, err := r.in.Peek(MaxRow)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if f := unreadable(head); f != nil {
		return f
	}
	if bytes.HasPrefix(head, byteOrderMark) {
		r.text.kind = utf8Text
		_, _ = r.in.Discard(len(byteOrderMark)) // it is in the buffer
		r.read = int64(len(byteOrderMark))
		return nil
	}
	r.text.decide(head)
	return nil
}

func (r *Reader) next() (Row, error) {
	size, fault, err := r.cut()
	if err != nil {
		return Row{}, err
	}
	raw, _ := r.in.Peek(size) // it is in the buffer
	row := Row{Line: r.line, Fault: fault}
	switch fault {
	case nil:
		r.raw = r.decode(raw)
		row.Cells, row.Fault = r.parse(r.raw)
	case errTooLong:
		r.raw = []byte(textfile.Beginning(r.decode(raw))) // what is skipped goes where raw is
	default:
		r.raw = r.decode(raw)
	}
	if first := bytes.IndexByte(raw, '\n') + 1; row.Fault == nil && r.runsOn(raw, first, len(row.Cells)) {
		size, raw = first, raw[:first]
		r.raw, row = r.decode(raw), Row{Line: r.line, Fault: errUnclosed}
	}
	r.read += int64(size)
	r.line += int32(bytes.Count(raw, newline)) //nolint:gosec // of 64 KiB
	if _, err := r.in.Discard(size); err != nil {
		return Row{}, err
	}
	if fault == errTooLong {
		err = r.skipLine()
	}
	return row, err
}

// runsOn tells whether a row, whose first line has so many bytes, takes in others, as
// of Expect. Lines of few cells may look alike by chance.
func (r *Reader) runsOn(raw []byte, first, cells int) bool {
	const enough = 4
	if r.width == 0 || cells == 0 || first == 0 || first == len(raw) {
		return false
	}
	if cells != r.width {
		return true
	}
	commas := r.width - 1
	if r.width < enough || bytes.Count(raw[:first], comma) != commas {
		return false
	}
	for line := range bytes.SplitSeq(raw[first:], newline) {
		if bytes.Count(line, comma) == commas {
			return true
		}
	}
	return false
}

// skipLine passes over the rest of a line that is too long to be looked at.
func (r *Reader) skipLine() error {
	for {
		skipped, err := r.in.ReadSlice('\n')
		r.read += int64(len(skipped))
		switch {
		case err == nil:
			r.line++
			return nil
		case errors.Is(err, io.EOF):
			return nil // the next Read says so
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

var newline, comma = []byte{'\n'}, []byte{','}

// parse takes the cells of one row apart.
func (r *Reader) parse(text []byte) ([]string, *textfile.FormatError) {
	if len(bytes.TrimRight(text, "\r\n")) == 0 {
		return nil, nil // csv would go on to the next row
	}
	r.record.Reset(text)
	cells, err := r.csv.Read()
	read := r.csv.InputOffset() - r.offset
	r.offset += read
	if err != nil || read != int64(len(text)) {
		r.restart() // it may hold some of the row
		return nil, errStray
	}
	if len(cells) > MaxColumns {
		return nil, errTooWide
	}
	return cells, nil
}

// blank tells a row without any text, such as those that spreadsheets leave at
// the end.
func blank(cells []string) bool {
	for _, c := range cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return true
}

var (
	errStray = &textfile.FormatError{
		RuleID:      "IMPORT_ROW_QUOTES",
		Description: "A quotation mark stands within a cell, or something after the one that closes it.",
		Action:      `Put the whole cell between quotation marks and double those within it: "the ""Rec"", Norwich".`,
	}
	errUnclosed = &textfile.FormatError{
		RuleID:      "IMPORT_ROW_QUOTES",
		Description: "A quotation mark opens a cell, and nothing closes it in this row.",
		Action:      `Take it away or close the cell, and double quotation marks within it: "the ""Rec"", Norwich".`,
	}
	errTooLong = &textfile.FormatError{
		RuleID:      "IMPORT_ROW_TOO_LONG",
		Description: "The row is longer than 64 KiB.",
		Action:      "Check that the line break at its end is not missing.",
	}
	errTooWide = &textfile.FormatError{
		RuleID:      "IMPORT_ROW_TOO_WIDE",
		Description: "The row has more than 200 cells.",
		Action:      "Leave out the columns that are not needed, and check that no line break is missing.",
	}
)
