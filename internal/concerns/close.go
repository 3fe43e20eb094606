package concerns

import (
	"context"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// WithdrawConcern implements irt.v1.ConcernService.
func (s *Service) WithdrawConcern(ctx context.Context, req *irtv1.WithdrawConcernRequest) (*irtv1.Concern, error) {
	return s.end(ctx, req.GetName(), req.GetEtag(), ending{move: withdrawal, state: withdrawn, kind: irtv1.EventKind_EVENT_KIND_CONCERN_WITHDRAWN})
}

// CloseConcern implements irt.v1.ConcernService.
func (s *Service) CloseConcern(ctx context.Context, req *irtv1.CloseConcernRequest) (*irtv1.Concern, error) {
	if agency, _, ok := parseName(req.GetName()); ok && !sharing.MayWrite(identity.FromContext(ctx), agency) {
		return nil, rpc.Denied()
	}
	given := proto.CloneOf(req)
	standard.NormaliseConcernOutcome(given)
	if faults, _ := standard.Check(given, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	return s.end(ctx, given.GetName(), given.GetEtag(), ending{
		move: closing, state: closed, outcome: given.GetOutcome(), kind: irtv1.EventKind_EVENT_KIND_CONCERN_CLOSED,
	})
}

// ending is how a concern ceases to be open.
type ending struct {
	move    move
	state   irtv1.ConcernState
	outcome string
	kind    irtv1.EventKind
}

func (s *Service) end(ctx context.Context, name, etag string, how ending) (*irtv1.Concern, error) {
	agency, localID, ok := parseName(name)
	if !ok {
		return nil, rpc.NotFound("concern")
	}
	if !sharing.MayWrite(identity.FromContext(ctx), agency) {
		return nil, rpc.Denied()
	}
	// As the caller found it: what becomes of it from here on is a colleague's doing.
	seen, err := present(ctx, s.pool, standard.ConcernID(agency, localID))
	if err != nil {
		return nil, err
	}
	if seen == nil {
		return nil, rpc.NotFound("concern")
	}
	var stored *version
	err = s.inChange(ctx, name, func(c *change) (err error) {
		stored, err = c.end(ctx, seen, etag, how)
		return err
	})
	return s.answer(ctx, stored, err)
}

func (c *change) end(ctx context.Context, seen *version, etag string, how ending) (*version, error) {
	cur, err := c.held(ctx, seen)
	if err != nil {
		return nil, err
	}
	if cur.state != seen.state || etag != "" && etag != cur.etag() {
		return nil, cur.overtaken()
	}
	if err := cur.may(how.move); err != nil {
		return nil, err
	}
	next := *cur
	next.state, next.outcome, next.end = how.state, how.outcome, c.today
	return &next, c.settle(ctx, cur, &next, how.kind)
}

// held is the present version of a concern, with its child held.
func (c *change) held(ctx context.Context, seen *version) (*version, error) {
	if err := children.LockName(ctx, c.tx, lockClass, seen.id); err != nil {
		return nil, err
	}
	cur, err := children.ReadHeld(ctx, func() (*version, error) { return present(ctx, c.tx, seen.id) }, (*version).child, c.hold)
	if err == nil && cur == nil { // purged since
		err = rpc.NotFound("concern")
	}
	return cur, err
}
