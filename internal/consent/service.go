// Package consent keeps what may be shared of a child and by whose word: consents,
// the shields over children who must not be found, refusals to share; and it
// answers whether something may be shared before anyone does.
//
// What sharing policy needs of all this stands with the child (children.
// RefreshSharing), in one row that the transaction of every change here keeps true.
package consent

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
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Sizes of a page of consents, shields or refusals, as the schema states them.
const (
	defaultPage = 100
	largestPage = 1000
)

// Service is irt.v1.ConsentService and irt.v1.ShieldService.
type Service struct {
	irtv1.UnimplementedConsentServiceServer
	irtv1.UnimplementedShieldServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	writer    *children.Writer // of consents
	today     func() time.Time
	ofChild   *children.Lister[listed]
}

// New makes the service and starts its write pipeline; Close ends it.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, access *audit.Writer) *Service {
	s := &Service{
		pool: pool, directory: directory, tokens: tokens, writer: children.NewWriter(pool, access, "consents", lockClass), today: standard.Today,
	}
	s.ofChild = children.NewLister(pool, "consents", listNow,
		func() pgx.NamedArgs { return pgx.NamedArgs{"sensitive": listOf(directory.Sensitive())} }, children.Scans(scanListed))
	return s
}

// Pipelines are what the service's batchers have done.
func (s *Service) Pipelines() []batch.Stats {
	return append(s.writer.Pipelines(), s.ofChild.Pipelines()...)
}

// Close writes what was accepted, answers those who have asked and refuses what comes
// after.
func (s *Service) Close(ctx context.Context) error {
	return errors.Join(s.writer.Close(ctx), s.ofChild.Close(ctx))
}

// change is one transaction of this package: it holds the child it is about, and
// records the access and what is to be told of it.
type change struct {
	s      *Service
	tx     pgx.Tx
	caller identity.Caller
	access *audit.Entry
	today  time.Time
	now    time.Time // when the hub comes to know it; set by hold
	events []events.Event
}

// inChange runs fn in a transaction that also records the access, whose answer is
// the thing of that name.
func (s *Service) inChange(ctx context.Context, name func() string, fn func(*change) error) error {
	return children.Change(ctx, s.pool, name, func(tx pgx.Tx) ([]events.Event, error) {
		c := s.change(tx, identity.FromContext(ctx), audit.FromContext(ctx))
		err := fn(c)
		return c.events, err
	})
}

func (s *Service) change(tx pgx.Tx, caller identity.Caller, access *audit.Entry) *change {
	return &change{s: s, tx: tx, caller: caller, access: access, today: s.today()}
}

// lockClass keeps the advisory locks of this package apart from everybody else's.
const lockClass = 0x434f4e // "CON"

// hold keeps the child as it is until the end, and notes whom the access is about.
func (c *change) hold(ctx context.Context, child uuid.UUID) (err error) {
	if c.now, err = children.HoldNow(ctx, c.tx, child); err != nil {
		return err
	}
	c.access.AddChild(child)
	return nil
}

// tell adds an event to what the change tells.
func (c *change) tell(e events.Event) {
	e.Time = c.now
	c.events = append(c.events, e)
}
