package bench

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"irthub/internal/children"
	"irthub/internal/involvement"
	"irthub/internal/standard"
)

// rawGetChild is what GetChild would cost a program that has nothing between it
// and the database: the hub's own SQL, one prepared query a read, no gRPC, no
// identity, no access log.
func rawGetChild(_ context.Context, l *lab) (operation, error) {
	today := standard.Today()
	return l.rawRead(func() []subject { return l.children }, 1, func(child subject) (string, []any) {
		return children.ReadQuery, []any{[][16]byte{child.id}, today, []string{"raw"}}
	}), nil
}

// rawListInvolvements is the same for ListInvolvements.
func rawListInvolvements(_ context.Context, l *lab) (operation, error) {
	today := standard.Today()
	return l.rawRead(func() []subject { return l.busy }, len(involved), func(child subject) (string, []any) {
		return involvement.ListQuery, []any{[][16]byte{child.id}, today, len(involved) + 1, []string{"raw"}, []bool{false}}
	}), nil
}

// rawRead reads the rows of one subject after another, and scans every column.
func (l *lab) rawRead(of func() []subject, want int, query func(subject) (string, []any)) operation {
	return func(worker int) func(context.Context) error {
		r, list := chance(worker), of()
		var into []any
		return func(ctx context.Context) error {
			sql, args := query(list[r.IntN(len(list))])
			rows, err := l.pool.Query(ctx, sql, args...)
			if err != nil {
				return err
			}
			n := 0
			for ; rows.Next(); n++ {
				if into == nil {
					into = targets(rows.FieldDescriptions())
				}
				if err := rows.Scan(into...); err != nil {
					return err
				}
			}
			if err := rows.Err(); err != nil {
				return err
			}
			if n != want {
				return fmt.Errorf("a raw read brought %d rows in place of %d", n, want)
			}
			return nil
		}
	}
}

// targets are typed variables to scan columns into, and to send them from again;
// of a type that is not among them, whatever pgx makes of it.
func targets(columns []pgconn.FieldDescription) []any {
	into := make([]any, len(columns))
	for i, c := range columns {
		switch c.DataTypeOID {
		case pgtype.TextOID, pgtype.VarcharOID:
			into[i] = new(pgtype.Text)
		case pgtype.UUIDOID:
			into[i] = new(pgtype.UUID)
		case pgtype.UUIDArrayOID:
			into[i] = new([]pgtype.UUID)
		case pgtype.TextArrayOID:
			into[i] = new([]string)
		case pgtype.JSONOID, pgtype.JSONBOID, pgtype.ByteaOID:
			into[i] = new([]byte)
		case pgtype.BoolOID:
			into[i] = new(pgtype.Bool)
		case pgtype.DateOID:
			into[i] = new(pgtype.Date)
		case pgtype.TimestamptzOID:
			into[i] = new(pgtype.Timestamptz)
		case pgtype.Int2OID:
			into[i] = new(pgtype.Int2)
		case pgtype.Int4OID:
			into[i] = new(pgtype.Int4)
		case pgtype.Int8OID:
			into[i] = new(pgtype.Int8)
		case pgtype.Float4OID:
			into[i] = new(pgtype.Float4)
		default:
			into[i] = new(any)
		}
	}
	return into
}
