package concerns_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/concerns"
)

// Two processes that submit the same concerns of many children at once, each in an
// order of its own, neither stand in each other's way nor make anything twice.
func TestTwoProcessesSubmitTheSame(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const kids, each = 12, 8
	var all []*irtv1.Concern
	for kid := range kids {
		child := h.submit("school", fmt.Sprint(kid), fmt.Sprintf("Ada%c", 'a'+kid), fmt.Sprintf("20%02d-05-05", 8+kid))
		for n := range each {
			all = append(all, &irtv1.Concern{
				Name: fmt.Sprintf("agencies/school/concerns/c%d-%d", kid, n), Child: child,
				Category: "ATTENDANCE", Level: "UNIVERSAL", StartDate: day(-1),
			})
		}
	}
	other := h.process()
	var changed sync.Map
	var submitters sync.WaitGroup
	for i, s := range []*concerns.Service{h.Service, other, h.Service, other} {
		order := rand.New(rand.NewPCG(uint64(i), 7)).Perm(len(all))
		for _, n := range order {
			ctx, c := as(t, "school"), all[n]
			submitters.Go(func() {
				did, err := s.Submit(ctx, c, false)
				if err != nil {
					t.Error(err)
				}
				if did {
					if _, twice := changed.LoadOrStore(c.GetName(), true); twice {
						t.Errorf("%s was new twice", c.GetName())
					}
				}
			})
		}
	}
	submitters.Wait()
	var rows, earlier, told int
	err := h.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM concerns), (SELECT count(*) FROM concerns_history),
		(SELECT count(*) FROM event_outbox WHERE kind = 60)`).Scan(&rows, &earlier, &told)
	if err != nil || rows != kids*each || earlier != 0 || told != rows {
		t.Errorf("%d concerns, %d earlier versions, %d events: %v", rows, earlier, told, err)
	}
}

// process is the service of another process on the database.
func (h *hub) process() *concerns.Service {
	h.t.Helper()
	access := audit.NewWriter(h.pool)
	s := concerns.New(h.pool, h.directory, h.tokens, access, concerns.Options{})
	h.t.Cleanup(func() {
		ctx := context.WithoutCancel(h.t.Context())
		if err := s.Close(ctx); err != nil {
			h.t.Error(err)
		}
		if err := access.Close(ctx); err != nil {
			h.t.Error(err)
		}
	})
	return s
}
