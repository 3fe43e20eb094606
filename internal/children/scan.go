package children

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// personScan reads the person columns of rows. It looks at the bytes that came,
// because most of the thirty columns of a child are empty: having pgx scan each of
// them into a variable, to find that out, took a tenth of the CPU of a read.
type personScan struct {
	into  []any // for pgx: it passes these columns over
	first int   // where they begin in a row
}

func newPersonScan(first int) *personScan {
	return &personScan{into: make([]any, len(personColumns)), first: first}
}

// fill sets the fields of m that are not empty in the present row.
func (s *personScan) fill(rows pgx.CollectableRow, m protoreflect.Message, field func(*column) protoreflect.FieldDescriptor) error {
	values, described := rows.RawValues(), rows.FieldDescriptions()
	for i := range personColumns {
		c := &personColumns[i]
		value := values[s.first+i]
		if len(value) == 0 { // NULL, or an empty text
			continue
		}
		if err := fillField(m, field(c), c.kind, value, &described[s.first+i]); err != nil {
			return fmt.Errorf("children: reading %s: %w", c.name, err)
		}
	}
	return nil
}

func fillField(m protoreflect.Message, fd protoreflect.FieldDescriptor, kind columnKind, value []byte, as *pgconn.FieldDescription) error {
	switch kind {
	case textColumn:
		m.Set(fd, protoreflect.ValueOfString(string(value)))
	case boolColumn:
		if value[0] == 1 || value[0] == 't' { // binary, or text
			m.Set(fd, protoreflect.ValueOfBool(true))
		}
	case dateColumn:
		m.Set(fd, protoreflect.ValueOfString(dateOfBytes(value, as)))
	case textsColumn:
		return fillTexts(m, fd, value, as)
	case carersColumn:
		return fillCarers(m, fd, value)
	}
	return nil
}

// epoch is the day from which PostgreSQL counts, in its binary format.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// dateOfBytes is a date as ISO has it, which is also how PostgreSQL writes it.
func dateOfBytes(value []byte, as *pgconn.FieldDescription) string {
	if as.Format == pgtype.BinaryFormatCode && len(value) == 4 {
		days := int32(binary.BigEndian.Uint32(value)) //nolint:gosec // it is signed
		return epoch.AddDate(0, 0, int(days)).Format(time.DateOnly)
	}
	return string(value)
}

var arrays = pgtype.NewMap()

func fillTexts(m protoreflect.Message, fd protoreflect.FieldDescriptor, value []byte, as *pgconn.FieldDescription) error {
	if as.Format == pgtype.BinaryFormatCode && len(value) >= 4 && binary.BigEndian.Uint32(value) == 0 {
		return nil // no dimensions, no items: what nearly all are
	}
	var texts []string
	if err := arrays.Scan(as.DataTypeOID, as.Format, value, &texts); err != nil {
		return err
	}
	if len(texts) == 0 {
		return nil
	}
	l := m.Mutable(fd).List()
	for _, t := range texts {
		l.Append(protoreflect.ValueOfString(t))
	}
	return nil
}

// readJSON reads carers that a newer hub may have written.
var readJSON = protojson.UnmarshalOptions{DiscardUnknown: true}

func fillCarers(m protoreflect.Message, fd protoreflect.FieldDescriptor, stored []byte) error {
	if len(stored) <= len(noCarers) {
		return nil
	}
	carers, ok := plainCarers(stored)
	if !ok {
		var err error
		if carers, err = parseCarers(stored); err != nil {
			return err
		}
	}
	l := m.Mutable(fd).List()
	for _, c := range carers {
		l.Append(protoreflect.ValueOfMessage(c.ProtoReflect()))
	}
	return nil
}

func parseCarers(stored []byte) ([]*irtv1.Carer, error) {
	var each []json.RawMessage
	if err := json.Unmarshal(stored, &each); err != nil {
		return nil, err
	}
	carers := make([]*irtv1.Carer, len(each))
	for i, one := range each {
		carers[i] = &irtv1.Carer{}
		if err := readJSON.Unmarshal(one, carers[i]); err != nil {
			return nil, err
		}
	}
	return carers, nil
}
