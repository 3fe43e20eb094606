package concerns_test

import (
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/concerns"
)

// review has the school share a concern with a day on which it looks at it again.
func (h *hub) review(id, child, on string) *irtv1.Concern {
	h.t.Helper()
	c, err := h.SubmitConcern(as(h.t, "school"), &irtv1.SubmitConcernRequest{Concern: &irtv1.Concern{
		Name: "agencies/school/concerns/" + id, Child: child, Category: "ATTENDANCE", Level: "UNIVERSAL", StartDate: day(-40), ReviewDate: on,
	}})
	if err != nil {
		h.t.Fatal(err, status.Convert(err).Details())
	}
	return c
}

// overdue sweeps, and counts the events that tell of overdue reviews so far.
func (h *hub) overdue() (n int) {
	h.t.Helper()
	if err := concerns.Sweep.Run(h.t.Context(), h.pool); err != nil {
		h.t.Fatal(err)
	}
	err := h.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM event_outbox WHERE kind = 64`).Scan(&n)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// The agency is told once that a review date is over, and again of a later one;
// nobody else is told.
func TestOverdueReviewIsToldOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	h.review("today", child, day(0))
	h.review("none", child, "")
	c := h.review("c1", child, day(-1))
	closed := h.review("closed", child, day(-1))
	if _, err := h.CloseConcern(as(t, "school"), &irtv1.CloseConcernRequest{Name: closed.GetName(), Outcome: "RESOLVED"}); err != nil {
		t.Fatal(err)
	}
	if n := h.overdue(); n != 1 {
		t.Fatalf("%d events of one concern that is overdue", n)
	}
	var resource, agency string
	var audience int
	var to []string
	err := h.pool.QueryRow(t.Context(), `SELECT resource, agency_id, audience, agencies FROM event_outbox WHERE kind = 64`).
		Scan(&resource, &agency, &audience, &to)
	if err != nil || resource != c.GetName() || agency != "" || audience != 4 || len(to) != 1 || to[0] != "school" {
		t.Errorf("told: %s of %q to %d %v, %v", resource, agency, audience, to, err)
	}
	if n := h.overdue(); n != 1 {
		t.Errorf("told %d times", n)
	}
	// To be told makes no version, nor does another version make it told again.
	seen, err := h.GetConcern(as(t, "school"), &irtv1.GetConcernRequest{Name: c.GetName()})
	if err != nil || seen.GetEtag() != c.GetEtag() || !seen.GetReviewOverdue() {
		t.Errorf("after it: %v, %v", seen, err)
	}
	if _, err := h.SubmitConcern(as(t, "school"), &irtv1.SubmitConcernRequest{Concern: &irtv1.Concern{
		Name: c.GetName(), Child: child, Category: "ATTENDANCE", Level: "TARGETED", StartDate: day(-40), ReviewDate: day(-1),
	}}); err != nil {
		t.Fatal(err)
	}
	if n := h.overdue(); n != 1 {
		t.Errorf("told %d times after another level", n)
	}
	h.review("c1", child, day(30))
	if n := h.overdue(); n != 1 {
		t.Errorf("told of a day to come")
	}
	h.review("c1", child, day(-2))
	if n := h.overdue(); n != 2 {
		t.Errorf("%d events of two review dates", n)
	}
}

// A concern that was told of is not told again where it comes under another child.
func TestOverdueStaysToldWhenItMoves(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := h.correct("social", "1", "9434765870", "Rosalind", "2015-06-02")
	gone := h.correct("school", "1", "", "Barnaby", "2012-01-09")
	c := h.review("c1", gone, day(-1))
	if n := h.overdue(); n != 1 {
		t.Fatalf("told %d times", n)
	}
	if h.correct("school", "1", "9434765870", "Rosalind", "2015-06-02") != kept {
		t.Fatal("they did not become one")
	}
	h.wantChild(c.GetName(), kept)
	if n := h.overdue(); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// Many processes on one database tell once.
func TestManySweepersTellOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	h.review("c1", child, day(-1))
	h.review("c2", child, day(-3))
	var sweepers sync.WaitGroup
	for range 6 {
		sweepers.Go(func() {
			if err := concerns.Sweep.Run(t.Context(), h.pool); err != nil {
				t.Error(err)
			}
		})
	}
	sweepers.Wait()
	if n := h.overdue(); n != 2 {
		t.Errorf("%d events of two concerns", n)
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"12w": 84, "1d": 1, "90d": 90, "": 0, "w": 0, "12": 0, "0w": 0, "-1w": 0, "+1w": 0, "012d": 0, "12dw": 0, "12m": 0, "99999999999999999999w": 0, "9999w": 0,
	} {
		if got, err := concerns.ParseWindow(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for window, want := range map[int]string{0: "CONCERN_SUBMITTED CONCERN_SUBMITTED CONCERN_ESCALATED LEAD_PROFESSIONAL_WANTED", 30: "CONCERN_SUBMITTED CONCERN_SUBMITTED"} {
		h := newHubWith(t, concerns.Options{Window: window})
		child := h.submit("school", "1", "Ada", "2014-05-05")
		h.submit("gp", "1", "Ada", "2014-05-05")
		h.review("c1", child, "") // since 40 days ago
		h.mustShare("gp", "g1", child, "UNIVERSAL")
		if got := h.told(child); got != want {
			t.Errorf("window %d: %s", window, got)
		}
	}
}

// A sensitive service is told of its own, and nobody else.
func TestOverdueOfSensitiveService(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("clinic", "1", "Ada", "2014-05-05")
	_, err := h.SubmitConcern(as(t, "clinic"), &irtv1.SubmitConcernRequest{Concern: &irtv1.Concern{
		Name: "agencies/clinic/concerns/k1", Child: child, Category: "ATTENDANCE", Level: "ACUTE", StartDate: day(-40), ReviewDate: day(-1),
	}})
	if status.Code(err) != codes.OK {
		t.Fatal(err)
	}
	h.overdue()
	var others int
	err = h.pool.QueryRow(t.Context(), `SELECT count(*) FROM event_outbox WHERE kind = 64 AND NOT (audience = 4 AND agencies = '{clinic}')`).Scan(&others)
	if err != nil || others != 0 {
		t.Errorf("%d are for others: %v", others, err)
	}
}
