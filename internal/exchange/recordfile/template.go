package recordfile

import (
	"bytes"
	"encoding/csv"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// inTemplate is how many items of a list a template has columns for; a file may
// have as many as the schema allows, and exports do.
const inTemplate = 2

// Template is a file of this form to be filled in: the header, and a row of what
// belongs in each column, which an import passes over.
func (f *Form) Template() (string, error) {
	var names, hints []string
	for i := range f.columns {
		c := &f.columns[i]
		if !outputOnly(c.field) && (c.index < inTemplate || c.part == nil && c.field.Name() == "address_lines") {
			names, hints = append(names, c.name), append(hints, c.hint())
		}
	}
	return Table([][]string{names, hints})
}

// Table writes rows as CSV.
func Table(rows [][]string) (string, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	err := w.WriteAll(rows)
	return b.String(), err
}

// hint says what belongs in a column. It begins with Required or Optional, by
// which rows of instructions are known.
func (c *column) hint() string {
	field := c.field
	if c.part != nil {
		field = c.part
	}
	text := "Optional: "
	if needed(c) {
		text = "Required: "
	}
	std, _ := proto.GetExtension(field.Options(), irtv1.E_Standard).(*irtv1.FieldStandard)
	switch {
	case field.Name() == "name":
		return text + "your own id of it"
	case own(field):
		return text + "your own id of it"
	case std.GetCodeList() != "":
		return text + "a code of the list " + std.GetCodeList()
	case isDate(field):
		return text + "a date, YYYY-MM-DD or DD/MM/YYYY"
	case field.Kind() == protoreflect.EnumKind:
		return text + "one of " + strings.Join(Words(field.Enum()), ", ")
	case field.Kind() == protoreflect.BoolKind:
		return text + "true or false"
	case field.Kind() == protoreflect.Int32Kind:
		return text + strings.ReplaceAll(string(field.Name()), "_", " ") + ", a whole number"
	}
	return text + strings.ReplaceAll(string(field.Name()), "_", " ")
}

func required(field protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	for _, b := range behaviors {
		if b == annotations.FieldBehavior_REQUIRED {
			return true
		}
	}
	return false
}

// isDate tells the texts that are days, by how the schema names them.
func isDate(field protoreflect.FieldDescriptor) bool {
	name := string(field.Name())
	return field.Kind() == protoreflect.StringKind && !field.IsList() &&
		(strings.HasPrefix(name, "date_of_") || strings.HasSuffix(name, "_date") || strings.HasSuffix(name, "_date_of_birth"))
}
