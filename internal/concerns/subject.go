package concerns

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// asked is how a request names its child.
type asked struct {
	agency   string
	child    uuid.UUID
	recordID uuid.UUID
}

// subject is the child that a concern is about, and what the agency is to it.
type subject struct {
	child         uuid.UUID
	recordID      uuid.UUID // zero where the agency has none
	recordLocalID string
	works         bool // the agency has an active record of the child, or is involved with it today
	sensitive     bool // the agency has a sensitive involvement with the child
}

// readSubject reads what names the child in a request.
func readSubject(agency, child, record string) (asked, error) {
	a := asked{agency: agency}
	if record != "" {
		owner, localID, ok := agencies.ParseChildName(record, "childRecords")
		if !ok || owner != agency {
			return a, rpc.Invalid([]standard.Fault{{
				Field: "concern.child_record", RuleID: "SUBJECT_REQUIRED",
				Description: "The name is not that of a child record of the same agency.",
				Action:      "Send agencies/{agency}/childRecords/{local_id} with the agency of the name, or name the child.",
			}})
		}
		a.recordID = standard.RecordID(owner, localID)
	}
	if child == "" {
		return a, nil
	}
	var err error
	a.child, err = rpc.ParseChildName(child)
	return a, err
}

// find says which child is meant, without holding it.
func (c *change) find(ctx context.Context, a asked) (uuid.UUID, error) {
	return children.Meant(ctx, c.tx, a.child, a.recordID, func() error {
		return rpc.Invalid([]standard.Fault{{
			Field: "concern.child", RuleID: "SUBJECT_REQUIRED",
			Description: "The child is not the one that child_record belongs to.",
			Action:      "Leave child out: the record says which child it is.",
		}})
	})
}

// standingSQL reads what agency $2 is to child $1 on the day $3, with record $4 or,
// where that is null, the first of its active records by local id.
const standingSQL = `
	SELECT r.record_id, coalesce(r.local_id, ''),
		r.record_id IS NOT NULL OR EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = $1 AND i.agency_id = $2
			AND i.start_date <= $3 AND (i.end_date IS NULL OR i.end_date >= $3)),
		EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = $1 AND i.agency_id = $2 AND i.sensitive)
	FROM children c
	LEFT JOIN LATERAL (SELECT r.record_id, r.local_id FROM child_records r
		WHERE r.child_id = $1 AND r.agency_id = $2 AND r.state = 1 AND ($4::uuid IS NULL OR r.record_id = $4)
		ORDER BY r.local_id LIMIT 1) r ON true
	WHERE c.child_id = $1 AND c.merged_into IS NULL`

// subject finds and holds the child that a request is about. To an agency that does
// not work with it, it is the same as if there were none.
func (c *change) subject(ctx context.Context, a asked) (*subject, error) {
	child, err := c.find(ctx, a)
	if err != nil {
		return nil, rpc.Hidden(err)
	}
	if err := c.hold(ctx, child); err != nil {
		return nil, rpc.Hidden(err)
	}
	// The record may have gone to another child before that was held.
	if again, err := c.find(ctx, a); err != nil || again != child {
		return nil, children.ErrMoved
	}
	s := &subject{child: child}
	err = c.tx.QueryRow(ctx, standingSQL, [16]byte(child), a.agency, pg.Date(c.today), zeronull.UUID(a.recordID)).
		Scan((*zeronull.UUID)(&s.recordID), &s.recordLocalID, &s.works, &s.sensitive)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !s.works {
		return nil, rpc.Denied()
	}
	if err != nil {
		return nil, fmt.Errorf("concerns: reading what an agency is to a child: %w", err)
	}
	return s, nil
}
