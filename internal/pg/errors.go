package pg

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrCommitUnknown is wrapped by errors of InTx and InTxRetry when the
// connection was lost, or the context ended, between sending COMMIT and its
// answer: the transaction may or may not have happened. Nothing is retried
// then; the caller finds out by its idempotency key or by asking again.
var ErrCommitUnknown = errors.New("pg: the commit's answer was lost")

// IsRetryable reports whether a transaction that failed with err was certainly
// not committed and may succeed if it is run again from its start:
// serialization failures, deadlocks, plans and partitions made stale by a change of
// the schema, and connections lost before the commit.
func IsRetryable(err error) bool {
	if errors.Is(err, ErrCommitUnknown) {
		return false
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch {
		case pgErr.Code == "40001", pgErr.Code == "40P01":
			return true
		case pgErr.Code == "0A000" && pgErr.Routine == "RevalidateCachedQuery":
			return true // "cached plan must not change result type": pgx has dropped it by now
		case pgErr.Code == "23514" && pgErr.Routine == "ExecPartitionCheckEmitError":
			return true // the row's own partition was attached while it was on its way to the default one
		}
	}
	return Unavailable(err)
}

// Unavailable reports whether err says that the database cannot serve now,
// whatever it is asked: connection refused or lost, starting, shutting down,
// too many connections, or a standby in the middle of a failover. The edge
// answers UNAVAILABLE. A caller's own cancelled or expired context is not it.
func Unavailable(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return unavailableCode(pgErr.Code)
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true // its own connect timeout included
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) // nothing was sent: the connection was closed already
}

// unavailableCode sorts SQLSTATE codes: https://www.postgresql.org/docs/15/errcodes-appendix.html
func unavailableCode(code string) bool {
	switch code {
	case "57P01", "57P02", "57P03", // admin shutdown, crash shutdown, cannot connect now
		"53300", // too many connections
		"25006": // read-only transaction: the server became a standby
		return true
	}
	return strings.HasPrefix(code, "08") // connection exceptions
}
