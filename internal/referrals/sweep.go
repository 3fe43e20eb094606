package referrals

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/events"
)

// notTold selects referrals that wait for their recipient, who was not told that it
// is late. It is the condition of the index referrals_overdue.
const notTold = `state = 1 AND NOT overdue_told`

// Sweep tells both sides of a referral that nobody acted on in time, once for each
// recipient that it is sent to.
var Sweep = children.Sweep{
	Name: "referrals",
	Lock: 0x6972745f72656673, // "irt_refs"
	Due: `SELECT child_id FROM referrals WHERE ` + notTold + ` AND acknowledge_by_time < $1
		ORDER BY acknowledge_by_time LIMIT $2`,
	Settle: tellOverdue,
}

func tellOverdue(ctx context.Context, tx pgx.Tx, ids [][16]byte, now time.Time) (told []events.Event, err error) {
	//nolint:rowserrcheck // ForEachRow does
	rows, err := tx.Query(ctx, `UPDATE referrals SET overdue_told = true
		WHERE child_id = ANY($1::uuid[]) AND `+notTold+` AND acknowledge_by_time < $2
		RETURNING child_id, agency_id, local_id, recipient_id`, ids, now)
	if err != nil {
		return nil, fmt.Errorf("referrals: noting what is overdue: %w", err)
	}
	v := &version{}
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&v.childID), &v.agency, &v.localID, &v.recipient}, func() error {
		told = append(told, events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_REFERRAL_OVERDUE, Child: v.childID, Resource: v.name(),
			Agencies: []string{v.agency, v.recipient}, Time: now,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("referrals: noting what is overdue: %w", err)
	}
	return told, nil
}
