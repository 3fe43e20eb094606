package children

import (
	"context"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// MergeChildren implements irtv1.MatchServiceServer.
func (s *Service) MergeChildren(ctx context.Context, req *irtv1.MergeChildrenRequest) (*irtv1.MergeChildrenResponse, error) {
	from, err := rpc.ParseChildName(req.GetChild())
	if err != nil {
		return nil, err
	}
	into, err := rpc.ParseChildName(req.GetIntoChild())
	if err != nil {
		return nil, err
	}
	if from == into {
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "into_child", RuleID: "MERGE_SUBJECT", Description: "The two names are of one child.",
			Action: "Name two children.",
		}})
	}
	var out *irtv1.MergeChildrenResponse
	err = s.curate(ctx, req.GetReason(), req.GetValidateOnly(), func(ctx context.Context, c *curation) error {
		out = &irtv1.MergeChildrenResponse{ValidateOnly: req.GetValidateOnly()}
		return c.merge(ctx, req, from, into, out)
	})
	if err != nil {
		return nil, err
	}
	if out.Child, err = s.show(ctx, into); err != nil {
		return nil, err
	}
	if !withholds(out.GetChild().GetWithheld(), irtv1.Category_CATEGORY_INVOLVEMENT) {
		redact.Pass(ctx, out)
	}
	return out, nil
}

func (c *curation) merge(ctx context.Context, req *irtv1.MergeChildrenRequest, from, into uuid.UUID, out *irtv1.MergeChildrenResponse) error {
	if err := c.lockChildren(ctx, from, into); err != nil {
		return err
	}
	gone, stays := c.entries[from], c.entries[into]
	if err := c.mayCurate(append(append([]*record{}, c.members[from]...), c.members[into]...)); err != nil {
		return err
	}
	if gone.mergedInto.UUID == into {
		out.Outcome = irtv1.MergeOutcome_MERGE_OUTCOME_UNCHANGED
		return nil
	}
	for _, check := range []error{
		checkChildEtag(req.GetEtag(), gone), checkChildEtag(req.GetIntoEtag(), stays), present(gone), present(stays),
	} {
		if check != nil {
			return check
		}
	}
	for _, r := range c.members[from] {
		out.ChildRecords = append(out.ChildRecords, r.name())
	}
	done, v, err := c.same(ctx, nil, from, into)
	if err != nil {
		return err
	}
	out.Risk, out.RiskReasons = v.risk.level, v.risk.reasons
	if out.Outcome = irtv1.MergeOutcome_MERGE_OUTCOME_MERGED; !done {
		out.Outcome, out.MatchReview = irtv1.MergeOutcome_MERGE_OUTCOME_AWAITING_SECOND, v.name()
	}
	return nil
}

// same carries out a person's decision that two locked children are one: at once
// or, where the risk is high, when a second person decides the same. v is the review
// it is about; nil for whichever there is between the two, or a new one where two
// people are needed.
func (c *curation) same(ctx context.Context, v *storedReview, from, into uuid.UUID) (done bool, _ *storedReview, err error) {
	r, err := c.risk(ctx, from, into)
	if err != nil {
		return false, nil, err
	}
	if v == nil {
		if v, err = c.reviewBetween(ctx, from, into); err != nil {
			return false, nil, err
		}
	}
	v.risk = r
	if r.level == highRisk {
		if c.caller.Practitioner == "" {
			return false, v, rpc.Precondition("It takes two people, and your token names none. Sign in as yourself: with a token for a practitioner.")
		}
		if v.firstBy == "" || v.firstBy == c.person() {
			return false, v, c.awaitSecond(ctx, v, into)
		}
		if v.survivor.Valid && v.survivor.UUID != into {
			return false, v, rpc.Precondition("The first person chose the other child's name to stay. Choose the same, or decide NOT_SURE and talk to each other.")
		}
		v.secondBy = c.person()
	}
	if err := c.finish(ctx, v, irtv1.MatchResolution_MATCH_RESOLUTION_SAME, from, into); err != nil {
		return false, v, err
	}
	return true, v, c.mergeInto(ctx, from, into)
}

// awaitSecond keeps the first person's decision. The same person again changes nothing.
func (c *curation) awaitSecond(ctx context.Context, v *storedReview, survivor uuid.UUID) error {
	if v.firstBy == c.person() && v.survivor.UUID == survivor {
		return nil
	}
	v.firstBy, v.survivor = c.person(), uuid.NullUUID{UUID: survivor, Valid: true}
	v.state = irtv1.MatchReviewState_MATCH_REVIEW_STATE_AWAITING_SECOND
	v.claimedBy, v.claimExpiry = "", nil
	if err := c.keepDecision(ctx, v.id, irtv1.MatchResolution_MATCH_RESOLUTION_SAME); err != nil {
		return err
	}
	return c.storeReview(ctx, v, irtv1.EventKind_EVENT_KIND_MATCH_REVIEW_AWAITING_SECOND)
}

// finish resolves a review, and with it every other one between the two children.
func (c *curation) finish(ctx context.Context, v *storedReview, resolution irtv1.MatchResolution, a, b uuid.UUID) error {
	if !v.stored && resolution == irtv1.MatchResolution_MATCH_RESOLUTION_SAME && v.risk.level != highRisk {
		return nil // a merge that nobody asked about
	}
	v.state, v.resolution = irtv1.MatchReviewState_MATCH_REVIEW_STATE_RESOLVED, resolution
	v.claimedBy, v.claimExpiry = "", nil
	v.resolved = &c.now
	if err := c.keepDecision(ctx, v.id, resolution); err != nil {
		return err
	}
	if err := c.storeReview(ctx, v, irtv1.EventKind_EVENT_KIND_MATCH_REVIEW_RESOLVED); err != nil {
		return err
	}
	return c.closeBetween(ctx, v, a, b)
}
