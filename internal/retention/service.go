// Package retention ends what has lasted long enough: children who have grown up,
// have died or are no longer known to any agency are archived, and years later
// purged. docs/RETENTION.md says when; the rules themselves stand with the children.
package retention

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/rpc"
)

// Service is irt.v1.RetentionService.
type Service struct {
	irtv1.UnimplementedRetentionServiceServer

	pool *pgxpool.Pool
}

// New makes the service.
func New(pool *pgxpool.Pool) *Service { return &Service{pool: pool} }

// GetRetention implements irt.v1.RetentionService. Only data managers call it (the
// method's access option), to whom no child is a secret.
func (s *Service) GetRetention(ctx context.Context, req *irtv1.GetRetentionRequest) (*irtv1.Retention, error) {
	name, ok := strings.CutSuffix(req.GetName(), "/retention")
	if !ok {
		return nil, rpc.NotFound("child")
	}
	asked, err := rpc.ParseChildName(name)
	if err != nil {
		return nil, err
	}
	k, err := s.keeping(ctx, asked)
	if err != nil {
		return nil, err
	}
	m := message(k)
	e := audit.FromContext(ctx)
	e.AddChild(k.Child)
	e.AddReturned(m.GetName())
	return m, nil
}

func (s *Service) keeping(ctx context.Context, asked uuid.UUID) (*children.Keeping, error) {
	child, err := children.Survivor(ctx, s.pool, asked)
	if err != nil {
		return nil, err
	}
	all, err := children.ReadKeeping(ctx, s.pool, child)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 { // merged since
		return nil, rpc.NotFound("child")
	}
	return all[0], nil
}

func message(k *children.Keeping) *irtv1.Retention {
	m := &irtv1.Retention{Name: rpc.ChildName(k.Child) + "/retention", Archived: !k.Archived.IsZero()}
	archive, purge := k.Archived, k.Purge
	m.Reason = k.Reason
	if !m.GetArchived() {
		archive, m.Reason = k.Due()
		if archive.IsZero() {
			return m
		}
		purge = children.PurgeDay(archive)
	}
	m.ArchiveDate, m.PurgeDate = archive.Format(time.DateOnly), purge.Format(time.DateOnly)
	return m
}
