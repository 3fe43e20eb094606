package agencies

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// certificateLock is held while an agency is given names of certificates, so that
// two agencies cannot be given one name at the same moment.
const certificateLock = 0x49525443 // "IRTC"

// claimCertificateNames refuses names of client certificates that another agency
// has: a certificate is of one agency or of none.
func claimCertificateNames(ctx context.Context, tx pgx.Tx, id string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(certificateLock)); err != nil {
		return fmt.Errorf("agencies: waiting to give out names of certificates: %w", err)
	}
	var taken bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM agencies WHERE certificate_names && $1 AND agency_id <> $2)`,
		names, id).Scan(&taken)
	if err != nil {
		return fmt.Errorf("agencies: looking for names of certificates: %w", err)
	}
	if taken {
		return rpc.Invalid([]standard.Fault{{
			Field: "agency.certificate_names", RuleID: "CERTIFICATE_NAME_TAKEN",
			Description: "Another agency has one of the names.",
			Action:      "Take it from the other agency first, if it is no longer the other's.",
		}})
	}
	return nil
}

// CertificateAgency gives the agency that a name in a client certificate is of.
func (d *Directory) CertificateAgency(name string) (id string, known bool) {
	a, known := d.present.Load().byCertificate[name]
	if !known {
		return "", false
	}
	return a.ID, true
}
