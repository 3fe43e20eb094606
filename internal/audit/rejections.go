package audit

import (
	"context"
	"strconv"
	"sync/atomic"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"irthub/internal/identity"
)

// How many calls of nobody known have an entry of their own, in each process. They
// cost whoever sends them nothing, so they must not cost the hub a row each.
const (
	rejectionsPerSecond = 1
	rejectionsBurst     = 100
)

// Rejections records calls that were refused because it was not known who called.
// What is over the rate has no entry; the next entry says how many those were.
type Rejections struct {
	writer *Writer
	rate   *rate.Limiter
	passed atomic.Int64 // since the last entry
}

// NewRejections records to a writer.
func NewRejections(w *Writer) *Rejections {
	return &Rejections{writer: w, rate: rate.NewLimiter(rejectionsPerSecond, rejectionsBurst)}
}

// Record records one call, which is refused whether or not that succeeds: nothing
// is disclosed by it.
func (r *Rejections) Record(ctx context.Context, refusal error) {
	if !r.rate.Allow() {
		r.passed.Add(1)
		return
	}
	method, _ := grpc.Method(ctx)
	e := New(ctx, method)
	e.caller = identity.Caller{Address: identity.Address(ctx)}
	passed := r.passed.Swap(0)
	if passed > 0 {
		e.query = `{"withoutEntry":` + strconv.FormatInt(passed, 10) + `}`
	}
	e.Finish(refusal)
	if err := r.writer.Write(ctx, e); err != nil {
		r.passed.Add(passed + 1)
	}
}
