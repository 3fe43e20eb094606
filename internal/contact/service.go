// Package contact is the way from one professional to another who works with the
// same child: direct where policy lets the asker see whom to ring, and through the
// hub where it does not. Of what goes through the hub the asker learns nothing
// until somebody answers, not even whether there is anybody.
package contact

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
	"irthub/internal/sharing"
)

const (
	// Sizes of a page, as the schema states them.
	defaultPage = 50
	largestPage = 1000

	// openFor is how long a request may be answered.
	openFor = 14 * 24 * time.Hour
	// keptFor is how long its messages are kept after that.
	keptFor = 365 * 24 * time.Hour
	// messagesMost is how many messages each side may send of one request.
	messagesMost = 50

	// So many requests may a person, or an agency's system, make in an hour: enough
	// to work by, too few to go through an area.
	askedByPerson = 20
	askedBySystem = 100
)

// Service is irt.v1.ContactService.
type Service struct {
	irtv1.UnimplementedContactServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	openFor   time.Duration
	ofChild   *children.Lister[[16]byte]
}

// New makes the service; Close ends it.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens) *Service {
	return &Service{
		pool: pool, directory: directory, tokens: tokens, openFor: openFor,
		ofChild: children.NewLister(pool, "contact requests", ofChildSQL, nil, children.Scans(scanID)),
	}
}

// Pipelines are what the service's batchers have done.
func (s *Service) Pipelines() []batch.Stats { return s.ofChild.Pipelines() }

// Close answers those who have asked and refuses those who come after.
func (s *Service) Close(ctx context.Context) error { return s.ofChild.Close(ctx) }

func scanID(row pgx.CollectableRow) (id [16]byte, err error) {
	err = row.Scan(&id)
	return id, err
}

// change is one transaction of this package, which also records the access and what
// is to be told.
type change struct {
	s      *Service
	tx     pgx.Tx
	asker  agencies.Asker
	access *audit.Entry
	now    time.Time // when the hub comes to know it; set by hold
	events []events.Event
}

// inChange runs fn in such a transaction.
func (s *Service) inChange(ctx context.Context, fn func(*change) error) error {
	return children.Change(ctx, s.pool, nil, func(tx pgx.Tx) ([]events.Event, error) {
		c := &change{s: s, tx: tx, asker: s.directory.Asker(ctx), access: audit.FromContext(ctx)}
		err := fn(c)
		return c.events, err
	})
}

// hold keeps the child as it is until the end, and asks the time.
func (c *change) hold(ctx context.Context, child uuid.UUID) (err error) {
	c.now, err = children.HoldNow(ctx, c.tx, child)
	return err
}

// tell tells one agency of something about a request, and nobody else.
func (c *change) tell(kind irtv1.EventKind, q *request, agency string) {
	c.events = append(c.events, events.Event{
		Kind: kind, Child: q.childID, Resource: q.name(), Agencies: []string{agency}, Time: c.now,
	})
}

// party is a request from the side of one who has a part in it.
type party struct {
	*request
	route *route // whose side it is; nil: the asker's
	now   time.Time
}

// state is where the request stands, as this side may know.
func (p *party) state() irtv1.ContactRequestState {
	state := p.request.state
	if p.route != nil {
		state = p.route.state
	}
	if state == open && !p.now.Before(p.expires) {
		return expired
	}
	return state
}

// etag changes with what this side sees of the state, and with nothing else.
func (p *party) etag() string {
	side, answers := "asker", int32(0)
	if p.route != nil {
		side = p.route.id.String()
	} else {
		for _, r := range p.routes {
			if r.state == answered {
				answers++
			}
		}
	}
	return rpc.Etag("contact", string(p.id[:]), side, int32(p.state()), answers)
}

// find reads the request of that name from the caller's side. To whom it is none of
// theirs it is as if there were none.
func (s *Service) find(ctx context.Context, q querier, asker agencies.Asker, name string) (*party, error) {
	agency, id, ok := parseName(name)
	if !ok || asker.Agency == "" {
		return nil, rpc.Denied()
	}
	all, err := load(ctx, q, agency, id)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, rpc.Denied()
	}
	return partyOf(all[0], asker, time.Now())
}

// partyOf is the request from an asker's side.
func partyOf(q *request, asker agencies.Asker, now time.Time) (*party, error) {
	p := &party{request: q, now: now}
	facts := asker.Facts()
	facts.Own = asker.Owns(q.agency)
	if !facts.Own {
		for _, r := range q.routes {
			if asker.Owns(r.agency) {
				p.route, facts.Own = r, true
			}
		}
	}
	if !sharing.Decide(sharing.TakePart, facts).Allowed() {
		return nil, rpc.Denied()
	}
	return p, nil
}

// note puts the access into the log. The accesses to a child are shown to others
// who work with it, so that of a brokered answerer's the log holds the request and
// not the child.
func (p *party) note(e *audit.Entry) {
	e.AddReturned(p.name())
	if p.route == nil || p.direct() {
		e.AddChild(p.childID)
	}
}
