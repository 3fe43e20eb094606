package agencies

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
)

// upsertChunk is how many rows go in one statement: enough to pay the round
// trip, few enough that no statement lasts.
const upsertChunk = 2000

// UpsertAgencies registers agencies, or changes those that are registered, by
// name, and counts what it did to how many. It is made for whole directories:
// 14,000 practices take about a second.
//
// A file seldom holds all that people have added, so a field that is empty, or a
// state that is not stated, leaves what is there, and sensitive is only ever
// set: it is cleared by UpdateAgency alone. Of two agencies of one name the last
// counts. The caller has normalised and checked them (standard.Normalise…,
// standard.Check); a name that is none is an error, and nothing of its chunk is
// written. With a pool in db chunks are committed one by one.
func UpsertAgencies(ctx context.Context, db querier, list []*irtv1.Agency) (created, updated, unchanged int, err error) {
	byName, err := lastOfEach(list, func(a *irtv1.Agency) bool {
		_, ok := ParseName(a.GetName())
		return ok
	})
	if err != nil {
		return 0, 0, 0, err
	}
	for chunk := range slices.Chunk(byName, upsertChunk) {
		c, u, err := upsertCounts(ctx, db, upsertAgenciesSQL, agencyArrays(chunk))
		if err != nil {
			return created, updated, len(list) - created - updated, err
		}
		created, updated = created+c, updated+u
	}
	return created, updated, len(list) - created - updated, nil
}

// UpsertPractitioners is UpsertAgencies for practitioners. Their agencies are
// not looked for: the caller has seen to them.
func UpsertPractitioners(ctx context.Context, db querier, list []*irtv1.Practitioner) (created, updated, unchanged int, err error) {
	byName, err := lastOfEach(list, func(p *irtv1.Practitioner) bool {
		_, _, ok := ParsePractitionerName(p.GetName())
		return ok
	})
	if err != nil {
		return 0, 0, 0, err
	}
	for chunk := range slices.Chunk(byName, upsertChunk) {
		c, u, err := upsertCounts(ctx, db, upsertPractitionersSQL, practitionerArrays(chunk))
		if err != nil {
			return created, updated, len(list) - created - updated, err
		}
		created, updated = created+c, updated+u
	}
	return created, updated, len(list) - created - updated, nil
}

// lastOfEach sorts by name, so that concurrent upserts meet rows in one order,
// and keeps the last of each.
func lastOfEach[T interface{ GetName() string }](list []T, named func(T) bool) ([]T, error) {
	if i := slices.IndexFunc(list, func(m T) bool { return !named(m) }); i >= 0 {
		return nil, fmt.Errorf("agencies: number %d to upsert has no valid name", i)
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
	var kept []T
	for i, m := range sorted {
		if i+1 == len(sorted) || sorted[i+1].GetName() != m.GetName() {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

func upsertCounts(ctx context.Context, db querier, sql string, args pgx.NamedArgs) (created, updated int, err error) {
	rows, err := db.Query(ctx, sql, args)
	if err != nil {
		return 0, 0, fmt.Errorf("agencies: upserting: %w", err)
	}
	counts, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[struct{ Created, Updated int }])
	if err != nil {
		return 0, 0, fmt.Errorf("agencies: upserting: %w", err)
	}
	return counts.Created, counts.Updated, nil
}

// Both statements see the table as it was before either, so that a row is
// inserted or updated, never both; a row that another transaction inserts
// meanwhile is left to that one.
const upsertAgenciesSQL = `
WITH given AS MATERIALIZED (
	SELECT u.agency_id, u.display_name, u.kind, u.sensitive, u.urn, u.ods_code,
		string_to_array(u.address_lines, E'\n') AS address_lines, u.postcode, u.telephone,
		u.out_of_hours_telephone, u.email, u.state
	FROM unnest(@agency_id::text[], @display_name::text[], @kind::smallint[], @sensitive::boolean[],
		@urn::text[], @ods_code::text[], @address_lines::text[], @postcode::text[], @telephone::text[],
		@out_of_hours_telephone::text[], @email::text[], @state::smallint[])
		AS u(agency_id, display_name, kind, sensitive, urn, ods_code, address_lines, postcode, telephone,
			out_of_hours_telephone, email, state)
), wanted AS MATERIALIZED (
	SELECT a.agency_id,
		COALESCE(NULLIF(g.display_name, ''), a.display_name) AS display_name,
		COALESCE(NULLIF(g.kind, 0), a.kind) AS kind,
		a.sensitive OR g.sensitive AS sensitive,
		COALESCE(NULLIF(g.urn, ''), a.urn) AS urn,
		COALESCE(NULLIF(g.ods_code, ''), a.ods_code) AS ods_code,
		COALESCE(NULLIF(g.address_lines, '{}'), a.address_lines) AS address_lines,
		COALESCE(NULLIF(g.postcode, ''), a.postcode) AS postcode,
		COALESCE(NULLIF(g.telephone, ''), a.telephone) AS telephone,
		COALESCE(NULLIF(g.out_of_hours_telephone, ''), a.out_of_hours_telephone) AS out_of_hours_telephone,
		COALESCE(NULLIF(g.email, ''), a.email) AS email,
		COALESCE(NULLIF(g.state, 0), a.state) AS state
	FROM given g JOIN agencies a ON a.agency_id = g.agency_id COLLATE "C"
	ORDER BY a.agency_id FOR UPDATE OF a
), updated AS (
	UPDATE agencies a SET display_name = w.display_name, kind = w.kind, sensitive = w.sensitive,
		urn = w.urn, ods_code = w.ods_code, address_lines = w.address_lines, postcode = w.postcode,
		telephone = w.telephone, out_of_hours_telephone = w.out_of_hours_telephone, email = w.email,
		state = w.state, update_time = clock_timestamp(), revision = a.revision + 1
	FROM wanted w WHERE a.agency_id = w.agency_id
		AND (a.display_name, a.kind, a.sensitive, a.urn, a.ods_code, a.address_lines, a.postcode,
			a.telephone, a.out_of_hours_telephone, a.email, a.state)
		IS DISTINCT FROM (w.display_name, w.kind, w.sensitive, w.urn, w.ods_code, w.address_lines, w.postcode,
			w.telephone, w.out_of_hours_telephone, w.email, w.state)
	RETURNING 1
), created AS (
	INSERT INTO agencies (agency_id, display_name, kind, sensitive, urn, ods_code, address_lines, postcode,
		telephone, out_of_hours_telephone, email, state, create_time, update_time)
	SELECT agency_id, display_name, kind, sensitive, urn, ods_code, address_lines, postcode,
		telephone, out_of_hours_telephone, email, COALESCE(NULLIF(state, 0), 1), clock_timestamp(), clock_timestamp()
	FROM given g WHERE NOT EXISTS (SELECT 1 FROM wanted w WHERE w.agency_id = g.agency_id COLLATE "C")
	ON CONFLICT (agency_id) DO NOTHING
	RETURNING 1
)
SELECT (SELECT count(*) FROM created), (SELECT count(*) FROM updated)`

const upsertPractitionersSQL = `
WITH given AS MATERIALIZED (
	SELECT u.agency_id COLLATE "C" AS agency_id, u.practitioner_id COLLATE "C" AS practitioner_id,
		u.display_name, u.job_title, u.telephone, u.email, u.state
	FROM unnest(@agency_id::text[], @practitioner_id::text[], @display_name::text[], @job_title::text[],
		@telephone::text[], @email::text[], @state::smallint[])
		AS u(agency_id, practitioner_id, display_name, job_title, telephone, email, state)
), wanted AS MATERIALIZED (
	SELECT p.agency_id, p.practitioner_id,
		COALESCE(NULLIF(g.display_name, ''), p.display_name) AS display_name,
		COALESCE(NULLIF(g.job_title, ''), p.job_title) AS job_title,
		COALESCE(NULLIF(g.telephone, ''), p.telephone) AS telephone,
		COALESCE(NULLIF(g.email, ''), p.email) AS email,
		COALESCE(NULLIF(g.state, 0), p.state) AS state
	FROM given g JOIN practitioners p
		ON p.agency_id = g.agency_id AND p.practitioner_id = g.practitioner_id
	ORDER BY p.agency_id, p.practitioner_id FOR UPDATE OF p
), updated AS (
	UPDATE practitioners p SET display_name = w.display_name, job_title = w.job_title,
		telephone = w.telephone, email = w.email, state = w.state,
		update_time = clock_timestamp(), revision = p.revision + 1
	FROM wanted w WHERE p.agency_id = w.agency_id AND p.practitioner_id = w.practitioner_id
		AND (p.display_name, p.job_title, p.telephone, p.email, p.state)
		IS DISTINCT FROM (w.display_name, w.job_title, w.telephone, w.email, w.state)
	RETURNING 1
), created AS (
	INSERT INTO practitioners (agency_id, practitioner_id, display_name, job_title, telephone, email,
		state, create_time, update_time)
	SELECT agency_id, practitioner_id, display_name, job_title, telephone, email,
		COALESCE(NULLIF(state, 0), 1), clock_timestamp(), clock_timestamp()
	FROM given g WHERE NOT EXISTS (
		SELECT 1 FROM wanted w WHERE w.agency_id = g.agency_id AND w.practitioner_id = g.practitioner_id)
	ON CONFLICT (agency_id, practitioner_id) DO NOTHING
	RETURNING 1
)
SELECT (SELECT count(*) FROM created), (SELECT count(*) FROM updated)`

// arrays gathers the columns of many rows into one array a column.
type arrays struct {
	texts  map[string][]string
	smalls map[string][]int16
	bools  map[string][]bool
}

func gather(rows []pgx.NamedArgs) pgx.NamedArgs {
	a := arrays{map[string][]string{}, map[string][]int16{}, map[string][]bool{}}
	for _, row := range rows {
		for column, value := range row {
			a.add(column, value)
		}
	}
	args := pgx.NamedArgs{}
	for column, values := range a.texts {
		args[column] = values
	}
	for column, values := range a.smalls {
		args[column] = values
	}
	for column, values := range a.bools {
		args[column] = values
	}
	return args
}

func (a arrays) add(column string, value any) {
	switch v := value.(type) {
	case string:
		a.texts[column] = append(a.texts[column], v)
	case []string: // unnest would flatten an array of arrays; no line holds a line feed
		a.texts[column] = append(a.texts[column], strings.Join(v, "\n"))
	case int16:
		a.smalls[column] = append(a.smalls[column], v)
	case bool:
		a.bools[column] = append(a.bools[column], v)
	}
}

func agencyArrays(list []*irtv1.Agency) pgx.NamedArgs {
	rows := make([]pgx.NamedArgs, len(list))
	for i, a := range list {
		id, _ := ParseName(a.GetName())
		rows[i] = agencyArguments(id, a)
	}
	return gather(rows)
}

func practitionerArrays(list []*irtv1.Practitioner) pgx.NamedArgs {
	rows := make([]pgx.NamedArgs, len(list))
	for i, p := range list {
		agency, id, _ := ParsePractitionerName(p.GetName())
		rows[i] = practitionerArguments(agency, id, p)
	}
	return gather(rows)
}
