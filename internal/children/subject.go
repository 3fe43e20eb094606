package children

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"irthub/internal/agencies"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Asked is how a request names the child that an agency's thing is about: by the child,
// by the agency's record of it, or both.
type Asked struct {
	Agency        string
	Child, Record uuid.UUID // either may be Nil
	Imported      bool      // from a file, perhaps of another hub: a child not known here says nothing beside a record

	field string // of the request that says it
}

// ReadAsked reads how a field of a request, such as "concern", names its child. Errors:
// INVALID_ARGUMENT, and of rpc.ParseChildName.
func ReadAsked(field, agency, child, record string) (a Asked, err error) {
	a = Asked{Agency: agency, field: field}
	if record != "" {
		owner, localID, ok := agencies.ParseChildName(record, "childRecords")
		if !ok || owner != agency {
			return a, rpc.Invalid([]standard.Fault{{
				Field: field + ".child_record", RuleID: "SUBJECT_REQUIRED",
				Description: "The name is not that of a child record of the same agency.",
				Action:      "Send agencies/{agency}/childRecords/{local_id} with the agency of the name, or name the child.",
			}})
		}
		a.Record = standard.RecordID(owner, localID)
	}
	if child != "" {
		a.Child, err = rpc.ParseChildName(child)
	}
	return a, err
}

// find says which child is meant, without holding it.
func (a Asked) find(ctx context.Context, tx pgx.Tx) (child uuid.UUID, err error) {
	if a.Child != uuid.Nil {
		child, err = Survivor(ctx, tx, a.Child)
		if err != nil && !a.foreign(err) {
			return uuid.Nil, err
		}
	}
	if a.Record == uuid.Nil {
		return child, nil
	}
	var of uuid.UUID
	err = tx.QueryRow(ctx, `SELECT child_id FROM child_records WHERE record_id = $1 AND state = 1`, [16]byte(a.Record)).
		Scan((*zeronull.UUID)(&of))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return uuid.Nil, rpc.NotFound("child record")
	case err != nil:
		return uuid.Nil, fmt.Errorf("children: finding a record: %w", err)
	case child != uuid.Nil && child != of:
		return uuid.Nil, rpc.Invalid([]standard.Fault{{
			Field: a.field + ".child", RuleID: "SUBJECT_REQUIRED",
			Description: "The child is not the one that child_record belongs to.",
			Action:      "Leave child out: the record says which child it is.",
		}})
	}
	return of, nil
}

// Hold finds the child that is meant, holds it by a function that does so as Hold, and
// reads what the agency is to it on a day. Errors: NOT_FOUND, INVALID_ARGUMENT where
// child and record are of two, ErrMoved, and those of hold.
func (a Asked) Hold(ctx context.Context, tx pgx.Tx, day time.Time, hold func(context.Context, uuid.UUID) error) (*Subject, error) {
	child, err := a.find(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := hold(ctx, child); err != nil {
		return nil, err
	}
	// The record may have gone to another child before that was held.
	if again, err := a.find(ctx, tx); err != nil || again != child {
		return nil, ErrMoved
	}
	return subjectOf(ctx, tx, child, a.Agency, a.Record, day)
}

// Restated answers an agency that was refused a child, perhaps because it does not work
// with it any more: what it said while it did stands, and saying that again changes
// nothing. It gives the present version that read finds; or the refusal where there is
// none, or where the request means another child or record than that hangs on or says
// something else, both of which says tells.
func Restated[T any](
	ctx context.Context, tx pgx.Tx, about Asked, refusal error,
	read func() (*T, error), says func(cur *T) (child, record uuid.UUID, same bool),
) (*T, error) {
	if code := status.Code(refusal); code != codes.PermissionDenied && code != codes.NotFound {
		return nil, refusal
	}
	cur, err := read()
	if err != nil || cur == nil {
		return nil, cmp.Or(err, refusal)
	}
	child, record, same := says(cur)
	means, err := about.means(ctx, tx, child, record)
	if err != nil || !means || !same {
		return nil, cmp.Or(err, refusal)
	}
	return cur, nil
}

// means tells whether what is asked is what a thing hangs on: a child, by a record or,
// where that is Nil, by none.
func (a Asked) means(ctx context.Context, tx pgx.Tx, child, record uuid.UUID) (bool, error) {
	if a.Record != uuid.Nil && a.Record != record {
		return false, nil
	}
	if a.Child == uuid.Nil || a.Child == child {
		return true, nil
	}
	is, err := Survivor(ctx, tx, a.Child)
	if a.foreign(err) {
		return true, nil
	}
	return is == child, rpc.Hidden(err)
}

// foreign tells whether a child that was not found is one of another hub.
func (a Asked) foreign(err error) bool {
	return a.Imported && a.Record != uuid.Nil && status.Code(err) == codes.NotFound
}

// Subject is the child that a thing is about, and what the agency whose it is is to it.
type Subject struct {
	Child         uuid.UUID
	Record        uuid.UUID // Nil where the agency has none
	RecordLocalID string
	Born          time.Time // zero where it is not known
	Works         bool      // the agency has an active record of the child, or is involved with it on the day
	Sensitive     bool      // the agency has a sensitive involvement with the child
}

// subjectSQL reads what agency $2 is to child $1 on the day $3, with record $4 or,
// where that is null, the first of its active records by local id.
const subjectSQL = `
	SELECT c.date_of_birth, r.record_id, coalesce(r.local_id, ''),
		r.record_id IS NOT NULL OR EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = $1 AND i.agency_id = $2
			AND i.start_date <= $3 AND (i.end_date IS NULL OR i.end_date >= $3)),
		EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = $1 AND i.agency_id = $2 AND i.sensitive)
	FROM children c
	LEFT JOIN LATERAL (SELECT r.record_id, r.local_id FROM child_records r
		WHERE r.child_id = $1 AND r.agency_id = $2 AND r.state = 1 AND ($4::uuid IS NULL OR r.record_id = $4)
		ORDER BY r.local_id LIMIT 1) r ON true
	WHERE c.child_id = $1 AND c.merged_into IS NULL`

// subjectOf reads what an agency is on a day to a child that has not been merged, by
// the record or, where that is Nil, by any; NOT_FOUND where there is no such child.
func subjectOf(ctx context.Context, q rowQuerier, child uuid.UUID, agency string, record uuid.UUID, day time.Time) (*Subject, error) {
	s := &Subject{Child: child}
	var born pgtype.Date
	err := q.QueryRow(ctx, subjectSQL, [16]byte(child), agency, pg.Date(day), zeronull.UUID(record)).
		Scan(&born, (*zeronull.UUID)(&s.Record), &s.RecordLocalID, &s.Works, &s.Sensitive)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, rpc.NotFound("child")
	}
	if err != nil {
		return nil, fmt.Errorf("children: reading what an agency is to a child: %w", err)
	}
	s.Born = born.Time
	return s, nil
}
