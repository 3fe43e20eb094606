package children

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"irthub/internal/pg/pgtest"
)

// A table of what agencies say of a child through a record of theirs must say how that
// goes along, with every column that it has.
func TestEveryTableOfARecordGoesAlong(t *testing.T) {
	t.Parallel()
	//nolint:rowserrcheck // ForEachRow does
	rows, err := pgtest.New(t).Query(t.Context(), `
		SELECT table_name, array_agg(column_name::text ORDER BY column_name) FROM information_schema.columns
		WHERE table_schema = 'public' GROUP BY 1
		HAVING array_agg(column_name::text) @> '{child_id, record_id, agency_id, known_from, revision}' AND NOT array_agg(column_name::text) @> '{known_to}'`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	var table string
	var columns []string
	if _, err := pgx.ForEachRow(rows, []any{&table, &columns}, func() error {
		got[table] = slices.DeleteFunc(slices.Clone(columns), func(c string) bool {
			return c == "child_id" || c == "known_from" || c == "revision"
		})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	delete(got, "child_records") // the record itself
	for _, h := range hangings {
		want := strings.Split(h.columns, ",")
		for i := range want {
			want[i] = strings.TrimSpace(want[i])
		}
		slices.Sort(want)
		if !slices.Equal(got[h.table], want) {
			t.Errorf("%s has the columns %v, and takes along %v", h.table, got[h.table], want)
		}
		delete(got, h.table)
	}
	for table := range got {
		t.Errorf("%s does not go along with its records: name it in hangings", table)
	}
}
