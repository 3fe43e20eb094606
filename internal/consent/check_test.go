package consent_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

const (
	location  = irtv1.Category_CATEGORY_LOCATION
	sensitive = irtv1.Category_CATEGORY_SENSITIVE
)

// ask asks about one category, and gives "yes RULE" or "no RULE: REMEDY …".
func (h *hub) ask(ctx context.Context, child, agency string, c irtv1.Category, p irtv1.Purpose) string {
	h.t.Helper()
	req := &irtv1.CheckSharingRequest{Child: child, Categories: []irtv1.Category{c}, Purpose: p}
	if agency != "" {
		req.Agency = "agencies/" + agency
	}
	out, err := h.CheckSharing(ctx, req)
	if err != nil {
		wantError(h.t, err, codes.OK, "")
	}
	d := out.GetDecisions()[0]
	if len(out.GetDecisions()) != 1 || d.GetCategory() != c || d.GetWords() == "" || d.GetLegalBasis() == "" {
		h.t.Fatalf("the answer: %v", out)
	}
	if d.GetAllowed() {
		return "yes " + d.GetRuleId()
	}
	var remedies []string
	for _, r := range d.GetRemedies() {
		if r.GetWords() == "" || r.GetRuleId() == "" {
			h.t.Errorf("a remedy without words or rule: %v", r)
		}
		remedies = append(remedies, strings.TrimPrefix(r.GetKind().String(), "SHARING_REMEDY_KIND_"))
	}
	return "no " + d.GetRuleId() + ": " + strings.Join(slices.Compact(remedies), " ")
}

// Before anyone picks up the telephone: yes or no, on what basis, and what would
// change that.
func TestMayThisBeShared(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	h.submit("school", "1", "Rosalind", born(9))
	const education = irtv1.Purpose_PURPOSE_EDUCATION
	social := as(t, "social")
	if got := h.ask(social, child, "school", location, education); got != "yes INVOLVED" {
		t.Errorf("with a school that has a record: %s", got)
	}
	if got := h.ask(social, child, "school", location, irtv1.Purpose_PURPOSE_AUDIT); got != "no INVOLVED: PURPOSE CONSENT EMERGENCY" {
		t.Errorf("with a school, for a purpose of no work: %s", got)
	}
	if got := h.ask(social, child, "gp", location, education); got != "no INVOLVED: INVOLVEMENT CONSENT EMERGENCY" {
		t.Errorf("with a practice that does not know the child: %s", got)
	}
	h.record(agreed("social", "c1", child))
	if got := h.ask(social, child, "gp", location, education); got != "yes CONSENT" {
		t.Errorf("with that practice, by consent: %s", got)
	}
	if got := h.ask(social, child, "gp", irtv1.Category_CATEGORY_CONTACT, education); got != "no INVOLVED: INVOLVEMENT CONSENT EMERGENCY" {
		t.Errorf("more than was consented to: %s", got)
	}
	if got := h.ask(social, child, "gp", irtv1.Category_CATEGORY_INVOLVEMENT, irtv1.Purpose_PURPOSE_SAFEGUARDING); !strings.HasPrefix(got, "no ") {
		t.Errorf("who works with the child: %s", got)
	}
	if got := h.ask(social, child, "police", irtv1.Category_CATEGORY_INVOLVEMENT, irtv1.Purpose_PURPOSE_SAFEGUARDING); !strings.Contains(got, "REASON") {
		t.Errorf("who works with the child, with the police: %s", got)
	}
	all, err := h.CheckSharing(social, &irtv1.CheckSharingRequest{Child: child, Agency: "agencies/gp"})
	if err != nil || len(all.GetDecisions()) != 11 {
		t.Errorf("of every category: %v, %v", all, err)
	}
}

// What is hidden is not to be read from an answer.
func TestCheckSharingOfAShieldedChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	h.submit("school", "1", "Rosalind", born(9))
	const education = irtv1.Purpose_PURPOSE_EDUCATION
	before := h.ask(as(t, "social"), child, "gp", location, education)
	h.propose("social/ann", child)
	if got := h.ask(as(t, "social"), child, "school", location, education); got != "no SHIELDED: SHIELD_LIFTED" {
		t.Errorf("with who would see it: %s", got)
	}
	if got := h.ask(as(t, "social"), child, "gp", location, education); got != before {
		t.Errorf("with who would not: %s; of a child that is not shielded: %s", got, before)
	}
	if got := h.ask(as(t, "social"), child, "police", location, irtv1.Purpose_PURPOSE_EMERGENCY); !strings.HasPrefix(got, "no ") {
		t.Errorf("in an emergency without a reason: %s", got)
	}
}

// The sensitive service asks whether it may show that it is involved; nobody else
// learns from an answer that it is.
func TestCheckSharingOfASensitiveService(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(15))
	h.submit("gp", "1", "Rosalind", born(15))
	const safeguarding = irtv1.Purpose_PURPOSE_SAFEGUARDING
	before := h.ask(as(t, "social"), child, "clinic", location, safeguarding)
	h.submit("clinic", "1", "Rosalind", born(15))
	if got := h.ask(as(t, "social"), child, "clinic", location, safeguarding); got != before {
		t.Errorf("about the clinic: %s; before it knew the child: %s", got, before)
	}
	clinic := as(t, "clinic")
	if got := h.ask(clinic, child, "social", sensitive, safeguarding); got != "no SENSITIVE_BROKERED: CONSENT REASONABLE_CAUSE EMERGENCY" {
		t.Errorf("with social care: %s", got)
	}
	c := agreed("clinic", "c1", child)
	c.Scope, c.Categories = show, nil
	h.record(c)
	if got := h.ask(clinic, child, "gp", sensitive, safeguarding); got != "yes SENSITIVE_BROKERED" {
		t.Errorf("with the practice, by consent: %s", got)
	}
	if got := h.ask(as(t, "gp"), child, "", sensitive, safeguarding); got != "yes SENSITIVE_BROKERED" {
		t.Errorf("the practice asks of itself: %s", got)
	}
	if got := h.ask(as(t, "social"), child, "", sensitive, safeguarding); !strings.HasPrefix(got, "no SENSITIVE_BROKERED") {
		t.Errorf("social care asks of itself: %s", got)
	}
	if _, err := h.pool.Exec(t.Context(), `INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, role, start_date,
			sensitive, sensitive_basis, create_time, known_from, revision)
		VALUES ($1, gen_random_uuid(), 'clinic', 'i', 'OTHER', '2026-01-01', true, 'SIGNIFICANT_HARM', now(), now(), 1)`, parse(t, child)); err != nil {
		t.Fatal(err)
	}
	if got := h.ask(clinic, child, "social", sensitive, safeguarding); got != "yes SENSITIVE_CAUSE" {
		t.Errorf("with social care, on reasonable cause: %s", got)
	}
}

func TestWhoMayAskAboutSharing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	strange := "children/" + standard.FormatChildID(standard.NewChildID())
	_, err := h.CheckSharing(as(t, "school"), &irtv1.CheckSharingRequest{Child: child, Agency: "agencies/gp"})
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	_, none := h.CheckSharing(as(t, "school"), &irtv1.CheckSharingRequest{Child: strange, Agency: "agencies/gp"})
	if none.Error() != err.Error() {
		t.Errorf("a stranger can tell whether there is the child: %v, %v", none, err)
	}
	if got := h.ask(as(t, "school"), child, "", location, 0); got != "no INVOLVED: INVOLVEMENT CONSENT EMERGENCY" {
		t.Errorf("a stranger asks of itself: %s", got)
	}
	if got := h.ask(by(t, "council/dot"), child, "social", location, 0); got != "yes INVOLVED" {
		t.Errorf("a data manager: %s", got)
	}
	_, err = h.CheckSharing(as(t, "social"), &irtv1.CheckSharingRequest{Child: child, Agency: "agencies/nobody"})
	if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); got != "agency AGENCY_UNKNOWN" {
		t.Error(got)
	}
	// An archived child is there for data managers alone.
	if _, err := h.pool.Exec(t.Context(), `INSERT INTO child_sharing (child_id, archive_date) VALUES ($1, '2026-01-01')`, parse(t, child)); err != nil {
		t.Fatal(err)
	}
	_, err = h.CheckSharing(as(t, "school"), &irtv1.CheckSharingRequest{Child: child})
	wantError(t, err, codes.NotFound, "NOT_FOUND")
	_, err = h.ListConsents(as(t, "social"), &irtv1.ListConsentsRequest{Parent: child})
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	if _, err = h.ListConsents(by(t, "council/dot"), &irtv1.ListConsentsRequest{Parent: child}); err != nil {
		t.Errorf("a data manager: %v", err)
	}
}

// The consents of others tell who works with a child, which of a shielded one nobody is told.
func TestConsentsOfAShieldedChild(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("social", "1", "Rosalind", born(9))
	h.submit("school", "1", "Rosalind", born(9))
	h.record(agreed("social", "c1", child))
	h.record(agreed("school", "c2", child))
	if names, withheld := h.consents("school", &irtv1.ListConsentsRequest{Parent: child}); len(names) != 5 || withheld != 0 {
		t.Errorf("before: %s, %d notices", names, withheld)
	}
	h.propose("social/ann", child)
	if names, withheld := h.consents("school", &irtv1.ListConsentsRequest{Parent: child}); names != "c2" || withheld != 1 {
		t.Errorf("shielded: %s, %d notices", names, withheld)
	}
}
