package children

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// columnKind is how a field of the standard is stored.
type columnKind int

const (
	textColumn  columnKind = iota // text, '' when empty
	dateColumn                    // date, NULL when empty; an ISO string in the schema
	boolColumn                    // boolean
	textsColumn                   // text[]
	carersColumn
)

// column is a field that a child record and a child share: the column of that
// name in child_records and in children, and how the one survives into the other.
type column struct {
	name    string
	number  int32 // of the field in Child, for provenance
	kind    columnKind
	record  protoreflect.FieldDescriptor
	child   protoreflect.FieldDescriptor
	places  struct{ record, child int } // of the fields of the messages as Go has them
	group   string                      // fields of one group are taken from one record
	trusted []irtv1.AgencyKind
}

// personColumns are all such fields, in the schema's order. Adding a field to
// the standard means adding it to both messages and, by migration, to both
// tables with their history twins: no code.
var (
	personColumns = sharedColumns()
	personList    = columnList(personColumns)
)

func sharedColumns() []column {
	record := (&irtv1.ChildRecord{}).ProtoReflect().Descriptor().Fields()
	fields := (&irtv1.Child{}).ProtoReflect().Descriptor().Fields()
	var shared []column
	for i := range fields.Len() {
		fd := fields.Get(i)
		in := record.ByName(fd.Name())
		if in == nil || hubsOwn(fd) {
			continue
		}
		std := proto.GetExtension(fd.Options(), irtv1.E_Standard).(*irtv1.FieldStandard)
		c := column{
			name: string(fd.Name()), number: int32(fd.Number()), kind: kindOf(fd),
			record: in, child: fd, group: std.GetGroup(), trusted: std.GetTrustedSources(),
		}
		c.places.record = placeOf(reflect.TypeFor[irtv1.ChildRecord](), fd.Name())
		c.places.child = placeOf(reflect.TypeFor[irtv1.Child](), fd.Name())
		shared = append(shared, c)
	}
	return shared
}

// placeOf finds a field of the schema in a message as Go has it, by the name that the
// generator writes into its tag.
func placeOf(message reflect.Type, name protoreflect.Name) int {
	for i := range message.NumField() {
		if slices.Contains(strings.Split(message.Field(i).Tag.Get("protobuf"), ","), "name="+string(name)) {
			return i
		}
	}
	return message.NumField() // the generator's ways have changed: every read fails
}

func recordPlace(c *column) int { return c.places.record }
func childPlace(c *column) int  { return c.places.child }

// hubsOwn tells the fields that both messages have and that no agency says.
func hubsOwn(fd protoreflect.FieldDescriptor) bool {
	switch fd.Name() {
	case "name", "state", "create_time", "update_time", "etag", "withheld":
		return true
	}
	return false
}

func kindOf(fd protoreflect.FieldDescriptor) columnKind {
	switch {
	case fd.IsList() && fd.Kind() == protoreflect.MessageKind:
		return carersColumn
	case fd.IsList():
		return textsColumn
	case fd.Kind() == protoreflect.BoolKind:
		return boolColumn
	case strings.HasPrefix(string(fd.Name()), "date_of_"), strings.HasSuffix(string(fd.Name()), "_date"),
		strings.HasSuffix(string(fd.Name()), "_date_of_birth"):
		return dateColumn
	}
	return textColumn
}

func columnList(columns []column) []string {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].name
	}
	return names
}

// appendValues adds m's person fields, in the order of personColumns, as values
// for COPY. field picks the descriptor of m's message from a column.
func appendValues(values []any, m protoreflect.Message, field func(*column) protoreflect.FieldDescriptor) ([]any, error) {
	for i := range personColumns {
		v, err := columnValue(&personColumns[i], m, field(&personColumns[i]))
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func recordField(c *column) protoreflect.FieldDescriptor { return c.record }
func childField(c *column) protoreflect.FieldDescriptor  { return c.child }

func columnValue(c *column, m protoreflect.Message, fd protoreflect.FieldDescriptor) (any, error) {
	switch c.kind {
	case textColumn:
		return m.Get(fd).String(), nil
	case boolColumn:
		return m.Get(fd).Bool(), nil
	case dateColumn:
		return dateValue(m.Get(fd).String())
	case textsColumn:
		return texts(m.Get(fd).List()), nil
	case carersColumn:
		return carersJSON(m.Get(fd).List())
	}
	return nil, fmt.Errorf("children: column %s has no kind", c.name)
}

// dateValue turns an ISO date that has passed validation into a value for SQL.
func dateValue(iso string) (pgtype.Date, error) {
	if iso == "" {
		return pgtype.Date{}, nil
	}
	t, err := time.Parse(time.DateOnly, iso)
	if err != nil {
		return pgtype.Date{}, fmt.Errorf("children: a date that validation let through: %w", err)
	}
	return pgtype.Date{Time: t, Valid: true}, nil
}

func texts(l protoreflect.List) []string {
	s := make([]string, l.Len())
	for i := range s {
		s[i] = l.Get(i).String()
	}
	return s
}

var (
	noCarers   = []byte("[]")
	storedJSON = protojson.MarshalOptions{UseProtoNames: true}
)

func carersJSON(l protoreflect.List) ([]byte, error) {
	if l.Len() == 0 {
		return noCarers, nil
	}
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range l.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		one, err := storedJSON.Marshal(l.Get(i).Message().Interface())
		if err != nil {
			return nil, fmt.Errorf("children: storing a carer: %w", err)
		}
		b.Write(one)
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}
