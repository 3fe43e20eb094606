package referrals_test

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
)

// offer has an agency offer a service.
func (h *hub) offer(agency, id string, state int) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), `INSERT INTO services (agency_id, service_id, display_name, kind, state) VALUES ($1, $2, 'x', 'OTHER', $3)
		ON CONFLICT (agency_id, service_id) DO UPDATE SET state = $3`, agency, id, state)
	if err != nil {
		h.t.Fatal(err)
	}
}

// to has the school refer to a service of an agency.
func (h *hub) to(id, agency, service string) (*irtv1.Referral, error) {
	m := referral(id, agency)
	m.Service = service
	return h.SendReferral(as(h.t, "school"), &irtv1.SendReferralRequest{Referral: m})
}

// A referral asks for a service that the recipient offers, or for any of one that has
// recorded none.
func TestTheServiceIsOneOfTheRecipients(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	if m, err := h.to("r1", "charity", "whatever"); err != nil || m.GetService() != "whatever" {
		t.Fatalf("of a recipient without services: %v, %v", m, err)
	}
	h.offer("social", "front-door", 1)
	h.offer("social", "former", 2)
	h.offer("gp", "clinic", 1)
	m, err := h.to("r2", "social", "front-door")
	if err != nil || m.GetService() != "front-door" {
		t.Fatalf("of a service in use: %v, %v", m, err)
	}
	if _, err := h.to("r3", "social", ""); err != nil {
		t.Errorf("without a service: %v", err)
	}
	for i, service := range []string{"former", "clinic", "none", "FRONT-DOOR"} {
		_, err := h.to(fmt.Sprint("bad", i), "social", service)
		if _, _, rule := wantError(t, err, codes.InvalidArgument); rule != "REFERRAL_SERVICE" {
			t.Errorf("%s: %s", service, rule)
		}
	}
	if n := h.count(`SELECT count(*) FROM referrals WHERE local_id LIKE 'bad%'`); n != 0 {
		t.Errorf("%d are in", n)
	}
	// What was sent stays good when the service ends, and may be sent again; it cannot
	// be turned to another that is not offered.
	h.offer("social", "front-door", 2)
	if again, err := h.to("r2", "social", "front-door"); err != nil || again.GetEtag() != m.GetEtag() {
		t.Errorf("again: %v, %v", again, err)
	}
	_, err = h.to("r2", "social", "former")
	if _, _, rule := wantError(t, err, codes.InvalidArgument); rule != "REFERRAL_SERVICE" {
		t.Errorf("turned: %s", rule)
	}
}

// Referrals are counted as a whole, and by the service that was asked for.
func TestStatisticsByService(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.submit("school", "p1", "Aoife", "2014-03-02")
	for i, service := range []string{"", "a", "a", "a", "b"} {
		m, err := h.to(fmt.Sprint("r", i), "social", service)
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 || i == 4 {
			if _, err := h.do(as(t, "social"), "acknowledge", m.GetName(), "", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := h.to("elsewhere", "gp", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE referrals SET send_time = acknowledge_time - CASE service WHEN 'a' THEN interval '10 s' ELSE interval '30 s' END
		WHERE acknowledge_time IS NOT NULL`); err != nil {
		t.Fatal(err)
	}
	st, err := h.GetReferralStatistics(as(t, "social"), &irtv1.GetReferralStatisticsRequest{Parent: "agencies/social"})
	if err != nil {
		t.Fatal(err)
	}
	const sent, acknowledged = irtv1.ReferralState_REFERRAL_STATE_SENT, irtv1.ReferralState_REFERRAL_STATE_ACKNOWLEDGED
	counts := func(list []*irtv1.ReferralCount) string {
		text := ""
		for _, c := range list {
			text += fmt.Sprint(c.GetState(), "=", c.GetCount(), " ")
		}
		return text
	}
	if got, want := counts(st.GetCounts()), fmt.Sprint(sent, "=3 ", acknowledged, "=2 "); got != want || st.GetMedianAcknowledgeSeconds() != 20 {
		t.Errorf("in all %s, median %v", got, st.GetMedianAcknowledgeSeconds())
	}
	for i, want := range []struct {
		service, counts string
		median          float64
	}{
		{"", fmt.Sprint(sent, "=1 "), 0},
		{"agencies/social/services/a", fmt.Sprint(sent, "=2 ", acknowledged, "=1 "), 10},
		{"agencies/social/services/b", fmt.Sprint(acknowledged, "=1 "), 30},
	} {
		if i >= len(st.GetServices()) {
			t.Fatalf("%d services", len(st.GetServices()))
		}
		s := st.GetServices()[i]
		if s.GetService() != want.service || counts(s.GetCounts()) != want.counts || s.GetMedianAcknowledgeSeconds() != want.median || s.GetP90AcknowledgeSeconds() != want.median {
			t.Errorf("%v, want %v", s, want)
		}
	}
	if st, err := h.GetReferralStatistics(as(t, "clinic"), &irtv1.GetReferralStatisticsRequest{Parent: "agencies/clinic"}); err != nil || len(st.GetServices()) != 0 || len(st.GetCounts()) != 0 {
		t.Errorf("of none: %v, %v", st, err)
	}
	_, err = h.GetReferralStatistics(as(t, "gp"), &irtv1.GetReferralStatisticsRequest{Parent: "agencies/social"})
	wantError(t, err, codes.PermissionDenied)
}
