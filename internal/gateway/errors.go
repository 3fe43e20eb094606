package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
)

// httpError is an error whose HTTP status does not follow from its gRPC code.
type httpError struct {
	error
	status int
}

// Unwrap gives the gRPC status.
func (e httpError) Unwrap() error { return e.error }

func errMediaType(what string) error {
	return httpError{rpc.Malformed(what), http.StatusUnsupportedMediaType}
}

func errSlowBody() error {
	return httpError{
		rpc.Error(codes.DeadlineExceeded, irtv1.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, "The body did not arrive in time. Send it again."),
		http.StatusRequestTimeout,
	}
}

func errNoSuchPath() error { return httpError{rpc.NoSuchMethod(), http.StatusNotFound} }

func errMethodNotAllowed() error {
	return httpError{
		rpc.Error(codes.Unimplemented, irtv1.ErrorReason_ERROR_REASON_NO_SUCH_METHOD,
			"This address does not answer to that HTTP method. The Allow header lists those it answers to."),
		http.StatusMethodNotAllowed,
	}
}

// handleRoutingError answers a request that fits no route.
func (g *Gateway) handleRoutingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	verbs := reference.Allowed(g.routes, r.URL.Path)
	switch {
	case code == http.StatusBadRequest:
		g.writeError(w, r, rpc.Malformed("its address has a % that two hexadecimal digits do not follow"))
	case len(verbs) == 0:
		g.writeError(w, r, errNoSuchPath())
	default:
		w.Header().Set("Allow", strings.Join(verbs, ", "))
		g.writeError(w, r, errMethodNotAllowed())
	}
}

// handleError answers a call that failed.
func (g *Gateway) handleError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errNotModified) {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if library, ok := errors.AsType[*runtime.HTTPStatusError](err); ok {
		// Raised by the library for an address with a broken %-escape.
		err = httpError{rpc.Malformed("its address has a % that two hexadecimal digits do not follow"), library.HTTPStatus}
	}
	if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
		for _, key := range answered {
			for _, value := range md.HeaderMD.Get(key) {
				w.Header().Set(key, value)
			}
		}
	}
	g.writeError(w, r, err)
}

// errorBody is the body of every error, as AIP-193 has it for REST.
type errorBody struct {
	Error struct {
		Code    int               `json:"code"` // the HTTP status
		Message string            `json:"message"`
		Status  string            `json:"status"` // the gRPC code by name
		Details []json.RawMessage `json:"details,omitempty"`
	} `json:"error"`
}

// writeError writes the answer to a call that failed: the same code, reason and
// details that a gRPC caller gets, with the HTTP status that goes with them.
func (g *Gateway) writeError(w http.ResponseWriter, r *http.Request, err error) {
	st, body := g.errorOf(r, err)
	h := w.Header()
	for _, detail := range st.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			seconds := math.Ceil(retry.GetRetryDelay().AsDuration().Seconds())
			h.Set("Retry-After", strconv.Itoa(max(1, int(seconds))))
		}
	}
	if st.Code() == codes.Unauthenticated {
		h.Set("WWW-Authenticate", challenge(reasonOf(st)))
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Del("Etag")
	w.WriteHeader(body.Error.Code)
	_ = newJSONEncoder(w).Encode(body) // the caller has gone: nobody is left to tell
}

// errorOf is what the caller is told of an error.
func (g *Gateway) errorOf(r *http.Request, err error) (*status.Status, errorBody) {
	st := g.statusOf(r.Context(), err)
	var body errorBody
	body.Error.Code = httpStatus(err, st, reasonOf(st), r)
	body.Error.Message = jsonMessage(st)
	body.Error.Status = code.Code_name[int32(st.Code())] //nolint:gosec // codes are small
	body.Error.Details = g.detailsJSON(st)
	return st, body
}

// writeErrorLine ends an answer that has begun, of one JSON object a line, with the
// error that it broke off with.
func (g *Gateway) writeErrorLine(w http.ResponseWriter, r *http.Request, err error) {
	_, body := g.errorOf(r, err)
	_ = newJSONEncoder(w).Encode(body) // the caller has gone
}

func newJSONEncoder(w http.ResponseWriter) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// statusOf gives an error the status and reason a caller is told. Errors of the
// hub have theirs. What has none was raised by the gateway library about the
// request, with a message made by codec or queryParser.
func (g *Gateway) statusOf(ctx context.Context, err error) *status.Status {
	if own, ok := errors.AsType[httpError](err); ok {
		err = own.error // status.FromError would tell how it is wrapped, too
	}
	st, ok := status.FromError(err)
	if ok && reasonOf(st) != "" {
		return st
	}
	if ok && st.Code() == codes.InvalidArgument {
		err = rpc.Malformed(st.Message())
	}
	return rpc.LoggedStatus(ctx, g.options.Log, err)
}

func reasonOf(st *status.Status) string {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// httpStatus is the HTTP status of an error: its own, that of its reason, or
// that of its gRPC code.
func httpStatus(err error, st *status.Status, reason string, r *http.Request) int {
	if own, ok := errors.AsType[httpError](err); ok {
		return own.status
	}
	switch {
	case reason == "TOO_LARGE":
		return http.StatusRequestEntityTooLarge
	case reason == "ETAG_MISMATCH" && r.Header.Get("If-Match") != "":
		return http.StatusPreconditionFailed
	}
	return runtime.HTTPStatusFromCode(st.Code())
}

// challenge is the WWW-Authenticate header, as RFC 6750 has it.
func challenge(reason string) string {
	if reason == "TOKEN_MISSING" {
		return `Bearer realm="irthub"`
	}
	return `Bearer realm="irthub", error="invalid_token"`
}

func (g *Gateway) detailsJSON(st *status.Status) []json.RawMessage {
	var all []json.RawMessage
	for _, detail := range st.Proto().GetDetails() {
		b, err := protojson.Marshal(jsonNames(detail))
		if err != nil {
			g.options.Log.Error("an error detail has no JSON form", "type_url", detail.GetTypeUrl(), "error", err)
			continue
		}
		var compact bytes.Buffer // protojson's own spacing varies
		if json.Compact(&compact, b) == nil {
			all = append(all, compact.Bytes())
		}
	}
	return all
}

// jsonNames writes the field paths of a BadRequest as JSON callers know the fields.
func jsonNames(detail *anypb.Any) *anypb.Any {
	var bad errdetails.BadRequest
	if detail.UnmarshalTo(&bad) != nil {
		return detail
	}
	for _, v := range bad.GetFieldViolations() {
		v.Field = jsonPath(v.GetField())
	}
	renamed, err := anypb.New(&bad)
	if err != nil {
		return detail
	}
	return renamed
}

// nameFault writes the field paths of a fault within an answer as JSON callers know
// the fields.
func nameFault(fault *spb.Status) {
	if fault == nil {
		return
	}
	fault.Message = jsonMessage(status.FromProto(fault))
	for i, detail := range fault.GetDetails() {
		fault.Details[i] = jsonNames(detail)
	}
}

// jsonMessage is the message with the paths of fields as JSON callers know them.
func jsonMessage(st *status.Status) string {
	message := st.Message()
	for _, detail := range st.Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok && len(bad.GetFieldViolations()) == 1 {
			path := bad.GetFieldViolations()[0].GetField()
			message = strings.Replace(message, path, jsonPath(path), 1)
		}
	}
	return message
}

// jsonPath turns child_record.carers[0].given_name into
// childRecord.carers[0].givenName.
func jsonPath(path string) string {
	var b strings.Builder
	upper, quoted := false, false
	for _, c := range path {
		switch {
		case c == '[' || c == ']':
			quoted = c == '['
		case c == '_' && !quoted:
			upper = true
			continue
		case upper && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		upper = false
		b.WriteRune(c)
	}
	return b.String()
}
