package involvement_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/involvement"
	"irthub/internal/standard"
)

const (
	benchChildren = 100_000
	perChild      = 10
)

// loaded is a hub with 100 thousand children of 10 involvements each, of 600
// practitioners.
func loaded(b *testing.B) (*hub, []uuid.UUID) {
	b.Helper()
	h := newHub(b)
	ids := make([]uuid.UUID, benchChildren)
	for n := range ids {
		ids[n] = standard.NewChildID()
	}
	h.exec(`INSERT INTO practitioners (agency_id, practitioner_id, display_name, job_title, telephone)
		SELECT a, 'p' || n, 'Practitioner ' || n, 'Social worker', '01632 960000' FROM unnest('{school,gp,social}'::text[]) a, generate_series(1, 200) n`)
	h.exec(`INSERT INTO children (child_id, state, create_time, known_from, revision) SELECT id, 1, now(), now(), 1 FROM unnest($1::uuid[]) id`, bytesOf(ids))
	for n := range perChild { // one agency after another: a child's rows lie apart
		h.exec(`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, practitioner_id, role, start_date, create_time, known_from, revision)
			SELECT id, gen_random_uuid(), ('{school,gp,social}'::text[])[1 + $2::int % 3], left(md5(id::text), 12), 'p' || 1 + ($2::int + n) % 200,
				'SOCIAL_WORKER', '2026-01-05', now(), now(), 1 FROM unnest($1::uuid[]) WITH ORDINALITY q(id, n)`, bytesOf(ids), n)
	}
	h.exec(`ANALYZE`)
	return h, ids
}

func bytesOf(ids []uuid.UUID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}

// BenchmarkList compares ListInvolvements, by 256 callers at once, with its own
// statement sent raw by as many goroutines, a query a child, in the same run.
// cpu-µs/op counts this process's CPU alone.
func BenchmarkList(b *testing.B) {
	h, ids := loaded(b)
	ctx := identity.NewContext(b.Context(), identity.Caller{Agency: "gp", Role: system})
	b.Run("raw", func(b *testing.B) {
		at256(b, func() error {
			rows, err := h.pool.Query(b.Context(), involvement.ListQuery, [][16]byte{ids[rand.IntN(len(ids))]}, standard.Today(), involvement.CoalescedRows, []string{"school"}, []bool{false})
			if err != nil {
				return err
			}
			all, err := pgx.CollectRows(rows, scanRaw)
			if err == nil && len(all) != perChild {
				err = fmt.Errorf("%d rows", len(all))
			}
			return err
		})
	})
	b.Run("service", func(b *testing.B) {
		at256(b, func() error { return listOne(ctx, h, ids) })
	})
	b.Run("service-audited", func(b *testing.B) {
		w := audit.NewWriter(h.pool)
		defer w.Close(context.Background())
		at256(b, func() error {
			e := audit.New(ctx, "bench")
			if err := listOne(audit.NewContext(ctx, e), h, ids); err != nil {
				return err
			}
			return w.Write(ctx, e)
		})
	})
}

func listOne(ctx context.Context, h *hub, ids []uuid.UUID) error {
	out, err := h.ListInvolvements(ctx, &irtv1.ListInvolvementsRequest{Parent: childName(ids[rand.IntN(len(ids))])})
	if err == nil && len(out.GetInvolvements()) != perChild {
		err = fmt.Errorf("%d involvements", len(out.GetInvolvements()))
	}
	return err
}

// rawRow is what a program without the hub would read the statement into.
type rawRow struct {
	Wanted                                  [16]byte
	Merged, Lead                            *[16]byte
	Child, Involvement                      [16]byte
	Agency, Local                           string
	Record                                  *[16]byte
	RecordLocal, Role, Practitioner         string
	Start, End                              *time.Time
	Sensitive                               bool
	Basis                                   string
	Created, Known                          time.Time
	Revision                                int32
	DisplayName, JobTitle, Telephone, Email *string
}

func scanRaw(row pgx.CollectableRow) (rawRow, error) { return pgx.RowToStructByPos[rawRow](row) }

// BenchmarkSubmit submits new involvements of known children, 64 at once.
func BenchmarkSubmit(b *testing.B) {
	h := newHub(b)
	child := make([]uuid.UUID, 1000)
	for n := range child {
		child[n] = h.child()
	}
	var n atomic.Int64
	concurrently(b, 64, func() error {
		i := n.Add(1)
		_, err := h.SubmitInvolvement(as(b, "school"), &irtv1.SubmitInvolvementRequest{Involvement: inv("school", fmt.Sprint(i), child[i%1000])})
		return err
	})
}

func at256(b *testing.B, do func() error) { b.Helper(); concurrently(b, 256, do) }

func concurrently(b *testing.B, callers int, do func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	before := cpu(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
