package pg

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Columns reads the columns of a row one after another, by the bytes that came. It
// is for the reads that a hub does most, whose rows have thirty columns and more:
// having pgx find out what each of them goes into took an eighth of the CPU of a
// list. NULL is the zero value, and so is whatever follows the first column of
// another type than it is read as: see Err.
type Columns struct {
	values    [][]byte
	described []pgconn.FieldDescription
	next      int
	err       error
}

// Of begins with the first column of a row. What is read then holds nothing of the
// row's own bytes.
func (c *Columns) Of(row pgx.CollectableRow) {
	c.values, c.described, c.next = row.RawValues(), row.FieldDescriptions(), 0
}

// Err is what was wrong with the first column that could not be read.
func (c *Columns) Err() error { return c.err }

// Skip passes over columns.
func (c *Columns) Skip(n int) { c.next += n }

// Null tells whether the next column is NULL, and does not pass over it.
func (c *Columns) Null() bool { return c.next < len(c.values) && c.values[c.next] == nil }

// Empty passes over the next column, and tells so, if it is NULL or an empty text.
func (c *Columns) Empty() bool {
	if c.next < len(c.values) && len(c.values[c.next]) == 0 {
		c.next++
		return true
	}
	return false
}

// take is the next column, nil where it is NULL, if it is of a type and in the format
// that pgx asks for it in.
func (c *Columns) take(format int16, oid uint32) []byte {
	i := c.next
	c.next++
	switch {
	case c.err != nil:
	case i >= len(c.values):
		c.err = fmt.Errorf("pg: a row of %d columns has no more", len(c.values))
	case c.values[i] == nil:
	case c.described[i].Format != format || c.described[i].DataTypeOID != oid && !(oid == pgtype.TextOID && textual(c.described[i].DataTypeOID)):
		c.fail(i)
	default:
		return c.values[i]
	}
	return nil
}

// fail says which column it was, and nothing of what it holds.
func (c *Columns) fail(i int) {
	d := &c.described[i]
	c.err = fmt.Errorf("pg: column %q, of type %d in format %d, is not what it is read as", d.Name, d.DataTypeOID, d.Format)
}

// fixed is the next column of a type whose values have one length.
func (c *Columns) fixed(oid uint32, length int) []byte {
	v := c.take(pgtype.BinaryFormatCode, oid)
	if v != nil && len(v) != length {
		c.fail(c.next - 1)
		return nil
	}
	return v
}

// Raw reads text, json or jsonb; what it returns is the row's own, until the next.
func (c *Columns) Raw() []byte {
	return c.take(pgtype.TextFormatCode, pgtype.TextOID)
}

// textual tells the types that are read as text.
func textual(oid uint32) bool { return oid == pgtype.JSONOID || oid == pgtype.JSONBOID }

// Text reads text.
func (c *Columns) Text() string { return string(c.Raw()) }

// UUID reads a uuid.
func (c *Columns) UUID() (id [16]byte) {
	copy(id[:], c.fixed(pgtype.UUIDOID, len(id)))
	return id
}

// Bool reads a boolean.
func (c *Columns) Bool() bool {
	v := c.fixed(pgtype.BoolOID, 1)
	return v != nil && v[0] != 0
}

// Int16 reads a smallint.
func (c *Columns) Int16() int16 {
	if v := c.fixed(pgtype.Int2OID, 2); v != nil {
		return int16(binary.BigEndian.Uint16(v)) //nolint:gosec // it is signed
	}
	return 0
}

// Int32 reads an integer.
func (c *Columns) Int32() int32 {
	if v := c.fixed(pgtype.Int4OID, 4); v != nil {
		return int32(binary.BigEndian.Uint32(v)) //nolint:gosec // it is signed
	}
	return 0
}

// Int64 reads a bigint.
func (c *Columns) Int64() int64 {
	if v := c.fixed(pgtype.Int8OID, 8); v != nil {
		return int64(binary.BigEndian.Uint64(v)) //nolint:gosec // it is signed
	}
	return 0
}

// epoch is from when PostgreSQL counts days and microseconds.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Date reads a date, as midnight UTC.
func (c *Columns) Date() time.Time {
	if v := c.fixed(pgtype.DateOID, 4); v != nil {
		return epoch.AddDate(0, 0, int(int32(binary.BigEndian.Uint32(v)))) //nolint:gosec // it is signed
	}
	return time.Time{}
}

// Time reads a timestamptz, in UTC.
func (c *Columns) Time() time.Time {
	if v := c.fixed(pgtype.TimestamptzOID, 8); v != nil {
		return time.UnixMicro(epoch.UnixMicro() + int64(binary.BigEndian.Uint64(v))).UTC() //nolint:gosec // it is signed
	}
	return time.Time{}
}

// Texts reads a text[] of one dimension; nil where it is empty.
func (c *Columns) Texts() []string {
	var all []string
	c.items(pgtype.TextArrayOID, func(n int) { all = make([]string, 0, n) }, func(item []byte) { all = append(all, string(item)) })
	return all
}

// UUIDs reads a uuid[] of one dimension; nil where it is empty.
func (c *Columns) UUIDs() [][16]byte {
	var all [][16]byte
	c.items(pgtype.UUIDArrayOID, func(n int) { all = make([][16]byte, 0, n) }, func(item []byte) {
		var id [16]byte
		copy(id[:], item)
		all = append(all, id)
	})
	return all
}

// items reads an array: how many dimensions there are, a flag for NULLs, the type of
// the items; for each dimension a length and a lower bound; then each item's length
// and bytes.
func (c *Columns) items(oid uint32, some func(n int), item func([]byte)) {
	const head, dimension = 12, 8
	v := c.take(pgtype.BinaryFormatCode, oid)
	if len(v) >= head && binary.BigEndian.Uint32(v) == 0 || v == nil {
		return
	}
	if len(v) < head+dimension || binary.BigEndian.Uint32(v) != 1 {
		c.fail(c.next - 1)
		return
	}
	n := int(binary.BigEndian.Uint32(v[head:]))
	rest := v[head+dimension:]
	if n > len(rest)/4 { // each has at least its length
		c.fail(c.next - 1)
		return
	}
	some(n)
	for range n {
		var one []byte
		if one, rest = first(rest); one == nil {
			c.fail(c.next - 1)
			return
		}
		item(one)
	}
}

// first cuts off the first item of an array; nil where it is NULL or cut short.
func first(b []byte) (item, rest []byte) {
	if len(b) < 4 {
		return nil, nil
	}
	length := int(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // it is signed: -1 is NULL
	if b = b[4:]; length < 0 || length > len(b) {
		return nil, nil
	}
	return b[:length:length], b[length:]
}
