package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
)

// querier is a pool or a transaction.
type querier interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// request is a row of contact_requests, with those whom it goes to.
type request struct {
	childID      uuid.UUID
	id           uuid.UUID
	agency       string // asks
	practitioner string
	involvement  uuid.UUID // zero where an audience is asked
	audience     irtv1.ContactAudience
	state        irtv1.ContactRequestState // as the asker sees it
	purpose      irtv1.Purpose
	reason       string
	created      time.Time
	expires      time.Time
	revision     int32
	person       person // who asks

	routes []*route
}

// route is a row of contact_routes whose involvement is one with the child: an
// agency that the request goes to.
type route struct {
	requestID    uuid.UUID
	id           uuid.UUID // by which the asker knows who answered
	agency       string
	practitioner string
	localID      string // of the involvement
	state        irtv1.ContactRequestState
	disclosed    bool
	answeredBy   string // practitioner, or "" for the agency's system
	answerTime   time.Time
	readTime     time.Time
	person       person // who answered
}

// person is what the directory says of a practitioner; zero where there is none.
type person struct {
	displayName, jobTitle, telephone, email string
}

func (p *person) scan() []any {
	return []any{
		(*zeronull.Text)(&p.displayName), (*zeronull.Text)(&p.jobTitle), (*zeronull.Text)(&p.telephone), (*zeronull.Text)(&p.email),
	}
}

// direct tells whether the asker asked for one whom policy showed.
func (q *request) direct() bool { return q.involvement != uuid.Nil }

func (q *request) name() string { return agencies.Name(q.agency) + "/contactRequests/" + q.id.String() }

// parseName reads agencies/{agency}/contactRequests/{contact_request}.
func parseName(name string) (agency string, id uuid.UUID, ok bool) {
	agency, text, ok := agencies.ParseChildName(name, "contactRequests")
	if !ok {
		return "", uuid.Nil, false
	}
	id, err := uuid.Parse(text)
	return agency, id, err == nil && id.String() == text
}

const (
	requestColumns = `q.child_id, q.contact_request_id, q.agency_id, q.practitioner_id, q.involvement_id, q.audience, q.state,
		q.purpose, q.reason, q.create_time, q.expire_time, q.revision, p.display_name, p.job_title, p.telephone, p.email`
	requestPerson = ` LEFT JOIN practitioners p ON p.agency_id = q.agency_id AND p.practitioner_id = q.practitioner_id`
	routesSQL     = `
	SELECT r.contact_request_id, r.correspondent_id, r.agency_id, r.practitioner_id, i.local_id, r.state, r.disclosed,
		r.answered_by, r.answer_time, r.read_time, p.display_name, p.job_title, p.telephone, p.email
	FROM contact_requests q
	JOIN contact_routes r ON r.child_id = q.child_id AND r.contact_request_id = q.contact_request_id
	JOIN involvements i ON i.child_id = r.child_id AND i.involvement_id = r.involvement_id
	LEFT JOIN practitioners p ON p.agency_id = r.agency_id AND p.practitioner_id = r.answered_by
	WHERE q.contact_request_id = ANY($1::uuid[])
	ORDER BY r.answer_time, r.correspondent_id`
)

func scanRequest(row pgx.CollectableRow) (*request, error) {
	q := &request{}
	err := row.Scan(append([]any{
		(*[16]byte)(&q.childID), (*[16]byte)(&q.id), &q.agency, &q.practitioner, (*zeronull.UUID)(&q.involvement), &q.audience,
		&q.state, &q.purpose, &q.reason, &q.created, &q.expires, &q.revision,
	}, q.person.scan()...)...)
	return q, err
}

func scanRoute(row pgx.CollectableRow) (*route, error) {
	r := &route{}
	err := row.Scan(append([]any{
		(*[16]byte)(&r.requestID), (*[16]byte)(&r.id), &r.agency, &r.practitioner, &r.localID, &r.state, &r.disclosed,
		&r.answeredBy, (*zeronull.Timestamptz)(&r.answerTime), (*zeronull.Timestamptz)(&r.readTime),
	}, r.person.scan()...)...)
	return r, err
}

// load reads requests of an agency by their ids, with whom they go to: the same
// statements whatever there is.
func load(ctx context.Context, db querier, agency string, ids ...uuid.UUID) (all []*request, err error) {
	b := &pgx.Batch{}
	b.Queue(`SELECT `+requestColumns+` FROM contact_requests q`+requestPerson+`
		WHERE q.contact_request_id = ANY($1::uuid[]) AND ($2 = '' OR q.agency_id = $2) ORDER BY q.contact_request_id DESC`, uuids(ids), agency).
		Query(func(rows pgx.Rows) (err error) {
			all, err = pgx.CollectRows(rows, scanRequest)
			return err
		})
	b.Queue(routesSQL, uuids(ids)).Query(func(rows pgx.Rows) error {
		routes, err := pgx.CollectRows(rows, scanRoute)
		for _, r := range routes {
			for _, q := range all {
				if q.id == r.requestID {
					q.routes = append(q.routes, r)
				}
			}
		}
		return err
	})
	if err := db.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("contact: reading requests: %w", err)
	}
	return all, nil
}

func uuids(ids []uuid.UUID) [][16]byte {
	out := make([][16]byte, len(ids)) // not uuid.UUID, which pgx would write as text
	for i, id := range ids {
		out[i] = id
	}
	return out
}

const (
	storedRequest = `child_id, contact_request_id, record_id, agency_id, practitioner_id, involvement_id, audience, state, purpose,
		reason, create_time, expire_time, known_from, revision`
	storedRoute = `child_id, contact_request_id, correspondent_id, agency_id, practitioner_id, involvement_id, state, disclosed,
		answered_by, answer_time, read_time, expire_time, known_from, revision`

	// after is the instant $1, or just after the version before should the clock have
	// been set back.
	after = `greatest($1::timestamptz, known_from + interval '1 microsecond')`

	keepRequest = `INSERT INTO contact_requests_history (` + storedRequest + `, known_to)
		SELECT ` + storedRequest + `, ` + after + ` FROM contact_requests WHERE child_id = $2 AND contact_request_id = $3`
	setRequest = `UPDATE contact_requests SET state = $4, known_from = ` + after + `, revision = revision + 1
		WHERE child_id = $2 AND contact_request_id = $3`
	keepRoutes = `INSERT INTO contact_routes_history (` + storedRoute + `, known_to)
		SELECT ` + storedRoute + `, ` + after + ` FROM contact_routes
		WHERE child_id = $2 AND contact_request_id = $3 AND ($4::uuid IS NULL AND state = 1 OR correspondent_id = $4)`
	setRoutes = `UPDATE contact_routes SET state = $5, disclosed = $6, answered_by = $7, answer_time = $8,
			known_from = ` + after + `, revision = revision + 1
		WHERE child_id = $2 AND contact_request_id = $3 AND ($4::uuid IS NULL AND state = 1 OR correspondent_id = $4)`
)

// setState stores a state that the asker sees.
func (c *change) setState(ctx context.Context, q *request, state irtv1.ContactRequestState) error {
	b := &pgx.Batch{}
	b.Queue(keepRequest, c.now, [16]byte(q.childID), [16]byte(q.id))
	b.Queue(setRequest, c.now, [16]byte(q.childID), [16]byte(q.id), int16(state)) //nolint:gosec // states are few
	if err := c.tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("contact: storing a state: %w", err)
	}
	q.state = state
	return nil
}

// setRoute stores what became of one route; of all that are open where it is nil.
func (c *change) setRoute(ctx context.Context, q *request, r *route, state irtv1.ContactRequestState) error {
	var id zeronull.UUID
	changed := &route{}
	if r != nil {
		id, changed = zeronull.UUID(r.id), r
	}
	b := &pgx.Batch{}
	b.Queue(keepRoutes, c.now, [16]byte(q.childID), [16]byte(q.id), id)
	b.Queue(setRoutes, c.now, [16]byte(q.childID), [16]byte(q.id), id, int16(state), //nolint:gosec // states are few
		changed.disclosed, changed.answeredBy, zeronull.Timestamptz(changed.answerTime))
	if err := c.tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("contact: storing what became of a request: %w", err)
	}
	changed.state = state
	return nil
}
