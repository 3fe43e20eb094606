package referrals_test

import (
	"sync"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/referrals"
)

// late makes the time of all referrals to be acknowledged pass, and sweeps.
func (h *hub) late() (told int) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), `UPDATE referrals SET acknowledge_by_time = now() - interval '1 second'`); err != nil {
		h.t.Fatal(err)
	}
	if err := referrals.Sweep.Run(h.t.Context(), h.pool); err != nil {
		h.t.Fatal(err)
	}
	return h.count(`SELECT count(*) FROM event_outbox WHERE kind = 88`)
}

// Both sides are told once that a recipient is late, and again of the next one.
func TestOverdueIsToldOncePerRecipient(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	m := h.refer("r1", "social")
	if err := referrals.Sweep.Run(t.Context(), h.pool); err != nil || h.count(`SELECT count(*) FROM event_outbox WHERE kind = 88`) != 0 {
		t.Fatalf("told in time: %v", err)
	}
	for range 2 {
		if n := h.late(); n != 1 {
			t.Fatalf("%d events of one referral", n)
		}
	}
	const toThem = `SELECT count(*) FROM event_outbox WHERE kind = 88 AND audience = 4 AND agency_id = '' AND resource = $1 AND agencies @> $2 AND agencies <@ $2`
	if h.count(toThem, m.GetName(), []string{"school", "social"}) != 1 {
		t.Error("it is not for the two sides")
	}
	seen, err := h.GetReferral(as(t, "social"), &irtv1.GetReferralRequest{Name: m.GetName()})
	if err != nil || !seen.GetOverdue() || seen.GetEtag() != m.GetEtag() {
		t.Errorf("to be told made another version: %v, %v", seen, err)
	}
	// The sender changes it: the recipient is the same.
	changed := referral("r1", "social")
	changed.Urgency = irtv1.ReferralUrgency_REFERRAL_URGENCY_IMMEDIATE
	if _, err := h.SendReferral(as(t, "school"), &irtv1.SendReferralRequest{Referral: changed}); err != nil {
		t.Fatal(err)
	}
	if n := h.late(); n != 1 {
		t.Errorf("told %d times", n)
	}
	for i, to := range []string{"gp", "social"} {
		from := []string{"social", "gp"}[i]
		if _, err := h.do(as(t, from), "redirect", m.GetName(), "", to); err != nil {
			t.Fatal(err)
		}
		if n := h.late(); n != i+2 {
			t.Errorf("to the %s: told %d times", to, n)
		}
	}
	if _, err := h.do(as(t, "social"), "acknowledge", h.refer("r2", "social").GetName(), "", ""); err != nil {
		t.Fatal(err)
	}
	if n := h.late(); n != 3 {
		t.Errorf("told %d times, with one that was acknowledged", n)
	}
}

// Many processes on one database tell once, of more than a sweep takes at a time.
func TestManySweepersTellOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	m := h.refer("r0", "social")
	h.count(`WITH more AS (INSERT INTO referrals SELECT r.child_id, gen_random_uuid(), r.agency_id, 'n' || n, r.record_id, r.record_local_id,
			r.recipient_id, r.service, r.reason, r.urgency, r.basis, r.state, r.acknowledge_by_time, r.decline_reason, r.outcome, r.redirected_from,
			r.involvement_id, r.send_time, r.acknowledge_time, r.create_time, r.known_from, r.revision
		FROM referrals r, generate_series(1, 449) AS n WHERE r.local_id = $1 RETURNING 1) SELECT count(*) FROM more`, "r0")
	if _, err := h.pool.Exec(t.Context(), `UPDATE referrals SET acknowledge_by_time = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	var sweepers sync.WaitGroup
	for range 6 {
		sweepers.Go(func() {
			if err := referrals.Sweep.Run(t.Context(), h.pool); err != nil {
				t.Error(err)
			}
		})
	}
	sweepers.Wait()
	if n := h.late(); n != 450 {
		t.Errorf("%d events of 450 referrals such as %s", n, m.GetName())
	}
}
