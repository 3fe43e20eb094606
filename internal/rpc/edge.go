package rpc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/batch"
	"irthub/internal/pg"
)

// edgeError is a status with a private cause. Its text is the public message, so
// that a cause cannot slip out through a wrapper; the log takes the cause.
type edgeError struct {
	st    *status.Status
	cause error
	id    string // of an INTERNAL error, told to the caller and logged
	stack []byte // of a panic
}

// Error returns the public message.
func (e *edgeError) Error() string { return e.st.Message() }

// GRPCStatus makes the status that the caller gets.
func (e *edgeError) GRPCStatus() *status.Status { return e.st }

// Unwrap gives errors.Is the private cause.
func (e *edgeError) Unwrap() error { return e.cause }

// withStatus is what errors that know their own status implement.
type withStatus interface {
	error
	GRPCStatus() *status.Status
}

// Edge turns any error into the one that the caller is told; it is the only
// place that maps errors which nobody foresaw. An error that is or wraps a status
// becomes that status, without the wrapper's words, which are private. What the
// database, a batcher or the context says becomes the code that tells the caller
// whether to try again. Everything else is Internal.
func Edge(err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[withStatus](err); ok {
		return edgeStatus(err, known)
	}
	switch {
	case errors.Is(err, batch.ErrFull):
		return Overloaded()
	case errors.Is(err, batch.ErrClosed):
		return Unavailable(err, "The hub is shutting down. Nothing was done; send it again.")
	case errors.Is(err, pg.ErrCommitUnknown):
		return Unavailable(err, "The hub lost its database while it was writing, and the change may or may not "+
			"have been made. Send it again: a change that was made is not made twice.")
	case pg.Unavailable(err), exhausted(err):
		return Unavailable(err, "The hub cannot reach its database just now. Nothing was done; send it again.")
	case pg.IsRetryable(err):
		return Unavailable(err, "Others were changing the same records all the while. Nothing was done; send it again.")
	case errors.Is(err, context.DeadlineExceeded), sqlState(err) == queryCanceled:
		return deadline(err)
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "The caller gave up.")
	}
	return Internal(err)
}

// edgeStatus strips a status of what was wrapped around it, and gives it the
// ErrorInfo that statuses made by the gRPC library lack.
func edgeStatus(err error, known withStatus) error {
	st := known.GRPCStatus()
	if st == nil || st.Code() == codes.OK {
		return Internal(err)
	}
	if e, ok := known.(*edgeError); ok {
		return e
	}
	reason, lacking := libraryReasons[st.Code()]
	for _, d := range st.Details() {
		if _, ok := d.(*errdetails.ErrorInfo); ok {
			lacking = false
		}
	}
	if lacking {
		return newStatus(st.Code(), reason, nil, st.Message()).Err()
	}
	return st.Err()
}

// libraryReasons are the reasons behind the statuses the gRPC library and
// generated code give by themselves.
var libraryReasons = map[codes.Code]irtv1.ErrorReason{
	codes.Unimplemented:     irtv1.ErrorReason_ERROR_REASON_NO_SUCH_METHOD,
	codes.InvalidArgument:   irtv1.ErrorReason_ERROR_REASON_MALFORMED_REQUEST,
	codes.ResourceExhausted: irtv1.ErrorReason_ERROR_REASON_TOO_LARGE,
	codes.DeadlineExceeded:  irtv1.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED,
	codes.Unavailable:       irtv1.ErrorReason_ERROR_REASON_UNAVAILABLE,
	codes.Internal:          irtv1.ErrorReason_ERROR_REASON_INTERNAL,
	codes.NotFound:          irtv1.ErrorReason_ERROR_REASON_NOT_FOUND,
}

func deadline(cause error) error {
	return &edgeError{cause: cause, st: newStatus(codes.DeadlineExceeded, irtv1.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, nil,
		"The call took longer than allowed. Ask for less at a time, or try again; a change may have been made.")}
}

// Internal hides err behind an id, which the caller is told and the log holds
// together with err.
func Internal(err error) error { return internal(err, nil) }

func internal(cause error, stack []byte) error {
	if p, ok := errors.AsType[*batch.PanicError](cause); ok {
		stack = p.Stack
	}
	id := newID()
	return &edgeError{
		cause: cause, id: id, stack: stack,
		st: newStatus(codes.Internal, irtv1.ErrorReason_ERROR_REASON_INTERNAL, map[string]string{"id": id},
			"The hub has failed. Tell its operator this id, which its log holds too: "+id+"."),
	}
}

// newID returns 16 random hexadecimal digits.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Guard runs the rest of a call: a panic in it becomes Internal, with the stack
// for the log, and any other error goes through Edge. Interceptors that must know
// how a call ended use it.
func Guard[T any](f func() (T, error)) (out T, err error) {
	defer func() {
		if v := recover(); v != nil {
			var none T
			out, err = none, internal(panicError(v), debug.Stack())
		}
	}()
	out, err = f()
	return out, Edge(err)
}

// panicError describes a panic without its value, which may hold a person's
// data, unless the value is the runtime's own.
func panicError(v any) error {
	if e, ok := v.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", e)
	}
	return fmt.Errorf("panic with a %T", v)
}

// SQLSTATE codes: https://www.postgresql.org/docs/15/errcodes-appendix.html
const queryCanceled = "57014" // by statement_timeout, or by us

func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// exhausted reports that the database lacks something for now: disk, memory,
// connections, or a lock within lock_timeout.
func exhausted(err error) bool {
	code := sqlState(err)
	return strings.HasPrefix(code, "53") || code == "55P03"
}

// privateText is err for the log. PostgreSQL's messages about data repeat it
// ("invalid input syntax for type date: …"), so of those only the place is kept.
func privateText(err error) string {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !(strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23") || strings.HasPrefix(e.Code, "P0")) {
		return err.Error()
	}
	place := fmt.Sprintf("SQLSTATE %s in table %q column %q constraint %q (%s)",
		e.Code, e.TableName, e.ColumnName, e.ConstraintName, e.Routine)
	return strings.ReplaceAll(err.Error(), e.Error(), place)
}
