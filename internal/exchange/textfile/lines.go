package textfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// MaxLine is the longest line, in bytes.
const MaxLine = 64 << 10

// beginning is how much is told of a row that is too long to be told whole, in bytes.
const beginning = 1 << 10

// Beginning is the first KiB of a row that is too long to be told whole.
func Beginning(row []byte) string {
	return strings.ToValidUTF8(string(row[:min(beginning, len(row))]), "") + "…"
}

// Lines reads a file line by line, in bounded memory: how NDJSON is read.
type Lines struct {
	in     *bufio.Reader
	number int32 // of the line last read
	offset int64
}

// NewLines reads ahead by at most 64 KiB.
func NewLines(file io.Reader) *Lines { return &Lines{in: bufio.NewReaderSize(file, MaxLine+2)} }

// Offset is where the line last read ends, with its line break.
func (l *Lines) Offset() int64 { return l.offset }

// Read gives the next line that is not blank, without its line break, and its
// number, counted from 1. The text holds until the next Read. Of one that is too
// long it is the beginning, and the fault says so. After the last the error is io.EOF.
func (l *Lines) Read() (number int32, text []byte, fault *FormatError, err error) {
	for {
		text, fault, err := l.next()
		if err != nil {
			return 0, nil, nil, err
		}
		if l.number == 1 {
			text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 || fault != nil {
			return l.number, text, fault, nil
		}
	}
}

func (l *Lines) next() (text []byte, fault *FormatError, err error) {
	text, err = l.in.ReadSlice('\n')
	l.offset += int64(len(text))
	if len(text) > 0 {
		l.number++
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		fault, text = errLineTooLong, []byte(Beginning(text))
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		var more []byte
		more, err = l.in.ReadSlice('\n')
		l.offset += int64(len(more))
	}
	if errors.Is(err, io.EOF) && (len(text) > 0 || fault != nil) {
		err = nil // the last line has no line break; the next Read says that it was the last
	}
	return text, fault, err
}

var errLineTooLong = &FormatError{
	RuleID:      "IMPORT_ROW_TOO_LONG",
	Description: "The row is longer than 64 KiB.",
	Action:      "Check that the line break at its end is not missing.",
}
