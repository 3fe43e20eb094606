package agencies

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
)

// practitionerID names a practitioner within the hub.
type practitionerID struct{ agency, practitioner string }

// Left says that a practitioner is in the directory as one who may no longer use
// the hub. Who is not in the directory has not left: an agency need not register
// everybody who calls. It is as fresh as the directory of agencies.
func (d *Directory) Left(agency, practitioner string) bool {
	return (*d.left.Load())[practitionerID{agency, practitioner}]
}

// Registered says that the directory has a practitioner. It asks the database.
func (d *Directory) Registered(ctx context.Context, agency, practitioner string) (known bool, err error) {
	err = d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM practitioners WHERE agency_id = $1 AND practitioner_id = $2)`,
		agency, practitioner).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("agencies: looking up a practitioner: %w", err)
	}
	return known, nil
}

// loadLeft takes in who has left, or come back, since an instant; since the
// beginning it replaces what was known.
func (d *Directory) loadLeft(ctx context.Context, since time.Time) error {
	whole := since.IsZero()
	which := `update_time >= @since`
	if whole {
		which = `state <> 1` // as the index has it
	}
	rows, err := d.pool.Query(ctx, `SELECT agency_id, practitioner_id, state <> 1 FROM practitioners WHERE `+which,
		pgx.NamedArgs{"since": since})
	if err != nil {
		return fmt.Errorf("agencies: asking who has left: %w", err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		Agency, Practitioner string
		Gone                 bool
	}])
	if err != nil {
		return fmt.Errorf("agencies: asking who has left: %w", err)
	}
	found := make(map[practitionerID]bool, len(changed))
	for _, p := range changed {
		found[practitionerID{p.Agency, p.Practitioner}] = p.Gone
	}
	if whole {
		d.writing.Lock()
		defer d.writing.Unlock()
		d.left.Store(&found)
		return nil
	}
	d.applyLeft(found)
	return nil
}

// applyLeft takes in who has left (true) or come back.
func (d *Directory) applyLeft(found map[practitionerID]bool) {
	d.writing.Lock()
	defer d.writing.Unlock()
	known := *d.left.Load()
	var next map[practitionerID]bool
	for id, gone := range found {
		if known[id] == gone {
			continue
		}
		if next == nil {
			next = maps.Clone(known)
		}
		next[id] = gone
		if !gone {
			delete(next, id)
		}
	}
	if next != nil {
		d.left.Store(&next)
	}
}

// heardOf tells this process of its own write of a practitioner at once.
func (d *Directory) heardOf(agency, practitioner string, p *irtv1.Practitioner) {
	d.applyLeft(map[practitionerID]bool{
		{agency, practitioner}: p.GetState() != irtv1.AgencyState_AGENCY_STATE_ACTIVE,
	})
}
