package emergency

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/rpc"
)

// row is one of emergency_accesses.
type row struct {
	child, id, access                        uuid.UUID
	agency, practitioner, onBehalfOf, reason string
	method                                   string
	accessTime                               time.Time
	state                                    irtv1.EmergencyAccessState
	finding                                  irtv1.EmergencyFinding
	note, reviewedBy                         string
	reviewTime                               *time.Time
}

const columns = `child_id, emergency_access_id, access_id, agency_id, practitioner_id, on_behalf_of, reason, method,
	access_time, state, finding, note, reviewed_by, review_time`

func nameOf(id uuid.UUID) string { return "emergencyAccesses/" + id.String() }

func insert(ctx context.Context, tx pgx.Tx, r *row) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO emergency_accesses (child_id, emergency_access_id, access_id, agency_id, practitioner_id, on_behalf_of, reason, method, access_time)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		[16]byte(r.child), [16]byte(r.id), [16]byte(r.access), r.agency, r.practitioner, r.onBehalfOf, r.reason, r.method, r.accessTime)
	if err != nil {
		return fmt.Errorf("emergency: storing an access: %w", err)
	}
	return nil
}

func scan(from pgx.CollectableRow) (*row, error) {
	r := &row{}
	err := from.Scan((*[16]byte)(&r.child), (*[16]byte)(&r.id), (*[16]byte)(&r.access), &r.agency, &r.practitioner, &r.onBehalfOf,
		&r.reason, &r.method, &r.accessTime, (*int32)(&r.state), (*int32)(&r.finding), &r.note, &r.reviewedBy, &r.reviewTime)
	return r, err
}

// message shows an emergency access whole.
func (r *row) message(d *agencies.Directory) *irtv1.EmergencyAccess {
	a, _ := d.Get(r.agency)
	m := &irtv1.EmergencyAccess{
		Name: nameOf(r.id), Child: rpc.ChildName(r.child), Access: "accesses/" + r.access.String(),
		AccessTime: timestamppb.New(r.accessTime), Agency: agencies.Name(r.agency), AgencyDisplayName: a.DisplayName,
		OnBehalfOf: r.onBehalfOf, Reason: r.reason, Method: r.method, State: r.state, Finding: r.finding,
		Note: r.note, ReviewedBy: r.reviewedBy,
	}
	if r.practitioner != "" {
		m.Practitioner = agencies.PractitionerName(r.agency, r.practitioner)
	}
	if r.reviewTime != nil {
		m.ReviewTime = timestamppb.New(*r.reviewTime)
	}
	return m
}
