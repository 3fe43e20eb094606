package csvfile

import (
	"bytes"
	"errors"
	"io"

	"irthub/internal/exchange/textfile"
)

// cut finds the next row in the file: how many bytes it has, with the line break.
// They stay in the buffer. Where the row is damaged it is the first line alone,
// so that whatever is lost it is not the rows after it.
func (r *Reader) cut() (size int, fault *textfile.FormatError, err error) {
	var c cutter
	for {
		have, _ := r.in.Peek(min(r.in.Buffered(), MaxRow))
		if end, ended := c.scan(have); ended {
			return end, c.fault(), nil
		}
		if len(have) >= MaxRow {
			return c.overlong(len(have))
		}
		if _, err := r.in.Peek(len(have) + 1); err != nil {
			return c.last(len(have), err)
		}
	}
}

// cutter looks for the end of a row as the grammar of quoted cells has it (RFC
// 4180), resuming where it stopped when there is more to look at.
type cutter struct {
	at      int
	state   state
	firstLF int // end of the first line, 0 until it is found
}

type state byte

const (
	cellStart state = iota
	plain           // in a cell without quotation marks
	quoted          // in a cell with them
	closing         // after a mark in a quoted cell: the end of it, or the first of two
	damaged         // a mark where none can be
)

// scan reports where the row ends, if that is in buf.
func (c *cutter) scan(buf []byte) (end int, ended bool) {
	if c.at == 0 { // nearly every row is a line without quotation marks
		if lf := bytes.IndexByte(buf, '\n'); lf >= 0 && bytes.IndexByte(buf[:lf], '"') < 0 {
			return lf + 1, true
		}
	}
	for c.at < len(buf) {
		b := buf[c.at]
		c.at++
		if b == '\n' && c.firstLF == 0 {
			c.firstLF = c.at
		}
		if b == '\n' && c.state != quoted {
			return c.end(), true
		}
		if c.state = c.state.after(b); c.state == damaged && c.firstLF > 0 {
			return c.firstLF, true
		}
	}
	return 0, false
}

// end is where the row ends when it ends here; one that is damaged ends with
// its first line.
func (c *cutter) end() int {
	if c.state == damaged {
		return c.firstLF
	}
	return c.at
}

func (c *cutter) fault() *textfile.FormatError {
	switch {
	case c.state != damaged:
		return nil
	case c.at > c.firstLF: // the mark that it began with took in another line
		return errUnclosed
	}
	return errStray
}

func (s state) after(b byte) state {
	switch s {
	case cellStart:
		switch b {
		case '"':
			return quoted
		case ',', ' ', '\t':
			return cellStart
		}
		return plain
	case plain:
		switch b {
		case ',':
			return cellStart
		case '"':
			return damaged
		}
		return plain
	case quoted:
		if b == '"' {
			return closing
		}
		return quoted
	case closing:
		switch b {
		case '"':
			return quoted
		case ',':
			return cellStart
		case '\r': // of the line break; csv refuses any other
			return closing
		}
		return damaged
	default:
		return damaged
	}
}

// overlong is a row that has not ended within the limit: a cell that nothing
// closes, or a line that is too long.
func (c *cutter) overlong(size int) (int, *textfile.FormatError, error) {
	if c.firstLF > 0 {
		return c.firstLF, errUnclosed, nil
	}
	return size, errTooLong, nil
}

// last is what stands after the last line break.
func (c *cutter) last(size int, err error) (int, *textfile.FormatError, error) {
	switch {
	case !errors.Is(err, io.EOF) || size == 0:
		return 0, nil, err
	case c.state == damaged:
		return size, errStray, nil
	case c.state != quoted:
		return size, nil, nil
	case c.firstLF > 0:
		return c.firstLF, errUnclosed, nil
	default:
		return size, errUnclosed, nil
	}
}
