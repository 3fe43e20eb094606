package quality

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// condition is what makes a record r of a child c, or a child c, a finding. A
// condition is written once: what is counted is what is listed.
type condition struct {
	kind irtv1.QualityFindingKind
	sql  string
}

// other is another agency's record of the same child. A sensitive service's says
// nothing here: that it knows the child is not for others to learn.
const other = `SELECT FROM child_records o JOIN agencies a ON a.agency_id = o.agency_id AND NOT a.sensitive
	WHERE o.child_id = r.child_id AND o.state = 1 AND o.agency_id <> r.agency_id`

// ofRecords are the conditions about records.
var ofRecords = []condition{
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_NHS_NUMBER, `r.nhs_number = ''`},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_SCHOOL, `c.school_urn = ''`},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_GP_PRACTICE, `c.gp_practice_code = ''`},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_ADDRESS_DIFFERS, `r.postcode <> '' AND EXISTS (` + other + ` AND o.postcode NOT IN ('', r.postcode))`},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_SUSPECTED_DUPLICATE, `EXISTS (SELECT FROM match_reviews v WHERE v.record_id = r.record_id AND v.state <> 5)`},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_QUERY, `r.queries <> '{}'`},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_UNMATCHED, `NOT EXISTS (` + other + `)`},
}

// Involvements and lead professionals on the day $1.
const (
	involved = `FROM involvements i WHERE i.child_id = c.child_id AND i.start_date <= $1::date AND coalesce(i.end_date, 'infinity') >= $1::date`
	several  = `(SELECT count(DISTINCT i.agency_id) ` + involved + `) > 1`
	lead     = `EXISTS (SELECT FROM lead_professionals l WHERE l.child_id = c.child_id
		AND l.start_date <= $1::date AND coalesce(l.end_date, 'infinity') >= $1::date)`
)

// ofChildren are the conditions about children: gaps and duplications.
var ofChildren = []condition{
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_SEVERAL_WITHOUT_LEAD, several + ` AND NOT ` + lead},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_SEVERAL_WITH_LEAD, several + ` AND ` + lead},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_INVOLVED_TWICE, `EXISTS (SELECT ` + involved + ` GROUP BY i.agency_id, i.role HAVING count(*) > 1)`},
	{irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_INVOLVEMENT, `NOT EXISTS (SELECT ` + involved + `)`},
}

func conditionOf(list []condition, kind irtv1.QualityFindingKind) (string, bool) {
	for _, c := range list {
		if c.kind == kind {
			return c.sql, true
		}
	}
	return "", false
}

// records is the part of every query about records: those in force, of one
// agency, which lie together, or of all.
const records = `FROM child_records r JOIN children c ON c.child_id = r.child_id
	WHERE r.state = 1 AND r.record_id > $1 AND r.record_id <= $2 AND ($3 = '' OR r.agency_id = $3)`

func recordRange(agency string) (first, last uuid.UUID) {
	if agency == "" {
		return uuid.Nil, uuid.Max
	}
	return standard.RecordRange(agency)
}

// count reads the counts of records by agency, in their order.
func (s *Service) count(ctx context.Context, agency string) ([]*irtv1.AgencyQuality, error) {
	columns := ""
	for _, c := range ofRecords {
		columns += `, count(*) FILTER (WHERE ` + c.sql + `)`
	}
	first, last := recordRange(agency)
	rows, err := s.pool.Query(ctx, `SELECT r.agency_id, count(*)`+columns+` `+records+` GROUP BY r.agency_id ORDER BY r.agency_id`,
		[16]byte(first), [16]byte(last), agency)
	if err != nil {
		return nil, fmt.Errorf("quality: counting records: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*irtv1.AgencyQuality, error) {
		a := &irtv1.AgencyQuality{}
		into := []any{&a.Agency, &a.Records}
		for _, c := range ofRecords {
			n := &irtv1.QualityCount{Kind: c.kind}
			a.Counts = append(a.Counts, n)
			into = append(into, &n.Count)
		}
		err := row.Scan(into...)
		a.Agency = "agencies/" + a.GetAgency()
		return a, err
	})
}

// countQueries adds what rules the records break, the most frequent first.
func (s *Service) countQueries(ctx context.Context, agency string, to []*irtv1.AgencyQuality) error {
	byName := make(map[string]*irtv1.AgencyQuality, len(to))
	for _, a := range to {
		byName[a.GetAgency()] = a
	}
	first, last := recordRange(agency)
	rows, err := s.pool.Query(ctx, `SELECT r.agency_id, split_part(q, ' ', 1), count(DISTINCT r.record_id)
		FROM child_records r CROSS JOIN LATERAL unnest(r.queries) AS q
		WHERE r.state = 1 AND r.record_id > $1 AND r.record_id <= $2 AND ($3 = '' OR r.agency_id = $3)
		GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2`, [16]byte(first), [16]byte(last), agency)
	if err != nil {
		return fmt.Errorf("quality: counting queries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var of string
		n := &irtv1.QualityQueryCount{}
		if err := rows.Scan(&of, &n.RuleId, &n.Count); err != nil {
			return fmt.Errorf("quality: counting queries: %w", err)
		}
		if a := byName["agencies/"+of]; a != nil {
			a.Queries = append(a.Queries, n)
		}
	}
	return rows.Err()
}

// countChildren adds the gaps and duplications.
func (s *Service) countChildren(ctx context.Context, today time.Time, to *irtv1.QualityReport) error {
	columns := ""
	into := []any{&to.Children}
	for _, c := range ofChildren {
		columns += `, count(*) FILTER (WHERE ` + c.sql + `)`
		n := &irtv1.QualityCount{Kind: c.kind}
		to.Counts = append(to.Counts, n)
		into = append(into, &n.Count)
	}
	err := s.pool.QueryRow(ctx, `SELECT count(*)`+columns+` FROM children c WHERE c.state = 1`, today).Scan(into...)
	if err != nil {
		return fmt.Errorf("quality: counting children: %w", err)
	}
	return nil
}

// found is one row of a list.
type found struct {
	id, child uuid.UUID // id is the record's, or the child's: where the next page begins
	agency    string    // whose record it is; empty where it is about a child
	record    string
	queries   []string
}

func (s *Service) listRecords(ctx context.Context, condition, agency string, after uuid.UUID, limit int) ([]found, error) {
	first, last := recordRange(agency)
	if after != uuid.Nil {
		first = after
	}
	rows, err := s.pool.Query(ctx, `SELECT r.record_id, r.child_id, r.agency_id, r.local_id, r.queries `+records+` AND `+condition+`
		ORDER BY r.record_id LIMIT $4`, [16]byte(first), [16]byte(last), agency, limit)
	if err != nil {
		return nil, fmt.Errorf("quality: listing records: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f found, err error) {
		var local string
		err = row.Scan(&f.id, &f.child, &f.agency, &local, &f.queries)
		f.record = "agencies/" + f.agency + "/childRecords/" + local
		return f, err
	})
}

func (s *Service) listChildren(ctx context.Context, condition string, today time.Time, after uuid.UUID, limit int) ([]found, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.child_id FROM children c WHERE c.state = 1 AND c.child_id > $2 AND `+condition+`
		ORDER BY c.child_id LIMIT $3`, today, [16]byte(after), limit)
	if err != nil {
		return nil, fmt.Errorf("quality: listing children: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f found, err error) {
		err = row.Scan(&f.id)
		f.child = f.id
		return f, err
	})
}
