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

// begin opens a cursor, and makes sure that nothing after it has gone.
func (s *Service) begin(ctx context.Context, cursor string, without start) (at events.Position, err error) {
	end, keptFrom, err := events.Head(ctx, s.pool)
	if err != nil {
		return at, err
	}
	switch {
	case cursor != "":
	case without == now:
		return end, nil
	default:
		return events.Position{N: keptFrom - 1}, nil
	}
	plain, err := s.tokens.Decode(cursors, &irtv1.WatchRequest{}, cursor)
	if err != nil {
		return at, errCursor()
	}
	at, ok := events.ParsePosition(plain)
	switch {
	case !ok:
		return at, errCursor()
	case at.N+1 < keptFrom, at.N > end.N: // or the database was set back to before it
		return at, errTooOld()
	}
	return at, nil
}

func errCursor() error {
	return rpc.Error(codes.InvalidArgument, irtv1.ErrorReason_ERROR_REASON_CURSOR_INVALID,
		"The cursor is damaged, or of another hub. Begin again without one.")
}

func errTooOld() error {
	return rpc.Error(codes.OutOfRange, irtv1.ErrorReason_ERROR_REASON_CURSOR_TOO_OLD,
		"Events after this cursor are no longer kept: some were missed. Begin again without a cursor, and read anew what you keep of the hub.")
}
