// Package audit records every access: who asked, on whose behalf, for what
// purpose and why, with which method and parameters, what was returned and what
// withheld, and how it was decided. No answer leaves before its entry is durable;
// refused and failed calls are entries too.
//
// Entries are personal data: they stand in the table audit_entries and nowhere
// else, neither in logs nor in errors.
package audit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"irthub/internal/identity"
	"irthub/internal/rpc"
)

// Decision is how an access was decided.
type Decision string

// The decisions: a call that succeeded, one that policy refused, and one that
// failed for another reason (invalid, not found, a fault of the hub).
const (
	Allowed Decision = "ALLOWED"
	Denied  Decision = "DENIED"
	Failed  Decision = "FAILED"
)

// Entry is one access, while it happens. Handlers add to it what they return and
// withhold. Its methods may be called by several goroutines, and on nil, which
// does nothing (public methods have no entry).
type Entry struct {
	mu        sync.Mutex
	id        uuid.UUID
	time      time.Time
	caller    identity.Caller
	method    string
	requestID string

	children []uuid.UUID
	returned []string
	withheld []string
	query    string // JSON, or ""

	decision Decision
	code     codes.Code
	recorded bool // it is in the database
	unsaid   bool // it holds something that has not been recorded yet
}

type entryKey struct{}

// New begins an entry for an access by the caller in ctx. The interceptors make
// those of calls; commands that act without a call make their own.
func New(ctx context.Context, method string) *Entry {
	return &Entry{
		id: newID(), time: time.Now(), caller: identity.FromContext(ctx),
		method: method, requestID: rpc.RequestID(ctx), decision: Allowed,
	}
}

// newID is a UUIDv7, so that the table grows at its end. It fails only where the
// system has no random numbers.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// NewContext gives ctx the entry that handlers add to.
func NewContext(ctx context.Context, e *Entry) context.Context {
	return context.WithValue(ctx, entryKey{}, e)
}

// FromContext returns the entry of the call, or nil in a call of a public method.
func FromContext(ctx context.Context) *Entry {
	e, _ := ctx.Value(entryKey{}).(*Entry)
	return e
}

// ID is the entry's id.
func (e *Entry) ID() uuid.UUID {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.id
}

// AddChild notes that the access was about a child.
func (e *Entry) AddChild(ids ...uuid.UUID) {
	e.note(func() {
		for _, id := range ids {
			if !slices.Contains(e.children, id) {
				e.children = append(e.children, id)
			}
		}
	})
}

// Children are those that the access was about so far, but for those of a stream that
// have been recorded already.
func (e *Entry) Children() []uuid.UUID {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.children)
}

// AddReturned notes what the answer holds, by resource name, such as
// "agencies/st-marys/childRecords/17"; never a person's name.
func (e *Entry) AddReturned(names ...string) {
	e.note(func() { e.returned = append(e.returned, names...) })
}

// AddWithheld notes a rule that left something out of the answer.
func (e *Entry) AddWithheld(ruleIDs ...string) {
	e.note(func() {
		for _, id := range ruleIDs {
			if !slices.Contains(e.withheld, id) {
				e.withheld = append(e.withheld, id)
			}
		}
	})
}

// SetQuery replaces the query that the interceptor took from the request.
func (e *Entry) SetQuery(m proto.Message) {
	e.note(func() { e.query = queryOf(m, true) })
}

// SetQueryName makes the query just the name of what is written, for entries of
// many writes.
func (e *Entry) SetQueryName(name string) {
	e.note(func() { e.query = `{"name":` + string(quoted(name)) + `}` })
}

// note changes the entry under its lock.
func (e *Entry) note(change func()) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
	e.unsaid = true
}

// Fork begins an entry of its own, by the same caller in the same call, for one
// of the many things a call does: a record of a stream, a row of an import. The
// writer of that thing inserts it in its transaction.
func (e *Entry) Fork() *Entry {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return &Entry{
		id: newID(), time: time.Now(), caller: e.caller,
		method: e.method, requestID: e.requestID, decision: Allowed,
	}
}

// Finish sets how the access was decided from the error it ended with. Interceptors
// do it for calls; who forks entries does it for those that failed.
func (e *Entry) Finish(err error) {
	e.note(func() {
		e.code = status.Code(rpc.Edge(err))
		switch e.code {
		case codes.OK:
			e.decision = Allowed
		case codes.PermissionDenied, codes.Unauthenticated:
			e.decision = Denied
		default:
			e.decision = Failed
		}
	})
}

// Recorded says that a write pipeline has committed the entry in the transaction
// of its own write, so that the interceptor need not write it.
func (e *Entry) Recorded() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.recorded, e.unsaid = true, false
}

// after is a new entry with the same content, for what happens after this one was
// handed to a pipeline that may still be writing it.
func (e *Entry) after() *Entry {
	next := e.Fork()
	e.mu.Lock()
	defer e.mu.Unlock()
	next.children, next.returned, next.withheld = slices.Clone(e.children), slices.Clone(e.returned), slices.Clone(e.withheld)
	next.query = e.query
	return next
}
