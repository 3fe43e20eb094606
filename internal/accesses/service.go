// Package accesses is irt.v1.AuditService: it shows the access log to those who may
// see it, each as much as they may, and gives out the proof that it is whole.
package accesses

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesslog"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

const (
	pageDefault = 25
	pageMost    = 1000
	// involvedMost is how many accesses to a child an agency that works with it sees.
	involvedMost = 25
)

// Service is irt.v1.AuditService.
type Service struct {
	irtv1.UnimplementedAuditServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	keys      *accesslog.Keys
}

// New makes the service; keys are those that checkpoints are signed with.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, keys *accesslog.Keys) *Service {
	return &Service{pool: pool, directory: directory, tokens: tokens, keys: keys}
}

// ListAccesses implements irtv1.AuditServiceServer.
func (s *Service) ListAccesses(ctx context.Context, req *irtv1.ListAccessesRequest) (*irtv1.ListAccessesResponse, error) {
	cursor, err := s.tokens.Decode("ListAccesses", req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	filter, see, err := s.ask(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	if len(cursor) == len(filter.Before) {
		filter.Before = uuid.UUID(cursor)
	}
	if req.GetSince() != nil {
		filter.Since = req.GetSince().AsTime()
	}
	if req.GetUntil() != nil {
		filter.Until = req.GetUntil().AsTime()
	}
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, see.most))
	filter.Limit = size + 1
	listed, err := accesslog.List(ctx, s.pool, filter)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListAccessesResponse{}
	if len(listed) > size {
		listed = listed[:size]
		if !see.recentOnly {
			last := listed[size-1].ID
			if out.NextPageToken, err = s.tokens.Encode("ListAccesses", req, last[:]); err != nil {
				return nil, err
			}
		}
	}
	for i := range listed {
		m := s.message(see, &listed[i])
		redact.Pass(ctx, m) // message shows what the view allows, and no more
		out.Accesses = append(out.Accesses, m)
	}
	audit.FromContext(ctx).AddReturned(req.GetParent() + "/accesses")
	return out, nil
}

// ask finds out what a parent stands for, and what the caller may see of it.
func (s *Service) ask(ctx context.Context, parent string) (accesslog.Filter, view, error) {
	var filter accesslog.Filter
	caller := identity.FromContext(ctx)
	if text, ok := strings.CutPrefix(parent, "children/"); ok {
		child, err := standard.ParseChildID(text)
		if err != nil {
			return filter, view{}, notFound(caller, "child")
		}
		return s.askChild(ctx, caller, child)
	}
	agency, practitioner, ok := agencies.ParsePractitionerName(parent)
	if !ok {
		agency, ok = agencies.ParseName(parent)
	}
	see := viewOfAgency(caller, agency, practitioner)
	switch {
	case ok && see.allowed:
		filter.Agency, filter.Practitioner = agency, practitioner
		return filter, see, nil
	case !ok && keeps(caller):
		return filter, view{}, rpc.NotFound("agency or practitioner")
	}
	return filter, view{}, rpc.Denied()
}

func (s *Service) askChild(ctx context.Context, caller identity.Caller, child uuid.UUID) (filter accesslog.Filter, see view, err error) {
	if filter.Children, err = sameChild(ctx, s.pool, child); err != nil {
		return filter, see, err
	}
	if len(filter.Children) == 0 {
		return filter, see, notFound(caller, "child")
	}
	audit.FromContext(ctx).AddChild(filter.Children[0])
	asker := s.directory.Asker(ctx)
	standings, err := children.Standings(ctx, s.pool, asker, filter.Children[0])
	if err != nil {
		return filter, see, err
	}
	facts := asker.Facts()
	if standing := standings[filter.Children[0]]; standing != nil {
		facts = standing.Facts(asker)
	}
	see = viewOfChild(caller, sharing.Decide(sharing.SeeAccesses, facts).Allowed())
	if !see.allowed {
		return filter, see, rpc.Denied()
	}
	return filter, see, nil
}

// notFound says so to those who may know, and denies the others as it would if it
// were there.
func notFound(caller identity.Caller, what string) error {
	if keeps(caller) {
		return rpc.NotFound(what)
	}
	return rpc.Denied()
}

// GetCheckpoint implements irtv1.AuditServiceServer.
func (s *Service) GetCheckpoint(ctx context.Context, _ *irtv1.GetCheckpointRequest) (*irtv1.Checkpoint, error) {
	c, err := accesslog.LastCheckpoint(ctx, s.pool)
	if errors.Is(err, accesslog.ErrEmpty) {
		return nil, rpc.NotFound("checkpoint yet")
	}
	if err != nil {
		return nil, err
	}
	return s.checkpoint(c), nil
}

func (s *Service) checkpoint(c *accesslog.Checkpoint) *irtv1.Checkpoint {
	return &irtv1.Checkpoint{
		Note: c.Note, TreeSize: c.Size, RootHash: c.Root[:], SignTime: timestamppb.New(c.SignTime), VerifierKey: s.keys.VerifierKey(),
	}
}

// ProveEntry implements irtv1.AuditServiceServer.
func (s *Service) ProveEntry(ctx context.Context, req *irtv1.ProveEntryRequest) (*irtv1.EntryProof, error) {
	caller := identity.FromContext(ctx)
	text, _ := strings.CutPrefix(req.GetName(), "accesses/")
	id, err := uuid.Parse(text)
	if err != nil || accessName(id) != req.GetName() {
		return nil, notFound(caller, "access")
	}
	entry, _, err := accesslog.GetEntry(ctx, s.pool, id)
	switch {
	case errors.Is(err, accesslog.ErrNotFound):
		return nil, notFound(caller, "access")
	case err != nil:
		return nil, err
	case !viewOfAgency(caller, entry.Agency, entry.Practitioner).allowed:
		return nil, rpc.Denied()
	}
	p, err := accesslog.Prove(ctx, s.pool, id, req.GetTreeSize())
	if err != nil {
		return nil, proofError(err)
	}
	e := audit.FromContext(ctx)
	e.AddChild(entry.Children...)
	e.AddReturned(req.GetName())
	out := &irtv1.EntryProof{Checkpoint: s.checkpoint(p.Checkpoint), LeafIndex: p.Index, Leaf: p.Leaf}
	for _, h := range p.Hashes {
		out.Hashes = append(out.Hashes, h[:])
	}
	if keeps(caller) {
		out.Personal, out.Salt = p.Personal, p.Salt
	}
	redact.Pass(ctx, out)
	return out, nil
}

func proofError(err error) error {
	switch {
	case errors.Is(err, accesslog.ErrNotSequenced), errors.Is(err, accesslog.ErrEmpty):
		return rpc.Error(codes.FailedPrecondition, irtv1.ErrorReason_ERROR_REASON_FAILED_PRECONDITION,
			"The access is not in the tree yet. Ask again in a second.")
	case errors.Is(err, accesslog.ErrNoCheckpoint):
		return rpc.Invalid([]standard.Fault{{
			Field: "tree_size", RuleID: "INT64_GTE", Description: "There is no checkpoint of that size that covers the access.",
			Action: "Give the tree_size of a checkpoint that you were given after the access, or none.",
		}})
	}
	return err
}

func accessName(id uuid.UUID) string { return "accesses/" + id.String() }
