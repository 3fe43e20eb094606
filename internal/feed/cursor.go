package feed

import (
	"context"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/rpc"
)

// cursors is the list that a cursor belongs to, as page tokens have it: one for
// both methods and every filter.
const cursors = "events"

// cursor seals a position.
func (s *Service) cursor(at events.Position) (string, error) {
	return s.tokens.Encode(cursors, &irtv1.WatchRequest{}, at.Append(nil))
}

// start is where one begins without a cursor.
type start int

const (
	oldest start = iota // at the oldest event that is kept
	now                 // after the newest
)

// begin opens a cursor, and makes sure that the log goes on from it.
func (s *Service) begin(ctx context.Context, cursor string, without start) (at events.Position, err error) {
	if cursor == "" {
		end, keptFrom, err := events.Head(ctx, s.pool)
		if without == oldest {
			end = events.Position{N: keptFrom - 1}
		}
		return end, err
	}
	plain, err := s.tokens.Decode(cursors, &irtv1.WatchRequest{}, cursor)
	if err != nil {
		return at, errCursor()
	}
	at, ok := events.ParsePosition(plain)
	if !ok {
		return at, errCursor()
	}
	_, err = s.resume(ctx, at)
	return at, err
}

// resume is where the log ends, for who has read up to a position from which it goes on.
func (s *Service) resume(ctx context.Context, after events.Position) (end events.Position, err error) {
	end, whole, err := events.Resume(ctx, s.pool, after)
	if err == nil && !whole {
		err = errTooOld()
	}
	return end, err
}

func errCursor() error {
	return rpc.Error(codes.InvalidArgument, irtv1.ErrorReason_ERROR_REASON_CURSOR_INVALID,
		"The cursor is damaged, or of another hub. Begin again without one.")
}

func errTooOld() error {
	return rpc.Error(codes.OutOfRange, irtv1.ErrorReason_ERROR_REASON_CURSOR_TOO_OLD,
		"The log does not go on from this cursor, and some events were missed: they are no longer kept, or the hub's database was put back to before them. "+
			"Begin again without a cursor, and read anew what you keep of the hub.")
}
