package involvement

import (
	"context"
	"slices"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// SetLeadProfessional implements irt.v1.InvolvementService. The agency of the
// involvement may do it, that of the present lead professional, which hands over,
// and data managers.
func (s *Service) SetLeadProfessional(ctx context.Context, req *irtv1.SetLeadProfessionalRequest) (*irtv1.LeadProfessional, error) {
	child, err := rpc.ParseChildName(req.GetChild())
	if err != nil {
		return nil, err
	}
	agency, localID, ok := parseName(req.GetInvolvement())
	if !ok {
		return nil, rpc.Denied()
	}
	start, err := parseDay(req.GetStartDate())
	if err != nil {
		return nil, rpc.Invalid([]standard.Fault{ruleFault("DATE_INVALID", "start_date")})
	}
	c := s.newChange(ctx, agency, localID, "")
	c.lead = &leading{child: child, start: start}
	a, err := s.write(ctx, c)
	if err != nil {
		return nil, err
	}
	asker, st, err := s.standing(ctx, &a.shown)
	if err != nil {
		return nil, err
	}
	return s.leadMessage(ctx, asker, st, &term{period: *a.period, version: a.shown.version, contact: a.shown.contact})
}

// term is a period with the involvement and practitioner it was by.
type term struct {
	period
	version version
	contact contact
}

func (s *Service) leadMessage(ctx context.Context, asker agencies.Asker, st *children.Standing, t *term) (*irtv1.LeadProfessional, error) {
	a, _, err := s.directory.Find(ctx, t.agency)
	if err != nil {
		return nil, err
	}
	d, _, err := s.decide(ctx, asker, st, &t.version)
	if err != nil {
		return nil, err
	}
	m := &irtv1.LeadProfessional{
		Involvement: t.version.name(), Agency: agencies.Name(t.agency), AgencyDisplayName: a.DisplayName,
		Practitioner:            agencies.PractitionerName(t.agency, t.practitioner),
		PractitionerDisplayName: t.contact.displayName,
		Telephone:               firstText(t.contact.telephone, a.Telephone), Email: firstText(t.contact.email, a.Email),
		StartDate: standard.FormatDate(t.start), EndDate: standard.FormatDate(t.end),
	}
	redact.Show(ctx, m, d)
	return m, nil
}

// ListLeadProfessionals implements irt.v1.InvolvementService.
func (s *Service) ListLeadProfessionals(ctx context.Context, req *irtv1.ListLeadProfessionalsRequest) (*irtv1.ListLeadProfessionalsResponse, error) {
	asked, err := rpc.ParseChildName(req.GetParent())
	if err != nil {
		return nil, err
	}
	if faults := rpc.KnownAtFaults(req.GetKnownAt()); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	child, err := children.Survivor(ctx, s.pool, asked)
	if err != nil {
		return nil, err
	}
	asker := s.directory.Asker(ctx)
	standings, err := children.Standings(ctx, s.pool, asker, child)
	if err != nil {
		return nil, err
	}
	q, p := &question{asker: asker}, &page{child: child, standing: standings[child]}
	if p.standing == nil {
		return nil, rpc.NotFound("child")
	}
	if err := s.mayAsk(ctx, q, p); err != nil {
		return nil, err
	}
	today, knownAt := s.today(), time.Time{}
	if at := req.GetKnownAt(); at != nil {
		today, knownAt = standard.DayOf(at.AsTime()), at.AsTime()
		if child, err = children.SurvivorAt(ctx, s.pool, asked, knownAt); err != nil {
			return nil, err
		}
	}
	terms, err := s.terms(ctx, child, knownAt)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(terms, func(a, b *term) int {
		return rank(within(today, b.start, b.end)) - rank(within(today, a.start, a.end))
	})
	return s.showTerms(ctx, asker, p.standing, terms)
}

// showTerms shows the lead professionals that an asker may see. One by an
// involvement found to be sensitive since leaves no trace.
func (s *Service) showTerms(ctx context.Context, a agencies.Asker, st *children.Standing, terms []*term) (*irtv1.ListLeadProfessionalsResponse, error) {
	out := &irtv1.ListLeadProfessionalsResponse{}
	for _, t := range terms {
		visible, err := s.visible(ctx, a, st, &t.version)
		if err != nil {
			return nil, err
		}
		if !visible {
			continue
		}
		m, err := s.leadMessage(ctx, a, st, t)
		if err != nil {
			return nil, err
		}
		audit.FromContext(ctx).AddReturned(m.GetInvolvement())
		out.LeadProfessionals = append(out.LeadProfessionals, m)
	}
	if d := sharing.Decide(sharing.See, st.Facts(a)); !d.Shows(involvementCategory) {
		out.Withheld = redact.Withhold(ctx, out.GetWithheld(), d.Withheld(involvementCategory))
	}
	return out, nil
}

func rank(first bool) int {
	if first {
		return 1
	}
	return 0
}
