package concerns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/pg"
	"irthub/internal/standard"
)

// toReview selects open concerns whose review date has not been told of. It is the
// condition of the index concerns_to_review.
const toReview = `state = 1 AND review_date IS NOT NULL AND review_told IS DISTINCT FROM review_date`

// Sweep tells an agency of each open concern of its own whose review date is over,
// once for each such date. The day is that of England, as of all dates.
var Sweep = children.Sweep{
	Name: "concerns",
	Lock: 0x6972745f636e6373, // "irt_cncs"
	Due: `SELECT child_id FROM concerns WHERE ` + toReview + ` AND review_date < ($1::timestamptz AT TIME ZONE 'Europe/London')::date
		ORDER BY review_date LIMIT $2`,
	Settle: tellOverdue,
}

func tellOverdue(ctx context.Context, tx pgx.Tx, ids [][16]byte, now time.Time) (told []events.Event, err error) {
	//nolint:rowserrcheck // ForEachRow does
	rows, err := tx.Query(ctx, `UPDATE concerns SET review_told = review_date
		WHERE child_id = ANY($1::uuid[]) AND `+toReview+` AND review_date < $2
		RETURNING child_id, agency_id, local_id`, ids, pg.Date(standard.DayOf(now)))
	if err != nil {
		return nil, fmt.Errorf("concerns: noting what is overdue: %w", err)
	}
	v := &version{}
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&v.childID), &v.agency, &v.localID}, func() error {
		told = append(told, events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_CONCERN_REVIEW_OVERDUE, Child: v.childID, Resource: v.name(),
			Agencies: []string{v.agency}, Time: now,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("concerns: noting what is overdue: %w", err)
	}
	return told, nil
}
