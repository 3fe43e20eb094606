package exchange

import (
	"testing"

	"irthub/internal/pg/pgtest"
)

// Imports that ended long ago go, with their rejects; those that run or are newer stay.
func TestSweepForgetsImports(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for _, sql := range []string{
		`INSERT INTO imports (import_id, agency_id, format, validate_only, state, create_time, update_time, lease_until)
			SELECT gen_random_uuid(), kind, 1, false, state, at, at, CASE WHEN state = 1 THEN now() + interval '1 hour' END
			FROM (VALUES ('old', 2, now() - interval '91 days'), ('old', 4, now() - interval '91 days'),
				('runs', 1, now() - interval '91 days'), ('new', 2, now() - interval '89 days')) AS v(kind, state, at)`,
		`INSERT INTO import_rejects SELECT import_id, 1, 2, '', 'X', '', '' FROM imports`,
		`INSERT INTO import_rejected_rows SELECT import_id, 2, 'x' FROM imports`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&Service{pool: pool}).sweepOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"imports", "import_rejects JOIN imports USING (import_id)", "import_rejects", "import_rejected_rows"} {
		var n int
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM `+from).Scan(&n); err != nil || n != 2 {
			t.Errorf("%d of %s, error %v", n, from, err)
		}
	}
}
