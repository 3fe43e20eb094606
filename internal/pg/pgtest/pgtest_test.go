package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

func TestNewIsMigratedAndOfItsOwn(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			database, binary, err := pg.SchemaVersion(t.Context(), pool)
			if err != nil || database != binary || binary == 0 {
				t.Errorf("schema version %d of %d, %v", database, binary, err)
			}
			// Fails in the second test if the two share a database.
			if _, err := pool.Exec(t.Context(), "CREATE TABLE only_here ()"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	var url string
	t.Run("uses one", func(t *testing.T) { url = pgtest.URL(t) })
	conn, err := pgx.Connect(context.Background(), url)
	if err == nil {
		_ = conn.Close(context.Background())
		t.Error("the database is still there after its test")
	}
}

func BenchmarkURL(b *testing.B) {
	for b.Loop() {
		pgtest.URL(b)
	}
}
