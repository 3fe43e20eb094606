package consent

import (
	"context"
	"time"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// manages says whether the caller is a data manager.
func manages(c identity.Caller) bool { return c.Role == irtv1.Role_ROLE_DATA_MANAGER }

// reading is who reads what is agreed about a child, and what policy shows it.
type reading struct {
	child uuid.UUID
	born  time.Time // zero where it is not known
	asker agencies.Asker
	shown *sharing.Decision
}

// readable says which child answers for the one asked about, to callers who may
// read what is agreed about it: data managers, and agencies that work with it. To
// all others it is the same whether there is such a child.
func (s *Service) readable(ctx context.Context, name string) (*reading, error) {
	r := &reading{asker: s.directory.Asker(ctx)}
	caller := r.asker.Caller
	asked, err := rpc.ParseChildName(name)
	if err != nil {
		return nil, hidden(caller, err)
	}
	if r.child, err = s.survivor(ctx, asked); err != nil {
		return nil, hidden(caller, err)
	}
	st, err := s.standingFor(ctx, r.asker, r.child)
	if err != nil {
		return nil, hidden(caller, err)
	}
	r.born, r.shown = st.Born(), sharing.Decide(sharing.See, st.Facts(r.asker))
	if !r.shown.ShowsChild() || !manages(caller) && !st.Involved && !st.HoldsRecord {
		return nil, rpc.Denied()
	}
	return r, nil
}

// hidden is the error of not finding something, for a caller who may not learn
// whether it is there.
func hidden(c identity.Caller, err error) error {
	if manages(c) {
		return err
	}
	return rpc.Hidden(err)
}

// survivor is the child that answers for one asked about. One of whom policy shows
// the caller nothing, such as one that is archived, is the same as none.
func (s *Service) survivor(ctx context.Context, asked uuid.UUID) (uuid.UUID, error) {
	child, err := children.Survivor(ctx, s.pool, asked)
	if err != nil {
		return uuid.Nil, err
	}
	asker := s.directory.Asker(ctx)
	standings, err := children.Standings(ctx, s.pool, asker, child)
	if err != nil {
		return uuid.Nil, err
	}
	if st := standings[child]; st == nil || !sharing.Decide(sharing.See, st.Facts(asker)).ShowsChild() {
		return uuid.Nil, rpc.NotFound("child")
	}
	return child, nil
}
