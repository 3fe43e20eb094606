package pg_test

import "testing"

// What was in memory is read again by a process of PostgreSQL's own, wherever it has
// that.
func TestClusterIsWarmedAgain(t *testing.T) {
	t.Parallel()
	pool := openPool(t, startCluster(t, seededDir(t)))
	var has, warms bool
	if err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm'),
		coalesce(current_setting('pg_prewarm.autoprewarm', true), '') = 'on'`).Scan(&has, &warms); err != nil {
		t.Fatal(err)
	}
	if has != warms {
		t.Errorf("PostgreSQL has pg_prewarm: %t; warms what was in memory: %t", has, warms)
	}
}
