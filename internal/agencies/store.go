package agencies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// one returns the row that sql finds; found is false where it finds none.
func one[T any](ctx context.Context, db querier, scan pgx.RowToFunc[T], sql string, args pgx.NamedArgs) (row T, found bool, err error) {
	rows, err := db.Query(ctx, sql, args)
	if err != nil {
		return row, false, fmt.Errorf("agencies: querying: %w", err)
	}
	row, err = pgx.CollectOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, false, nil
	}
	if err != nil {
		return row, false, fmt.Errorf("agencies: reading a row: %w", err)
	}
	return row, true, nil
}

func all[T any](ctx context.Context, db querier, scan pgx.RowToFunc[T], sql string, args pgx.NamedArgs) ([]T, error) {
	rows, err := db.Query(ctx, sql, args)
	if err != nil {
		return nil, fmt.Errorf("agencies: querying: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("agencies: reading rows: %w", err)
	}
	return list, nil
}

func getAgency(ctx context.Context, db querier, id string) (agencyRow, bool, error) {
	return one(ctx, db, scanAgency,
		`SELECT `+agencyColumns+` FROM agencies WHERE agency_id = @agency_id`,
		pgx.NamedArgs{"agency_id": id})
}

// lockAgency is getAgency for one that is about to be changed.
func lockAgency(ctx context.Context, tx pgx.Tx, id string) (agencyRow, bool, error) {
	return one(ctx, tx, scanAgency,
		`SELECT `+agencyColumns+` FROM agencies WHERE agency_id = @agency_id FOR UPDATE`,
		pgx.NamedArgs{"agency_id": id})
}

// listAgencies returns at most limit agencies after one id, by id; of one kind,
// or of any where kind is not stated.
func listAgencies(ctx context.Context, db querier, kind irtv1.AgencyKind, after string, limit int) ([]agencyRow, error) {
	return all(ctx, db, scanAgency,
		`SELECT `+agencyColumns+` FROM agencies
		WHERE agency_id > @after AND (@kind::smallint = 0 OR kind = @kind)
		ORDER BY agency_id LIMIT @limit`,
		pgx.NamedArgs{"after": after, "kind": int16(kind), "limit": limit}) //nolint:gosec // defined values only
}

// changedAgencies returns the agencies that changed at an instant or since.
func changedAgencies(ctx context.Context, db querier, since time.Time) ([]agencyRow, error) {
	return all(ctx, db, scanAgency,
		`SELECT `+agencyColumns+` FROM agencies WHERE update_time >= @since`,
		pgx.NamedArgs{"since": since})
}

// insertAgency does not find a row where the agency exists already.
func insertAgency(ctx context.Context, tx pgx.Tx, id string, a *irtv1.Agency) (agencyRow, bool, error) {
	if err := claimCertificateNames(ctx, tx, id, a.GetCertificateNames()); err != nil {
		return agencyRow{}, false, err
	}
	return one(ctx, tx, scanAgency,
		`INSERT INTO agencies (agency_id, display_name, kind, sensitive, urn, ods_code, address_lines,
			postcode, telephone, out_of_hours_telephone, email, state, certificate_names, office_hours, create_time, update_time)
		VALUES (@agency_id, @display_name, @kind, @sensitive, @urn, @ods_code, @address_lines,
			@postcode, @telephone, @out_of_hours_telephone, @email, @state, @certificate_names, @office_hours,
			clock_timestamp(), clock_timestamp())
		ON CONFLICT (agency_id) DO NOTHING RETURNING `+agencyColumns,
		agencyArguments(id, a))
}

func updateAgency(ctx context.Context, tx pgx.Tx, id string, a *irtv1.Agency) (agencyRow, bool, error) {
	if err := claimCertificateNames(ctx, tx, id, a.GetCertificateNames()); err != nil {
		return agencyRow{}, false, err
	}
	return one(ctx, tx, scanAgency,
		`UPDATE agencies SET display_name = @display_name, kind = @kind, sensitive = @sensitive, urn = @urn,
			ods_code = @ods_code, address_lines = @address_lines, postcode = @postcode, telephone = @telephone,
			out_of_hours_telephone = @out_of_hours_telephone, email = @email, state = @state,
			certificate_names = @certificate_names, office_hours = @office_hours, update_time = clock_timestamp(), revision = revision + 1
		WHERE agency_id = @agency_id RETURNING `+agencyColumns,
		agencyArguments(id, a))
}

func getPractitioner(ctx context.Context, db querier, agency, id string) (*irtv1.Practitioner, bool, error) {
	return one(ctx, db, scanPractitioner,
		`SELECT `+practitionerColumns+` FROM practitioners
		WHERE agency_id = @agency_id AND practitioner_id = @practitioner_id`,
		pgx.NamedArgs{"agency_id": agency, "practitioner_id": id})
}

func lockPractitioner(ctx context.Context, tx pgx.Tx, agency, id string) (*irtv1.Practitioner, bool, error) {
	return one(ctx, tx, scanPractitioner,
		`SELECT `+practitionerColumns+` FROM practitioners
		WHERE agency_id = @agency_id AND practitioner_id = @practitioner_id FOR UPDATE`,
		pgx.NamedArgs{"agency_id": agency, "practitioner_id": id})
}

// listPractitioners returns at most limit practitioners of an agency after one id, by id.
func listPractitioners(ctx context.Context, db querier, agency, after string, limit int) ([]*irtv1.Practitioner, error) {
	return all(ctx, db, scanPractitioner,
		`SELECT `+practitionerColumns+` FROM practitioners
		WHERE agency_id = @agency_id AND practitioner_id > @after
		ORDER BY practitioner_id LIMIT @limit`,
		pgx.NamedArgs{"agency_id": agency, "after": after, "limit": limit})
}

// insertPractitioner does not find a row where the practitioner exists already.
func insertPractitioner(ctx context.Context, tx pgx.Tx, agency, id string, p *irtv1.Practitioner) (*irtv1.Practitioner, bool, error) {
	return one(ctx, tx, scanPractitioner,
		`INSERT INTO practitioners (agency_id, practitioner_id, display_name, job_title, telephone, email,
			state, create_time, update_time)
		VALUES (@agency_id, @practitioner_id, @display_name, @job_title, @telephone, @email,
			@state, clock_timestamp(), clock_timestamp())
		ON CONFLICT (agency_id, practitioner_id) DO NOTHING RETURNING `+practitionerColumns,
		practitionerArguments(agency, id, p))
}

func updatePractitioner(ctx context.Context, tx pgx.Tx, agency, id string, p *irtv1.Practitioner) (*irtv1.Practitioner, bool, error) {
	return one(ctx, tx, scanPractitioner,
		`UPDATE practitioners SET display_name = @display_name, job_title = @job_title,
			telephone = @telephone, email = @email, state = @state,
			update_time = clock_timestamp(), revision = revision + 1
		WHERE agency_id = @agency_id AND practitioner_id = @practitioner_id RETURNING `+practitionerColumns,
		practitionerArguments(agency, id, p))
}
