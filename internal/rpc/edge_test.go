package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/batch"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// secret is what must never reach a caller.
const secret = "Aoife O'Neill 9990000018"

func TestEdgeTellsEveryErrorAsTheCallerMayHearIt(t *testing.T) {
	t.Parallel()
	private := func(err error) error { return fmt.Errorf("children: storing %s: %w", secret, err) }
	for name, c := range map[string]struct {
		err    error
		code   codes.Code
		reason string
		retry  bool
	}{
		"unforeseen":               {private(errors.New(secret)), codes.Internal, "INTERNAL", false},
		"a status, wrapped":        {private(rpc.NotFound("child")), codes.NotFound, "NOT_FOUND", false},
		"a status":                 {rpc.Denied(), codes.PermissionDenied, "ACCESS_DENIED", false},
		"a status of the library":  {status.Error(codes.Unimplemented, "unknown method"), codes.Unimplemented, "NO_SUCH_METHOD", false},
		"code OK as an error":      {private(okError{}), codes.Internal, "INTERNAL", false},
		"deadline":                 {private(context.DeadlineExceeded), codes.DeadlineExceeded, "DEADLINE_EXCEEDED", false},
		"statement timeout":        {private(&pgconn.PgError{Code: "57014", Message: secret}), codes.DeadlineExceeded, "DEADLINE_EXCEEDED", false},
		"database gone":            {private(io.ErrUnexpectedEOF), codes.Unavailable, "UNAVAILABLE", true},
		"database shutting down":   {private(&pgconn.PgError{Code: "57P01"}), codes.Unavailable, "UNAVAILABLE", true},
		"disk full":                {private(&pgconn.PgError{Code: "53100"}), codes.Unavailable, "UNAVAILABLE", true},
		"lock timeout":             {private(&pgconn.PgError{Code: "55P03"}), codes.Unavailable, "UNAVAILABLE", true},
		"serialization failure":    {private(&pgconn.PgError{Code: "40001"}), codes.Unavailable, "UNAVAILABLE", true},
		"commit unknown":           {private(fmt.Errorf("%w: %w", pg.ErrCommitUnknown, io.EOF)), codes.Unavailable, "UNAVAILABLE", true},
		"queue full":               {private(batch.ErrFull), codes.ResourceExhausted, "OVERLOADED", true},
		"shutting down":            {private(batch.ErrClosed), codes.Unavailable, "UNAVAILABLE", true},
		"a broken rule of the SQL": {private(&pgconn.PgError{Code: "23505", Detail: secret}), codes.Internal, "INTERNAL", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := rpc.Edge(c.err)
			wantError(t, err, c.code, c.reason)
			if strings.Contains(fmt.Sprint(err, status.Convert(err).Proto()), secret) {
				t.Errorf("the caller learns the private part: %v", status.Convert(err).Proto())
			}
			if hasRetry(err) != c.retry {
				t.Errorf("RetryInfo is %v, want %v", hasRetry(err), c.retry)
			}
			if again := rpc.Edge(fmt.Errorf("outer: %w", err)); status.Convert(again).Message() != status.Convert(err).Message() {
				t.Errorf("a second pass says %q, the first %q", again, err)
			}
		})
	}
	if rpc.Edge(nil) != nil {
		t.Error("nil becomes an error")
	}
	if got := status.Code(rpc.Edge(context.Canceled)); got != codes.Canceled {
		t.Errorf("a cancelled call ends with %v", got)
	}
}

type okError struct{}

func (okError) Error() string              { return secret }
func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, secret) }

func hasRetry(err error) bool {
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return r.GetRetryDelay().AsDuration() > 0
		}
	}
	return false
}

func TestInternalKeepsTheCauseForTheLog(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := rpc.Internal(cause)
	for range 3 { // every interceptor that must know the outcome passes it through Edge
		if !errors.Is(err, cause) {
			t.Fatal("the cause is lost")
		}
		err = rpc.Edge(fmt.Errorf("outer: %w", err))
	}
}

func TestGuardReturnsNothingAfterAPanic(t *testing.T) {
	t.Parallel()
	got, err := rpc.Guard(func() (any, error) { panic(secret) })
	wantError(t, err, codes.Internal, "INTERNAL")
	if got != nil {
		t.Errorf("a panic answered %v", got)
	}
}

func TestInvalidNamesEveryFault(t *testing.T) {
	t.Parallel()
	faults := []standard.Fault{
		{Field: "", RuleID: "BIRTH_DATE_ONE_OF", Description: "both are given", Action: "Give one"},
		{Field: "carers[0].telephone", RuleID: "TELEPHONE_FORM", Description: "It is not a number.", Action: "Correct it."},
		{Field: "[3]", RuleID: "STRING_MAX_LEN", Description: "too long"},
	}
	err := rpc.Invalid(rpc.Prefix("child_record", faults))
	wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED")
	got := violations(err)
	for field, rule := range map[string]string{
		"child_record":                     "BIRTH_DATE_ONE_OF",
		"child_record.carers[0].telephone": "TELEPHONE_FORM",
		"child_record[3]":                  "STRING_MAX_LEN",
	} {
		if got[field] != rule {
			t.Errorf("%s: rule %q, want %q (of %v)", field, got[field], rule, got)
		}
	}
	bad := status.Convert(err).Details()[1].(*errdetails.BadRequest)
	if d := bad.GetFieldViolations()[0].GetDescription(); d != "both are given. Give one." {
		t.Errorf("description %q", d)
	}
}

// An answer to a request full of faults must not be larger than what HTTP/2
// clients take.
func TestInvalidIsBounded(t *testing.T) {
	t.Parallel()
	err := rpc.Invalid(make([]standard.Fault, 100_000))
	if n := len(status.Convert(err).Details()[1].(*errdetails.BadRequest).GetFieldViolations()); n != 100 {
		t.Errorf("%d violations, want 100", n)
	}
	if !strings.Contains(err.Error(), "100000") {
		t.Errorf("%q does not say how many there are", err)
	}
}

// Every reason of the schema that this package can give is spelled without its
// prefix, as errors.proto promises.
func TestErrorSpellsTheReasonWithoutItsPrefix(t *testing.T) {
	t.Parallel()
	err := rpc.Error(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_TOKEN_EXPIRED, "Expired.")
	wantError(t, err, codes.Unauthenticated, "TOKEN_EXPIRED")
}
