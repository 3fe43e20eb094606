// Package textfile is what all forms of file have in common: how what is wrong
// with one is said, and the encodings that must be undone before anything can be
// read.
package textfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// FormatError is why a file, or one row of it, cannot be read. It repeats nothing
// of the file.
type FormatError struct {
	RuleID, Description, Action string
}

// Error implements error.
func (f *FormatError) Error() string { return f.Description + " " + f.Action }

// headSize is how much of a file its kind is told from.
const headSize = 512

// Open looks at the beginning of a file. One in UTF-16, and XML that says it is in
// ISO-8859-1 or Windows-1252, is given as UTF-8, and encoding then says what it
// was; it is "" for every other. What is an archive or a workbook is refused:
// nothing is unpacked, so no file is larger than it looks.
func Open(file io.Reader) (text io.Reader, encoding string, err error) {
	in := bufio.NewReaderSize(file, headSize)
	head, err := in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	if isArchive(head) {
		return nil, "", errArchive
	}
	if m := declared.FindSubmatch(head); m != nil && singleByte[strings.ToLower(string(m[1]))] {
		return transform.NewReader(in, charmap.Windows1252.NewDecoder()), "Windows-1252", nil
	}
	endian, name := utf16Of(head)
	if name == "" {
		return in, "", nil
	}
	return transform.NewReader(in, unicode.UTF16(endian, unicode.UseBOM).NewDecoder()), name, nil
}

// declared finds the encoding in the first line of XML.
var declared = regexp.MustCompile(`^<\?xml[^>]*encoding=["']([A-Za-z0-9._-]+)["']`)

// singleByte are the encodings read as Windows-1252, which holds ISO-8859-1.
var singleByte = map[string]bool{"iso-8859-1": true, "latin1": true, "windows-1252": true, "cp1252": true}

// Reads tells whether XML may say that it is in an encoding.
func Reads(charset string) bool {
	switch charset = strings.ToLower(charset); charset {
	case "utf-8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii":
		return true
	}
	return singleByte[strings.ToLower(charset)]
}

// utf16Of tells the byte order of a file in UTF-16: by its mark, or by where the
// zeros are of which half of it consists.
func utf16Of(head []byte) (unicode.Endianness, string) {
	even, odd := 0, 0
	for i, b := range head {
		switch {
		case b != 0:
		case i%2 == 0:
			even++
		default:
			odd++
		}
	}
	few, many := len(head)/16, len(head)*3/8
	switch {
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), len(head) > 1 && odd >= many && even <= few:
		return unicode.LittleEndian, "UTF-16LE"
	case bytes.HasPrefix(head, []byte("\xFE\xFF")), len(head) > 1 && even >= many && odd <= few:
		return unicode.BigEndian, "UTF-16BE"
	}
	return unicode.LittleEndian, ""
}

// archives are what compressed files begin with.
var archives = [][]byte{
	[]byte("PK\x03\x04"),         // zip, and workbooks
	[]byte("PK\x05\x06"),         // an empty one
	[]byte("\xD0\xCF\x11\xE0"),   // old workbooks
	[]byte("\x1F\x8B"),           // gzip
	[]byte("BZh"),                // bzip2
	[]byte("\xFD7zXZ\x00"),       // xz
	[]byte("7z\xBC\xAF\x27\x1C"), // 7-Zip
	[]byte("\x28\xB5\x2F\xFD"),   // zstd
	[]byte("Rar!"),
}

func isArchive(head []byte) bool {
	for _, a := range archives {
		if bytes.HasPrefix(head, a) {
			return true
		}
	}
	return false
}

var errArchive = &FormatError{
	RuleID:      "IMPORT_NOT_TEXT",
	Description: "The file is an archive or a workbook of a spreadsheet. Nothing is unpacked here.",
	Action:      `Unpack it, or save the sheet as "CSV UTF-8 (comma delimited)", and send that.`,
}
