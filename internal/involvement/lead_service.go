package involvement

import (
	"context"
	"slices"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
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
	return s.leadMessage(ctx, &term{period: *a.period, version: a.shown.version, contact: a.shown.contact})
}

// term is a period with the involvement and practitioner it was by.
type term struct {
	period
	version version
	contact contact
}

func (s *Service) leadMessage(ctx context.Context, t *term) (*irtv1.LeadProfessional, error) {
	a, _, err := s.directory.Find(ctx, t.agency)
	if err != nil {
		return nil, err
	}
	return &irtv1.LeadProfessional{
		Involvement: t.version.name(), Agency: agencies.Name(t.agency), AgencyDisplayName: a.DisplayName,
		Practitioner:            agencies.PractitionerName(t.agency, t.practitioner),
		PractitionerDisplayName: t.contact.displayName,
		Telephone:               firstText(t.contact.telephone, a.Telephone), Email: firstText(t.contact.email, a.Email),
		StartDate: isoDate(t.start), EndDate: isoDate(t.end),
	}, nil
}

// ListLeadProfessionals implements irt.v1.InvolvementService.
func (s *Service) ListLeadProfessionals(ctx context.Context, req *irtv1.ListLeadProfessionalsRequest) (*irtv1.ListLeadProfessionalsResponse, error) {
	asked, err := rpc.ParseChildName(req.GetParent())
	if err != nil {
		return nil, err
	}
	child, err := s.survivor(ctx, asked)
	if err != nil {
		return nil, err
	}
	terms, err := s.terms(ctx, child)
	if err != nil {
		return nil, err
	}
	today, caller, e := s.today(), identity.FromContext(ctx), audit.FromContext(ctx)
	e.AddChild(child)
	slices.SortStableFunc(terms, func(a, b *term) int {
		return rank(within(today, b.start, b.end)) - rank(within(today, a.start, a.end))
	})
	out := &irtv1.ListLeadProfessionalsResponse{}
	for _, t := range terms {
		// One by an involvement found to be sensitive since leaves no trace.
		if s.sensitive(&t.version) && !sharing.SensitiveVisible(caller, t.agency) {
			continue
		}
		m, err := s.leadMessage(ctx, t)
		if err != nil {
			return nil, err
		}
		e.AddReturned(m.GetInvolvement())
		out.LeadProfessionals = append(out.LeadProfessionals, m)
	}
	return out, nil
}

func rank(first bool) int {
	if first {
		return 1
	}
	return 0
}
