// Package concerns shares concerns about children between the agencies that work
// with them: early, in codes, with whom to ring.
package concerns

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// Options are what those who run a hub may set.
type Options struct {
	// Window is how near to today open concerns of several agencies must have begun
	// to escalate, in days; 0 for DefaultWindow.
	Window int
}

// DefaultWindow is the window of a hub that is not told another: 12 weeks.
const DefaultWindow = 12 * 7

// longestWindow is as long as anybody stays in the index, in days.
const longestWindow = 25 * 365

// ParseWindow reads a window as text, such as 12w or 90d.
func ParseWindow(text string) (days int, err error) {
	unit := map[string]int{"d": 1, "w": 7}[text[max(0, len(text)-1):]]
	n, err := strconv.Atoi(strings.TrimRight(text, "dw"))
	if err != nil || unit == 0 || n < 1 || n > longestWindow/unit || text != strconv.Itoa(n)+text[len(text)-1:] {
		return 0, fmt.Errorf("%q is not a number of days or weeks between 1d and %dd, such as 90d or 12w", text, longestWindow)
	}
	return n * unit, nil
}

// Service is irt.v1.ConcernService.
type Service struct {
	irtv1.UnimplementedConcernServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	writer    *children.Writer
	window    int // as of Options
	today     func() time.Time
	ofChild   *children.Lister[*version]
}

// New makes the service and starts its write pipeline; Close ends it.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, access *audit.Writer, o Options) *Service {
	return &Service{
		pool: pool, directory: directory, tokens: tokens, writer: children.NewWriter(pool, access, "concerns", lockClass),
		window: o.Window, today: standard.Today,
		ofChild: children.NewLister(pool, "concerns", listOfChild, nil, children.Scans(scanVersion)),
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
	access *audit.Entry
	today  time.Time
	now    time.Time // when the hub comes to know it; set by hold
	events []events.Event
}

// inChange runs fn in a transaction that also records the access, whose answer is
// the concern of that name.
func (s *Service) inChange(ctx context.Context, name string, fn func(*change) error) error {
	return children.Change(ctx, s.pool, func() string { return name }, func(tx pgx.Tx) ([]events.Event, error) {
		c := s.change(tx, audit.FromContext(ctx))
		err := fn(c)
		return c.events, err
	})
}

func (s *Service) change(tx pgx.Tx, access *audit.Entry) *change {
	return &change{s: s, tx: tx, access: access, today: s.today()}
}

// lockClass keeps the advisory locks of this package apart from everybody else's.
const lockClass = 0x434e43 // "CNC"

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
