package children

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/batch"
	"irthub/internal/pg"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// view is what GetChild reads about one child.
type view struct {
	entry    *entry
	standing *Standing // of the child and the agency that asks, today
	known    bool      // to agencies, on the day asked about
	listed   bool      // among others who may be meant
	lead     *irtv1.LeadProfessional
}

// wanted is what a point read asks for: a child, as one agency may see it.
type wanted struct {
	child uuid.UUID
	asker string // the agency's id
}

// errNoChild says that no entry has the id.
var errNoChild = errors.New("children: no such child")

// ReadQuery is what GetChild costs the database: it reads the children $1 as they
// are on the day $2, and what policy needs to know of each and the agency at its
// place in $3, all those of a batch in one go. The part that a caller may be shown
// is decided afterwards, one caller at a time. The arrays stand in subqueries so that their
// length is no cause to plan anew each time. LATERAL with OFFSET 0 keeps it
// nested loops over primary keys, whatever the planner thinks of the size of the
// tables. It is exported to be measured.
var ReadQuery = `
	SELECT ` + entryListOf("c") + `, st_i.known, l.lead_agency, l.lead_local, l.lead_practitioner, l.lead_name,
		l.lead_telephone, l.lead_email, l.lead_start, l.lead_end, q.asker, ` + StandingColumns("c", "l") + `
	FROM unnest((SELECT $1::uuid[]), (SELECT $3::text[])) AS q(wanted_id, asker)
	CROSS JOIN LATERAL (SELECT ` + entryList + ` FROM children WHERE child_id = q.wanted_id OFFSET 0) c
	LEFT JOIN LATERAL (
		SELECT l.agency_id AS lead_agency, i.local_id AS lead_local, l.practitioner_id AS lead_practitioner,
			p.display_name AS lead_name, p.telephone AS lead_telephone, p.email AS lead_email,
			l.start_date AS lead_start, l.end_date AS lead_end
		FROM lead_professionals l
		JOIN involvements i ON i.child_id = l.child_id AND i.involvement_id = l.involvement_id AND NOT i.sensitive
		LEFT JOIN practitioners p ON p.agency_id = l.agency_id AND p.practitioner_id = l.practitioner_id
		WHERE l.child_id = q.wanted_id AND l.start_date <= $2 AND (l.end_date IS NULL OR l.end_date >= $2)
		LIMIT 1) l ON true` + StandingSQL("q.wanted_id", "q.asker", "$2")

// leadRow is the lead professional's columns, all NULL where there is none.
type leadRow struct {
	agency, local, practitioner, name, telephone, email string
	start, end                                          time.Time
}

func (l *leadRow) read(c *pg.Columns) {
	l.agency, l.local, l.practitioner, l.name = c.Text(), c.Text(), c.Text(), c.Text()
	l.telephone, l.email, l.start, l.end = c.Text(), c.Text(), c.Date(), c.Date()
}

func (s *Service) leadOf(l *leadRow) *irtv1.LeadProfessional {
	if l.agency == "" {
		return nil
	}
	agency, _ := s.directory.Get(l.agency)
	if agency.Sensitive { // it has become one since
		return nil
	}
	lead := &irtv1.LeadProfessional{
		Involvement:             "agencies/" + l.agency + "/involvements/" + l.local,
		Agency:                  "agencies/" + l.agency,
		AgencyDisplayName:       agency.DisplayName,
		Practitioner:            "agencies/" + l.agency + "/practitioners/" + l.practitioner,
		PractitionerDisplayName: l.name,
		Telephone:               firstText(l.telephone, agency.Telephone),
		Email:                   firstText(l.email, agency.Email),
		StartDate:               standard.FormatDate(l.start),
		EndDate:                 standard.FormatDate(l.end),
	}
	return lead
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// read answers many point reads with one query.
func (s *Service) read(ctx context.Context, asked []wanted) ([]batch.Outcome[*view], error) {
	ids, askers := make([][16]byte, len(asked)), make([]string, len(asked))
	for i, w := range asked {
		ids[i], askers[i] = w.child, w.asker
	}
	rows, err := s.pool.Query(ctx, ReadQuery, ids, s.today(), askers)
	if err != nil {
		return nil, fmt.Errorf("children: reading children: %w", err)
	}
	views, err := s.scanViews(rows, len(asked))
	if err != nil {
		return nil, err
	}
	out := make([]batch.Outcome[*view], len(asked))
	for i, w := range asked {
		// A child asked for twice in a batch has two rows, so that no two
		// callers share a message.
		if found := views[w]; len(found) > 0 {
			out[i].Value, views[w] = found[0], found[1:]
		} else {
			out[i].Err = errNoChild
		}
	}
	return out, nil
}

func (s *Service) scanViews(rows pgx.Rows, expected int) (map[wanted][]*view, error) {
	defer rows.Close()
	var c pg.Columns
	views := make(map[wanted][]*view, expected)
	for rows.Next() {
		c.Of(rows)
		v, lead := &view{entry: &entry{}, standing: &Standing{}}, leadRow{}
		if err := v.entry.read(&c); err != nil {
			return nil, err
		}
		v.known = c.Bool()
		lead.read(&c)
		key := wanted{v.entry.id, c.Text()}
		if err := v.standing.Read(&c); err != nil {
			return nil, err
		}
		v.lead = s.leadOf(&lead)
		views[key] = append(views[key], v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("children: reading children: %w", err)
	}
	return views, nil
}

// mergesAtMost bounds the chain of merged entries that is followed.
const mergesAtMost = 16

// follow reads a child, or the one it was merged into, as the caller's agency may
// see it.
func (s *Service) follow(ctx context.Context, asked uuid.UUID) (*view, error) {
	asker, id := s.directory.Asker(ctx).Agency, asked
	for range mergesAtMost {
		v, err := s.reader.Do(ctx, wanted{id, asker})
		if errors.Is(err, errNoChild) {
			return nil, rpc.NotFound("child")
		}
		if err != nil {
			return nil, err
		}
		if !v.entry.mergedInto.Valid {
			readingOf(ctx).note(asked, asker, v)
			return v, nil
		}
		id = v.entry.mergedInto.UUID
	}
	return nil, fmt.Errorf("children: more than %d merges in a row", mergesAtMost)
}

// present is the child that answers for one, and what policy needs to know of it: a view
// without what it says.
func (s *Service) present(ctx context.Context, asked uuid.UUID) (*view, error) {
	if child, standing := readingOf(ctx).present(asked, s.directory.Asker(ctx).Agency); standing != nil {
		return &view{entry: &entry{id: child}, standing: standing}, nil
	}
	return s.follow(ctx, asked)
}

// facts are what policy may know of the view, for an asker.
func (v *view) facts(a agencies.Asker) sharing.Facts {
	f := v.standing.Facts(a)
	f.Searching = v.listed
	return f
}

// decide says what an asker is shown of a child, and NOT_FOUND where that is
// nothing: then it is as if there were no such child.
func (s *Service) decide(ctx context.Context, a agencies.Asker, v *view) (*sharing.Decision, error) {
	d := sharing.Decide(sharing.See, v.facts(a))
	if !d.ShowsChild() {
		audit.FromContext(ctx).AddWithheld(d.Rule(irtv1.Category_CATEGORY_BASIC).ID)
		return nil, rpc.NotFound("child")
	}
	return d, nil
}

// message makes a child ready to leave the hub: the one place where that is done.
// It holds what the decision shows the asker.
func (s *Service) message(ctx context.Context, a agencies.Asker, v *view, d *sharing.Decision) (*irtv1.Child, error) {
	e := v.entry
	m := e.person // this caller's own: no two share a view
	m.Name = rpc.ChildName(e.id)
	m.State = e.state
	if e.mergedInto.Valid {
		m.MergedInto = rpc.ChildName(e.mergedInto.UUID)
	}
	if d.Shows(irtv1.Category_CATEGORY_LOCATION) {
		m.School = directoryEntry(s.directory.ByURN(m.GetSchoolUrn()))
		m.GpPractice = directoryEntry(s.directory.ByODSCode(m.GetGpPracticeCode()))
	}
	m.CreateTime, m.UpdateTime = timestamp(e.created), timestamp(e.knownFrom)
	m.Etag = rpc.Etag(e.id, e.revision)
	if d.Shows(irtv1.Category_CATEGORY_INVOLVEMENT) {
		m.KnownToAgencies, m.LeadProfessional = v.known, v.lead
		if err := s.addProvenance(ctx, a, v, m); err != nil {
			return nil, err
		}
	}
	redact.Show(ctx, m, d)
	return m, nil
}

// addProvenance says where each field comes from. That a sensitive service said
// some is told only to those who may know of it.
func (s *Service) addProvenance(ctx context.Context, a agencies.Asker, v *view, m *irtv1.Child) (err error) {
	var hidden *irtv1.Withheld
	m.Provenance, err = provenance(v.entry.provenance, func(agency string) bool {
		known, _ := s.directory.Get(agency)
		if !known.Sensitive {
			return true
		}
		f := v.standing.Sensitive(a, agency, false)
		f.Searching = v.listed
		d := sharing.Decide(sharing.See, f)
		if d.Shows(irtv1.Category_CATEGORY_SENSITIVE) {
			return true
		}
		hidden = d.Withheld(irtv1.Category_CATEGORY_SENSITIVE)
		return false
	})
	if hidden != nil {
		m.Withheld = redact.Withhold(ctx, m.GetWithheld(), hidden)
	}
	return err
}

// historical reads a child as the hub knew it at an instant. What is shown of it is
// decided by what is so now: a shield set today hides where the child was before.
func (s *Service) historical(ctx context.Context, id uuid.UUID, at time.Time) (*view, error) {
	for range mergesAtMost {
		v, err := s.knownAt(ctx, id, at)
		if err != nil {
			return nil, err
		}
		if !v.entry.mergedInto.Valid {
			present, err := s.follow(ctx, v.entry.id)
			if err != nil {
				return nil, err
			}
			v.standing = present.standing
			return v, nil
		}
		id = v.entry.mergedInto.UUID
	}
	return nil, fmt.Errorf("children: more than %d merges in a row", mergesAtMost)
}

// What is sensitive, or has become so since, does not count in the past: asked
// for one day after another, it would tell when a sensitive service was involved.
var knownAtQuery = `
	WITH c AS (` + VersionsAt("children", entryList, "$1", "$2") + `),
	v AS (` + VersionsAt("involvements", "involvement_id, local_id, start_date, end_date, sensitive", "$1", "$2") + `),
	i AS (SELECT involvement_id, local_id, start_date, end_date FROM v WHERE NOT sensitive
		AND NOT EXISTS (SELECT 1 FROM involvements n WHERE n.involvement_id = v.involvement_id AND n.sensitive)),
	l AS (` + VersionsAt("lead_professionals", "agency_id, practitioner_id, involvement_id, start_date, end_date", "$1", "$2") + `)
	SELECT ` + entryListOf("c") + `,
		EXISTS (SELECT 1 FROM i WHERE i.start_date <= $3 AND (i.end_date IS NULL OR i.end_date >= $3)),
		l.agency_id, i.local_id, l.practitioner_id, p.display_name, p.telephone, p.email, l.start_date, l.end_date
	FROM c
	LEFT JOIN (l JOIN i USING (involvement_id)) ON l.start_date <= $3 AND (l.end_date IS NULL OR l.end_date >= $3)
	LEFT JOIN practitioners p ON p.agency_id = l.agency_id AND p.practitioner_id = l.practitioner_id
	LIMIT 1`

func (s *Service) knownAt(ctx context.Context, id uuid.UUID, at time.Time) (*view, error) {
	rows, err := s.pool.Query(ctx, knownAtQuery, [16]byte(id), at, dateOf(at))
	if err != nil {
		return nil, fmt.Errorf("children: reading a past version: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, cmp.Or(rows.Err(), rpc.NotFound("child"))
	}
	v, lead, c := &view{entry: &entry{}}, leadRow{}, pg.Columns{}
	c.Of(rows)
	if err := v.entry.read(&c); err != nil {
		return nil, err
	}
	v.known = c.Bool()
	lead.read(&c)
	v.lead = s.leadOf(&lead)
	return v, c.Err()
}
