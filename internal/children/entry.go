package children

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/pg"
)

// entry is one version of a child of the index.
type entry struct {
	id         uuid.UUID
	state      irtv1.ChildState
	mergedInto uuid.NullUUID
	person     *irtv1.Child // the person fields alone
	provenance []byte       // JSON of []source
	created    time.Time
	knownFrom  time.Time
	revision   int32
}

// sameAs tells whether a newly composed version says nothing new. A record that
// was sent again with the same content does not make a version of the child.
func (e *entry) sameAs(o *entry) bool {
	return e.state == o.state && e.mergedInto == o.mergedInto && proto.Equal(e.person, o.person) &&
		sameSources(e.provenance, o.provenance)
}

func sameSources(a, b []byte) bool {
	x, errX := parseSources(a)
	y, errY := parseSources(b)
	if errX != nil || errY != nil || len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].Agency != y[i].Agency || x[i].Pinned != y[i].Pinned || len(x[i].Fields) != len(y[i].Fields) {
			return false
		}
	}
	return true
}

// entryColumns are the columns of children, in the order of (*entry).read
// and (*entry).values.
var entryColumns = append(append([]string{"child_id", "state", "merged_into"}, personList...),
	"provenance", "create_time", "known_from", "revision")

var entryList = strings.Join(entryColumns, ", ")

// entryListOf is entryList of a table alias.
func entryListOf(alias string) string {
	return alias + "." + strings.Join(entryColumns, ", "+alias+".")
}

func (e *entry) values() ([]any, error) {
	v := make([]any, 0, len(entryColumns))
	v = append(v, [16]byte(e.id), int32(e.state), nullUUID(e.mergedInto))
	v, err := appendValues(v, e.person.ProtoReflect(), childField)
	if err != nil {
		return nil, err
	}
	return append(v, e.provenance, e.created, e.knownFrom, e.revision), nil
}

func nullUUID(id uuid.NullUUID) *[16]byte {
	if !id.Valid {
		return nil
	}
	return (*[16]byte)(&id.UUID)
}

// read reads entryColumns.
func (e *entry) read(c *pg.Columns) error {
	e.id, e.state = c.UUID(), irtv1.ChildState(c.Int16())
	e.mergedInto.Valid = !c.Null()
	e.mergedInto.UUID = c.UUID()
	e.person = &irtv1.Child{}
	if err := readPerson(c, personColumns, reflect.ValueOf(e.person).Elem(), childPlace); err != nil {
		return err
	}
	e.provenance = bytes.Clone(c.Raw())
	e.created, e.knownFrom, e.revision = c.Time(), c.Time(), c.Int32()
	if err := c.Err(); err != nil {
		return fmt.Errorf("children: reading a child: %w", err)
	}
	return nil
}

func scanEntries(rows pgx.Rows) ([]*entry, error) {
	defer rows.Close()
	var c pg.Columns
	var all []*entry
	for rows.Next() {
		c.Of(rows)
		e := &entry{}
		if err := e.read(&c); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("children: reading children: %w", err)
	}
	return all, nil
}
