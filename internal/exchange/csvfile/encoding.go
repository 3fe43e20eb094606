package csvfile

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"irthub/internal/exchange/textfile"
)

var byteOrderMark = []byte("\xEF\xBB\xBF")

// encoding is how the bytes of a file are read. It is decided by the first text
// that is not ASCII: the first 64 KiB together, and after them row by row.
type encoding struct {
	kind    kind
	windows bool // it has letters that ISO-8859-1 lacks
}

type kind byte

const (
	undecided kind = iota
	utf8Text
	latinText
)

// String implements fmt.Stringer.
func (e encoding) String() string {
	switch {
	case e.kind != latinText:
		return "UTF-8"
	case e.windows:
		return "Windows-1252"
	default:
		return "ISO-8859-1"
	}
}

// decide takes text for UTF-8 where more of its letters are sound UTF-8 than are
// not. Letters of ISO-8859-1 hardly ever make sound UTF-8 by chance.
func (e *encoding) decide(text []byte) {
	sound, unsound := 0, 0
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		switch {
		case c == utf8.RuneError && size == 1 && utf8.FullRune(text):
			unsound++
		case size > 1:
			sound++
		}
		text = text[size:]
	}
	switch {
	case sound > unsound:
		e.kind = utf8Text
	case unsound > 0:
		e.kind = latinText
	}
}

// decode gives a row as UTF-8. The result holds until the next call.
func (r *Reader) decode(raw []byte) []byte {
	if ascii(raw) {
		return raw
	}
	if r.text.kind == undecided {
		r.text.decide(raw)
	}
	if r.text.kind != latinText {
		return raw // bytes that are not UTF-8 are for the standard to refuse, field by field
	}
	r.latin = r.latin[:0]
	for _, b := range raw {
		r.text.windows = r.text.windows || b >= 0x80 && b < 0xA0
		r.latin = utf8.AppendRune(r.latin, charmap.Windows1252.DecodeByte(b))
	}
	return r.latin
}

func ascii(text []byte) bool {
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// unreadable tells from the beginning of a file that it is none that this
// package reads.
func unreadable(head []byte) *textfile.FormatError {
	nulls := bytes.Count(head, []byte{0})
	switch {
	case nulls > 0:
		return errBinary
	case !bytes.ContainsRune(head, '\n') && bytes.Count(head, []byte{'\r'}) > 1:
		return errLineBreaks
	}
	return nil
}

var (
	errBinary = &textfile.FormatError{
		RuleID:      "IMPORT_NOT_CSV",
		Description: "The file holds null characters, so it is no text.",
		Action:      `Save it as "CSV UTF-8 (comma delimited)" and send that.`,
	}
	errLineBreaks = &textfile.FormatError{
		RuleID:      "IMPORT_LINE_BREAKS",
		Description: "The lines of the file end with a carriage return alone.",
		Action:      `Save it as "CSV UTF-8 (comma delimited)", not as "CSV (Macintosh)", and send that.`,
	}
)
