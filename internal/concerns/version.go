package concerns

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// version is a concern as the hub knew it from knownFrom on.
type version struct {
	childID       uuid.UUID
	id            uuid.UUID
	agency        string
	localID       string
	recordID      uuid.UUID // zero where the agency has no record of the child
	recordLocalID string
	category      string
	level         string
	practitioner  string // id
	start, review time.Time
	reviewTold    time.Time // the review date that the agency was told is over
	state         irtv1.ConcernState
	over          irtv1.ConcernState // where it stands in the hub that a file comes from, unless open; not stored
	outcome       string
	end           time.Time
	sensitive     bool // of a sensitive service, or of an agency that is involved as one
	created       time.Time
	knownFrom     time.Time
	revision      int32
}

// acute is the code of the level that escalates at once.
const acute = "ACUTE"

// columns of concerns, in the order of scanVersion.
const columns = `child_id, concern_id, agency_id, local_id, record_id, record_local_id, category, level, practitioner_id,
	start_date, review_date, review_told, state, outcome, end_date, sensitive, create_time, known_from, revision`

// shownColumns are those of v with whether it is sensitive by what is known now: the
// agency may have become a sensitive service, or its involvement sensitive, since.
const shownColumns = `v.child_id, v.concern_id, v.agency_id, v.local_id, v.record_id, v.record_local_id, v.category, v.level,
	v.practitioner_id, v.start_date, v.review_date, v.review_told, v.state, v.outcome, v.end_date, ` + isSensitive + ` AS sensitive, v.create_time, v.known_from, v.revision`

const isSensitive = `(v.sensitive OR EXISTS (SELECT 1 FROM agencies a WHERE a.agency_id = v.agency_id AND a.sensitive)
	OR EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = v.child_id AND i.agency_id = v.agency_id AND i.sensitive))`

func scanVersion(row pgx.CollectableRow) (*version, error) {
	v := &version{}
	var review, reviewTold, end pgtype.Date
	err := row.Scan(
		(*[16]byte)(&v.childID), (*[16]byte)(&v.id), &v.agency, &v.localID, (*zeronull.UUID)(&v.recordID), &v.recordLocalID,
		&v.category, &v.level, &v.practitioner, &v.start, &review, &reviewTold, &v.state, &v.outcome, &end, &v.sensitive,
		&v.created, &v.knownFrom, &v.revision)
	v.review, v.reviewTold, v.end = review.Time, reviewTold.Time, end.Time
	return v, err
}

func (v *version) name() string { return agencies.Name(v.agency) + "/concerns/" + v.localID }

func (v *version) etag() string { return rpc.Etag("concern", string(v.id[:]), v.revision) }

func etagOf(v *version) string {
	if v == nil {
		return ""
	}
	return v.etag()
}

// says tells whether another version, wherever it stands, has the same content.
func (v *version) says(o *version) bool {
	return v.childID == o.childID && v.recordID == o.recordID && v.category == o.category && v.level == o.level &&
		v.practitioner == o.practitioner && v.start.Equal(o.start) && v.review.Equal(o.review)
}

// message shows a concern; the agency's own record of the child and the etag are for
// the agency itself.
func (v *version) message(own bool, today time.Time) *irtv1.Concern {
	m := &irtv1.Concern{
		Name: v.name(), Child: rpc.ChildName(v.childID), Category: v.category, Level: v.level,
		StartDate: standard.FormatDate(v.start), ReviewDate: standard.FormatDate(v.review), State: v.state, Outcome: v.outcome, EndDate: standard.FormatDate(v.end),
		ReviewOverdue: v.state == open && !v.review.IsZero() && v.review.Before(today),
		CreateTime:    timestamppb.New(v.created), UpdateTime: timestamppb.New(v.knownFrom),
	}
	if v.practitioner != "" {
		m.Practitioner = agencies.PractitionerName(v.agency, v.practitioner)
	}
	if own {
		m.Etag = v.etag()
		if v.recordLocalID != "" {
			m.ChildRecord = agencies.Name(v.agency) + "/childRecords/" + v.recordLocalID
		}
	}
	return m
}

func (v *version) child() uuid.UUID { return v.childID }

// present reads the present version of a concern, nil where there is none.
func present(ctx context.Context, q children.Querier, id uuid.UUID) (*version, error) {
	return children.One(ctx, q, scanVersion, `SELECT `+shownColumns+` FROM concerns v WHERE v.concern_id = $1`, [16]byte(id))
}

// put stores a new version in the place of the present one, which becomes history.
func (c *change) put(ctx context.Context, cur, next *version) error {
	next.created, next.knownFrom, next.revision = c.now, c.now, 1
	if cur != nil {
		next.created, next.knownFrom, next.revision = cur.created, children.After(c.now, cur.knownFrom), cur.revision+1
		if err := children.Supersede(ctx, c.tx, "concerns", "concern_id", columns, cur.childID, cur.id, next.knownFrom); err != nil {
			return err
		}
	}
	_, err := c.tx.Exec(ctx, `INSERT INTO concerns (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		[16]byte(next.childID), [16]byte(next.id), next.agency, next.localID, zeronull.UUID(next.recordID), next.recordLocalID,
		next.category, next.level, next.practitioner, pg.Date(next.start), pg.Date(next.review), pg.Date(next.reviewTold),
		int16(next.state), next.outcome, pg.Date(next.end), next.sensitive, //nolint:gosec // states are few
		next.created, next.knownFrom, next.revision)
	if err != nil {
		return fmt.Errorf("concerns: storing: %w", err)
	}
	return nil
}
