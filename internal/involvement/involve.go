package involvement

import (
	"context"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
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
	out := make([]outcome, 1)
	if err := s.apply(ctx, tx, []*change{c}, out); err != nil {
		return err
	}
	return out[0].Err
}
