package children

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
)

const raiseReview = `
	INSERT INTO match_reviews (review_id, record_id, agency_id, local_id, candidate_child_id, match, create_time, risk, risk_reasons)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
	ON CONFLICT (review_id) DO UPDATE SET match = excluded.match, risk = excluded.risk, risk_reasons = excluded.risk_reasons,
		state = 1, resolution = 0, resolve_time = NULL, first_by = '', second_by = '', survivor = NULL,
		create_time = CASE WHEN match_reviews.state = 5 THEN excluded.create_time ELSE match_reviews.create_time END,
		revision = match_reviews.revision + 1`

// storeReviews answers the reviews of records that were matched again, and raises
// those that came up. One that comes up again keeps its age and its claim; what the
// first of two people decided was about the records as they were, and is asked anew.
func (w *write) storeReviews(ctx context.Context) error {
	raised := make([]uuid.UUID, len(w.reviews))
	for i := range w.reviews {
		raised[i] = w.reviews[i].id()
	}
	if len(w.again) > 0 {
		if _, err := w.tx.Exec(ctx, `UPDATE match_reviews SET state = 5, resolution = 4, resolve_time = $3, revision = revision + 1
			WHERE record_id = ANY($1::uuid[]) AND state <> 5 AND review_id <> ALL($2::uuid[])`,
			uuids(w.again), uuids(raised), w.now); err != nil {
			return fmt.Errorf("children: closing reviews: %w", err)
		}
	}
	for i := range w.reviews {
		r := &w.reviews[i]
		why, err := storedJSON.Marshal(r.match)
		if err != nil {
			return fmt.Errorf("children: storing a review: %w", err)
		}
		if _, err := w.tx.Exec(ctx, raiseReview, [16]byte(r.id()), [16]byte(r.record.id), r.record.agency, r.record.localID,
			[16]byte(r.candidate), why, w.now, int16(r.risk.level), nonNilTexts(r.risk.reasons)); err != nil { //nolint:gosec // levels are few
			return fmt.Errorf("children: storing a review: %w", err)
		}
	}
	w.tellOfReviews(irtv1.EventKind_EVENT_KIND_MATCH_REVIEW_RAISED, w.reviews)
	return w.closeAnswered(ctx)
}

func nonNilTexts(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// closeAnswered resolves the reviews whose two sides have become one child.
func (w *write) closeAnswered(ctx context.Context) error {
	if len(w.moves) == 0 {
		return nil
	}
	into := map[uuid.UUID]bool{}
	for _, m := range w.moves {
		into[m.to] = true
	}
	if _, err := w.tx.Exec(ctx, `
		UPDATE match_reviews v SET state = 5, resolution = 4, resolve_time = $2, revision = v.revision + 1
		FROM child_records r, children c
		WHERE r.child_id = ANY($1::uuid[]) AND v.record_id = r.record_id AND v.state <> 5
			AND c.child_id = v.candidate_child_id AND coalesce(c.merged_into, c.child_id) = r.child_id`,
		uuids(sorted(into)), w.now); err != nil {
		return fmt.Errorf("children: closing reviews: %w", err)
	}
	return nil
}
