package consent

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// inquiry is a question whether something may be shared: about which child, with
// whom, what for.
type inquiry struct {
	caller    agencies.Asker
	recipient agencies.Asker // as it would ask, for the purpose in question
	agency    agencies.Agency
	child     uuid.UUID
	standing  *children.Standing // of the recipient
	cause     bool               // the caller's sensitive involvement is recorded on reasonable cause
}

// own tells whether the caller asks of itself.
func (q *inquiry) own() bool { return q.recipient.Agency == q.caller.Agency }

// CheckSharing implements irt.v1.ConsentService.
func (s *Service) CheckSharing(ctx context.Context, req *irtv1.CheckSharingRequest) (*irtv1.CheckSharingResponse, error) {
	rpc.LeaveOnBeat(ctx) // a no about no child is not to be told from others by its time
	q, err := s.inquire(ctx, req)
	if err != nil {
		return nil, err
	}
	audit.FromContext(ctx).AddChild(q.child)
	out := &irtv1.CheckSharingResponse{}
	for _, c := range categoriesAsked(req.GetCategories()) {
		out.Decisions = append(out.Decisions, q.answer(c))
	}
	return out, nil
}

// categoriesAsked are the categories in question in the order of the schema, each once: all
// that say something about a person, where none is named.
func categoriesAsked(named []irtv1.Category) []irtv1.Category {
	wanted := sharing.SetOf(named...)
	if len(named) == 0 {
		wanted = ^sharing.Open
	}
	return wanted.List()
}

// inquire reads the facts of a question, and refuses those who may not ask it. Who
// works with the child may ask about sharing with anybody, data managers too; others
// only whether they may see it themselves, and only where they may know of the child.
func (s *Service) inquire(ctx context.Context, req *irtv1.CheckSharingRequest) (*inquiry, error) {
	q := &inquiry{caller: s.directory.Asker(ctx)}
	if err := s.recipientOf(ctx, q, req); err != nil {
		return nil, err
	}
	asked, err := rpc.ParseChildName(req.GetChild())
	if err == nil {
		q.child, err = children.Survivor(ctx, s.pool, asked)
	}
	if err != nil {
		return nil, q.unseen(err)
	}
	mine, err := s.standingFor(ctx, q.caller, q.child)
	switch {
	case err != nil:
		return nil, q.unseen(err)
	case !sharing.Decide(sharing.See, mine.Facts(q.caller)).ShowsChild():
		return nil, q.unseen(rpc.NotFound("child"))
	case !q.own() && !manages(q.caller.Caller) && !mine.Involved && !mine.HoldsRecord:
		return nil, rpc.Denied()
	}
	if q.standing, err = s.standingFor(ctx, q.recipient, q.child); err != nil {
		return nil, q.unseen(err)
	}
	q.cause, err = s.onReasonableCause(ctx, q)
	return q, err
}

// unseen is the error of not finding the child: who may not ask about it learns no
// more than that.
func (q *inquiry) unseen(err error) error {
	if q.own() {
		return err
	}
	return hidden(q.caller.Caller, err)
}

// recipientOf finds out who would see it, as an asker: the caller itself, or the
// system of another agency.
func (s *Service) recipientOf(ctx context.Context, q *inquiry, req *irtv1.CheckSharingRequest) error {
	who := q.caller.Caller
	if id, _ := agencies.ParseName(req.GetAgency()); req.GetAgency() != "" && id != q.caller.Agency {
		if err := s.known(ctx, id, "agency"); err != nil {
			return err
		}
		q.agency, _ = s.directory.Get(id)
		who = identity.Caller{Agency: id, Kind: q.agency.Kind, Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: who.Purpose}
	} else {
		q.agency, _ = s.directory.Get(q.caller.Agency)
	}
	if p := req.GetPurpose(); p != irtv1.Purpose_PURPOSE_UNSPECIFIED {
		who.Purpose = p
	}
	q.recipient = s.directory.AskerOf(who)
	return nil
}

func (s *Service) standingFor(ctx context.Context, a agencies.Asker, child uuid.UUID) (*children.Standing, error) {
	all, err := children.Standings(ctx, s.pool, a, child)
	if err != nil {
		return nil, err
	}
	if all[child] == nil {
		return nil, rpc.NotFound("child")
	}
	return all[child], nil
}

// onReasonableCause tells whether the caller's agency states on its involvement that
// there is reasonable cause to suspect significant harm.
func (s *Service) onReasonableCause(ctx context.Context, q *inquiry) (cause bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM involvements WHERE child_id = $1 AND agency_id = $2
			AND sensitive_basis = '`+standard.SignificantHarm+`' AND start_date <= $3 AND (end_date IS NULL OR end_date >= $3))`,
		[16]byte(q.child), q.caller.Agency, s.today()).Scan(&cause)
	if err != nil {
		return false, fmt.Errorf("consent: looking for reasonable cause: %w", err)
	}
	return cause, nil
}

// facts are what policy may know of the question, for a category.
func (q *inquiry) facts(c irtv1.Category) sharing.Facts {
	f := q.standing.Facts(q.recipient)
	if c == irtv1.Category_CATEGORY_SENSITIVE {
		f = q.sensitiveFacts()
	}
	if q.agency.Sensitive && !q.own() {
		// That a sensitive service works with the child must not be read from an answer.
		f.Involved, f.HoldsRecord, f.Leads = false, false, false
	}
	return f
}

// sensitiveFacts are about the involvement of the caller's agency or, where it asks
// of itself, of a service whose involvement consent shows it.
func (q *inquiry) sensitiveFacts() sharing.Facts {
	if !q.own() {
		return q.standing.Sensitive(q.recipient, q.caller.Agency, q.cause)
	}
	f := q.standing.Facts(q.recipient)
	for _, service := range q.standing.ConsentingServices() {
		if !q.recipient.Owns(service) {
			f.Consented |= q.standing.Sensitive(q.recipient, service, false).Consented
		}
	}
	return f
}

// answer decides about a category and, where it may not be shared, by changing one
// fact at a time what would make it so.
func (q *inquiry) answer(c irtv1.Category) *irtv1.SharingDecision {
	f := q.facts(c)
	d := sharing.Decide(sharing.See, f)
	rule := d.Rule(c)
	m := &irtv1.SharingDecision{Category: c, Allowed: d.Shows(c), RuleId: rule.ID, Words: rule.Sentence, LegalBasis: rule.Basis}
	if m.GetAllowed() {
		return m
	}
	if !rule.Discreet {
		// What is not told to this caller must not be read from the remedies either.
		f.Shielded, f.Archived, f.Deceased = false, false, false
		if sharing.Decide(sharing.See, f).Shows(c) {
			return m
		}
	}
	for _, r := range q.remedies(c) {
		changed := f
		r.change(&changed)
		if then := sharing.Decide(sharing.See, changed); then.Shows(c) {
			m.Remedies = append(m.Remedies, &irtv1.SharingRemedy{Kind: r.kind, Words: r.words, RuleId: then.Rule(c).ID})
		}
	}
	return m
}

// remedy is one fact that could be otherwise.
type remedy struct {
	kind   irtv1.SharingRemedyKind
	words  string
	change func(*sharing.Facts)
}

// categoryWords are what is shared, in words.
var categoryWords = map[irtv1.Category]string{
	irtv1.Category_CATEGORY_BASIC:          "who the child is",
	irtv1.Category_CATEGORY_IDENTIFIER:     "the child's numbers",
	irtv1.Category_CATEGORY_LOCATION:       "where the child is",
	irtv1.Category_CATEGORY_CONTACT:        "how child and carers are reached",
	irtv1.Category_CATEGORY_CARER:          "who cares for the child",
	irtv1.Category_CATEGORY_CHARACTERISTIC: "ethnicity and disabilities",
	irtv1.Category_CATEGORY_INVOLVEMENT:    "who works with the child",
	irtv1.Category_CATEGORY_CONCERN:        "concerns that agencies shared",
	irtv1.Category_CATEGORY_REFERRAL:       "referrals between agencies",
	irtv1.Category_CATEGORY_PLAN:           "that the child is on a plan of social care",
	irtv1.Category_CATEGORY_SENSITIVE:      "that a sensitive service is involved",
}

// purposesOfWork are those that a caller may truly have, whatever it said.
var purposesOfWork = []irtv1.Purpose{
	irtv1.Purpose_PURPOSE_DIRECT_CARE, irtv1.Purpose_PURPOSE_SAFEGUARDING,
	irtv1.Purpose_PURPOSE_EARLY_HELP, irtv1.Purpose_PURPOSE_EDUCATION, irtv1.Purpose_PURPOSE_UNSCHEDULED_CARE,
}

// remedies are what could make sharing a category allowed, the least far-reaching first.
func (q *inquiry) remedies(c irtv1.Category) []remedy {
	agency, what := q.agency.DisplayName, categoryWords[c]
	if q.own() {
		agency = "your agency"
	}
	var all []remedy
	for _, p := range purposesOfWork {
		all = append(all, remedy{
			irtv1.SharingRemedyKind_SHARING_REMEDY_KIND_PURPOSE,
			"The purpose " + identity.PurposeText(p) + ", where that is truly what it is for.",
			func(f *sharing.Facts) { f.Purpose = p },
		})
	}
	consent := "Consent to share " + what + " with " + agency + ", of the child or of a person with parental responsibility (RecordConsent)."
	if c == irtv1.Category_CATEGORY_SENSITIVE {
		consent = "Consent to show the involvement to " + agency + ", which the sensitive service itself records (RecordConsent)."
	}
	return append(all,
		remedy{
			irtv1.SharingRemedyKind_SHARING_REMEDY_KIND_REASON,
			"A reason stated with the call (irt-reason).",
			func(f *sharing.Facts) { f.Reason = true },
		},
		remedy{
			irtv1.SharingRemedyKind_SHARING_REMEDY_KIND_INVOLVEMENT,
			"An involvement of " + agency + " with the child, recorded in the hub (SubmitInvolvement).",
			func(f *sharing.Facts) { f.Involved = true },
		},
		remedy{
			irtv1.SharingRemedyKind_SHARING_REMEDY_KIND_CONSENT, consent,
			func(f *sharing.Facts) { f.Consented |= sharing.SetOf(c) },
		},
		remedy{
			irtv1.SharingRemedyKind_SHARING_REMEDY_KIND_REASONABLE_CAUSE,
			"Reasonable cause to suspect significant harm, stated by the sensitive service on its involvement (sensitive_basis).",
			func(f *sharing.Facts) { f.Cause = c == irtv1.Category_CATEGORY_SENSITIVE },
		},
		remedy{
			irtv1.SharingRemedyKind_SHARING_REMEDY_KIND_SHIELD_LIFTED,
			"The lifting of the shield over the child, by two people (ProposeShieldLift, ApproveShieldLift).",
			func(f *sharing.Facts) { f.Shielded = false },
		},
		remedy{
			irtv1.SharingRemedyKind_SHARING_REMEDY_KIND_EMERGENCY,
			"At immediate risk of serious harm the purpose EMERGENCY, with a reason (irt-reason). The data manager reviews every such access.",
			func(f *sharing.Facts) { f.Purpose, f.Reason = irtv1.Purpose_PURPOSE_EMERGENCY, true },
		})
}
