package involvement

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/batch"
	"irthub/internal/children"
	"irthub/internal/pg"
	"irthub/internal/standard"
)

// coalescedRows is how many involvements of one child the read coalescer brings;
// it reads one more, to know when there are more.
const coalescedRows = 200

// listing is a child's involvements, the longest-standing first, sensitive ones included: it is never shown as it is. It is shared by the callers
// who asked at the same moment, and never changed.
type listing struct {
	known      bool
	mergedInto uuid.UUID
	standing   *children.Standing // of the child and the agency that asks
	rows       []*shown
}

// wanted is what a list read asks for: a child, as one agency may see it, and whether
// with what is not in force today.
type wanted struct {
	child uuid.UUID
	asker string // the agency's id
	ended bool
}

// ListQuery is what ListInvolvements costs the database: it reads the involvements
// in force on the day $2 of the children $1 (all where it is so at their place in $5),
// at most $3 each, and what policy needs to know of each and the agency at its place in
// $4, in one statement, so that each child is seen at one instant. The arrays stand in
// subqueries so that their length is no cause to plan anew each time. LATERAL with a
// bound keeps every look-up a nested loop over a primary key, whatever the planner
// thinks of the size of the tables. It is exported to be measured.
var ListQuery = `
	SELECT q.wanted, q.asker, q.ended, c.merged_into, l.lead, ` + qualify(columns, "i") + `, ` + qualify(contactColumns, "p") + `,
		` + children.StandingColumns("c", "l") + `
	FROM unnest((SELECT $1::uuid[]), (SELECT $4::text[]), (SELECT $5::bool[])) AS q(wanted, asker, ended)
	CROSS JOIN LATERAL (
		SELECT merged_into, date_of_birth, date_of_death FROM children WHERE child_id = q.wanted OFFSET 0) c
	LEFT JOIN LATERAL (
		SELECT involvement_id AS lead, agency_id AS lead_agency, practitioner_id AS lead_practitioner FROM lead_professionals
		WHERE child_id = q.wanted AND start_date <= $2 AND (end_date IS NULL OR end_date >= $2) LIMIT 1) l ON true` +
	children.StandingSQL("q.wanted", "q.asker", "$2") + `
	LEFT JOIN LATERAL (
		SELECT ` + columns + ` FROM involvements
		WHERE child_id = q.wanted AND (q.ended OR start_date <= $2 AND (end_date IS NULL OR end_date >= $2))
		ORDER BY start_date, involvement_id LIMIT $3) i ON true
	LEFT JOIN LATERAL (
		SELECT ` + contactColumns + ` FROM practitioners
		WHERE agency_id = i.agency_id AND practitioner_id = i.practitioner_id OFFSET 0) p ON true`

// read answers many lists with one query.
func (s *Service) read(ctx context.Context, asked []wanted) ([]batch.Outcome[*listing], error) {
	listings := make(map[wanted]*listing, len(asked))
	ids, askers, ended := make([][16]byte, 0, len(asked)), make([]string, 0, len(asked)), make([]bool, 0, len(asked))
	for _, w := range asked {
		if listings[w] == nil {
			listings[w] = &listing{}
			ids, askers, ended = append(ids, w.child), append(askers, w.asker), append(ended, w.ended)
		}
	}
	rows, err := s.pool.Query(ctx, ListQuery, ids, s.today(), coalescedRows+1, askers, ended)
	if err != nil {
		return nil, fmt.Errorf("involvement: listing: %w", err)
	}
	if err := scanListings(rows, listings); err != nil {
		return nil, err
	}
	out := make([]batch.Outcome[*listing], len(asked))
	for i, w := range asked {
		out[i].Value = listings[w]
	}
	return out, nil
}

func scanListings(rows pgx.Rows, listings map[wanted]*listing) error {
	defer rows.Close()
	var c pg.Columns
	for rows.Next() {
		c.Of(rows)
		w := wanted{child: c.UUID(), asker: c.Text(), ended: c.Bool()}
		l := listings[w]
		if l == nil || c.Err() != nil {
			return cmp.Or(c.Err(), errNotAsked)
		}
		merged, lead := uuid.UUID(c.UUID()), uuid.UUID(c.UUID())
		v := &shown{}
		v.version.read(&c)
		v.contact.read(&c)
		if !l.known { // every row of a child has its standing, and the first is enough
			l.known, l.mergedInto, l.standing = true, merged, &children.Standing{}
			if err := l.standing.Read(&c); err != nil {
				return err
			}
		}
		if v.id != uuid.Nil {
			v.lead = v.id == lead
			l.rows = append(l.rows, v)
		}
	}
	if err := cmp.Or(c.Err(), rows.Err()); err != nil {
		return fmt.Errorf("involvement: reading lists: %w", err)
	}
	return nil
}

// errNotAsked is a fault of the query.
var errNotAsked = errors.New("involvement: a list came that was not asked for")

var getSQL = `
	SELECT ` + qualify(columns, "i") + `, ` + qualify(contactColumns, "p") + `, EXISTS (
		SELECT 1 FROM lead_professionals l WHERE l.child_id = i.child_id AND l.involvement_id = i.involvement_id
			AND l.start_date <= $2 AND (l.end_date IS NULL OR l.end_date >= $2))
	FROM involvements i
	LEFT JOIN practitioners p ON p.agency_id = i.agency_id AND p.practitioner_id = i.practitioner_id
	WHERE i.involvement_id = $1`

// get returns one involvement as it is now, or nil.
func (s *Service) get(ctx context.Context, id uuid.UUID) (*shown, error) {
	rows, err := s.pool.Query(ctx, getSQL, [16]byte(id), s.today())
	if err != nil {
		return nil, fmt.Errorf("involvement: getting one: %w", err)
	}
	v, err := pgx.CollectOneRow(rows, scanShown)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // none is not an error
	}
	if err != nil {
		return nil, fmt.Errorf("involvement: getting one: %w", err)
	}
	return v, nil
}

// scanShown reads columns, contactColumns and whether it is the lead's.
func scanShown(row pgx.CollectableRow) (*shown, error) {
	v, c := &shown{}, pg.Columns{}
	c.Of(row)
	v.version.read(&c)
	v.contact.read(&c)
	v.lead = c.Bool()
	return v, c.Err()
}

// termsAtMost is how many lead professionals of a child are listed.
const termsAtMost = 1000

// termsSQL lists lead professionals; leads and involvements select the versions.
func termsSQL(leads, involvements string) string {
	return `
	WITH l AS (` + leads + `), i AS (` + involvements + `)
	SELECT ` + qualify(leadColumns, "l") + `, ` + qualify(columns, "i") + `, ` + qualify(contactColumns, "p") + `
	FROM l
	JOIN i ON i.involvement_id = l.involvement_id
	LEFT JOIN practitioners p ON p.agency_id = l.agency_id AND p.practitioner_id = l.practitioner_id
	ORDER BY l.start_date DESC LIMIT @limit`
}

var (
	termsNowSQL = termsSQL(
		`SELECT `+leadColumns+` FROM lead_professionals WHERE child_id = @child`,
		`SELECT `+columns+` FROM involvements WHERE child_id = @child`)
	termsThenSQL = termsSQL(
		children.VersionsAt("lead_professionals", leadColumns, "@child", "@known_at"),
		children.VersionsAt("involvements", columns, "@child", "@known_at"))
)

// terms are the lead professionals of a child as known at an instant, or now where
// that is zero, the latest first.
func (s *Service) terms(ctx context.Context, child uuid.UUID, knownAt time.Time) ([]*term, error) {
	args := pgx.NamedArgs{"child": [16]byte(child), "limit": termsAtMost}
	if knownAt.IsZero() {
		return s.leads.List(ctx, args)
	}
	args["known_at"] = knownAt
	rows, err := s.pool.Query(ctx, termsThenSQL, args)
	if err != nil {
		return nil, fmt.Errorf("involvement: listing lead professionals: %w", err)
	}
	terms, err := pgx.CollectRows(rows, scanTerm)
	if err != nil {
		return nil, fmt.Errorf("involvement: reading lead professionals: %w", err)
	}
	return terms, nil
}

func scanTerm(row pgx.CollectableRow) (*term, error) {
	t, c := &term{}, pg.Columns{}
	c.Of(row)
	t.period.read(&c)
	t.version.read(&c)
	t.contact.read(&c)
	return t, c.Err()
}

// position is a place in a list: lists are sorted by first day, then by id.
type position struct {
	start time.Time
	id    uuid.UUID
}

func positionOf(v *version) *position { return &position{v.start, v.id} }

const dayLength = len(time.DateOnly)

func (p *position) cursor() []byte { return append([]byte(standard.FormatDate(p.start)), p.id[:]...) }

func parsePosition(cursor []byte) (*position, error) {
	if cursor == nil {
		return nil, nil //nolint:nilnil // the beginning
	}
	if len(cursor) != dayLength+len(uuid.UUID{}) {
		return nil, fmt.Errorf("involvement: a page token of %d bytes", len(cursor))
	}
	start, err := time.Parse(time.DateOnly, string(cursor[:dayLength]))
	if err != nil {
		return nil, fmt.Errorf("involvement: a page token without a day: %w", err)
	}
	return &position{start, uuid.UUID(cursor[dayLength:])}, nil
}
