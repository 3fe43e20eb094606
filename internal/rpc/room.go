package rpc

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"irthub/internal/batch"
)

// Bounds on the streams of one process; LIMITS.md has them, too.
const (
	streamsAtMost      = 1024
	streamsOfOneAgency = 128
	heldAtMost         = 64 << 20 // bytes
	heldOfOneAgency    = 16 << 20
	heldForEach        = 4 << 10 // what an input costs beside its own size, in bytes
	streamWindow       = 512
)

// Room bounds what the streams of a process hold: how many there are, and how much
// memory the inputs take that they have under way, in all and of one agency. A stream
// too many is refused; inputs wait until there is room, and their stream is slowed
// down by that.
type Room struct {
	held *semaphore.Weighted

	mu       sync.Mutex
	streams  int
	agencies map[string]*share // those with streams
}

// share is what the streams of one agency hold.
type share struct {
	streams int
	held    *semaphore.Weighted
}

// NewRoom makes the room of a process.
func NewRoom() *Room {
	return &Room{held: semaphore.NewWeighted(heldAtMost), agencies: map[string]*share{}}
}

// Stream is an interceptor, inside that of identity: it counts the streams of each
// agency and refuses those too many (OVERLOADED). Streams of the methods named have
// bounds of their own.
func (r *Room) Stream(but ...string) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		c, ok := ss.Context().Value(callKey{}).(*call)
		if !ok || slices.Contains(but, info.FullMethod) {
			return handler(srv, ss)
		}
		mine, err := r.enter(c.agency)
		if err != nil {
			return err
		}
		defer r.leave(c.agency, mine)
		c.hold = func(ctx context.Context, bytes int) (leave func(), err error) { return r.hold(ctx, mine, bytes) }
		return handler(srv, ss)
	}
}

func (r *Room) enter(agency string) (*share, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mine := r.agencies[agency]
	if mine == nil {
		mine = &share{held: semaphore.NewWeighted(heldOfOneAgency)}
	}
	if r.streams >= streamsAtMost || mine.streams >= streamsOfOneAgency {
		return nil, Overloaded()
	}
	r.agencies[agency] = mine
	r.streams++
	mine.streams++
	return mine, nil
}

func (r *Room) leave(agency string, mine *share) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams--
	if mine.streams--; mine.streams == 0 {
		delete(r.agencies, agency)
	}
}

func (r *Room) hold(ctx context.Context, mine *share, bytes int) (leave func(), err error) {
	n := min(int64(bytes)+heldForEach, heldOfOneAgency)
	if err := mine.held.Acquire(ctx, n); err != nil {
		return nil, err
	}
	if err := r.held.Acquire(ctx, n); err != nil {
		mine.held.Release(n)
		return nil, err
	}
	return func() {
		r.held.Release(n)
		mine.held.Release(n)
	}, nil
}

// Hold waits until there is room for so many bytes of the stream that ctx belongs to,
// beside those of all streams; they take it until leave is called, once. It fails only
// where ctx ends.
func Hold(ctx context.Context, bytes int) (leave func(), err error) {
	if c, ok := ctx.Value(callKey{}).(*call); ok && c.hold != nil {
		return c.hold(ctx, bytes)
	}
	return func() {}, nil
}

// StreamWindow is what one stream of submissions may have under way at once. More would
// not make batches faster, and would make others wait.
func StreamWindow[Req any]() batch.Window[*Req] {
	return batch.Window[*Req]{Inputs: streamWindow, Hold: func(ctx context.Context, req *Req) (leave func(), err error) {
		m, _ := any(req).(proto.Message)
		return Hold(ctx, proto.Size(m))
	}}
}
