package pg_test

import (
	"testing"

	"irthub/internal/pg"
)

// Large shared buffers are for huge pages.
func TestSharedBuffers(t *testing.T) {
	t.Parallel()
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		name               string
		memory, huge, want int64
	}{
		{"no huge pages", 24 * gib, 0, gib},
		{"a little machine", 2 * gib, 0, 512 * mib},
		{"a very little one", 128 * mib, 0, 64 * mib},
		{"huge pages enough for a quarter", 24 * gib, 7 * gib, 6 * gib},
		{"as many as there is memory", 256 * gib, 256 * gib, 8 * gib},
		{"just a quarter of them, of which other shared memory needs a part", 24 * gib, 6 * gib, gib},
	} {
		got := pg.SharedBuffers(c.memory, func(bytes int64) bool { return bytes <= c.huge })
		if got != c.want {
			t.Errorf("%s: %d MiB, want %d", c.name, got/mib, c.want/mib)
		}
	}
}

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
