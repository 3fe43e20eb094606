package children

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"irthub/internal/pg/pgtest"
)

// keptAtPurge are the columns that name a child or a record and are not purged with
// it, and why.
var keptAtPurge = map[string]string{
	"child_records_history.child_id": "earlier versions go with their record, also to another child",
	"audit_child_entries.child_id":   "the access log has a retention of its own (irthub audit purge)",
	"events.child_id":                "an event holds ids and names of resources alone, and goes after 30 days",
	"events.other_child_id":          "as above",
	"event_outbox.child_id":          "an event is here for seconds, until it has its place among the events",
	"event_outbox.other_child_id":    "as above",
	"match_keys.record_id":           "purged by key: the key of the table is not the record",
}

var namesAChild = regexp.MustCompile(`(^|_)(child|record)_id$`)

// A table that holds something of a child must say how that is purged.
func TestEveryTableOfAChildIsPurged(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	rows, err := pool.Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type = 'uuid' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	purged, byChild := map[string]bool{}, map[string]bool{}
	for _, p := range purgedRows {
		purged[p.table+"."+p.column] = true
		byChild[p.table] = byChild[p.table] || p.column == "child_id"
	}
	there := map[string]bool{}
	for _, c := range columns {
		there[c] = true
		table, column, _ := strings.Cut(c, ".")
		if !namesAChild.MatchString(column) || purged[c] || byChild[table] || keptAtPurge[c] != "" {
			continue
		}
		t.Errorf("%s is not purged with the child: name it in purgedRows, or here with the reason why not", c)
	}
	for c := range purged {
		if !there[c] {
			t.Errorf("%s is to be purged, and is not there", c)
		}
	}
	for c := range keptAtPurge {
		if !there[c] {
			t.Errorf("%s is said to be kept, and is not there", c)
		}
	}
}
