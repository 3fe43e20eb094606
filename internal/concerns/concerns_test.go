package concerns_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// share has an agency share a concern about a child.
func (h *hub) share(agency, id, child, level string) (*irtv1.Concern, error) {
	return h.SubmitConcern(as(h.t, agency), &irtv1.SubmitConcernRequest{Concern: &irtv1.Concern{
		Name: "agencies/" + agency + "/concerns/" + id, Child: child, Category: "attendance", Level: level,
		StartDate: day(-1), ReviewDate: day(30),
	}})
}

func (h *hub) mustShare(agency, id, child, level string) *irtv1.Concern {
	h.t.Helper()
	c, err := h.share(agency, id, child, level)
	if err != nil {
		h.t.Fatal(err, status.Convert(err).Details())
	}
	return c
}

// listed are the names of the concerns about a child that an agency is shown.
func (h *hub) listed(agency, child string) string {
	h.t.Helper()
	list, err := h.ListConcerns(as(h.t, agency), &irtv1.ListConcernsRequest{Parent: child})
	if err != nil {
		return status.Code(err).String()
	}
	var names []string
	for _, c := range list.GetConcerns() {
		names = append(names, strings.TrimPrefix(c.GetName(), "agencies/"))
	}
	if len(list.GetWithheld()) > 0 {
		names = append(names, "withheld")
	}
	return strings.Join(names, " ")
}

func TestSharedWithThoseWhoWorkWithTheChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	h.submit("gp", "1", "Ada", "2014-05-05")
	c := h.mustShare("school", "c1", child, "early help")
	if c.GetState() != irtv1.ConcernState_CONCERN_STATE_OPEN || c.GetLevel() != "EARLY_HELP" || c.GetCategory() != "ATTENDANCE" ||
		c.GetChildRecord() != "agencies/school/childRecords/1" || c.GetEtag() == "" {
		t.Errorf("shared: %v", c)
	}
	if again := h.mustShare("school", "c1", child, "EARLY_HELP"); again.GetEtag() != c.GetEtag() {
		t.Error("the same again is another version")
	}
	if got := h.listed("gp", child); got != "school/concerns/c1" {
		t.Errorf("the practice sees %q", got)
	}
	if got := h.listed("police", child); got != "PermissionDenied" {
		t.Errorf("the police, who do not work with the child, see %q", got)
	}
	seen, err := h.GetConcern(as(t, "gp"), &irtv1.GetConcernRequest{Name: c.GetName()})
	if err != nil || seen.GetEtag() != "" || seen.GetChildRecord() != "" || seen.GetCategory() != "ATTENDANCE" {
		t.Errorf("the practice gets %v, %v", seen, err)
	}
	_, denied := h.GetConcern(as(t, "police"), &irtv1.GetConcernRequest{Name: c.GetName()})
	_, none := h.GetConcern(as(t, "police"), &irtv1.GetConcernRequest{Name: "agencies/school/concerns/none"})
	if status.Code(denied) != codes.PermissionDenied || denied.Error() != none.Error() {
		t.Errorf("the police get %v, and of none %v", denied, none)
	}
	if _, err := h.share("police", "p1", child, "ACUTE"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("who does not work with the child shares a concern: %v", err)
	}
}

func TestEscalates(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	h.submit("gp", "1", "Ada", "2014-05-05")
	h.mustShare("school", "c1", child, "UNIVERSAL")
	h.mustShare("school", "c2", child, "UNIVERSAL")
	if got := h.told(child); got != "CONCERN_SUBMITTED CONCERN_SUBMITTED" {
		t.Errorf("one agency: %s", got)
	}
	h.mustShare("gp", "g1", child, "UNIVERSAL")
	if got := h.told(child); !strings.HasSuffix(got, "CONCERN_SUBMITTED CONCERN_ESCALATED LEAD_PROFESSIONAL_WANTED") {
		t.Errorf("two agencies: %s", got)
	}
	h.mustShare("school", "c1", child, "ACUTE")
	if got := h.told(child); strings.Count(got, "ESCALATED") != 2 {
		t.Errorf("acute: %s", got)
	}
}

// A lead professional whom nobody may know of, because the service is sensitive by now,
// is none to those who ask for one; another is.
func TestALeadKeptSecretLeadsNobody(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	id, err := rpc.ParseChildName(child)
	if err != nil {
		t.Fatal(err)
	}
	for n, step := range []struct{ lead, want string }{
		{"clinic", "CONCERN_SUBMITTED CONCERN_ESCALATED LEAD_PROFESSIONAL_WANTED"},
		{"gp", "CONCERN_SUBMITTED CONCERN_ESCALATED"},
	} {
		if _, err := h.pool.Exec(t.Context(), `DELETE FROM lead_professionals`); err != nil {
			t.Fatal(err)
		}
		if _, err := h.pool.Exec(t.Context(), `INSERT INTO lead_professionals (child_id, start_date, involvement_id, agency_id, practitioner_id, known_from)
			VALUES ($1, $2, gen_random_uuid(), $3, 'p', now())`, id, day(-1), step.lead); err != nil {
			t.Fatal(err)
		}
		before := len(h.told(child))
		h.mustShare("school", fmt.Sprintf("c%d", n), child, "ACUTE")
		if got := strings.TrimSpace(h.told(child)[before:]); got != step.want {
			t.Errorf("led by %s: %s, want %s", step.lead, got, step.want)
		}
	}
}

// A sensitive service's concern is its own affair: nobody else is shown it, told of
// it or could conclude it from what follows.
func TestSensitiveLeavesNoTrace(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	h.submit("clinic", "1", "Ada", "2014-05-05")
	before := h.listed("school", child)
	c := h.mustShare("clinic", "k1", child, "ACUTE")
	if got := h.listed("school", child); got != before {
		t.Errorf("the school sees %q", got)
	}
	if got := h.listed("clinic", child); got != "clinic/concerns/k1" {
		t.Errorf("the clinic sees %q", got)
	}
	_, denied := h.GetConcern(as(t, "school"), &irtv1.GetConcernRequest{Name: c.GetName()})
	_, none := h.GetConcern(as(t, "school"), &irtv1.GetConcernRequest{Name: "agencies/clinic/concerns/none"})
	if status.Code(denied) != codes.PermissionDenied || denied.Error() != none.Error() {
		t.Errorf("the school gets %v, and of none %v", denied, none)
	}
	h.mustShare("school", "c1", child, "UNIVERSAL")
	if got := h.told(child); strings.Contains(got, "ESCALATED") || strings.Contains(got, "WANTED") {
		t.Errorf("told: %s", got)
	}
	var open int
	err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM event_outbox WHERE kind BETWEEN 60 AND 79 AND agency_id = 'clinic' AND reveals <> 'clinic'`).Scan(&open)
	if err != nil || open != 0 {
		t.Errorf("%d events of the clinic are for others: %v", open, err)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	for i := range 5 {
		h.mustShare("school", fmt.Sprint("c", i), child, "UNIVERSAL")
	}
	for _, parent := range []string{child, "agencies/school"} {
		seen := map[string]bool{}
		req := &irtv1.ListConcernsRequest{Parent: parent, PageSize: 2, State: irtv1.ConcernState_CONCERN_STATE_OPEN}
		for {
			list, err := h.ListConcerns(as(t, "school"), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list.GetConcerns() {
				seen[c.GetName()] = true
			}
			if req.PageToken = list.GetNextPageToken(); req.GetPageToken() == "" {
				break
			}
		}
		if len(seen) != 5 {
			t.Errorf("%s: %v", parent, seen)
		}
	}
	list, err := h.ListConcerns(as(t, "school"), &irtv1.ListConcernsRequest{Parent: child, ReviewOverdue: true})
	if err != nil || len(list.GetConcerns()) != 0 {
		t.Errorf("overdue: %v, %v", list, err)
	}
}

// Random moves against a model: what is open may be submitted, closed or withdrawn;
// what is not, nothing, but for saying the same again, which changes nothing.
func TestMovesFollowTheModel(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	random := rand.New(rand.NewPCG(6, 1))
	states, levels := map[string]irtv1.ConcernState{}, map[string]string{}
	for range 90 {
		id := fmt.Sprint("c", random.IntN(6))
		name, was := "agencies/school/concerns/"+id, states[id]
		var got *irtv1.Concern
		var err error
		next := irtv1.ConcernState_CONCERN_STATE_OPEN
		switch random.IntN(3) {
		case 0:
			level := []string{"UNIVERSAL", "TARGETED"}[random.IntN(2)]
			got, err = h.share("school", id, child, level)
			switch {
			case was == 0:
				was = next
			case level == levels[id] && was != next:
				if err != nil || got.GetState() != was || got.GetEndDate() != day(0) {
					t.Fatalf("the same again of what is %v: %v, %v", was, got, err)
				}
				continue
			}
			if err == nil {
				levels[id] = level
			}
		case 1:
			next = irtv1.ConcernState_CONCERN_STATE_CLOSED
			got, err = h.CloseConcern(as(t, "school"), &irtv1.CloseConcernRequest{Name: name, Outcome: "resolved"})
		case 2:
			next = irtv1.ConcernState_CONCERN_STATE_WITHDRAWN
			got, err = h.WithdrawConcern(as(t, "school"), &irtv1.WithdrawConcernRequest{Name: name})
		}
		switch was {
		case irtv1.ConcernState_CONCERN_STATE_UNSPECIFIED:
			if status.Code(err) != codes.NotFound {
				t.Fatalf("moving none: %v", err)
			}
		case irtv1.ConcernState_CONCERN_STATE_OPEN:
			if err != nil || got.GetState() != next {
				t.Fatalf("to %v: %v, %v", next, got, err)
			}
			states[id] = next
		default:
			wantError(t, err, codes.FailedPrecondition, "FAILED_PRECONDITION")
			if text := status.Convert(err).Message(); !strings.Contains(text, strings.TrimPrefix(was.String(), "CONCERN_STATE_")) {
				t.Fatalf("refused without the state: %s", text)
			}
		}
	}
}

// Of two who close at once with the version that both saw, one wins.
func TestOneOfTwoClosersWins(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	c := h.mustShare("school", "c1", child, "UNIVERSAL")
	var closers sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		ctx := as(t, "school")
		closers.Go(func() {
			_, errs[i] = h.CloseConcern(ctx, &irtv1.CloseConcernRequest{Name: c.GetName(), Etag: c.GetEtag(), Outcome: "RESOLVED"})
		})
	}
	closers.Wait()
	if errs[0] != nil {
		errs[0], errs[1] = errs[1], errs[0]
	}
	if errs[0] != nil {
		t.Fatal(errs)
	}
	wantError(t, errs[1], codes.Aborted, "ETAG_MISMATCH")
	if !strings.Contains(errs[1].Error(), "CLOSED") {
		t.Errorf("the loser is not told the state: %v", errs[1])
	}
}

// Who does not work with the child any more may say again what it said while it did, and
// nothing else.
func TestWhoHasLeftSaysNothingNew(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	c := h.mustShare("school", "c1", child, "UNIVERSAL")
	if _, err := h.children.WithdrawChildRecord(as(t, "school"), &irtv1.WithdrawChildRecordRequest{Name: "agencies/school/childRecords/1"}); err != nil {
		t.Fatal(err)
	}
	byRecord := func(change func(*irtv1.Concern)) error {
		m := &irtv1.Concern{Name: c.GetName(), ChildRecord: c.GetChildRecord(), Category: "ATTENDANCE", Level: "UNIVERSAL", StartDate: day(-1), ReviewDate: day(30)}
		change(m)
		again, err := h.SubmitConcern(as(t, "school"), &irtv1.SubmitConcernRequest{Concern: m})
		if err == nil && again.GetEtag() != c.GetEtag() {
			t.Errorf("another version: %v", again)
		}
		return err
	}
	for _, same := range []func(*irtv1.Concern){
		func(*irtv1.Concern) {},
		func(m *irtv1.Concern) { m.Child = child },
		func(m *irtv1.Concern) { m.Child, m.ChildRecord = child, "" },
		func(m *irtv1.Concern) { m.Etag = c.GetEtag() },
	} {
		if err := byRecord(same); err != nil {
			t.Errorf("the same again: %v", err)
		}
	}
	unknown := "children/" + standard.FormatChildID(standard.NewChildID())
	for what, change := range map[string]func(*irtv1.Concern){
		"another level":  func(m *irtv1.Concern) { m.Level = "ACUTE" },
		"a new concern":  func(m *irtv1.Concern) { m.Name = "agencies/school/concerns/c2" },
		"another record": func(m *irtv1.Concern) { m.ChildRecord = "agencies/school/childRecords/2" },
		"another child":  func(m *irtv1.Concern) { m.Child = unknown },
	} {
		if err := byRecord(change); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := h.told(child); got != "CONCERN_SUBMITTED" {
		t.Errorf("told: %s", got)
	}
}
