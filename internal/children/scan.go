package children

import (
	"encoding/json"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/encoding/protojson"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/pg"
	"irthub/internal/standard"
)

// readPerson reads person columns into the fields of a message, of which place
// says which is a column's. It sets them as Go does: protobuf's reflection makes a
// value of each text before it sets it, which took a twentieth of the CPU of a read.
func readPerson(c *pg.Columns, columns []column, m reflect.Value, place func(*column) int) error {
	for i := range columns {
		if c.Empty() { // most are
			continue
		}
		column := &columns[i]
		if err := column.read(c, m.Field(place(column)).Addr().Interface()); err != nil {
			return fmt.Errorf("children: reading %s: %w", column.name, err)
		}
	}
	return c.Err()
}

// read reads the column into a field.
func (c *column) read(from *pg.Columns, field any) (err error) {
	switch field := field.(type) {
	case *string:
		if c.kind == dateColumn {
			*field = standard.FormatDate(from.Date())
		} else {
			*field = from.Text()
		}
	case *bool:
		*field = from.Bool()
	case *[]string:
		*field = from.Texts()
	case *[]*irtv1.Carer:
		*field, err = readCarers(from.Raw())
	default:
		err = fmt.Errorf("a field of type %T", field)
	}
	return err
}

// readJSON reads carers that a newer hub may have written.
var readJSON = protojson.UnmarshalOptions{DiscardUnknown: true}

func readCarers(stored []byte) ([]*irtv1.Carer, error) {
	if len(stored) <= len(noCarers) {
		return nil, nil
	}
	if carers, ok := plainCarers(stored); ok {
		return carers, nil
	}
	return parseCarers(stored)
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
