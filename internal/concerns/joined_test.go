package concerns_test

import (
	"context"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/concerns"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

const (
	rosalind = "9434765870" // the NHS number by which records are found to be of one child

	submitted = "CONCERN_SUBMITTED"
	escalated = "CONCERN_ESCALATED"
	wanted    = "CONCERN_ESCALATED LEAD_PROFESSIONAL_WANTED"
)

// manager is the context of a call by a data manager.
func manager(t testing.TB, practitioner string) context.Context {
	t.Helper()
	return call(t, identity.Caller{Agency: "social", Practitioner: practitioner, Role: irtv1.Role_ROLE_DATA_MANAGER})
}

// merge has data managers make one child of two, which for unlike ones takes two people.
func (h *hub) merge(child, into string) {
	h.t.Helper()
	for _, who := range []string{"dan", "dot"} {
		got, err := h.children.MergeChildren(manager(h.t, who), &irtv1.MergeChildrenRequest{Child: child, IntoChild: into, Reason: "the mother rang"})
		if err != nil {
			h.t.Fatal(err)
		}
		if got.GetOutcome() == irtv1.MergeOutcome_MERGE_OUTCOME_MERGED {
			return
		}
	}
	h.t.Fatal("two people did not merge them")
}

func (h *hub) split(child, record string) string {
	h.t.Helper()
	got, err := h.children.SplitChildRecord(manager(h.t, "dan"), &irtv1.SplitChildRecordRequest{
		Child: child, ChildRecords: []string{record}, Reason: "two children",
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return got.GetChild().GetName()
}

// since is what was told of a child besides what had been.
func (h *hub) since(child, had string) string {
	h.t.Helper()
	return strings.TrimSpace(strings.TrimPrefix(h.told(child), had))
}

// Where children become one, whoever worked with one of them is told of what they had
// not been told, once, whoever it is that makes them one.
func TestEscalatesWhereChildrenBecomeOne(t *testing.T) {
	t.Parallel()
	merge := func(h *hub, gone, kept string) { h.merge(gone, kept) }
	match := func(h *hub, _, kept string) {
		if h.correct("social", "1", rosalind, "Rosalind", "2015-06-02") != kept {
			h.t.Fatal("they did not become one")
		}
	}
	type share struct{ agency, level string }
	for name, c := range map[string]struct {
		kept, gone []share // concerns about each
		also       string  // an agency that works with the one that is kept
		led        bool
		want       string // told of the one that they become
	}{
		"two agencies":                  {[]share{{"school", "UNIVERSAL"}}, []share{{"social", "UNIVERSAL"}}, "", false, wanted},
		"two agencies, with a lead":     {[]share{{"school", "UNIVERSAL"}}, []share{{"social", "UNIVERSAL"}}, "", true, escalated},
		"one agency":                    {nil, []share{{"social", "UNIVERSAL"}}, "gp", false, ""},
		"acute where others work":       {nil, []share{{"social", "ACUTE"}}, "gp", false, wanted},
		"others come to what is acute":  {[]share{{"school", "ACUTE"}}, nil, "", false, wanted},
		"others come to two agencies":   {[]share{{"school", "UNIVERSAL"}, {"gp", "UNIVERSAL"}}, nil, "gp", false, wanted},
		"acute on both sides":           {[]share{{"school", "ACUTE"}}, []share{{"social", "ACUTE"}}, "", true, escalated},
		"a sensitive service's besides": {[]share{{"school", "UNIVERSAL"}, {"clinic", "ACUTE"}}, nil, "clinic", false, ""},
		"nothing":                       {nil, nil, "gp", false, ""},
	} {
		for how, become := range map[string]func(h *hub, gone, kept string){"merged": merge, "matched": match} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				h := newHub(t)
				kept := h.correct("school", "1", rosalind, "Rosalind", "2015-06-02")
				gone := h.correct("social", "1", "", "Barnaby", "2012-01-09")
				if c.also != "" && h.correct(c.also, "1", rosalind, "Rosalind", "2015-06-02") != kept {
					t.Fatal("not the child that is kept")
				}
				if c.led {
					h.lead(kept, "school")
				}
				for _, s := range c.kept {
					h.mustShare(s.agency, "c", kept, s.level)
				}
				for _, s := range c.gone {
					h.mustShare(s.agency, "c", gone, s.level)
				}
				had := h.told(kept)
				become(h, gone, kept)
				if got := h.since(kept, had); got != c.want {
					t.Errorf("told %q, want %q", got, c.want)
				}
				if n := h.betrayed(); n != 0 {
					t.Errorf("%d events of the clinic are for others", n)
				}
			})
		}
	}
}

// lead makes an agency's practitioner the lead professional of a child.
func (h *hub) lead(child, agency string) {
	h.t.Helper()
	id, err := rpc.ParseChildName(child)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.pool.Exec(h.t.Context(), `INSERT INTO lead_professionals (child_id, start_date, involvement_id, agency_id, practitioner_id, known_from)
		VALUES ($1, $2, gen_random_uuid(), $3, 'p', now())`, id, day(-1), agency); err != nil {
		h.t.Fatal(err)
	}
}

// betrayed counts the events that name a sensitive service and are not its own.
func (h *hub) betrayed() (n int) {
	h.t.Helper()
	err := h.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM event_outbox WHERE kind BETWEEN 60 AND 79
		AND (agency_id = 'clinic' OR resource LIKE '%/clinic/%') AND reveals <> 'clinic'`).Scan(&n)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// What comes together is told of in the name of a concern that everybody may know of,
// before any that is sensitive, and a service that must not be known of leaves no trace
// by having come.
func TestSensitiveServiceComesUnseen(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := h.correct("school", "1", rosalind, "Rosalind", "2015-06-02")
	gone := h.correct("clinic", "1", "", "Barnaby", "2012-01-09")
	h.mustShare("school", "c", kept, "ACUTE")
	h.mustShare("clinic", "k", gone, "ACUTE")
	had := h.told(kept)
	h.merge(gone, kept)
	if got := h.since(kept, had); got != "" {
		t.Errorf("told %q because a sensitive service came", got)
	}
	third := h.correct("police", "1", "", "Chidi", "2010-08-01")
	h.mustShare("police", "p", third, "UNIVERSAL")
	had = h.told(kept)
	h.merge(third, kept)
	var resource string
	err := h.pool.QueryRow(t.Context(), `SELECT resource FROM event_outbox WHERE kind = $1 ORDER BY event_id DESC LIMIT 1`,
		int(irtv1.EventKind_EVENT_KIND_CONCERN_ESCALATED)).Scan(&resource)
	if err != nil || resource != "agencies/school/concerns/c" {
		t.Errorf("told of %s, %v", resource, err)
	}
	if got := h.since(kept, had); got != wanted {
		t.Errorf("told %q of two agencies", got)
	}
}

// A split tells nobody: each had been told of as much. What comes together again is
// told of again.
func TestPartingTellsNobody(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := h.correct("school", "1", rosalind, "Rosalind", "2015-06-02")
	gone := h.correct("social", "1", "", "Barnaby", "2012-01-09")
	h.mustShare("school", "c", kept, "UNIVERSAL")
	h.mustShare("social", "c", gone, "ACUTE")
	h.merge(gone, kept)
	hadKept, hadGone := h.told(kept), h.told(gone)
	if now := h.split(kept, "agencies/social/childRecords/1"); now != gone {
		t.Fatalf("split into %s", now)
	}
	if a, b := h.since(kept, hadKept), h.since(gone, hadGone); a != "" || b != "" {
		t.Errorf("told %q and %q", a, b)
	}
	h.merge(gone, kept)
	if got := h.since(kept, hadKept); got != wanted {
		t.Errorf("told %q of what came together again", got)
	}
}

// Everything matched again, by command, is no different.
func TestEscalatesWhereEverythingIsMatchedAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	one := h.correct("school", "1", rosalind, "Rosalind", "2015-06-02")
	h.correct("social", "1", rosalind, "Rosalind", "2015-06-02")
	other := h.split(one, "agencies/social/childRecords/1")
	h.mustShare("school", "c", one, "UNIVERSAL")
	h.mustShare("social", "c", other, "UNIVERSAL")
	if _, err := h.children.RevokeMatchConstraint(manager(t, "dan"), &irtv1.RevokeMatchConstraintRequest{
		ChildRecord: "agencies/school/childRecords/1", OtherChildRecord: "agencies/social/childRecords/1", Reason: "one after all",
	}); err != nil {
		t.Fatal(err)
	}
	before := h.told(one) + h.told(other)
	for _, o := range []children.RematchOptions{{DryRun: true}, {}, {Restart: true}} {
		o.Follower = concerns.Follow(0)
		tally, err := children.Rematch(t.Context(), h.pool, h.directory, o)
		if err != nil {
			t.Fatal(err)
		}
		told := strings.Count(h.told(one)+h.told(other), escalated)
		if want := map[bool]int{true: 0, false: 1}[o.DryRun]; told != want {
			t.Errorf("%+v: told %d times of %d merged", o, told, tally.Merged)
		}
	}
	if before != submitted+submitted {
		t.Errorf("before: %q", before)
	}
}
