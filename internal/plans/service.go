// Package plans keeps which children are on a plan of social care: a pointer, with whom
// to ring, and nothing of what is in the plan. It tells the agency that is responsible
// when such a child turns up in unscheduled care (seen.go).
package plans

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/batch"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Sizes of a page, as the schema states them.
const (
	defaultPage = 100
	largestPage = 1000
)

const planCategory = irtv1.Category_CATEGORY_PLAN

// Service is irt.v1.PlanService.
type Service struct {
	irtv1.UnimplementedPlanServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	writer    *children.Writer
	today     func() time.Time
}

// New makes the service and starts its write pipeline; Close ends it.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, access *audit.Writer) *Service {
	return &Service{
		pool: pool, directory: directory, tokens: tokens, writer: children.NewWriter(pool, access, "plans", lockClass), today: standard.Today,
	}
}

// Pipelines are what the service's batchers have done.
func (s *Service) Pipelines() []batch.Stats { return s.writer.Pipelines() }

// Close writes what was accepted and refuses what comes after.
func (s *Service) Close(ctx context.Context) error { return s.writer.Close(ctx) }

// change is one transaction of this package: it holds the child it is about, and
// records the access and what is to be told of it.
type change struct {
	s      *Service
	tx     pgx.Tx
	access *audit.Entry
	today  time.Time
	now    time.Time // when the hub comes to know it; set by hold
	events []events.Event
}

// inChange runs fn in a transaction that also records the access, whose answer is the
// plan of that name.
func (s *Service) inChange(ctx context.Context, name string, fn func(*change) (*version, error)) (v *version, err error) {
	err = children.Change(ctx, s.pool, func() string { return name }, func(tx pgx.Tx) ([]events.Event, error) {
		c := s.change(tx, audit.FromContext(ctx))
		var err error
		v, err = fn(c)
		return c.events, err
	})
	return v, err
}

func (s *Service) change(tx pgx.Tx, access *audit.Entry) *change {
	return &change{s: s, tx: tx, access: access, today: s.today()}
}

// lockClass keeps the advisory locks of this package apart from everybody else's.
const lockClass = 0x504c4e // "PLN"

// hold keeps the child as it is until the end, and notes whom the access is about.
func (c *change) hold(ctx context.Context, child uuid.UUID) (err error) {
	if c.now, err = children.HoldNow(ctx, c.tx, child); err != nil {
		return err
	}
	c.access.AddChild(child)
	return nil
}

// settle stores a version and tells of it those who are shown plans.
func (c *change) settle(ctx context.Context, cur, next *version) error {
	if err := c.put(ctx, cur, next); err != nil {
		return err
	}
	kind := irtv1.EventKind_EVENT_KIND_PLAN_SUBMITTED
	if !next.end.IsZero() && (cur == nil || !cur.end.Equal(next.end)) {
		kind = irtv1.EventKind_EVENT_KIND_PLAN_ENDED
	}
	c.events = append(c.events, events.Event{
		Kind: kind, Child: next.childID, Agency: next.agency, Resource: next.name(), Time: c.now,
	})
	return nil
}
