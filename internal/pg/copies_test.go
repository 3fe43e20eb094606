package pg_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
)

// newShelves returns a pool on a database with two tables.
func newShelves(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return newDatabase(t, `CREATE TABLE shelf (id int PRIMARY KEY, "left over" text);
		CREATE TABLE book (id int, title text NOT NULL, tags text[], bought timestamptz, about jsonb)`)
}

var (
	shelfColumns = []string{"id", "left over"}
	bookColumns  = []string{"id", "title", "tags", "bought", "about"}
)

func wantRows(t *testing.T, pool *pgxpool.Pool, sql string, want ...string) {
	t.Helper()
	rows, err := pool.Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: %q (%v), want %q", sql, got, err, want)
	}
}

func TestCopiesAreWrittenTogether(t *testing.T) {
	t.Parallel()
	pool := newShelves(t)
	bought := time.Date(2026, 11, 28, 1, 2, 3, 4000, time.UTC)
	long := strings.Repeat("long ", 1<<18) // more than a socket takes at once
	for range 2 {                          // the second time the columns are known
		err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			var c pg.Copies
			c.Add("book", bookColumns, [][]any{
				{int32(1), "Momo", []string{"time", "grey"}, bought, []byte(`{"by": "Ende"}`)},
				{int32(2), long, []string{}, nil, nil},
			})
			c.Add("book", bookColumns, nil)
			if _, err := tx.Exec(t.Context(), `DELETE FROM shelf`); err != nil {
				return err
			}
			c.Add("shelf", shelfColumns, [][]any{{int32(7), nil}})
			if err := c.Write(t.Context(), tx); err != nil {
				return err
			}
			return c.Write(t.Context(), tx) // nothing is left
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wantRows(t, pool, `SELECT concat_ws('|', id, left(title, 5), tags, bought AT TIME ZONE 'UTC', about, length(title)) FROM book ORDER BY id`,
		`1|Momo|{time,grey}|2026-11-28 01:02:03.000004|{"by": "Ende"}|4`, `1|Momo|{time,grey}|2026-11-28 01:02:03.000004|{"by": "Ende"}|4`,
		`2|long |{}|1310720`, `2|long |{}|1310720`)
	wantRows(t, pool, `SELECT id || coalesce("left over", ' nothing') FROM shelf`, "7 nothing")
}

// The connection goes on after what the database or the encoding refuses, and
// nothing of it is stored.
func TestCopiesThatAreRefused(t *testing.T) {
	t.Parallel()
	shelf, book := [][]any{{int32(1), nil}}, [][]any{{int32(1), "Momo", nil, nil, nil}}
	for name, c := range map[string]struct {
		shelf, book [][]any
		code        string
	}{
		"the first":         {shelf: slices.Concat(shelf, shelf), book: book, code: "23505"},
		"the second":        {shelf: shelf, book: [][]any{{int32(1), nil, nil, nil, nil}}, code: "23502"},
		"both":              {shelf: slices.Concat(shelf, shelf), book: [][]any{{int32(1), nil, nil, nil, nil}}, code: "23505"},
		"a value":           {shelf: shelf, book: [][]any{{"one", "Momo", nil, nil, nil}}},
		"too few of a row":  {shelf: shelf, book: [][]any{{int32(1), "Momo"}}},
		"no such character": {shelf: [][]any{{int32(1), "a\x00b"}}, book: book, code: "22021"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newShelves(t)
			var pid [2]uint32
			err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				pid[0] = tx.Conn().PgConn().PID()
				var rows pg.Copies
				rows.Add("shelf", shelfColumns, c.shelf)
				rows.Add("book", bookColumns, c.book)
				return rows.Write(t.Context(), tx)
			})
			refused, answered := errors.AsType[*pgconn.PgError](err)
			if err == nil || answered != (c.code != "") || answered && refused.Code != c.code {
				t.Errorf("got %v, want an error of the database with code %q", err, c.code)
			}
			err = pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				pid[1] = tx.Conn().PgConn().PID()
				return nil
			})
			if err != nil || pid[0] != pid[1] {
				t.Errorf("the connection did not last: %v", err)
			}
			wantRows(t, pool, `SELECT id::text FROM shelf UNION ALL SELECT title FROM book`)
		})
	}
}

func TestCopiesGiveUpWithTheirContext(t *testing.T) {
	t.Parallel()
	pool := newShelves(t)
	holder, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `LOCK TABLE shelf`); err != nil {
		t.Fatal(err)
	}
	for _, words := range []int{1, 1 << 20} { // of the second the server does not read all
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err = pg.InTx(ctx, pool, func(tx pgx.Tx) error {
			var c pg.Copies
			c.Add("shelf", shelfColumns, [][]any{{int32(1), strings.Repeat("long ", words)}})
			return c.Write(ctx, tx)
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d words: got %v, want that the context has ended", words, err)
		}
	}
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRows(t, pool, `SELECT id::text FROM shelf`)
}
