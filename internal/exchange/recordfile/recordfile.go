// Package recordfile is the hub's own form of file: a table with a column for each
// field that an agency may fill, made from the schema, so that a field added there
// is in the template, in imports and in exports without another word. What became of
// concerns and referrals, which only the hub says, is in exports, and an import heeds it.
//
// A column has the field's JSON name. The first value of a list is in a column of
// that name and ".1", as in addressLines.1; what belongs to the first carer is in
// carers.1.displayName and so on.
package recordfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// Form is the table of one kind of record.
type Form struct {
	columns []column
	byName  map[string]*column // in lower case
}

// column is a place in a record: a field, an item of a list, or a field of an item.
type column struct {
	name  string
	field protoreflect.FieldDescriptor
	index int                          // in the list; 0 where it is none
	part  protoreflect.FieldDescriptor // of the item, where that is a message
}

// ChildRecords is the form of child records.
func ChildRecords() *Form { return newForm((&irtv1.ChildRecord{}).ProtoReflect().Descriptor()) }

// Involvements is the form of involvements.
func Involvements() *Form { return newForm((&irtv1.Involvement{}).ProtoReflect().Descriptor()) }

// Concerns is the form of concerns, with what became of them.
func Concerns() *Form {
	return newForm((&irtv1.Concern{}).ProtoReflect().Descriptor(), "state", "outcome", "end_date")
}

// Referrals is the form of referrals, with what became of them.
func Referrals() *Form {
	return newForm((&irtv1.Referral{}).ProtoReflect().Descriptor(), "state", "decline_reason", "outcome")
}

// Plans is the form of plans.
func Plans() *Form { return newForm((&irtv1.ProtectionPlan{}).ProtoReflect().Descriptor()) }

// Consents is the form of consents, with whether they stand.
func Consents() *Form {
	return newForm((&irtv1.Consent{}).ProtoReflect().Descriptor(), "state", "withdraw_date")
}

// Services is the form of an agency's services.
func Services() *Form { return newForm((&irtv1.Service{}).ProtoReflect().Descriptor()) }

// newForm has the fields that an agency may fill, and those of the hub's own that are
// named.
func newForm(m protoreflect.MessageDescriptor, hubs ...protoreflect.Name) *Form {
	f := &Form{byName: map[string]*column{}}
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		if field.Name() == "etag" || outputOnly(field) && !slices.Contains(hubs, field.Name()) {
			continue
		}
		if !field.IsList() {
			f.columns = append(f.columns, column{name: field.JSONName(), field: field})
			continue
		}
		for n := range mostItems(field) {
			f.addItem(field, n)
		}
	}
	for i := range f.columns {
		f.byName[strings.ToLower(f.columns[i].name)] = &f.columns[i]
	}
	return f
}

func (f *Form) addItem(field protoreflect.FieldDescriptor, n int) {
	name := fmt.Sprintf("%s.%d", field.JSONName(), n+1)
	if field.Message() == nil {
		f.columns = append(f.columns, column{name: name, field: field, index: n})
		return
	}
	parts := field.Message().Fields()
	for i := range parts.Len() {
		f.columns = append(f.columns, column{
			name: name + "." + parts.Get(i).JSONName(), field: field, index: n, part: parts.Get(i),
		})
	}
}

func outputOnly(field protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	for _, b := range behaviors {
		if b == annotations.FieldBehavior_OUTPUT_ONLY {
			return true
		}
	}
	return false
}

// mostItems is how many values of a list there may be, by the schema.
func mostItems(field protoreflect.FieldDescriptor) int {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return int(min(rules.GetRepeated().GetMaxItems(), 50))
}

// Columns are the names of all columns.
func (f *Form) Columns() []string {
	names := make([]string, len(f.columns))
	for i := range f.columns {
		names[i] = f.columns[i].name
	}
	return names
}

// Row is a record as a row of Columns. Resources of the record's own agency stand
// as their local id.
func (f *Form) Row(record proto.Message) []string {
	m := record.ProtoReflect()
	cells := make([]string, len(f.columns))
	for i := range f.columns {
		cells[i] = f.columns[i].text(m)
	}
	return cells
}

func (c *column) text(m protoreflect.Message) string {
	if !c.field.IsList() {
		return fieldText(m, c.field)
	}
	list := m.Get(c.field).List()
	switch {
	case c.index >= list.Len():
		return ""
	case c.part != nil:
		return fieldText(list.Get(c.index).Message(), c.part)
	}
	return valueText(list.Get(c.index), c.field)
}

// fieldText is a field as a cell; "" where it is not set.
func fieldText(m protoreflect.Message, field protoreflect.FieldDescriptor) string {
	if !m.Has(field) {
		return ""
	}
	return valueText(m.Get(field), field)
}

// valueText is a value of a field, or of a list, as a cell.
func valueText(v protoreflect.Value, field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return strconv.FormatBool(v.Bool())
	case protoreflect.EnumKind:
		return word(field.Enum(), v.Enum())
	}
	s := v.String()
	if own(field) {
		s = s[strings.LastIndexByte(s, '/')+1:]
	}
	return s
}

// word is a value of an enumeration as a cell has it, ROUTINE for
// REFERRAL_URGENCY_ROUTINE; "" for one that the schema does not have.
func word(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	if value := enum.Values().ByNumber(number); value != nil {
		return strings.TrimPrefix(string(value.Name()), standard.EnumPrefix(enum))
	}
	return ""
}

// Words are the values of an enumeration that state something.
func Words(enum protoreflect.EnumDescriptor) (all []string) {
	for i := 1; i < enum.Values().Len(); i++ {
		all = append(all, word(enum, enum.Values().Get(i).Number()))
	}
	return all
}

// Own are the fields that name a resource of the record's own agency, of which a file
// may give the local id alone.
func (f *Form) Own() (fields []protoreflect.FieldDescriptor) {
	for i := range f.columns {
		if field := f.columns[i].field; own(field) {
			fields = append(fields, field)
		}
	}
	return fields
}

func own(field protoreflect.FieldDescriptor) bool {
	switch field.Name() {
	case "name", "child_record", "practitioner":
		return true
	}
	return false
}

// ColumnOf is the column of the field at a path as faults give it, such as
// carers[0].telephone; "" where there is none.
func (f *Form) ColumnOf(path string) string {
	name, rest, inList := strings.Cut(path, "[")
	for i := range f.columns {
		c := &f.columns[i]
		if string(c.field.Name()) != name {
			continue
		}
		if !inList {
			return c.name
		}
		index, part, _ := strings.Cut(rest, "]")
		part = strings.TrimPrefix(part, ".")
		if index == fmt.Sprint(c.index) && (c.part == nil || string(c.part.Name()) == part || part == "") {
			return c.name
		}
	}
	return ""
}
