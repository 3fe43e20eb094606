package exchange

import (
	"io"
	"regexp"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/exchange/textfile"
	"irthub/internal/standard"
)

// ndjson is the reading of a file of one JSON object a line.
type ndjson struct {
	lines  *textfile.Lines
	agency string
	kind   kind
}

func openNDJSON(j *job, file io.Reader, k kind) source {
	return &ndjson{lines: textfile.NewLines(file), agency: j.agency, kind: k}
}

// offset implements source.
func (n *ndjson) offset() int64 { return n.lines.Offset() }

// encoding implements source: JSON is UTF-8 (RFC 8259), and a line that is not is
// refused.
func (n *ndjson) encoding() string { return "UTF-8" }

// next implements source.
func (n *ndjson) next() (*line, error) {
	number, text, fault, err := n.lines.Read()
	if err != nil {
		return nil, err
	}
	l := &line{number: number, fault: fault}
	if fault != nil {
		l.raw = string(text)
		return l, nil //nolint:nilerr // it goes on with the line
	}
	m := n.kind.empty()
	if l.fault = readLine(text, m); l.fault != nil {
		return l, nil //nolint:nilerr // it goes on with the line
	}
	l.hold(m, n.agency, n.kind, func(faults []standard.Fault) []*irtv1.ImportReject {
		return rejectsOf(number, faults, func(path string) string { return path })
	})
	return l, nil
}

// readJSON refuses fields that the schema does not know: dropped in silence, they
// would be lost.
var readJSON = protojson.UnmarshalOptions{RecursionLimit: 20}

// readLine reads a line into a message, as standard.DecodeJSON does.
func readLine(text []byte, m proto.Message) *textfile.FormatError {
	f, err := standard.DecodeJSON(readJSON, text, m)
	switch {
	case f != nil:
		return &textfile.FormatError{
			RuleID: "IMPORT_FIELD_TYPE", Description: "The field " + f.Path + " has none of the values that there are.",
			Action: "Write one of " + strings.Join(recordfile.Words(f.Enum), ", ") + ".",
		}
	case err != nil:
		return jsonFault(err)
	}
	return nil
}

// What protojson's errors look like. Its messages repeat values, so only names of
// fields are taken from them.
var (
	jsonUnknown   = regexp.MustCompile(`unknown field "([^"]{1,64})"`)
	jsonWrongType = regexp.MustCompile(`invalid value for \w+ field ("?\w{1,64}"?)`)
)

func jsonFault(err error) *textfile.FormatError {
	if m := jsonUnknown.FindStringSubmatch(err.Error()); m != nil {
		return &textfile.FormatError{
			RuleID: "IMPORT_FIELD_UNKNOWN", Description: "There is no field " + m[1] + ".",
			Action: "Spell it as the standard does, or leave it out.",
		}
	}
	if m := jsonWrongType.FindStringSubmatch(err.Error()); m != nil {
		return &textfile.FormatError{
			RuleID: "IMPORT_FIELD_TYPE", Description: "The field " + m[1] + " has a value of the wrong kind.",
			Action: "Send texts and dates as strings, and numbers and true or false without quotation marks.",
		}
	}
	return &textfile.FormatError{
		RuleID: "IMPORT_NOT_JSON", Description: "The line is not a JSON object in UTF-8.",
		Action: "Send one object a line, with line breaks nowhere else.",
	}
}
