package children_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

var (
	given  = []string{"Amelia", "Noah", "Olivia", "Muhammad", "Isla", "Leo", "Zofia", "Jakub", "Aisha", "Omar", "Grace", "Harry", "Priya", "Arjun", "Chloe", "Ethan", "Freya", "George", "Hannah", "Isaac"}
	family = []string{"Smith", "Jones", "Taylor", "Brown", "Patel", "Khan", "Nowak", "Okafor", "Hussain", "Walker", "Wright", "Green", "Hall", "Clarke", "Begum", "Kaya", "Silva", "Popescu", "Evans", "Moore"}
)

// stranger makes the n-th child of a population without duplicates.
func stranger(n int) *irtv1.ChildRecord {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	return &irtv1.ChildRecord{
		Name:         fmt.Sprintf("agencies/school/childRecords/n%d", n),
		GivenName:    given[r.IntN(len(given))] + string(rune('a'+r.IntN(26))),
		FamilyName:   family[r.IntN(len(family))] + string(rune('a'+r.IntN(26))) + string(rune('a'+r.IntN(26))),
		DateOfBirth:  fmt.Sprintf("%d-%02d-%02d", 2008+r.IntN(17), 1+r.IntN(12), 1+r.IntN(28)),
		Sex:          []string{"F", "M"}[r.IntN(2)],
		AddressLines: []string{fmt.Sprintf("%d %s Road", 1+r.IntN(200), family[r.IntN(len(family))]), "Norwich"},
		Postcode:     fmt.Sprintf("NR%d %d%c%c", 1+r.IntN(30), r.IntN(10), 'A'+r.IntN(26), 'A'+r.IntN(26)),
		SchoolUrn:    fmt.Sprint(100000 + r.IntN(60)),
	}
}

func benchService(b *testing.B) (*children.Service, *pgxpool.Pool, context.Context) {
	b.Helper()
	pool := pgtest.New(b)
	if _, _, _, err := agencies.UpsertAgencies(b.Context(), pool, []*irtv1.Agency{{Name: "agencies/school", DisplayName: "School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL}}); err != nil {
		b.Fatal(err)
	}
	directory, err := agencies.NewDirectory(b.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := rpc.NewPageTokens(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	writer := audit.NewWriter(pool)
	s := children.New(pool, directory, tokens, writer)
	b.Cleanup(func() {
		_ = s.Close(context.Background())
		_ = writer.Close(context.Background())
		directory.Close()
	})
	ctx := identity.NewContext(b.Context(), identity.Caller{Agency: "school", Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
	return s, pool, audit.NewContext(ctx, audit.New(ctx, "/irt.v1.ChildService/SubmitChildRecord"))
}

// BenchmarkSubmit is the write pipeline alone, at 512 in flight, as a stream
// keeps it: rows/s into a growing index.
func BenchmarkSubmit(b *testing.B) {
	s, _, ctx := benchService(b)
	var n atomic.Int64
	b.SetParallelism(256)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Submit(ctx, stranger(int(n.Add(1))), children.SubmitOptions{}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
