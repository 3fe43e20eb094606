package agencies_test

import (
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/pg/pgtest"
)

func benchPool(b *testing.B) *pgxpool.Pool {
	b.Helper()
	return pgtest.New(b)
}

func benchHub(b *testing.B) *agencies.Directory {
	b.Helper()
	pool := benchPool(b)
	var all []*irtv1.Agency
	for i := range 14303 {
		all = append(all, practice(i))
	}
	if _, _, _, err := agencies.UpsertAgencies(b.Context(), pool, all); err != nil {
		b.Fatal(err)
	}
	d, err := agencies.NewDirectory(b.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.Close)
	return d
}
