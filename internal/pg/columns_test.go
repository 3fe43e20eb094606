package pg_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

// everything is a value of each type that Columns reads.
type everything struct {
	text, json, jsonb string
	id                [16]byte
	yes               bool
	small             int16
	number            int32
	large             int64
	day, long, at     time.Time
	texts             []string
	ids               [][16]byte
}

func readEverything(c *pg.Columns) (e everything) {
	e.text, e.json, e.jsonb, e.id = c.Text(), c.Text(), string(c.Raw()), c.UUID()
	e.yes, e.small, e.number = c.Bool(), c.Int16(), c.Int32()
	e.large = c.Int64()
	e.day, e.long, e.at = c.Date(), c.Date(), c.Time()
	e.texts, e.ids = c.Texts(), c.UUIDs()
	return e
}

func readOne(t *testing.T, sql string, read func(*pg.Columns)) error {
	t.Helper()
	rows, err := pgtest.Open(t, pgtest.EmptyURL(t)).Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	var c pg.Columns
	if _, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) {
		c.Of(row)
		read(&c)
		return struct{}{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	return c.Err()
}

func TestColumnsAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	var got, none everything
	var null bool
	err := readOne(t, `SELECT 1, 'Siân', '{"a": 1}'::json, '{"a":1}'::jsonb, '00112233-4455-6677-8899-aabbccddeeff'::uuid,
			true, -2::smallint, -70000, -5000000000, '1999-12-31'::date, '2012-02-29'::date, '1999-12-31 23:59:59.999999+00'::timestamptz,
			'{"a, \"b\"",""}'::text[], '{00112233-4455-6677-8899-aabbccddeeff,00000000-0000-0000-0000-000000000001}'::uuid[],
		NULL::text, NULL::json, NULL::jsonb, NULL::uuid, NULL::boolean, NULL::smallint, NULL::integer, NULL::bigint,
			NULL::date, NULL::date, NULL::timestamptz, NULL::text[], '{}'::uuid[]`, func(c *pg.Columns) {
		c.Skip(1)
		got = readEverything(c)
		null = c.Null()
		none = readEverything(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	id := [16]byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	want := everything{
		text: "Siân", json: `{"a": 1}`, jsonb: `{"a": 1}`, id: id, yes: true, small: -2, number: -70000, large: -5_000_000_000,
		day: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), long: time.Date(2012, 2, 29, 0, 0, 0, 0, time.UTC),
		at:    time.Date(1999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		texts: []string{`a, "b"`, ""}, ids: [][16]byte{id, {15: 1}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	if !null || !reflect.DeepEqual(none, everything{}) {
		t.Errorf("of NULLs (%v) was read %+v", null, none)
	}
}

// What is read as something else is an error, which does not tell what it is; and
// nothing is read after it.
func TestColumnsOfAnotherTypeAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		sql  string
		read func(*pg.Columns)
	}{
		{`SELECT 7::bigint AS secret`, func(c *pg.Columns) { c.Int32() }},
		{`SELECT 'x'::text AS secret`, func(c *pg.Columns) { c.UUID() }},
		{`SELECT now()::date AS secret`, func(c *pg.Columns) { c.Time() }},
		{`SELECT '\x78'::bytea AS secret`, func(c *pg.Columns) { c.Text() }},
		{`SELECT '{{a},{b}}'::text[] AS secret`, func(c *pg.Columns) { c.Texts() }},
		{`SELECT '{a,NULL}'::text[] AS secret`, func(c *pg.Columns) { c.Texts() }},
		{`SELECT 'x'::text AS secret`, func(c *pg.Columns) { c.Skip(1); c.Text() }},
	} {
		var after string
		err := readOne(t, tt.sql+`, 'after'`, func(c *pg.Columns) {
			tt.read(c)
			if c.Err() == nil { // the last column of the row has been passed
				c.Text()
			}
			c.Skip(-1)
			after = c.Text()
		})
		if err == nil || after != "" || strings.Contains(err.Error(), "x") && !strings.Contains(err.Error(), "no more") {
			t.Errorf("%s: read %q, %v", tt.sql, after, err)
		}
	}
}
