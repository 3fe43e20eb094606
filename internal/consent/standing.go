package consent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// subject is the child that something is about, and the agency's record of it.
type subject struct {
	child         uuid.UUID
	recordID      uuid.UUID // zero where the agency has none
	recordLocalID string
	born          time.Time // zero where it is not known
	works         bool      // the agency has an active record of the child, or is involved with it today
	sensitive     bool      // the agency has a sensitive involvement with the child
}

// asked is how a request names its child.
type asked struct {
	agency        string // whose thing it is
	child         uuid.UUID
	recordID      uuid.UUID
	recordLocalID string
}

// recordForeign is the fault of naming another agency's record.
func recordForeign(field string) standard.Fault {
	return standard.Fault{
		Field: field, RuleID: "SUBJECT_REQUIRED",
		Description: "The name is not that of a child record of the same agency.",
		Action:      "Send agencies/{agency}/childRecords/{local_id} with the agency of the name, or name the child.",
	}
}

// subjectConflict is the fault of naming a child that the record is not of.
func subjectConflict(field string) standard.Fault {
	return standard.Fault{
		Field: field, RuleID: "SUBJECT_REQUIRED",
		Description: "The child is not the one that child_record belongs to.",
		Action:      "Leave child out: the record says which child it is.",
	}
}

// readSubject reads what names the child in a request. path is where it stands.
func readSubject(agency, child, record, path string) (asked, error) {
	a := asked{agency: agency}
	if record != "" {
		owner, localID, ok := agencies.ParseChildName(record, "childRecords")
		if !ok || owner != agency {
			return a, rpc.Invalid([]standard.Fault{recordForeign(path + ".child_record")})
		}
		a.recordID, a.recordLocalID = standard.RecordID(owner, localID), localID
	}
	if child != "" {
		id, err := rpc.ParseChildName(child)
		if err != nil {
			return a, err
		}
		a.child = id
	}
	return a, nil
}

// find says which child is meant, without holding it.
func (c *change) find(ctx context.Context, a asked, path string) (uuid.UUID, error) {
	return children.Meant(ctx, c.tx, a.child, a.recordID, func() error {
		return rpc.Invalid([]standard.Fault{subjectConflict(path + ".child")})
	})
}

// standingSQL reads what agency $2 is to child $1 on the day $3, with record $4 or,
// where that is null, the first of its active records by local id.
const standingSQL = `
	SELECT c.date_of_birth, r.record_id, coalesce(r.local_id, ''),
		EXISTS (SELECT 1 FROM child_records r WHERE r.child_id = $1 AND r.agency_id = $2 AND r.state = 1)
			OR EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = $1 AND i.agency_id = $2
				AND i.start_date <= $3 AND (i.end_date IS NULL OR i.end_date >= $3)),
		EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = $1 AND i.agency_id = $2 AND i.sensitive)
	FROM children c
	LEFT JOIN LATERAL (SELECT r.record_id, r.local_id FROM child_records r
		WHERE r.child_id = $1 AND r.agency_id = $2 AND r.state = 1 AND ($4::uuid IS NULL OR r.record_id = $4)
		ORDER BY r.local_id LIMIT 1) r ON true
	WHERE c.child_id = $1 AND c.merged_into IS NULL`

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// standing reads what an agency is to a child that has not been merged.
func standing(ctx context.Context, q rowQuerier, child uuid.UUID, agency string, record uuid.UUID, day time.Time) (*subject, error) {
	s := &subject{child: child}
	var born *time.Time
	err := q.QueryRow(ctx, standingSQL, [16]byte(child), agency, pg.Date(day), zeronull.UUID(record)).
		Scan(&born, (*zeronull.UUID)(&s.recordID), &s.recordLocalID, &s.works, &s.sensitive)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, rpc.NotFound("child")
	}
	if err != nil {
		return nil, fmt.Errorf("consent: reading what an agency is to a child: %w", err)
	}
	if born != nil {
		s.born = *born
	}
	return s, nil
}

// manages says whether the caller is a data manager.
func manages(c identity.Caller) bool { return c.Role == irtv1.Role_ROLE_DATA_MANAGER }

// reading is who reads what is agreed about a child, and what policy shows it.
type reading struct {
	*subject
	asker agencies.Asker
	shown *sharing.Decision
}

// readable says which child answers for the one asked about, to callers who may
// read what is agreed about it: data managers, and agencies that work with it. To
// all others it is the same whether there is such a child.
func (s *Service) readable(ctx context.Context, name string) (*reading, error) {
	r := &reading{asker: s.directory.Asker(ctx)}
	caller := r.asker.Caller
	var err error
	if r.subject, err = s.standingOf(ctx, name, r.asker.Agency); err != nil {
		return nil, hidden(caller, err)
	}
	facts, err := s.standingFor(ctx, r.asker, r.child)
	if err != nil {
		return nil, hidden(caller, err)
	}
	r.shown = sharing.Decide(sharing.See, facts.Facts(r.asker))
	if !r.shown.ShowsChild() || !manages(caller) && !r.works {
		return nil, rpc.Denied()
	}
	return r, nil
}

// hidden is the error of not finding something, for a caller who may not learn
// whether it is there.
func hidden(c identity.Caller, err error) error {
	if manages(c) {
		return err
	}
	return rpc.Hidden(err)
}

// standingOf reads what an agency is today to the child that answers for the one named.
func (s *Service) standingOf(ctx context.Context, name, agency string) (*subject, error) {
	asked, err := rpc.ParseChildName(name)
	if err != nil {
		return nil, err
	}
	child, err := s.survivor(ctx, asked)
	if err != nil {
		return nil, err
	}
	return standing(ctx, s.pool, child, agency, uuid.Nil, s.today())
}

// survivor is the child that answers for one asked about. One of whom policy shows
// the caller nothing, such as one that is archived, is the same as none.
func (s *Service) survivor(ctx context.Context, asked uuid.UUID) (uuid.UUID, error) {
	child, err := children.Survivor(ctx, s.pool, asked)
	if err != nil {
		return uuid.Nil, err
	}
	asker := s.directory.Asker(ctx)
	standings, err := children.Standings(ctx, s.pool, asker, child)
	if err != nil {
		return uuid.Nil, err
	}
	if st := standings[child]; st == nil || !sharing.Decide(sharing.See, st.Facts(asker)).ShowsChild() {
		return uuid.Nil, rpc.NotFound("child")
	}
	return child, nil
}
