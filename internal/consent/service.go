// Package consent keeps what may be shared of a child and by whose word: consents,
// the shields over children who must not be found, refusals to share; and it
// answers whether something may be shared before anyone does.
//
// What sharing policy needs of all this stands with the child (children.
// RefreshSharing), in one row that the transaction of every change here keeps true.
package consent

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
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
	today     func() time.Time
}

// New makes the service.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens) *Service {
	return &Service{pool: pool, directory: directory, tokens: tokens, today: standard.Today}
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
	e := audit.FromContext(ctx)
	named := false
	err := pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		c := &change{s: s, tx: tx, caller: identity.FromContext(ctx), access: e, today: s.today()}
		if err := fn(c); err != nil {
			return err
		}
		if err := events.Append(ctx, tx, c.events); err != nil {
			return err
		}
		if !named { // by an attempt before
			e.AddReturned(name())
			named = true
		}
		return audit.Insert(ctx, tx, []*audit.Entry{e})
	})
	if err == nil {
		e.Recorded()
	}
	return err
}

// errStale makes the transaction start again: what it found moved before it was held.
var errStale = &pgconn.PgError{Code: "40001", Severity: "ERROR", Message: "what was found of a child moved before it was held"}

// lockClass keeps the advisory locks of this package apart from everybody else's.
const lockClass = 0x434f4e // "CON"

// lockName keeps others from making the thing of that id at the same moment: it
// may have no row to lock yet.
func (c *change) lockName(ctx context.Context, id uuid.UUID) error {
	key := int32(uint32(id[12])<<24 | uint32(id[13])<<16 | uint32(id[14])<<8 | uint32(id[15])) //nolint:gosec // any 32 bits do
	if _, err := c.tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockClass, key); err != nil {
		return fmt.Errorf("consent: locking: %w", err)
	}
	return nil
}

// hold keeps the child as it is until the end, and notes whom the access is about.
func (c *change) hold(ctx context.Context, child uuid.UUID) error {
	if err := children.Hold(ctx, c.tx, child); err != nil {
		return err
	}
	c.access.AddChild(child)
	// Not now(), which is when the transaction began: it may have waited since.
	if err := c.tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&c.now); err != nil {
		return fmt.Errorf("consent: asking the time: %w", err)
	}
	return nil
}

// tell adds an event to what the change tells.
func (c *change) tell(e events.Event) {
	e.Time = c.now
	c.events = append(c.events, e)
}

// after is now, or just after the version before should the clock have been set
// back: what the hub knew of one thing never overlaps.
func after(now, before time.Time) time.Time {
	if now.After(before) {
		return now
	}
	return before.Add(time.Microsecond)
}
