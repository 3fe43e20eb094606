package children

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
)

// raiseReview puts a review into the queue. One that waits there keeps its age and
// its claim and, unless the record changed ($10), what a first person decided.
const raiseReview = `
	INSERT INTO match_reviews (review_id, record_id, agency_id, local_id, candidate_child_id, match, create_time, risk, risk_reasons)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
	ON CONFLICT (review_id) DO UPDATE SET match = excluded.match, risk = excluded.risk, risk_reasons = excluded.risk_reasons,
		state = CASE WHEN $10 OR match_reviews.state = 5 THEN 1 ELSE match_reviews.state END,
		first_by = CASE WHEN $10 OR match_reviews.state = 5 THEN '' ELSE match_reviews.first_by END,
		survivor = CASE WHEN $10 OR match_reviews.state = 5 THEN NULL ELSE match_reviews.survivor END,
		second_by = '', resolution = 0, resolve_time = NULL,
		create_time = CASE WHEN match_reviews.state = 5 THEN excluded.create_time ELSE match_reviews.create_time END,
		revision = match_reviews.revision + 1`

// storeReviews answers the reviews of records that were matched again, and raises
// those that came up.
func (w *write) storeReviews(ctx context.Context) error {
	if err := w.findOpen(ctx); err != nil {
		return err
	}
	if err := w.closeOthers(ctx); err != nil {
		return err
	}
	if len(w.reviews) > 0 {
		if err := w.storeRows(ctx); err != nil {
			return err
		}
	}
	changed := map[uuid.UUID]bool{}
	for _, r := range w.fresh {
		changed[r.id] = true
	}
	var news []review
	for i := range w.reviews {
		r := &w.reviews[i]
		why, err := storedJSON.Marshal(r.match)
		if err != nil {
			return fmt.Errorf("children: storing a review: %w", err)
		}
		if _, err := w.tx.Exec(ctx, raiseReview, [16]byte(r.id()), [16]byte(r.record.id), r.record.agency, r.record.localID,
			[16]byte(r.candidate), why, w.now, int16(r.risk.level), nonNilTexts(r.risk.reasons), changed[r.record.id]); err != nil { //nolint:gosec // levels are few
			return fmt.Errorf("children: storing a review: %w", err)
		}
		if !w.open[r.id()] {
			news = append(news, *r)
		}
	}
	w.tellOfReviews(irtv1.EventKind_EVENT_KIND_MATCH_REVIEW_RAISED, news)
	return w.closeAnswered(ctx)
}

// findOpen finds which of the reviews that came up wait for an answer already.
func (w *write) findOpen(ctx context.Context) error {
	if len(w.reviews) == 0 {
		return nil
	}
	rows, err := w.from.Query(ctx, `SELECT review_id FROM match_reviews WHERE review_id = ANY($1::uuid[]) AND state <> 5`, uuids(w.raised()))
	if err != nil {
		return fmt.Errorf("children: looking for reviews: %w", err)
	}
	ids, err := pgx.CollectRows(rows, scanUUID)
	if err != nil {
		return fmt.Errorf("children: looking for reviews: %w", err)
	}
	w.open = make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		w.open[id] = true
	}
	return nil
}

func (w *write) isRaised(r *record) bool {
	return len(w.reviews) > 0 && w.reviews[len(w.reviews)-1].record == r
}

func (w *write) raised() []uuid.UUID {
	ids := make([]uuid.UUID, len(w.reviews))
	for i := range w.reviews {
		ids[i] = w.reviews[i].id()
	}
	return ids
}

// closeOthers answers the reviews of records that were matched again and did not
// come up.
func (w *write) closeOthers(ctx context.Context) error {
	if len(w.again) == 0 {
		return nil
	}
	if _, err := w.tx.Exec(ctx, `UPDATE match_reviews SET state = 5, resolution = 4, resolve_time = $3, revision = revision + 1
		WHERE record_id = ANY($1::uuid[]) AND state <> 5 AND review_id <> ALL($2::uuid[])`,
		uuids(w.again), uuids(w.raised()), w.now); err != nil {
		return fmt.Errorf("children: closing reviews: %w", err)
	}
	return nil
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
