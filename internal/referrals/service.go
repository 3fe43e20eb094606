// Package referrals keeps what agencies ask of each other for a child: who refers to
// whom and why, by when it is to be taken up, and what became of it. Who sends one and
// who receives it have moves of their own (moves.go); accepting one makes the
// recipient's involvement in the same transaction.
package referrals

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
	"irthub/internal/pg"
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
	today     func() time.Time
}

// New makes the service.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, involve Involve) *Service {
	return &Service{pool: pool, directory: directory, tokens: tokens, involve: involve, today: standard.Today}
}

// change is one transaction of this package: it holds the child it is about, and
// records the access and what is to be told of it.
type change struct {
	s      *Service
	tx     pgx.Tx
	asker  agencies.Asker
	access *audit.Entry
	now    time.Time // when the hub comes to know it; set by clock
	events []events.Event
}

// inChange runs fn in a transaction that also records the access, whose answer is
// the referral of that name.
func (s *Service) inChange(ctx context.Context, name string, fn func(*change) error) error {
	e := audit.FromContext(ctx)
	named := false
	err := pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		c := &change{s: s, tx: tx, asker: s.directory.Asker(ctx), access: e}
		if err := fn(c); err != nil {
			return err
		}
		if err := events.Append(ctx, tx, c.events); err != nil {
			return err
		}
		if !named { // by an attempt before
			e.AddReturned(name)
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
const lockClass = 0x524546 // "REF"

// lockName keeps others from making the referral of that id at the same moment: it
// may have no row to lock yet.
func (c *change) lockName(ctx context.Context, id uuid.UUID) error {
	key := int32(uint32(id[12])<<24 | uint32(id[13])<<16 | uint32(id[14])<<8 | uint32(id[15])) //nolint:gosec // any 32 bits do
	if _, err := c.tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockClass, key); err != nil {
		return fmt.Errorf("referrals: locking: %w", err)
	}
	return nil
}

// hold keeps the child as it is until the end, and notes whom the access is about.
func (c *change) hold(ctx context.Context, child uuid.UUID) error {
	if err := children.Hold(ctx, c.tx, child); err != nil {
		return err
	}
	c.access.AddChild(child)
	return c.clock(ctx)
}

// clock asks the time: not now(), which is when the transaction began, since it may
// have waited since.
func (c *change) clock(ctx context.Context) error {
	if err := c.tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&c.now); err != nil {
		return fmt.Errorf("referrals: asking the time: %w", err)
	}
	return nil
}

// tell tells some agencies of a referral, and nobody else.
func (c *change) tell(kind irtv1.EventKind, v *version, to ...string) {
	c.events = append(c.events, events.Event{
		Kind: kind, Child: v.childID, Agency: c.asker.Agency, Resource: v.name(),
		Audience: events.Addressed, Agencies: to, Time: c.now,
	})
}
