package children

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/pg"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// Standing is what policy needs to know of a child and of the agency that asks
// about it. It is read with the child, in the same query, and never changed.
type Standing struct {
	Known       bool // an agency works with the child today
	Involved    bool
	HoldsRecord bool
	Shielded    bool
	Archived    bool
	Deceased    bool

	born                   time.Time // zero where it is not known
	leadAgency, leadPerson string
	consents               []sharing.ConsentFact // in force today
}

// StandingSQL reads a Standing: joins to put behind what gives the expressions of
// the child, the agency that asks and the day. Each is a look-up by the child, made once
// however many rows are joined to it: without its OFFSET 0 that of the record became an
// expression of each row.
func StandingSQL(child, agency, day string) string {
	return `
	CROSS JOIN LATERAL (
		SELECT count(*) > 0 AS known, coalesce(bool_or(agency_id = ` + agency + `), false) AS involved FROM involvements
		WHERE child_id = ` + child + ` AND start_date <= ` + day + ` AND (end_date IS NULL OR end_date >= ` + day + `)) st_i
	CROSS JOIN LATERAL (
		SELECT EXISTS (SELECT 1 FROM child_records
			WHERE child_id = ` + child + ` AND agency_id = ` + agency + ` AND state = 1) AS holds_record OFFSET 0) st_r
	LEFT JOIN LATERAL (
		SELECT shielded, archive_date IS NOT NULL AS archived, nullif(consents, '[]') AS consents
		FROM child_sharing WHERE child_id = ` + child + ` OFFSET 0) st_s ON true`
}

// StandingColumns are the columns of a Standing, in the order of (*Standing).Read.
// child and lead are the aliases of the child's row and of its lead professional's,
// which has lead_agency and lead_practitioner.
func StandingColumns(child, lead string) string {
	return `st_i.known, st_i.involved, st_r.holds_record, coalesce(st_s.shielded, false), coalesce(st_s.archived, false),
		` + child + `.date_of_death IS NOT NULL, ` + child + `.date_of_birth, ` +
		lead + `.lead_agency, ` + lead + `.lead_practitioner, st_s.consents`
}

// Read reads StandingColumns.
func (s *Standing) Read(c *pg.Columns) (err error) {
	s.Known, s.Involved, s.HoldsRecord, s.Shielded, s.Archived = c.Bool(), c.Bool(), c.Bool(), c.Bool(), c.Bool()
	s.Deceased, s.born, s.leadAgency, s.leadPerson = c.Bool(), c.Date(), c.Text(), c.Text()
	if s.consents, err = sharing.ParseConsents(c.Raw()); err != nil || s.consents == nil {
		return cmp.Or(err, c.Err())
	}
	today := standard.Today()
	s.consents = slices.DeleteFunc(s.consents, func(f sharing.ConsentFact) bool { return !f.InForce(today, s.born) })
	return c.Err()
}

// Born is the child's date of birth, zero where it is not known.
func (s *Standing) Born() time.Time { return s.born }

// Facts are what policy may know where an asker asks about the child.
func (s *Standing) Facts(a agencies.Asker) sharing.Facts {
	f := a.Facts()
	f.Involved, f.HoldsRecord = s.Involved, s.HoldsRecord
	f.Leads = a.Practitioner != "" && s.leadAgency == a.Agency && s.leadPerson == a.Practitioner
	f.Shielded, f.Archived, f.Deceased = s.Shielded, s.Archived, s.Deceased
	if s.consents != nil {
		f.Consented = s.consented(a)
	}
	return f
}

// consented are the categories that consents in force let the asker have.
func (s *Standing) consented(a agencies.Asker) (set sharing.Categories) {
	for i := range s.consents {
		if c := &s.consents[i]; c.Covers(a.Agency, a.Kind) {
			set |= c.Shared()
		}
	}
	return set
}

// Said are the facts about what an agency said of the child: its record, its
// involvement, that there is either.
func (s *Standing) Said(a agencies.Asker, agencyID string) sharing.Facts {
	f := s.Facts(a)
	f.Own = a.Owns(agencyID)
	return f
}

// Sensitive are the facts about the involvement of a sensitive service; cause says
// that it is recorded on reasonable cause to suspect significant harm.
func (s *Standing) Sensitive(a agencies.Asker, agencyID string, cause bool) sharing.Facts {
	f := s.Said(a, agencyID)
	f.Cause = cause
	for i := range s.consents {
		c := &s.consents[i]
		if c.ShowsInvolvement(agencyID) && c.Covers(a.Agency, a.Kind) {
			f.Consented |= sharing.SetOf(irtv1.Category_CATEGORY_SENSITIVE, irtv1.Category_CATEGORY_INVOLVEMENT)
		}
	}
	return f
}

// ConsentingServices are the ids of the agencies whose sensitive involvement some
// consent is about.
func (s *Standing) ConsentingServices() []string {
	var ids []string
	for i := range s.consents {
		if c := &s.consents[i]; c.ShowsInvolvement(c.Agency) {
			ids = append(ids, c.Agency)
		}
	}
	return ids
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

var standingsQuery = `
	SELECT q.wanted_id, ` + StandingColumns("c", "l") + `
	FROM unnest((SELECT $1::uuid[])) AS q(wanted_id)
	CROSS JOIN LATERAL (SELECT date_of_birth, date_of_death FROM children WHERE child_id = q.wanted_id OFFSET 0) c
	LEFT JOIN LATERAL (
		SELECT agency_id AS lead_agency, practitioner_id AS lead_practitioner FROM lead_professionals
		WHERE child_id = q.wanted_id AND start_date <= $3 AND (end_date IS NULL OR end_date >= $3) LIMIT 1) l ON true` +
	StandingSQL("q.wanted_id", "$2", "$3")

// Standings reads what policy needs to know of children when an asker asks about
// them. A child that does not exist is not in the answer, and of one that was
// merged it says nothing: ask about the child it became.
func Standings(ctx context.Context, db Querier, a agencies.Asker, ids ...uuid.UUID) (map[uuid.UUID]*Standing, error) {
	return readingOf(ctx).standing(a, ids, func() (map[uuid.UUID]*Standing, error) { return readStandings(ctx, db, a, ids) })
}

func readStandings(ctx context.Context, db Querier, a agencies.Asker, ids []uuid.UUID) (map[uuid.UUID]*Standing, error) {
	rows, err := db.Query(ctx, standingsQuery, uuids(ids), a.Agency, standard.Today())
	if err != nil {
		return nil, fmt.Errorf("children: reading what policy needs: %w", err)
	}
	defer rows.Close()
	all := make(map[uuid.UUID]*Standing, len(ids))
	var c pg.Columns
	for rows.Next() {
		c.Of(rows)
		id, s := c.UUID(), &Standing{}
		if err := s.Read(&c); err != nil {
			return nil, fmt.Errorf("children: reading what policy needs: %w", err)
		}
		all[id] = s
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("children: reading what policy needs: %w", err)
	}
	return all, nil
}
