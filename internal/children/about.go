package children

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// about is a message that tells something of one child or more: a review, a
// comparison, a pin.
type about struct {
	message  proto.Message
	children []uuid.UUID
	owner    string                  // the agency whose own it is, or ""
	evidence *irtv1.MatchExplanation // in it, or nil
}

// showAbout shows messages by what the caller is shown of every child each is
// about. What is about a shielded child goes without its evidence.
func (s *Service) showAbout(ctx context.Context, all ...about) error {
	var ids []uuid.UUID
	for _, a := range all {
		ids = append(ids, a.children...)
	}
	asker := s.directory.Asker(ctx)
	standings, err := Standings(ctx, s.pool, asker, ids...)
	if err != nil {
		return err
	}
	for _, a := range all {
		own := sharing.Own(asker.Caller, a.owner)
		if a.owner == "" {
			own = sharing.Decide(sharing.See, asker.Facts())
		}
		redact.Show(ctx, a.message, own)
		for _, id := range a.children {
			standing := standings[id]
			if standing == nil { // merged away since
				continue
			}
			redact.Show(ctx, a.message, sharing.Decide(sharing.See, standing.Said(asker, a.owner)))
			if standing.Shielded {
				blunt(a.evidence)
			}
		}
	}
	return nil
}

// aboutReview is a review: of two children, and the own of the agency whose record
// raised it.
func aboutReview(r *irtv1.MatchReview) about {
	agency, _, _ := recordName(r.GetChildRecord())
	return about{message: r, owner: agency, evidence: r.GetMatch(), children: named(r.GetChild(), r.GetCandidateChild())}
}

// named are the ids of children by their names.
func named(names ...string) []uuid.UUID {
	var ids []uuid.UUID
	for _, name := range names {
		if id, err := rpc.ParseChildName(name); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// withholds tells whether notices say that a category is withheld.
func withholds(notices []*irtv1.Withheld, c irtv1.Category) bool {
	for _, n := range notices {
		if n.GetCategory() == c {
			return true
		}
	}
	return false
}
