package children

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// storedReview is one row of match_reviews, with the children of its two sides as
// they are now.
type storedReview struct {
	id              uuid.UUID
	record          uuid.UUID
	agency, localID string
	child           uuid.UUID // that the record stands under
	candidate       uuid.UUID // as it was raised
	present         uuid.UUID // what the candidate has become
	match           []byte
	created         time.Time
	state           irtv1.MatchReviewState
	risk            risk
	claimedBy       string
	claimExpiry     *time.Time
	survivor        uuid.NullUUID
	firstBy         string
	secondBy        string
	resolution      irtv1.MatchResolution
	resolved        *time.Time
	revision        int32
	stored          bool
}

// reviewQuery reads reviews by a condition. A candidate that was merged is one step
// from what it became.
const reviewQuery = `
	SELECT v.review_id, v.record_id, v.agency_id, v.local_id, r.child_id, v.candidate_child_id, coalesce(c.merged_into, c.child_id),
		v.match, v.create_time, v.state, v.risk, v.risk_reasons, v.claimed_by, v.claim_expiry, v.survivor, v.first_by, v.second_by,
		v.resolution, v.resolve_time, v.revision
	FROM match_reviews v
	JOIN child_records r ON r.record_id = v.record_id
	JOIN children c ON c.child_id = v.candidate_child_id `

func scanReview(row pgx.CollectableRow) (*storedReview, error) {
	v := &storedReview{stored: true}
	var state, level, resolution int16
	var survivor zeronull.UUID
	err := row.Scan((*[16]byte)(&v.id), (*[16]byte)(&v.record), &v.agency, &v.localID, (*[16]byte)(&v.child),
		(*[16]byte)(&v.candidate), (*[16]byte)(&v.present), &v.match, &v.created, &state, &level, &v.risk.reasons,
		&v.claimedBy, &v.claimExpiry, &survivor, &v.firstBy, &v.secondBy, &resolution, &v.resolved, &v.revision)
	v.state, v.risk.level = irtv1.MatchReviewState(state), irtv1.MatchReviewRisk(level)
	v.resolution = irtv1.MatchResolution(resolution)
	v.survivor = uuid.NullUUID{UUID: uuid.UUID(survivor), Valid: survivor != zeronull.UUID{}}
	return v, err
}

func queryReviews(ctx context.Context, q querier, where string, args ...any) ([]*storedReview, error) {
	rows, err := q.Query(ctx, reviewQuery+where, args...)
	if err != nil {
		return nil, fmt.Errorf("children: querying reviews: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanReview)
	if err != nil {
		return nil, fmt.Errorf("children: reading reviews: %w", err)
	}
	return found, nil
}

// reviewNamed reads one review. Where lock is set it is kept from others.
func reviewNamed(ctx context.Context, q querier, name string, lock bool) (*storedReview, error) {
	text, ok := strings.CutPrefix(name, "matchReviews/")
	id, err := uuid.Parse(text)
	if !ok || err != nil {
		return nil, rpc.NotFound("match review")
	}
	where := `WHERE v.review_id = $1`
	if lock {
		where += ` FOR UPDATE OF v`
	}
	found, err := queryReviews(ctx, q, where, [16]byte(id))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, rpc.NotFound("match review")
	}
	return found[0], nil
}

func (v *storedReview) name() string { return "matchReviews/" + v.id.String() }

func (v *storedReview) etag() string { return rpc.Etag("review", string(v.id[:]), v.revision) }

// claimed tells whether somebody is at work on it.
func (v *storedReview) claimed(now time.Time) bool {
	return v.claimedBy != "" && v.claimExpiry != nil && now.Before(*v.claimExpiry)
}

// message is the review as it stands in a list.
func (v *storedReview) message(now time.Time) (*irtv1.MatchReview, error) {
	why := &irtv1.MatchExplanation{}
	if err := readJSON.Unmarshal(v.match, why); err != nil {
		return nil, fmt.Errorf("children: reading a review: %w", err)
	}
	m := &irtv1.MatchReview{
		Name: v.name(), ChildRecord: "agencies/" + v.agency + "/childRecords/" + v.localID,
		Child: rpc.ChildName(v.child), CandidateChild: rpc.ChildName(v.present),
		Match: why, CreateTime: timestamp(v.created), State: v.state, Risk: v.risk.level, RiskReasons: v.risk.reasons,
		Resolution: v.resolution, Etag: v.etag(),
	}
	if v.claimed(now) {
		m.ClaimedBy, m.ClaimExpireTime = v.claimedBy, timestamp(*v.claimExpiry)
		if v.state == irtv1.MatchReviewState_MATCH_REVIEW_STATE_OPEN || v.state == irtv1.MatchReviewState_MATCH_REVIEW_STATE_UNSURE {
			m.State = irtv1.MatchReviewState_MATCH_REVIEW_STATE_CLAIMED
		}
	}
	if v.resolved != nil {
		m.ResolveTime = timestamp(*v.resolved)
	}
	return m, nil
}

// cursor is the place of a review in the queue: the riskiest first, then the oldest.
func (v *storedReview) cursor() []byte {
	b := []byte{byte(v.risk.level)} //nolint:gosec // levels are few
	b = binary.BigEndian.AppendUint64(b, uint64(v.created.UnixMicro()))
	return append(b, v.id[:]...)
}

const reviewCursor = 1 + 8 + 16

// storeReview writes what an act made of a review, and tells of it.
func (c *curation) storeReview(ctx context.Context, v *storedReview, kind irtv1.EventKind) error {
	var survivor zeronull.UUID
	if v.survivor.Valid {
		survivor = zeronull.UUID(v.survivor.UUID)
	}
	tag, err := c.tx.Exec(ctx, `
		INSERT INTO match_reviews (review_id, record_id, agency_id, local_id, candidate_child_id, match, create_time, state, risk, risk_reasons,
			claimed_by, claim_expiry, survivor, first_by, second_by, resolution, resolve_time, revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 1)
		ON CONFLICT (review_id) DO UPDATE SET state = excluded.state, risk = excluded.risk, risk_reasons = excluded.risk_reasons,
			claimed_by = excluded.claimed_by, claim_expiry = excluded.claim_expiry, survivor = excluded.survivor,
			first_by = excluded.first_by, second_by = excluded.second_by, resolution = excluded.resolution,
			resolve_time = excluded.resolve_time, revision = match_reviews.revision + 1
		WHERE match_reviews.revision = $18`,
		[16]byte(v.id), [16]byte(v.record), v.agency, v.localID, [16]byte(v.candidate), v.match, v.created,
		int16(v.state), int16(v.risk.level), nonNilTexts(v.risk.reasons), v.claimedBy, v.claimExpiry, survivor, //nolint:gosec // few
		v.firstBy, v.secondBy, int16(v.resolution), v.resolved, v.revision) //nolint:gosec // few
	if err != nil {
		return fmt.Errorf("children: storing a review: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return errStale
	}
	v.revision++
	c.access.AddReturned(v.name())
	if kind == irtv1.EventKind_EVENT_KIND_UNSPECIFIED {
		return nil
	}
	return events.Append(ctx, c.tx, []events.Event{{
		Kind: kind, Child: v.child, OtherChild: v.present, Agency: c.actor, Resource: v.name(),
		Time: c.now,
	}})
}

const betweenChildren = `(r.child_id = $1 AND coalesce(c.merged_into, c.child_id) = $2
	OR r.child_id = $2 AND coalesce(c.merged_into, c.child_id) = $1)`

// reviewBetween is the review of two locked children: the one there is, or one to be.
func (c *curation) reviewBetween(ctx context.Context, from, into uuid.UUID) (*storedReview, error) {
	found, err := queryReviews(ctx, c.tx, `WHERE `+betweenChildren+` AND v.state <> 5 ORDER BY v.state = 3 DESC, v.create_time, v.review_id
		LIMIT 1 FOR UPDATE OF v`, [16]byte(from), [16]byte(into))
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		return found[0], nil
	}
	r, err := c.anyRecord(ctx, from)
	if err != nil {
		return nil, err
	}
	return c.newReview(ctx, r, from, into)
}

// newReview is one of a record and the child it may be of, raised by a person. It
// may have been decided before.
func (c *curation) newReview(ctx context.Context, r *record, from, into uuid.UUID) (*storedReview, error) {
	v := &storedReview{
		id: standard.ReviewID(r.id, into), record: r.id, agency: r.agency, localID: r.localID, child: from,
		candidate: into, present: into, created: c.now,
	}
	d := bestOf(c.model, r.features(), c.members[into])
	why := explain(&d, c.model.Version, true)
	why.Decision = irtv1.MatchDecision_MATCH_DECISION_REVIEW
	var err error
	if v.match, err = storedJSON.Marshal(why); err != nil {
		return nil, fmt.Errorf("children: explaining a review: %w", err)
	}
	err = c.tx.QueryRow(ctx, `SELECT revision FROM match_reviews WHERE review_id = $1 FOR UPDATE`, [16]byte(v.id)).Scan(&v.revision)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("children: looking for a review: %w", err)
	}
	return v, nil
}

// anyRecord is a child's first record in force or, without one, its first.
func (c *curation) anyRecord(ctx context.Context, child uuid.UUID) (*record, error) {
	if members := c.members[child]; len(members) > 0 {
		return members[0], nil
	}
	found, err := queryRecords(ctx, c.tx, `SELECT `+recordList+` FROM child_records WHERE child_id = $1 ORDER BY record_id LIMIT 1`, [16]byte(child))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, rpc.Precondition("The child has no records. It cannot be merged.")
	}
	return found[0], nil
}

// closeBetween resolves the other reviews between two children as one was.
func (c *curation) closeBetween(ctx context.Context, v *storedReview, a, b uuid.UUID) error {
	if _, err := c.tx.Exec(ctx, `
		UPDATE match_reviews v SET state = 5, resolution = $4, resolve_time = $5, risk = $6, first_by = $7, second_by = $8,
			claimed_by = '', claim_expiry = NULL, revision = v.revision + 1
		FROM child_records r, children c
		WHERE r.record_id = v.record_id AND c.child_id = v.candidate_child_id AND v.review_id <> $3 AND v.state <> 5 AND `+betweenChildren,
		[16]byte(a), [16]byte(b), [16]byte(v.id), int16(v.resolution), c.now, int16(v.risk.level), v.firstBy, v.secondBy); err != nil { //nolint:gosec // few
		return fmt.Errorf("children: closing reviews: %w", err)
	}
	return nil
}
