package recordfile

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"irthub/internal/exchange/textfile"
	"irthub/internal/standard"
)

// Layout is where the columns of one file stand, in whatever order it has them.
type Layout struct {
	form   *Form
	spelt  map[*column]string // as the file has it
	places []place            // in the order of the form, so that lists come out in theirs
	// Ignored are the columns that the form does not have.
	Ignored []string
}

// place is a column and where in a row it stands.
type place struct {
	*column
	at int
}

// Filled is how the lists of a record came about: the columns of their items, as
// there may be gaps between those.
type Filled map[protoreflect.Name][]int

// maxIgnored bounds what is told of columns that the form does not have.
const maxIgnored = 60

// Layout reads the header of a file.
func (f *Form) Layout(header []string) (*Layout, *textfile.FormatError) {
	l := &Layout{form: f, spelt: map[*column]string{}}
	var repeated []string
	at := map[*column]int{}
	for i, cell := range header {
		name := standard.CleanText(cell)
		c := f.byName[strings.ToLower(name)]
		switch {
		case name == "":
		case c == nil:
			l.Ignored = append(l.Ignored, shortened(name))
		case l.spelt[c] != "":
			repeated = append(repeated, c.name)
		default:
			at[c], l.spelt[c] = i, name
		}
	}
	if missing := l.missing(); len(missing) > 0 {
		return nil, missingColumns(missing, header)
	}
	if len(repeated) > 0 {
		return nil, &textfile.FormatError{
			RuleID:      "IMPORT_COLUMNS_REPEATED",
			Description: fmt.Sprintf("The header names a column twice: %s.", strings.Join(repeated, ", ")),
			Action:      "Leave one of the two out.",
		}
	}
	for i := range f.columns {
		if c := &f.columns[i]; l.spelt[c] != "" {
			l.places = append(l.places, place{c, at[c]})
		}
	}
	return l, nil
}

// missing are the columns without which no row can be taken.
func (l *Layout) missing() (names []string) {
	for i := range l.form.columns {
		c := &l.form.columns[i]
		if needed(c) && l.spelt[c] == "" {
			names = append(names, c.name)
		}
	}
	return names
}

func needed(c *column) bool {
	return c.part == nil && !c.field.IsList() && (c.field.Name() == "name" || required(c.field))
}

func missingColumns(names, header []string) *textfile.FormatError {
	action := "Name the columns in the first row of the file, as the template has them."
	if len(header) == 1 && strings.ContainsAny(header[0], ";\t|") {
		action = `The cells seem to be separated by another sign than the comma: save the file as "CSV UTF-8 (comma delimited)".`
	}
	return &textfile.FormatError{
		RuleID:      "IMPORT_COLUMNS_MISSING",
		Description: fmt.Sprintf("The first row does not name the required columns %s.", strings.Join(names, ", ")),
		Action:      action,
	}
}

func shortened(name string) string {
	if runes := []rune(name); len(runes) > maxIgnored {
		return string(runes[:maxIgnored]) + "…"
	}
	return name
}

// Column is the file's own name of the column that a fault of a record is about.
func (l *Layout) Column(path string, filled Filled) string {
	name, rest, inList := strings.Cut(path, "[")
	if unordered(protoreflect.Name(name)) {
		return l.form.listName(protoreflect.Name(name))
	}
	if inList {
		index, part, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(index); err == nil && i < len(filled[protoreflect.Name(name)]) {
			path = fmt.Sprintf("%s[%d]%s", name, filled[protoreflect.Name(name)][i], part)
		}
	}
	column := l.form.ColumnOf(path)
	if c := l.form.byName[strings.ToLower(column)]; c != nil && l.spelt[c] != "" {
		return l.spelt[c]
	}
	return column
}

// unordered tells the lists that the standard's form sorts: which of their columns a
// fault is about is not known any more.
func unordered(list protoreflect.Name) bool {
	switch list {
	case "categories", "recipient_kinds", "recipients":
		return true
	}
	return false
}

// listName is the JSON name of a list, without the number of a column.
func (f *Form) listName(list protoreflect.Name) string {
	for i := range f.columns {
		if f.columns[i].field.Name() == list {
			return f.columns[i].field.JSONName()
		}
	}
	return ""
}

// Fill sets the fields of an empty record from a row. A cell that cannot be what
// the column holds is a fault. Values of a list follow each other without gaps.
func (l *Layout) Fill(m protoreflect.Message, cells []string) (Filled, []standard.Fault) {
	var faults []standard.Fault
	filled := Filled{}
	for _, p := range l.places {
		cell := cells[p.at]
		if strings.TrimSpace(cell) == "" {
			continue
		}
		into, field := m, p.field
		switch {
		case p.part != nil:
			into, field = item(m, p.column, filled), p.part
		case p.field.IsList():
			filled[p.field.Name()] = append(filled[p.field.Name()], p.index)
		}
		if fault := setCell(into, field, cell); fault != nil {
			fault.Field = p.path(filled)
			faults = append(faults, *fault)
		}
	}
	return filled, faults
}

// item is the item of a list that a column belongs to. Columns come in the order
// of the items, so it is the last there is, or a new one.
func item(m protoreflect.Message, c *column, filled Filled) protoreflect.Message {
	list, have := m.Mutable(c.field).List(), filled[c.field.Name()]
	if n := len(have); n > 0 && have[n-1] == c.index {
		return list.Get(n - 1).Message()
	}
	filled[c.field.Name()] = append(have, c.index)
	return list.AppendMutable().Message()
}

// path is where the column's value stands in the record, as faults have it.
func (c *column) path(filled Filled) string {
	switch last := len(filled[c.field.Name()]) - 1; {
	case c.part != nil:
		return fmt.Sprintf("%s[%d].%s", c.field.Name(), last, c.part.Name())
	case c.field.IsList():
		return fmt.Sprintf("%s[%d]", c.field.Name(), last)
	}
	return string(c.field.Name())
}

func setCell(m protoreflect.Message, field protoreflect.FieldDescriptor, cell string) *standard.Fault {
	value, fault := valueOf(field, cell)
	switch {
	case field.IsList():
		list := m.Mutable(field).List()
		if fault != nil {
			value = list.NewElement() // so that those after it keep their places
		}
		list.Append(value)
	case fault == nil:
		m.Set(field, value)
	}
	return fault
}

// valueOf reads a cell as a value of a field, or of a list.
func valueOf(field protoreflect.FieldDescriptor, cell string) (protoreflect.Value, *standard.Fault) {
	switch {
	case field.Kind() == protoreflect.BoolKind:
		b, ok := boolOf(cell)
		if !ok {
			return protoreflect.Value{}, &standard.Fault{
				RuleID: "IMPORT_NOT_BOOLEAN", Description: "The cell is neither yes nor no.", Action: "Write true, false or nothing.",
			}
		}
		return protoreflect.ValueOfBool(b), nil
	case field.Kind() == protoreflect.Int32Kind:
		n, err := strconv.ParseInt(strings.TrimSpace(cell), 10, 32)
		if err != nil {
			return protoreflect.Value{}, &standard.Fault{
				RuleID: "IMPORT_NOT_NUMBER", Description: "The cell is not a whole number.", Action: "Write digits alone, or nothing.",
			}
		}
		return protoreflect.ValueOfInt32(int32(n)), nil
	case field.Kind() == protoreflect.EnumKind:
		value := standard.EnumValue(field.Enum(), strings.ReplaceAll(standard.CleanText(cell), " ", "_"))
		if value == nil || value.Number() == 0 {
			return protoreflect.Value{}, &standard.Fault{
				RuleID: "CODE_UNKNOWN", Description: "The cell is none of the values that there are.",
				Action: "Write one of " + strings.Join(Words(field.Enum()), ", ") + ".",
			}
		}
		return protoreflect.ValueOfEnum(value.Number()), nil
	case isDate(field):
		return protoreflect.ValueOfString(ISODate(cell)), nil
	}
	return protoreflect.ValueOfString(cell), nil
}

func boolOf(cell string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(cell)) {
	case "true", "yes", "y", "1":
		return true, true
	case "false", "no", "n", "0":
		return false, true
	}
	return false, false
}

// ISODate gives a date as YYYY-MM-DD, or, for the check to refuse, as it is.
func ISODate(s string) string {
	s = strings.TrimSpace(s)
	if _, err := standard.ParseDate(s); err == nil {
		return s
	}
	if iso, err := standard.ParseUKDate(s); err == nil {
		return iso
	}
	return s
}
