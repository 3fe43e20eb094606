// Package leads keeps nominations of lead professionals: who is asked to be one for a
// child, by whom, and what came of it. The agency of whom is nominated accepts, which
// names the lead professional in the same transaction, or declines; who nominated may
// take it back; and in time it expires.
package leads

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Sizes of a page of nominations, as the schema states them.
const (
	defaultPage = 100
	largestPage = 1000
)

// answerWithin is how long a nomination may be answered.
const answerWithin = 14 * 24 * time.Hour

// Involvements is what keeps involvements and names lead professionals by them, as part
// of a transaction of this package.
type Involvements interface {
	// Keep keeps the involvement of that name as it is; before its child is held.
	Keep(ctx context.Context, tx pgx.Tx, name string) error
	// Lead makes its practitioner the child's lead professional from a day on.
	Lead(ctx context.Context, tx pgx.Tx, child uuid.UUID, name string, start time.Time) error
}

// Service is irt.v1.LeadNominationService.
type Service struct {
	irtv1.UnimplementedLeadNominationServiceServer

	pool         *pgxpool.Pool
	directory    *agencies.Directory
	tokens       *rpc.PageTokens
	involvements Involvements
	today        func() time.Time
}

// New makes the service.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, involvements Involvements) *Service {
	return &Service{pool: pool, directory: directory, tokens: tokens, involvements: involvements, today: standard.Today}
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

// inChange runs fn in a transaction that also records the access, whose answer is the
// nomination that fn stores or finds.
func (s *Service) inChange(ctx context.Context, fn func(*change) (*version, error)) (v *version, err error) {
	err = children.Change(ctx, s.pool, func() string { return v.name() }, func(tx pgx.Tx) ([]events.Event, error) {
		c := &change{s: s, tx: tx, asker: s.directory.Asker(ctx), access: audit.FromContext(ctx)}
		var err error
		v, err = fn(c)
		return c.events, err
	})
	return v, err
}

// hold keeps the child as it is until the end, and notes whom the access is about.
func (c *change) hold(ctx context.Context, child uuid.UUID) (err error) {
	if c.now, err = children.HoldNow(ctx, c.tx, child); err != nil {
		return err
	}
	c.access.AddChild(child)
	return nil
}

// tell tells the two sides of a nomination, and nobody else.
func (c *change) tell(kind irtv1.EventKind, v *version) {
	c.events = append(c.events, events.Event{
		Kind: kind, Child: v.childID, Agency: c.asker.Agency, Resource: v.name(),
		Agencies: []string{v.agency, v.recipient}, Time: c.now,
	})
}
