package children

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// claimFor is how long a claim keeps a review from others.
const claimFor = 30 * time.Minute

// ListMatchReviews implements irtv1.MatchServiceServer.
func (s *Service) ListMatchReviews(ctx context.Context, req *irtv1.ListMatchReviewsRequest) (*irtv1.ListMatchReviewsResponse, error) {
	access, caller := audit.FromContext(ctx), identity.FromContext(ctx)
	cursor, err := s.tokens.Decode("ListMatchReviews", req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	agency := strings.TrimPrefix(req.GetAgency(), "agencies/")
	if !sharing.MayReadRecord(caller, "-") { // any agency's
		if agency != "" && agency != caller.Agency {
			return nil, rpc.Denied()
		}
		agency = caller.Agency
	}
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))
	found, err := s.queue(ctx, req, agency, cursor, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListMatchReviewsResponse{}
	if len(found) > size {
		found = found[:size]
		if out.NextPageToken, err = s.tokens.Encode("ListMatchReviews", req, found[size-1].cursor()); err != nil {
			return nil, err
		}
	}
	var shown []about
	for _, v := range found {
		m, err := v.message(time.Now())
		if err != nil {
			return nil, err
		}
		access.AddReturned(m.GetName())
		access.AddChild(v.child, v.present)
		out.MatchReviews = append(out.MatchReviews, m)
		shown = append(shown, aboutReview(m))
	}
	return out, s.showAbout(ctx, shown...)
}

// queue reads a page of the queue. A claim that has ended by itself is none.
func (s *Service) queue(ctx context.Context, req *irtv1.ListMatchReviewsRequest, agency string, cursor []byte, limit int) ([]*storedReview, error) {
	args := pgx.NamedArgs{
		"agency": agency, "risk": int32(req.GetRisk()), "state": int32(req.GetState()), "limit": limit,
		"after_risk": 100, "after_time": time.Time{}, "after_id": [16]byte{}, "now": time.Now(),
	}
	if len(cursor) == reviewCursor {
		args["after_risk"], args["after_time"] = int32(cursor[0]), time.UnixMicro(int64(binary.BigEndian.Uint64(cursor[1:]))) //nolint:gosec // sealed by us
		args["after_id"] = [16]byte(cursor[9:])
	}
	which := `v.state <> 5`
	switch req.GetState() {
	case irtv1.MatchReviewState_MATCH_REVIEW_STATE_UNSPECIFIED:
	case irtv1.MatchReviewState_MATCH_REVIEW_STATE_CLAIMED:
		which = `v.state <> 5 AND v.claim_expiry > @now`
	case irtv1.MatchReviewState_MATCH_REVIEW_STATE_OPEN, irtv1.MatchReviewState_MATCH_REVIEW_STATE_UNSURE:
		which = `v.state = @state AND (v.claim_expiry IS NULL OR v.claim_expiry <= @now)`
	default:
		which = `v.state = @state`
	}
	return queryReviews(ctx, s.pool, `WHERE `+which+`
		AND (@agency = '' OR v.agency_id = @agency) AND (@risk = 0 OR v.risk = @risk)
		AND (v.risk < @after_risk OR v.risk = @after_risk AND (v.create_time, v.review_id) > (@after_time, @after_id))
		ORDER BY v.risk DESC, v.create_time, v.review_id LIMIT @limit`, args)
}

// GetMatchReview implements irtv1.MatchServiceServer.
func (s *Service) GetMatchReview(ctx context.Context, req *irtv1.GetMatchReviewRequest) (*irtv1.MatchReview, error) {
	v, err := reviewNamed(ctx, s.pool, req.GetName(), false)
	if err != nil {
		return nil, err
	}
	m, err := s.reviewMessage(ctx, v)
	if err != nil {
		return nil, err
	}
	children := []uuid.UUID{v.child}
	if v.present != v.child {
		children = append(children, v.present)
	}
	for _, child := range children {
		side, err := s.reviewSide(ctx, child)
		if err != nil {
			return nil, err
		}
		m.Sides = append(m.Sides, side)
	}
	return m, nil
}

// reviewMessage is a review with what people decided on it.
func (s *Service) reviewMessage(ctx context.Context, v *storedReview) (*irtv1.MatchReview, error) {
	m, err := v.message(time.Now())
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT resolution, decided_by, reason, decide_time FROM match_review_decisions
		WHERE review_id = $1 ORDER BY decide_time`, [16]byte(v.id))
	if err != nil {
		return nil, fmt.Errorf("children: reading decisions: %w", err)
	}
	m.Decisions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*irtv1.MatchReviewDecision, error) {
		d := &irtv1.MatchReviewDecision{}
		var at time.Time
		err := row.Scan((*int32)(&d.Resolution), &d.DecidedBy, &d.Reason, &at)
		d.DecideTime = timestamp(at)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("children: reading decisions: %w", err)
	}
	access := audit.FromContext(ctx)
	access.AddChild(v.child, v.present)
	access.AddReturned(v.name())
	return m, s.showAbout(ctx, aboutReview(m))
}

// reviewSide shows one child of a review: as composed, its records, and who holds
// what of it.
func (s *Service) reviewSide(ctx context.Context, child uuid.UUID) (*irtv1.MatchReviewSide, error) {
	shown, err := s.show(ctx, child)
	if err != nil {
		return nil, err
	}
	records, err := s.recordsOfChild(ctx, child, "-")
	if err != nil {
		return nil, err
	}
	side := &irtv1.MatchReviewSide{Child: shown, ChildRecords: records.GetChildRecords()}
	for _, r := range side.GetChildRecords() {
		audit.FromContext(ctx).AddReturned(r.GetName())
	}
	if !withholds(shown.GetWithheld(), irtv1.Category_CATEGORY_INVOLVEMENT) {
		side.Holders, err = s.holders(ctx, child)
	}
	redact.Pass(ctx, side)
	return side, err
}

const holdersQuery = `
	SELECT agency_id, sum(records)::int, sum(involvements)::int FROM (
		SELECT agency_id, 1 AS records, 0 AS involvements, false AS sensitive FROM child_records WHERE child_id = $1 AND state = 1
		UNION ALL
		SELECT agency_id, 0, 1, sensitive FROM involvements WHERE child_id = $1
	) h WHERE NOT sensitive OR agency_id = $2
	GROUP BY agency_id ORDER BY agency_id`

// holders are the agencies that hold something of a child; a sensitive service is
// named to itself alone.
func (s *Service) holders(ctx context.Context, child uuid.UUID) ([]*irtv1.MatchReviewHolder, error) {
	caller := identity.FromContext(ctx)
	rows, err := s.pool.Query(ctx, holdersQuery, [16]byte(child), caller.Agency)
	if err != nil {
		return nil, fmt.Errorf("children: reading who holds what: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*irtv1.MatchReviewHolder, error) {
		h := &irtv1.MatchReviewHolder{}
		err := row.Scan(&h.Agency, &h.ChildRecordCount, &h.InvolvementCount)
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("children: reading who holds what: %w", err)
	}
	return slices.DeleteFunc(all, func(h *irtv1.MatchReviewHolder) bool {
		a, _ := s.directory.Get(h.GetAgency())
		if a.Sensitive && !sharing.SensitiveVisible(caller, h.GetAgency()) {
			return true
		}
		h.Agency, h.AgencyDisplayName, h.AgencyKind = "agencies/"+h.GetAgency(), a.DisplayName, a.Kind
		return false
	}), nil
}

// ClaimMatchReview implements irtv1.MatchServiceServer.
func (s *Service) ClaimMatchReview(ctx context.Context, req *irtv1.ClaimMatchReviewRequest) (*irtv1.MatchReview, error) {
	return s.changeReview(ctx, req.GetName(), func(c *curation, v *storedReview) error {
		if v.state == irtv1.MatchReviewState_MATCH_REVIEW_STATE_RESOLVED {
			return rpc.Precondition("The review is resolved. Read it to see how.")
		}
		until := c.now.Add(claimFor)
		v.claimedBy, v.claimExpiry = c.person(), &until
		return nil
	})
}

// ReleaseMatchReview implements irtv1.MatchServiceServer.
func (s *Service) ReleaseMatchReview(ctx context.Context, req *irtv1.ReleaseMatchReviewRequest) (*irtv1.MatchReview, error) {
	return s.changeReview(ctx, req.GetName(), func(_ *curation, v *storedReview) error {
		v.claimedBy, v.claimExpiry = "", nil
		return nil
	})
}

// changeReview changes whose a review is, unless another has claimed it.
func (s *Service) changeReview(ctx context.Context, name string, change func(*curation, *storedReview) error) (*irtv1.MatchReview, error) {
	var v *storedReview
	err := s.curate(ctx, "", false, func(ctx context.Context, c *curation) error {
		var err error
		if v, err = reviewNamed(ctx, c.tx, name, true); err != nil {
			return err
		}
		c.now = time.Now()
		if err := c.mine(v); err != nil {
			return err
		}
		if err := change(c, v); err != nil {
			return err
		}
		c.access.AddChild(v.child, v.present)
		return c.storeReview(ctx, v, irtv1.EventKind_EVENT_KIND_UNSPECIFIED)
	})
	if err != nil {
		return nil, err
	}
	return s.reviewMessage(ctx, v)
}

// mine refuses a review that another has claimed.
func (c *curation) mine(v *storedReview) error {
	if v.claimed(c.now) && v.claimedBy != c.person() {
		return rpc.Precondition("Another has claimed the review. Take another one, or wait: a claim ends by itself after 30 minutes.")
	}
	return nil
}

// ResolveMatchReview implements irtv1.MatchServiceServer.
func (s *Service) ResolveMatchReview(ctx context.Context, req *irtv1.ResolveMatchReviewRequest) (*irtv1.MatchReview, error) {
	switch req.GetResolution() {
	case irtv1.MatchResolution_MATCH_RESOLUTION_SAME, irtv1.MatchResolution_MATCH_RESOLUTION_NOT_SAME, irtv1.MatchResolution_MATCH_RESOLUTION_NOT_SURE:
	default:
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("ENUM_NOT_IN", "resolution")})
	}
	var v *storedReview
	err := s.curate(ctx, req.GetReason(), req.GetValidateOnly(), func(ctx context.Context, c *curation) error {
		var err error
		v, err = c.resolve(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	if req.GetValidateOnly() {
		m, err := v.message(time.Now())
		if err != nil {
			return nil, err
		}
		return m, s.showAbout(ctx, aboutReview(m))
	}
	if v, err = reviewNamed(ctx, s.pool, req.GetName(), false); err != nil {
		return nil, err
	}
	return s.reviewMessage(ctx, v)
}

func (c *curation) resolve(ctx context.Context, req *irtv1.ResolveMatchReviewRequest) (*storedReview, error) {
	seen, err := reviewNamed(ctx, c.tx, req.GetName(), false)
	if err != nil {
		return nil, err
	}
	if err := c.lockChildren(ctx, seen.child, seen.present); err != nil {
		return nil, err
	}
	v, err := reviewNamed(ctx, c.tx, req.GetName(), true)
	if err != nil {
		return nil, err
	}
	if v.revision != seen.revision || v.child != seen.child || v.present != seen.present {
		return nil, errStale
	}
	if req.GetEtag() != "" && req.GetEtag() != v.etag() {
		return nil, rpc.Aborted(v.etag())
	}
	if v.state == irtv1.MatchReviewState_MATCH_REVIEW_STATE_RESOLVED {
		if v.resolution == req.GetResolution() {
			return v, nil
		}
		return nil, rpc.Precondition("The review is resolved otherwise. Read it to see how; MergeChildren and SplitChildRecord put right what is wrong.")
	}
	if err := c.mine(v); err != nil {
		return nil, err
	}
	if err := c.mayCurate(append(slices.Clone(c.members[v.child]), c.members[v.present]...)); err != nil {
		return nil, err
	}
	switch req.GetResolution() {
	case irtv1.MatchResolution_MATCH_RESOLUTION_SAME:
		return v, c.resolveSame(ctx, v, req.GetSurvivor())
	case irtv1.MatchResolution_MATCH_RESOLUTION_NOT_SAME:
		return v, c.resolveNotSame(ctx, v)
	}
	return v, c.notSure(ctx, v)
}

// resolveSame merges into the child chosen, or into the older of the two.
func (c *curation) resolveSame(ctx context.Context, v *storedReview, survivor string) error {
	from, into := v.child, v.present
	if bytes.Compare(from[:], into[:]) < 0 { // ids grow with time
		from, into = into, from
	}
	if v.survivor.Valid && survivor == "" {
		survivor = rpc.ChildName(v.survivor.UUID)
	}
	switch survivor {
	case "", rpc.ChildName(into):
	case rpc.ChildName(from):
		from, into = into, from
	default:
		return rpc.Invalid([]standard.Fault{{
			Field: "survivor", RuleID: "MERGE_SUBJECT", Description: "The survivor is neither of the two children.",
			Action: "Name one of the two, or leave it out.",
		}})
	}
	_, _, err := c.same(ctx, v, from, into)
	return err
}

// resolveNotSame keeps the records of the two children apart for good.
func (c *curation) resolveNotSame(ctx context.Context, v *storedReview) error {
	if err := c.decideBetween(ctx, notSameChild, v.child, v.present); err != nil {
		return err
	}
	return c.finish(ctx, v, irtv1.MatchResolution_MATCH_RESOLUTION_NOT_SAME, v.child, v.present)
}

// notSure gives a review back. What a first person decided stands.
func (c *curation) notSure(ctx context.Context, v *storedReview) error {
	if v.state != irtv1.MatchReviewState_MATCH_REVIEW_STATE_AWAITING_SECOND {
		v.state = irtv1.MatchReviewState_MATCH_REVIEW_STATE_UNSURE
	}
	v.claimedBy, v.claimExpiry = "", nil
	if err := c.keepDecision(ctx, v.id, irtv1.MatchResolution_MATCH_RESOLUTION_NOT_SURE); err != nil {
		return err
	}
	return c.storeReview(ctx, v, irtv1.EventKind_EVENT_KIND_UNSPECIFIED)
}
