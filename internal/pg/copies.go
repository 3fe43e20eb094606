package pg

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// Copies are rows for several tables that COPY writes in one round trip, where pgx's
// CopyFrom takes three for each table. The zero value has none.
type Copies struct {
	parts []copyPart
}

type copyPart struct {
	table   string
	columns []string
	rows    [][]any
	command string // the COPY, and what it reads: set by encode
	data    []byte
}

// Add has rows written after those that were added before. Values are as for
// pgx's CopyFrom.
func (c *Copies) Add(table string, columns []string, rows [][]any) {
	if len(rows) > 0 {
		c.parts = append(c.parts, copyPart{table: table, columns: columns, rows: rows})
	}
}

// Write writes what was added, and forgets it. A value that does not fit its column is
// an error before anything is sent. Of what the database refuses, the first is
// returned: the rest follows from it.
func (c *Copies) Write(ctx context.Context, tx pgx.Tx) error {
	parts := c.parts
	c.parts = nil
	if len(parts) == 0 {
		return nil
	}
	conn := tx.Conn()
	for i := range parts {
		if err := parts[i].encode(ctx, conn); err != nil {
			return fmt.Errorf("pg: copying to %s: %w", parts[i].table, err)
		}
	}
	tracer, _ := conn.Config().Tracer.(pgx.CopyFromTracer)
	end := parts[0].trace(ctx, tracer, conn)
	err := send(ctx, conn, parts)
	var first error
	for i, p := range parts {
		if i > 0 {
			end = p.trace(ctx, tracer, conn) // the server takes one after the other
		}
		var refused error
		if err == nil {
			refused, err = completed(ctx, conn)
		}
		end(cmp.Or(err, refused))
		if refused != nil && first == nil {
			first = fmt.Errorf("pg: copying to %s: %w", p.table, refused)
		}
	}
	if err != nil {
		return fmt.Errorf("pg: copying: %w", err)
	}
	return first
}

// trace tells the connection's tracer, if there is one, that the server begins with it,
// and of its end.
func (p *copyPart) trace(ctx context.Context, t pgx.CopyFromTracer, conn *pgx.Conn) (end func(error)) {
	if t == nil {
		return func(error) {}
	}
	ctx = t.TraceCopyFromStart(ctx, conn, pgx.TraceCopyFromStartData{TableName: pgx.Identifier{p.table}, ColumnNames: p.columns})
	return func(err error) { t.TraceCopyFromEnd(ctx, conn, pgx.TraceCopyFromEndData{Err: err}) }
}

// sql are its columns and its table as SQL names them.
func (p *copyPart) sql() (list, table string) {
	quoted := make([]string, len(p.columns))
	for i, name := range p.columns {
		quoted[i] = pgx.Identifier{name}.Sanitize()
	}
	return strings.Join(quoted, ", "), pgx.Identifier{p.table}.Sanitize()
}

// copyHead begins what COPY reads in its binary form: its signature, no flags, and no
// extension.
const copyHead = "PGCOPY\n\377\r\n\000" + "\000\000\000\000" + "\000\000\000\000"

func (p *copyPart) encode(ctx context.Context, conn *pgx.Conn) error {
	list, table := p.sql()
	p.command = `COPY ` + table + ` (` + list + `) FROM STDIN BINARY`
	types, err := columnTypes(ctx, conn, `SELECT `+list+` FROM `+table)
	if err != nil {
		return err
	}
	p.data = append(p.data, copyHead...)
	for _, row := range p.rows {
		if len(row) != len(types) {
			return fmt.Errorf("%d values for %d columns", len(row), len(types))
		}
		p.data = binary.BigEndian.AppendUint16(p.data, uint16(len(row))) //nolint:gosec // a table has 1,600 columns at most
		for i, value := range row {
			if p.data, err = appendValue(p.data, conn.TypeMap(), types[i], value); err != nil {
				return fmt.Errorf("%s: %w", p.columns[i], err)
			}
		}
	}
	return nil
}

// appendValue appends a value after its length, which is -1 for NULL.
func appendValue(data []byte, m *pgtype.Map, oid uint32, value any) ([]byte, error) {
	at := len(data)
	data = append(data, 0xff, 0xff, 0xff, 0xff)
	with, err := m.Encode(oid, pgx.BinaryFormatCode, value, data)
	if err != nil || with == nil {
		return data, err
	}
	binary.BigEndian.PutUint32(with[at:], uint32(len(with)-at-4)) //nolint:gosec // a value is far shorter
	return with, nil
}

// columnTypes are the types of a query's columns, asked once on each connection.
func columnTypes(ctx context.Context, conn *pgx.Conn, sql string) ([]uint32, error) {
	known := conn.PgConn().CustomData()
	if types, ok := known[sql].([]uint32); ok {
		return types, nil
	}
	d, err := conn.PgConn().Prepare(ctx, "", sql, nil)
	if err != nil {
		return nil, fmt.Errorf("describing columns: %w", err)
	}
	types := make([]uint32, len(d.Fields))
	for i, f := range d.Fields {
		types[i] = f.DataTypeOID
	}
	known[sql] = types
	return types, nil
}

// send sends all COPYs, and closes a connection that is left in the middle of them. The
// server passes over the rows of those that it refuses.
func send(ctx context.Context, conn *pgx.Conn, parts []copyPart) error {
	front := conn.PgConn().Frontend()
	for _, p := range parts {
		front.SendQuery(&pgproto3.Query{String: p.command})
		front.Send(&pgproto3.CopyData{Data: p.data})
		front.Send(&pgproto3.CopyDone{})
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.PgConn().Conn().SetWriteDeadline(time.Unix(1, 0)) })
	err := front.Flush()
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		_ = conn.Close(ctx)
	}
	return err //nolint:wrapcheck // Write does
}

// completed waits for the end of one COPY, and closes a connection on which it does not
// come.
func completed(ctx context.Context, conn *pgx.Conn) (refused, err error) {
	for {
		message, err := conn.PgConn().ReceiveMessage(ctx)
		if err != nil {
			_ = conn.Close(ctx)
			return nil, err //nolint:wrapcheck // Write does
		}
		switch m := message.(type) {
		case *pgproto3.ErrorResponse:
			refused = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return refused, nil
		}
	}
}
