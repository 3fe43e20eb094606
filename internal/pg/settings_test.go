package pg_test

import (
	"context"
	"log/slog"
	"testing"

	"irthub/internal/pg"
)

// What was in memory is read again by a process of PostgreSQL's own, wherever it has
// that.
func TestClusterIsWarmedAgain(t *testing.T) {
	t.Parallel()
	c, err := pg.StartEmbedded(t.Context(), seededDir(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	pool, err := pg.Open(t.Context(), c.URL(), pg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var has, warms bool
	if err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm'),
		coalesce(current_setting('pg_prewarm.autoprewarm', true), '') = 'on'`).Scan(&has, &warms); err != nil {
		t.Fatal(err)
	}
	if has != warms {
		t.Errorf("PostgreSQL has pg_prewarm: %t; warms what was in memory: %t", has, warms)
	}
}
