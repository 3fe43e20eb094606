package involvement

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Involve submits an involvement as part of another feature's transaction, as if its
// agency had. That transaction records the access.
func (s *Service) Involve(ctx context.Context, tx pgx.Tx, inv *irtv1.Involvement) error {
	agency, localID, ok := parseName(inv.GetName())
	if !ok {
		return rpc.Denied()
	}
	c := s.newChange(ctx, agency, localID, "")
	c.fits = func(string) error { return nil } // a condition of the call is on what the call names
	var err error
	if c.submit, err = submissionOf(inv, agency); err != nil {
		return err
	}
	return s.within(ctx, tx, c)
}

// Keep keeps an involvement as it is until another feature's transaction ends. As in
// all transactions it comes before its child is held.
func (s *Service) Keep(ctx context.Context, tx pgx.Tx, name string) error {
	agency, localID, ok := parseName(name)
	if !ok {
		return rpc.NotFound("involvement")
	}
	return children.LockName(ctx, tx, lockClass, standard.InvolvementID(agency, localID))
}

// Lead makes the practitioner of an involvement the child's lead professional from a
// day on as part of another feature's transaction, as if the caller had set it
// (SetLeadProfessional). That transaction records the access.
func (s *Service) Lead(ctx context.Context, tx pgx.Tx, child uuid.UUID, name string, start time.Time) error {
	agency, localID, ok := parseName(name)
	if !ok {
		return rpc.NotFound("involvement")
	}
	c := s.newChange(ctx, agency, localID, "")
	c.lead = &leading{child: child, start: start}
	return s.within(ctx, tx, c)
}

// within works a change out and stores it in a transaction of another feature.
func (s *Service) within(ctx context.Context, tx pgx.Tx, c *change) error {
	out := make([]outcome, 1)
	if err := s.apply(ctx, tx, []*change{c}, out); err != nil {
		return err
	}
	return out[0].Err
}
