package emergency

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// Sizes of a page, as the schema states them.
const (
	defaultPage = 50
	largestPage = 1000
)

// Service is irt.v1.EmergencyAccessService.
type Service struct {
	irtv1.UnimplementedEmergencyAccessServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
}

// New makes the service.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens) *Service {
	return &Service{pool: pool, directory: directory, tokens: tokens}
}

// allowed refuses who may not see everybody's accesses.
func allowed(ctx context.Context) error {
	if !sharing.Decide(sharing.SeeAccesses, sharing.FactsOf(identity.FromContext(ctx))).Allowed() {
		return rpc.Denied()
	}
	return nil
}

// ListEmergencyAccesses implements irt.v1.EmergencyAccessService.
func (s *Service) ListEmergencyAccesses(ctx context.Context, req *irtv1.ListEmergencyAccessesRequest) (*irtv1.ListEmergencyAccessesResponse, error) {
	const method = irtv1.EmergencyAccessService_ListEmergencyAccesses_FullMethodName
	if err := allowed(ctx); err != nil {
		return nil, err
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	copy(after[:], cursor)
	state := req.GetState()
	if state == irtv1.EmergencyAccessState_EMERGENCY_ACCESS_STATE_UNSPECIFIED {
		state = irtv1.EmergencyAccessState_EMERGENCY_ACCESS_STATE_OPEN
	}
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	rows, err := s.pool.Query(ctx, `SELECT `+columns+` FROM emergency_accesses
		WHERE state = $1 AND emergency_access_id > $2 ORDER BY emergency_access_id LIMIT $3`, int32(state), [16]byte(after), size+1)
	if err != nil {
		return nil, fmt.Errorf("emergency: listing: %w", err)
	}
	listed, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("emergency: listing: %w", err)
	}
	out := &irtv1.ListEmergencyAccessesResponse{}
	if len(listed) > size {
		listed = listed[:size]
		if out.NextPageToken, err = s.tokens.Encode(method, req, listed[size-1].id[:]); err != nil {
			return nil, err
		}
	}
	for _, r := range listed {
		out.EmergencyAccesses = append(out.EmergencyAccesses, s.show(ctx, r))
	}
	return out, nil
}

// show shows an emergency access and notes it in the access log.
func (s *Service) show(ctx context.Context, r *row) *irtv1.EmergencyAccess {
	m := r.message(s.directory)
	audit.FromContext(ctx).AddReturned(m.GetName())
	redact.Pass(ctx, m)
	return m
}

// ReviewEmergencyAccess implements irt.v1.EmergencyAccessService.
func (s *Service) ReviewEmergencyAccess(ctx context.Context, req *irtv1.ReviewEmergencyAccessRequest) (*irtv1.EmergencyAccess, error) {
	if err := allowed(ctx); err != nil {
		return nil, err
	}
	text, _ := strings.CutPrefix(req.GetName(), "emergencyAccesses/")
	id, err := uuid.Parse(text)
	if err != nil || nameOf(id) != req.GetName() {
		return nil, rpc.NotFound("emergency access")
	}
	caller, access := identity.FromContext(ctx), audit.FromContext(ctx)
	var r *row
	err = pg.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if r, err = lock(ctx, tx, id); err != nil {
			return err
		}
		if err := mayReview(caller, r, req.GetFinding()); err != nil {
			return err
		}
		access.AddChild(r.child)
		if r.state != irtv1.EmergencyAccessState_EMERGENCY_ACCESS_STATE_REVIEWED {
			if err := review(ctx, tx, r, caller, req); err != nil {
				return err
			}
		}
		return audit.Insert(ctx, tx, []*audit.Entry{access})
	})
	if err != nil {
		return nil, err
	}
	access.Recorded()
	m := r.message(s.directory)
	redact.Pass(ctx, m)
	return m, nil
}

func lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*row, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM emergency_accesses WHERE emergency_access_id = $1 FOR UPDATE`, [16]byte(id))
	if err != nil {
		return nil, fmt.Errorf("emergency: reading one: %w", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, rpc.NotFound("emergency access")
	}
	if err != nil {
		return nil, fmt.Errorf("emergency: reading one: %w", err)
	}
	return r, nil
}

// mayReview says why the caller cannot come to that finding.
func mayReview(c identity.Caller, r *row, finding irtv1.EmergencyFinding) error {
	if c.Agency == r.agency && c.Practitioner == r.practitioner {
		return rpc.Precondition("It was your own access. Another data manager must review it.")
	}
	if r.state == irtv1.EmergencyAccessState_EMERGENCY_ACCESS_STATE_REVIEWED && r.finding != finding {
		return rpc.Precondition("It has been reviewed, and found otherwise. List those that are reviewed to see how.")
	}
	return nil
}

// review stores a finding.
func review(ctx context.Context, tx pgx.Tx, r *row, c identity.Caller, req *irtv1.ReviewEmergencyAccessRequest) error {
	now := time.Now()
	r.state, r.finding, r.note = irtv1.EmergencyAccessState_EMERGENCY_ACCESS_STATE_REVIEWED, req.GetFinding(), req.GetNote()
	r.reviewTime, r.reviewedBy = &now, c.AgencyName()
	if c.Practitioner != "" {
		r.reviewedBy = c.PractitionerName()
	}
	tag, err := tx.Exec(ctx, `UPDATE emergency_accesses SET state = $3, finding = $4, note = $5, reviewed_by = $6, review_time = $7
		WHERE child_id = $1 AND emergency_access_id = $2`,
		[16]byte(r.child), [16]byte(r.id), int32(r.state), int32(r.finding), r.note, r.reviewedBy, now)
	if err != nil {
		return fmt.Errorf("emergency: storing a review: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("emergency: storing a review changed %d rows", tag.RowsAffected())
	}
	return nil
}
