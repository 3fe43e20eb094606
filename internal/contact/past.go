package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
)

var (
	requestsThen = `SELECT contact_request_id, state FROM (` + children.VersionsAt("contact_requests", "contact_request_id, state", "$1", "$2") + `) v
		ORDER BY contact_request_id DESC LIMIT $3`
	routesThen = `SELECT correspondent_id, state, disclosed FROM (` + children.VersionsAt("contact_routes", "correspondent_id, state, disclosed", "$1", "$2") + `) v`
)

// then is what the hub knew of a request or of one of its routes at an instant.
type then struct {
	state     irtv1.ContactRequestState
	disclosed bool
}

// past lists the requests about a child as the hub knew them at an instant. Who has a
// part in one, and who is named in it, is decided by what is so now.
func (s *Service) past(ctx context.Context, child uuid.UUID, at time.Time, asker agencies.Asker) ([]*irtv1.ContactRequest, error) {
	var ids []uuid.UUID
	requests, routes := map[uuid.UUID]then{}, map[uuid.UUID]then{}
	var id [16]byte
	var v then
	b := &pgx.Batch{}
	b.Queue(requestsThen, [16]byte(child), at, largestPage).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&id, &v.state}, func() error {
			ids, requests[id] = append(ids, id), v
			return nil
		})
		return err
	})
	b.Queue(routesThen, [16]byte(child), at).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&id, &v.state, &v.disclosed}, func() error {
			routes[id] = v
			return nil
		})
		return err
	})
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("contact: reading requests as they were: %w", err)
	}
	all, err := load(ctx, s.pool, "", ids...)
	if err != nil {
		return nil, err
	}
	for _, q := range all {
		q.setBack(requests[q.id], routes, at)
	}
	return s.parts(ctx, all, asker, at), nil
}

// setBack makes the request what it was. What has been said since is not told, and
// what was not said any more is not told again.
func (q *request) setBack(was then, routes map[uuid.UUID]then, at time.Time) {
	q.state = was.state
	var known []*route
	for _, r := range q.routes {
		before, there := routes[r.id]
		if !there {
			continue
		}
		r.state, r.disclosed = before.state, r.disclosed && before.disclosed
		if r.readTime.After(at) {
			r.readTime = time.Time{}
		}
		known = append(known, r)
	}
	q.routes = known
}
