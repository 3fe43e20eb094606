package rpc

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// Domain is the domain of every ErrorInfo the hub gives.
const Domain = "irt"

// maxViolations bounds the faults named in one answer: a megabyte of bad codes
// must not be answered by many. No honest record has as many.
const maxViolations = 100

// Error makes the error that the caller is told: a status with the reason, which
// programs read, and a public message, which says what to do next and holds no
// personal data.
func Error(code codes.Code, reason irtv1.ErrorReason, msg string) error {
	return newStatus(code, reason, nil, msg).Err()
}

// ErrorWith is Error with metadata for programs, such as where to resume.
func ErrorWith(code codes.Code, reason irtv1.ErrorReason, metadata map[string]string, msg string) error {
	return newStatus(code, reason, metadata, msg).Err()
}

func newStatus(code codes.Code, reason irtv1.ErrorReason, metadata map[string]string, msg string, more ...protoadapt.MessageV1) *status.Status {
	info := &errdetails.ErrorInfo{Reason: reasonText(reason), Domain: Domain, Metadata: metadata}
	st, err := status.New(code, msg).WithDetails(append([]protoadapt.MessageV1{info}, more...)...)
	if err != nil { // only for code OK, or a message that cannot be marshalled
		return status.New(codes.Internal, "The hub could not describe an error.")
	}
	return st
}

func reasonText(reason irtv1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
}

// Invalid says that the request breaks rules of the standard, naming each:
// INVALID_ARGUMENT, VALIDATION_FAILED and a BadRequest with one violation per
// fault, whose reason is the rule's id. Of more than 100 faults it names 100.
func Invalid(faults []standard.Fault) error {
	return InvalidFor(irtv1.ErrorReason_ERROR_REASON_VALIDATION_FAILED, faults)
}

// InvalidFor is Invalid with another reason, such as PURPOSE_REQUIRED.
func InvalidFor(reason irtv1.ErrorReason, faults []standard.Fault) error {
	bad := &errdetails.BadRequest{}
	for _, f := range faults[:min(len(faults), maxViolations)] {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field:       f.Field,
			Description: sentences(f.Description, f.Action),
			Reason:      f.RuleID,
		})
	}
	return newStatus(codes.InvalidArgument, reason, nil, invalidMessage(faults), bad).Err()
}

func invalidMessage(faults []standard.Fault) string {
	switch n := len(faults); {
	case n == 1:
		return fmt.Sprintf("The request breaks a rule at %s: %s",
			fieldOrRequest(faults[0].Field), sentences(faults[0].Description, faults[0].Action))
	case n > maxViolations:
		return fmt.Sprintf("The request breaks %d rules; the first %d are listed. Correct them and send it again.", n, maxViolations)
	default:
		return fmt.Sprintf("The request breaks %d rules, which are listed. Correct them and send it again.", n)
	}
}

func fieldOrRequest(field string) string {
	if field == "" {
		return "the request as a whole"
	}
	return field
}

// sentences joins what is wrong and what to do about it into one text.
func sentences(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		p = strings.TrimSpace(p)
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p)
		if !strings.ContainsAny(p[len(p)-1:], ".!?") {
			b.WriteByte('.')
		}
	}
	return b.String()
}

// Prefix puts the path of the message that was checked before each fault's
// field: a fault of a record at "upn" is one of its request at "child_record.upn".
func Prefix(path string, faults []standard.Fault) []standard.Fault {
	out := make([]standard.Fault, len(faults))
	for i, f := range faults {
		switch {
		case f.Field == "":
			f.Field = path
		case strings.HasPrefix(f.Field, "["):
			f.Field = path + f.Field
		default:
			f.Field = path + "." + f.Field
		}
		out[i] = f
	}
	return out
}

// Malformed says that the bytes are not a well-formed request. what completes
// the sentence "The request is not well formed: …".
func Malformed(what string) error {
	return Error(codes.InvalidArgument, irtv1.ErrorReason_ERROR_REASON_MALFORMED_REQUEST,
		"The request is not well formed: "+sentences(what, "Correct it and send it again"))
}

// NotFound says that what, such as "child" or "agency", does not exist among
// those the caller may know of.
func NotFound(what string) error {
	return Error(codes.NotFound, irtv1.ErrorReason_ERROR_REASON_NOT_FOUND,
		fmt.Sprintf("There is no such %s. Check its name.", what))
}

// AlreadyExists says that there is a what of that name.
func AlreadyExists(what string) error {
	return Error(codes.AlreadyExists, irtv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS,
		fmt.Sprintf("There is such a %s already. Update it, or choose another id.", what))
}

// deniedMessage is the same for every denial about a resource, so that nothing
// can be learnt from it.
const deniedMessage = "You may not do this with it, or it may not exist. " +
	"If you need it for your work, ask the data manager of the hub."

// Denied refuses without saying whether the thing exists.
func Denied() error {
	return Error(codes.PermissionDenied, irtv1.ErrorReason_ERROR_REASON_ACCESS_DENIED, deniedMessage)
}

// DeniedBecause refuses for a cause that the caller may know, since it is about
// the caller and not about the resource.
func DeniedBecause(why string) error {
	return Error(codes.PermissionDenied, irtv1.ErrorReason_ERROR_REASON_ACCESS_DENIED, why)
}

// Aborted says that the resource has changed since the caller read it; etag is
// its present one, given in the metadata of the ErrorInfo.
func Aborted(etag string) error {
	return newStatus(codes.Aborted, irtv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, map[string]string{"etag": etag},
		"It has changed since you read it. Read it again, make your change and send that with the new etag.").Err()
}

// Precondition says that the state of the resource does not allow the call.
func Precondition(msg string) error {
	return Error(codes.FailedPrecondition, irtv1.ErrorReason_ERROR_REASON_FAILED_PRECONDITION, msg)
}

// TooManyMatches says that a search fits more than may be shown.
func TooManyMatches(msg string) error {
	return Error(codes.FailedPrecondition, irtv1.ErrorReason_ERROR_REASON_TOO_MANY_MATCHES, msg)
}

// InsufficientCriteria says that a search could fit more than one child.
func InsufficientCriteria() error {
	return Error(codes.InvalidArgument, irtv1.ErrorReason_ERROR_REASON_SEARCH_CRITERIA_INSUFFICIENT,
		"This is not enough to search by. Give family_name and date_of_birth, "+
			"or given_name, date_of_birth, sex and postcode.")
}

// TooLarge says that a request of that many bytes is larger than allowed.
func TooLarge(size, allowed int) error {
	return Error(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_TOO_LARGE,
		fmt.Sprintf("The request has %d bytes, and at most %d are allowed. Send less at a time.", size, allowed))
}

// Overloaded says that too much is waiting; nothing was done, and the same
// request may be sent again after the RetryInfo's delay.
func Overloaded() error {
	return newStatus(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_OVERLOADED, nil,
		"The hub has too much waiting. Nothing was done; send it again in a second or later.", retryAfter(time.Second)).Err()
}

// RetryLater says that the call cannot be done yet, for a reason that passes; the
// same request may be sent again after a delay.
func RetryLater(code codes.Code, reason irtv1.ErrorReason, msg string, after time.Duration) error {
	return newStatus(code, reason, nil, msg, retryAfter(after)).Err()
}

// Unavailable says that the hub cannot reach what it needs just now. cause goes
// to the log only; msg says what was not done and what to do.
func Unavailable(cause error, msg string) error {
	return &edgeError{cause: cause, st: newStatus(codes.Unavailable, irtv1.ErrorReason_ERROR_REASON_UNAVAILABLE, nil,
		msg, retryAfter(2*time.Second))}
}

func retryAfter(d time.Duration) *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(d)}
}

// NoSuchMethod says that the hub has no such method.
func NoSuchMethod() error {
	return Error(codes.Unimplemented, irtv1.ErrorReason_ERROR_REASON_NO_SUCH_METHOD,
		"The hub has no such method. Server reflection and /openapi.json list those it has.")
}

// Hidden is an error for a caller who may not learn whether there is such a thing:
// that it is not there becomes a denial.
func Hidden(err error) error {
	if status.Code(err) == codes.NotFound {
		return Denied()
	}
	return err
}

// IllegalMove says that a thing cannot be moved so from the state that it is in, and
// which moves there are: some goes before their names, none in the place of them.
func IllegalMove(thing, state string, moves []string, some, none string) error {
	text := none
	if len(moves) > 0 {
		text = some + " " + strings.Join(moves, ", ")
	}
	return ErrorWith(codes.FailedPrecondition, irtv1.ErrorReason_ERROR_REASON_FAILED_PRECONDITION,
		map[string]string{"state": state, "moves": strings.Join(moves, ",")}, "The "+thing+" is "+state+": "+text+".")
}

// Overtaken says that somebody else was faster, and the state that the thing is in now.
func Overtaken(state, etag, msg string) error {
	return ErrorWith(codes.Aborted, irtv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, map[string]string{"etag": etag, "state": state}, msg)
}
