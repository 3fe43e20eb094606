// Package referrals keeps what agencies ask of each other for a child: who refers to
// whom and why, by when it is to be taken up, and what became of it. Who sends one and
// who receives it have moves of their own (moves.go); accepting one makes the
// recipient's involvement in the same transaction.
package referrals

import (
	"context"
	"errors"
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

// Sizes of a page of referrals, as the schema states them.
const (
	defaultPage = 100
	largestPage = 1000
)

// Involve makes an agency's involvement in a transaction that holds the child.
type Involve func(ctx context.Context, tx pgx.Tx, inv *irtv1.Involvement) error

// Service is irt.v1.ReferralService.
type Service struct {
	irtv1.UnimplementedReferralServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	involve   Involve
	writer    *children.Writer
	today     func() time.Time
	ofChild   *children.Lister[*version]
}

// New makes the service and starts its write pipeline; Close ends it.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, access *audit.Writer, involve Involve) *Service {
	return &Service{
		pool: pool, directory: directory, tokens: tokens, involve: involve, today: standard.Today,
		writer: children.NewWriter(pool, access, "referrals", lockClass),
		ofChild: children.NewLister(pool, "referrals", ofChildSQL,
			func() pgx.NamedArgs { return pgx.NamedArgs{"sensitive": sensitiveOf(directory)} }, children.Scans(scanVersion)),
	}
}

// Pipelines are what the service's batchers have done.
func (s *Service) Pipelines() []batch.Stats {
	return append(s.writer.Pipelines(), s.ofChild.Pipelines()...)
}

// Close writes what was accepted and refuses what comes after.
func (s *Service) Close(ctx context.Context) error {
	return errors.Join(s.writer.Close(ctx), s.ofChild.Close(ctx))
}

// change is one transaction of this package: it holds the child it is about, and
// records the access and what is to be told of it.
type change struct {
	s      *Service
	tx     pgx.Tx
	asker  agencies.Asker
	access *audit.Entry
	now    time.Time // when the hub comes to know it; set by hold
	events []events.Event
}

// inChange runs fn in a transaction that also records the access, whose answer is
// the referral of that name.
func (s *Service) inChange(ctx context.Context, name string, fn func(*change) error) error {
	return children.Change(ctx, s.pool, func() string { return name }, func(tx pgx.Tx) ([]events.Event, error) {
		c := &change{s: s, tx: tx, asker: s.directory.Asker(ctx), access: audit.FromContext(ctx)}
		err := fn(c)
		return c.events, err
	})
}

// lockClass keeps the advisory locks of this package apart from everybody else's.
const lockClass = 0x524546 // "REF"

// hold keeps the child as it is until the end, and notes whom the access is about.
func (c *change) hold(ctx context.Context, child uuid.UUID) (err error) {
	if c.now, err = children.HoldNow(ctx, c.tx, child); err != nil {
		return err
	}
	c.access.AddChild(child)
	return nil
}

// tell tells some agencies of a referral, and nobody else.
func (c *change) tell(kind irtv1.EventKind, v *version, to ...string) {
	c.events = append(c.events, events.Event{
		Kind: kind, Child: v.childID, Agency: c.asker.Agency, Resource: v.name(),
		Agencies: to, Time: c.now,
	})
}
