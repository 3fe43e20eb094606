package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// worker is who works with a child today: an involvement.
type worker struct {
	involvement  uuid.UUID
	agency       string
	localID      string
	practitioner string
	sensitive    bool
	cause        bool
	person       person
}

func (w *worker) name() string { return agencies.Name(w.agency) + "/involvements/" + w.localID }

const workersSQL = `
	SELECT i.involvement_id, i.agency_id, i.local_id, i.practitioner_id, i.sensitive, i.sensitive_basis = '` + standard.SignificantHarm + `',
		p.display_name, p.job_title, p.telephone, p.email
	FROM involvements i
	LEFT JOIN practitioners p ON p.agency_id = i.agency_id AND p.practitioner_id = i.practitioner_id
	WHERE i.child_id = $1 AND i.start_date <= $2 AND (i.end_date IS NULL OR i.end_date >= $2)
	ORDER BY i.start_date, i.involvement_id`

// workers are those who work with a child today. They are never shown as they are.
func (s *Service) workers(ctx context.Context, child uuid.UUID) ([]*worker, error) {
	rows, err := s.pool.Query(ctx, workersSQL, [16]byte(child), standard.Today())
	if err != nil {
		return nil, fmt.Errorf("contact: asking who works with a child: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*worker, error) {
		w := &worker{}
		return w, row.Scan(append([]any{
			(*[16]byte)(&w.involvement), &w.agency, &w.localID, &w.practitioner, &w.sensitive, &w.cause,
		}, w.person.scan()...)...)
	})
	if err != nil {
		return nil, fmt.Errorf("contact: asking who works with a child: %w", err)
	}
	for _, w := range all {
		a, _, err := s.directory.Find(ctx, w.agency)
		if err != nil {
			return nil, err
		}
		w.sensitive = w.sensitive || a.Sensitive
	}
	return all, nil
}

// shows says whether policy shows an asker who works with the child there.
func (w *worker) shows(asker agencies.Asker, st *children.Standing) bool {
	if w.sensitive {
		d := sharing.Decide(sharing.See, st.Sensitive(asker, w.agency, w.cause))
		return d.Shows(irtv1.Category_CATEGORY_INVOLVEMENT) && d.Shows(irtv1.Category_CATEGORY_SENSITIVE)
	}
	return sharing.Decide(sharing.See, st.Said(asker, w.agency)).Shows(irtv1.Category_CATEGORY_INVOLVEMENT)
}

// meant are those of the workers whom a request is for.
func (q *request) meant(all []*worker) (some []*worker) {
	for _, w := range all {
		switch {
		case q.direct() && w.involvement != q.involvement:
		case q.audience == irtv1.ContactAudience_CONTACT_AUDIENCE_SENSITIVE_SERVICES && !w.sensitive:
		case !q.direct() && w.agency == q.agency:
		default:
			some = append(some, w)
		}
	}
	return some
}

// contacts are those whom a request is for and policy shows the asker, and how to
// ring them.
func (s *Service) contacts(ctx context.Context, q *request, asker agencies.Asker) ([]*irtv1.Contact, error) {
	standings, err := children.Standings(ctx, s.pool, asker, q.childID)
	if err != nil {
		return nil, err
	}
	all, err := s.workers(ctx, q.childID)
	if err != nil {
		return nil, err
	}
	var shown []*irtv1.Contact
	for _, w := range q.meant(all) {
		if st := standings[q.childID]; st != nil && w.shows(asker, st) {
			c := s.contact(w.agency, w.practitioner, w.person)
			c.Involvement = w.name()
			shown = append(shown, c)
		}
	}
	return shown, nil
}

// contact says how to ring somebody.
func (s *Service) contact(agency, practitioner string, p person) *irtv1.Contact {
	a, _ := s.directory.Get(agency)
	c := &irtv1.Contact{
		Agency: agencies.Name(agency), AgencyDisplayName: a.DisplayName, PractitionerDisplayName: p.displayName,
		PractitionerJobTitle: p.jobTitle, Telephone: p.telephone, Email: p.email,
		OutOfHoursTelephone: a.OutOfHoursTelephone, OfficeHours: a.OfficeHours,
	}
	if practitioner != "" {
		c.Practitioner = agencies.PractitionerName(agency, practitioner)
	}
	if c.GetTelephone() == "" {
		c.Telephone = a.Telephone
	}
	if c.GetEmail() == "" {
		c.Email = a.Email
	}
	c.RingNow = c.GetTelephone()
	if c.GetOutOfHoursTelephone() != "" && !agencies.InOfficeHours(a.OfficeHours, time.Now()) {
		c.RingNow = c.GetOutOfHoursTelephone()
	}
	return c
}
