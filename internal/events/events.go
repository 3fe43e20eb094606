// Package events keeps the log of what changed. A change appends its events to the
// outbox in its own transaction, so that neither is ever there without the other;
// the Sequencer moves them from there into the log, where each has its position and
// from which everybody is told (packages feed and webhooks).
package events

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/pg"
)

// Event is one change to be told. It holds names of things and nothing that is in
// them.
type Event struct {
	Kind       irtv1.EventKind
	Child      uuid.UUID // the child it is about, or Nil
	OtherChild uuid.UUID // the one merged into or split from, or Nil
	Agency     string    // the id of the agency whose act it was; "" for the hub's own
	Resource   string    // the resource name of what changed, or ""
	Agencies   []string  // for the audiences Named and Addressed: ids
	Reveals    string    // the id of the sensitive service that it would give away, or ""
	Time       time.Time // when the hub came to know it, as its clock had it
}

// Append puts events into the outbox, in their order, as part of the transaction
// that makes the changes. The locks that order changes of one child must be held: under
// them each event takes its number in the outbox, which is its place in a round.
func Append(ctx context.Context, tx pgx.Tx, all []Event) error {
	var c pg.Copies
	if err := AppendWith(&c, all); err != nil {
		return err
	}
	if err := c.Write(ctx, tx); err != nil {
		return fmt.Errorf("events: appending %d: %w", len(all), err)
	}
	return nil
}

// AppendWith is Append together with other rows of the same transaction.
func AppendWith(c *pg.Copies, all []Event) error {
	if len(all) == 0 {
		return nil
	}
	rows := make([][]any, len(all))
	for i, e := range all {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("events: naming an event: %w", err)
		}
		audience, err := audienceOf(e.Kind)
		if err != nil {
			return err
		}
		agencies := e.Agencies
		if agencies == nil {
			agencies = []string{}
		}
		rows[i] = []any{
			[16]byte(id), int16(e.Kind), idOrNull(e.Child), idOrNull(e.OtherChild), //nolint:gosec // kinds are few
			e.Agency, e.Resource, int16(audience), agencies, e.Reveals, e.Time,
		}
	}
	c.Add("event_outbox", outboxColumns, rows)
	appended.ring()
	return nil
}

var outboxColumns = []string{
	"event_id", "kind", "child_id", "other_child_id", "agency_id", "resource", "audience", "agencies", "reveals", "event_time",
}

func idOrNull(id uuid.UUID) *[16]byte {
	if id == uuid.Nil {
		return nil
	}
	return (*[16]byte)(&id)
}
