package children

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/events"
)

// Moves are where a transaction takes what hangs on children: by the child that it
// comes to, the children that it comes from.
type Moves map[uuid.UUID][]uuid.UUID

// Follower is what a feature does where that which hangs on one child comes to another.
// It is asked before anything moves, with all the children held, and what it returns
// once all has moved, for what is to be told as known at the instant now. It returns
// nil where there is nothing to ask then.
type Follower func(ctx context.Context, tx pgx.Tx, moves Moves, now time.Time) (moved func(context.Context) ([]events.Event, error), err error)

// Follow lets a feature follow what moves. It is called before the first call is served.
func (s *Service) Follow(f Follower) { s.follower = f }

// follow asks the follower what is to be told once this write's moves are made.
func (w *write) follow(ctx context.Context) (moved func(context.Context) ([]events.Event, error), err error) {
	nothing := func(context.Context) ([]events.Event, error) { return nil, nil }
	if len(w.moves) == 0 || w.s.follower == nil {
		return nothing, nil
	}
	moves := Moves{}
	for _, m := range w.moves {
		to := w.home(m.to)
		moves[to] = append(moves[to], m.from)
	}
	moved, err = w.s.follower(ctx, w.tx, moves, w.now)
	if moved == nil {
		moved = nothing
	}
	return moved, err
}
