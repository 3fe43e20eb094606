package accesslog

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Unusual is what one caller did in a period; which of it is unusual is for others to
// judge.
type Unusual struct {
	Agency, Practitioner, Role string
	Accesses, OutOfHours       int64
	Emergencies, Denied        int64
	OverLimit                  int64
	Children, NotInvolved      int64
	OwnSurname                 int64
}

// The signs by which ListUnusual chooses. They are stated in the schema, too.
const (
	ManyOutOfHours  = 10
	ManyNotInvolved = 25
	ManyEmergencies = 3
	ManyDenied      = 20
)

// unusualSQL reads the entries of the period once. A person is named by the
// practitioner acted for, where there is one: that is who looked. Surnames are
// compared here and go nowhere.
const unusualSQL = `
WITH entries AS MATERIALIZED (
    SELECT e.agency_id, CASE WHEN e.on_behalf_of LIKE 'agencies/' || e.agency_id || '/practitioners/%'
            THEN split_part(e.on_behalf_of, '/', 4) ELSE e.practitioner_id END AS practitioner_id,
        e.role, e.purpose, e.decision, e.status_code, e.children,
        e.entry_time AT TIME ZONE 'Europe/London' AS local_time,
        e.purpose <> '' AND e.decision = 'ALLOWED' AS read
    FROM audit_entries e
    WHERE e.entry_id >= @from AND e.entry_id < @to AND (@agency = '' OR e.agency_id = @agency) AND e.agency_id <> ''
), callers AS (
    SELECT agency_id, practitioner_id, role, count(*) AS accesses,
        count(*) FILTER (WHERE practitioner_id <> '' AND (extract(isodow FROM local_time) >= 6
            OR extract(hour FROM local_time) >= 20 OR extract(hour FROM local_time) < 7)) AS out_of_hours,
        count(*) FILTER (WHERE purpose = 'EMERGENCY' AND decision = 'ALLOWED') AS emergencies,
        count(*) FILTER (WHERE decision = 'DENIED') AS denied,
        count(*) FILTER (WHERE status_code = 8) AS over_limit
    FROM entries GROUP BY agency_id, practitioner_id, role
), reads AS (
    SELECT DISTINCT agency_id, practitioner_id, role, child_id
    FROM entries, unnest(children) AS child_id WHERE read
), works AS (
    SELECT r.agency_id, r.child_id, EXISTS (
            SELECT FROM involvements i WHERE i.child_id = r.child_id AND i.agency_id = r.agency_id
                AND (i.end_date IS NULL OR i.end_date >= current_date))
        OR EXISTS (SELECT FROM child_records c WHERE c.child_id = r.child_id AND c.agency_id = r.agency_id AND c.state = 1) AS involved,
        lower(k.family_name) AS surname
    FROM (SELECT DISTINCT agency_id, child_id FROM reads) r LEFT JOIN children k ON k.child_id = r.child_id
), children_read AS (
    SELECT r.agency_id, r.practitioner_id, r.role, count(*) AS children,
        count(*) FILTER (WHERE NOT w.involved) AS not_involved,
        count(*) FILTER (WHERE w.surname <> '' AND w.surname = lower(substring(p.display_name FROM '[^[:space:]]+$'))) AS own_surname
    FROM reads r JOIN works w USING (agency_id, child_id)
    LEFT JOIN practitioners p ON p.agency_id = r.agency_id AND p.practitioner_id = r.practitioner_id
    GROUP BY r.agency_id, r.practitioner_id, r.role
)
SELECT agency_id, practitioner_id, role, accesses, out_of_hours, emergencies, denied, over_limit,
    coalesce(children, 0), coalesce(not_involved, 0), coalesce(own_surname, 0)
FROM callers LEFT JOIN children_read USING (agency_id, practitioner_id, role),
    LATERAL (SELECT (out_of_hours >= @out_of_hours)::int + (coalesce(own_surname, 0) > 0)::int
        + (coalesce(not_involved, 0) >= @not_involved AND coalesce(not_involved * 2 >= children, false))::int
        + (emergencies >= @emergencies)::int + (denied >= @denied)::int + (over_limit > 0)::int AS signs) s
WHERE signs > 0
ORDER BY signs DESC, coalesce(not_involved, 0) DESC, agency_id, practitioner_id, role
LIMIT @limit`

// ListUnusual returns the callers with a sign of unusual access in a period, those
// with most first; of one agency, or of all.
func ListUnusual(ctx context.Context, pool *pgxpool.Pool, since, until time.Time, agency string, limit int) ([]Unusual, error) {
	rows, err := pool.Query(ctx, unusualSQL, pgx.NamedArgs{
		"from": [16]byte(FirstID(since)), "to": [16]byte(FirstID(until)), "agency": agency, "limit": limit,
		"out_of_hours": ManyOutOfHours, "not_involved": ManyNotInvolved, "emergencies": ManyEmergencies, "denied": ManyDenied,
	})
	if err != nil {
		return nil, fmt.Errorf("accesslog: looking for unusual access: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u Unusual, err error) {
		err = row.Scan(&u.Agency, &u.Practitioner, &u.Role, &u.Accesses, &u.OutOfHours, &u.Emergencies, &u.Denied, &u.OverLimit,
			&u.Children, &u.NotInvolved, &u.OwnSurname)
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("accesslog: looking for unusual access: %w", err)
	}
	return found, nil
}

// Signs are the names of what is unusual, as the schema has them without their prefix.
func (u *Unusual) Signs() []string {
	var signs []string
	for _, s := range []struct {
		name string
		is   bool
	}{
		{"OUT_OF_HOURS", u.OutOfHours >= ManyOutOfHours},
		{"OWN_SURNAME", u.OwnSurname > 0},
		{"NOT_INVOLVED", u.NotInvolved >= ManyNotInvolved && u.NotInvolved*2 >= u.Children},
		{"EMERGENCIES", u.Emergencies >= ManyEmergencies},
		{"DENIED", u.Denied >= ManyDenied},
		{"OVER_LIMIT", u.OverLimit > 0},
	} {
		if s.is {
			signs = append(signs, s.name)
		}
	}
	return signs
}

// WriteUnusual writes callers as CSV (RFC 4180), one a row, with a header. No cell can
// be taken for a formula: they are ids, words of the hub and numbers.
func WriteUnusual(w io.Writer, all []Unusual) error {
	out := csv.NewWriter(w)
	rows := [][]string{unusualHeader}
	for _, u := range all {
		row := []string{u.Agency, u.Practitioner, u.Role, strings.Join(u.Signs(), " ")}
		for _, n := range []int64{u.Accesses, u.Children, u.NotInvolved, u.OwnSurname, u.OutOfHours, u.Emergencies, u.Denied, u.OverLimit} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		rows = append(rows, row)
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("accesslog: writing a report: %w", err)
	}
	return nil
}

var unusualHeader = []string{
	"agency", "practitioner", "role", "signs", "accesses", "children", "children_not_involved", "children_own_surname",
	"out_of_hours", "emergencies", "denied", "over_limit",
}
