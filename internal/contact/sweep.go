package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/events"
)

// Sweep ends requests whose time is over, and purges what was written with them a
// year later.
var Sweep = children.Sweep{
	Name: "contact requests",
	Lock: 0x6972745f636e7463, // "irt_cntc"
	Due: `
	SELECT child_id FROM (
		(SELECT child_id FROM contact_requests WHERE state = 1 AND expire_time <= $1 ORDER BY expire_time LIMIT $2)
		UNION ALL
		(SELECT child_id FROM contact_routes WHERE state = 1 AND expire_time <= $1 ORDER BY expire_time LIMIT $2)) AS o
	LIMIT $2`,
	Settle: end,
}

// end ends what is over of children that are held. The asker is told, and whoever
// had the request and did not answer.
func end(ctx context.Context, tx pgx.Tx, ids [][16]byte, now time.Time) (told []events.Event, err error) {
	tell := func(rows pgx.Rows) error {
		var child, id [16]byte
		var asker, to string
		_, err := pgx.ForEachRow(rows, []any{&child, &id, &asker, &to}, func() error {
			q := &request{childID: child, id: id, agency: asker}
			told = append(told, events.Event{
				Kind: irtv1.EventKind_EVENT_KIND_CONTACT_EXPIRED, Child: child, Resource: q.name(),
				Agencies: []string{to}, Time: now,
			})
			return nil
		})
		return err
	}
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO contact_requests_history (`+storedRequest+`, known_to)
		SELECT `+storedRequest+`, `+after+` FROM contact_requests WHERE child_id = ANY($2) AND state = 1 AND expire_time <= $1`, now, ids)
	b.Queue(`UPDATE contact_requests SET state = 5, known_from = `+after+`, revision = revision + 1
		WHERE child_id = ANY($2) AND state = 1 AND expire_time <= $1
		RETURNING child_id, contact_request_id, agency_id, agency_id`, now, ids).Query(tell)
	b.Queue(`INSERT INTO contact_routes_history (`+storedRoute+`, known_to)
		SELECT `+storedRoute+`, `+after+` FROM contact_routes WHERE child_id = ANY($2) AND state = 1 AND expire_time <= $1`, now, ids)
	b.Queue(`UPDATE contact_routes r SET state = 5, known_from = greatest($1::timestamptz, r.known_from + interval '1 microsecond'),
			revision = r.revision + 1
		FROM contact_requests q WHERE q.child_id = r.child_id AND q.contact_request_id = r.contact_request_id
			AND r.child_id = ANY($2) AND r.state = 1 AND r.expire_time <= $1
		RETURNING r.child_id, r.contact_request_id, q.agency_id, r.agency_id`, now, ids).Query(tell)
	b.Queue(`DELETE FROM contact_messages WHERE purge_time <= $1`, now)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("contact: ending requests: %w", err)
	}
	return told, nil
}
