package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// What is wrong with a request is said clearly, with the right HTTP status, and
// nothing of it reaches the hub.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	const record = "/v1/agencies/a/childRecords/1"
	huge := `{"givenName":"` + strings.Repeat("x", 10<<20) + `"}`
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		reason, says             string
	}{
		{"broken JSON", "PUT", record, `{"givenName":`, nil, 400, "MALFORMED_REQUEST", "not JSON"},
		{"not an object", "PUT", record, `"SECRET"`, nil, 400, "MALFORMED_REQUEST", "not JSON"},
		{"null", "PUT", record, `null`, nil, 400, "MALFORMED_REQUEST", "not JSON"},
		{"unknown field", "PUT", record, `{"givenName":"SECRET","surname":"SECRET"}`, nil, 400, "MALFORMED_REQUEST", `"surname"`},
		{"unknown field below", "POST", "/v1/children:match", `{"childRecord":{"carers":[{"nickname":"SECRET"}]}}`, nil, 400, "MALFORMED_REQUEST", `"nickname"`},
		{"wrong type", "PUT", record, `{"noKnownAddress":"SECRET"}`, nil, 400, "MALFORMED_REQUEST", "noKnownAddress must be true or false"},
		{"number for text", "PUT", record, `{"nhsNumber":9990000018}`, nil, 400, "MALFORMED_REQUEST", "nhsNumber must be a string"},
		{"unknown enum value", "POST", "/v1/agencies?agencyId=x", `{"kind":"SECRET"}`, nil, 400, "MALFORMED_REQUEST", "kind must be one of"},
		{"unknown enum value below", "POST", "/v1/standard:validate", "{\n \"childRecord\": {\"givenName\": \"ä\", \"state\": \"SECRET\"}}", nil, 400, "MALFORMED_REQUEST", "the field childRecord.state must be one of CHILD_RECORD_STATE_ACTIVE, CHILD_RECORD_STATE_WITHDRAWN (line 2, column 45)"},
		{"unknown enum value after a short one", "POST", "/v1/agencies/a/subscriptions", `{"kinds":["child_created","SECRET"]}`, nil, 400, "MALFORMED_REQUEST", "the field kinds[1] must be one of EVENT_KIND_"},
		{"another fault after a short enum value", "PUT", "/v1/agencies/a/referrals/r", `{"urgency":"routine","nobody":"SECRET"}`, nil, 400, "MALFORMED_REQUEST", `there is no field "nobody" here (line 1, column 22)`},
		{"enum value of another kind", "PUT", "/v1/agencies/a/referrals/r", `{"urgency":true}`, nil, 400, "MALFORMED_REQUEST", "the field urgency must be one of REFERRAL_URGENCY_ROUTINE, "},
		{"no enum value", "PUT", "/v1/agencies/a/referrals/r", `{"urgency":""}`, nil, 400, "MALFORMED_REQUEST", "the field urgency must be one of REFERRAL_URGENCY_ROUTINE, "},
		{"bad time", "POST", "/v1/standard:validate", `{"childRecord":{"createTime":"SECRET"}}`, nil, 400, "MALFORMED_REQUEST", "not JSON of the form"},
		{"invalid UTF-8", "PUT", record, "{\"givenName\":\"SECRET\xff\"}", nil, 400, "MALFORMED_REQUEST", "UTF-8"},
		{"twice the same field", "PUT", record, `{"givenName":"SECRET","givenName":"SECRET"}`, nil, 400, "MALFORMED_REQUEST", "twice"},
		{"both of a choice", "POST", "/v1/children:lookup", `{"nhsNumber":"SECRET","upn":"SECRET"}`, nil, 400, "MALFORMED_REQUEST", "only one"},
		{"more after the end", "PUT", record, `{"givenName":"SECRET"} {}`, nil, 400, "MALFORMED_REQUEST", "not JSON"},
		{"PATCH broken", "PATCH", "/v1/agencies/a", `{"displayName":1}`, nil, 400, "MALFORMED_REQUEST", "displayName must be a string"},
		{"too large", "PUT", record, huge, nil, 413, "TOO_LARGE", "at most"},
		{"too large, length not said", "PUT", record, huge, []string{"Chunked", "yes"}, 413, "TOO_LARGE", "at most"},
		{"a form", "PUT", record, `givenName=SECRET`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "MALFORMED_REQUEST", "application/json"},
		{"another charset", "PUT", record, `{}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, "MALFORMED_REQUEST", "application/json"},
		{"compressed", "PUT", record, `{}`, []string{"Content-Encoding", "gzip"}, 415, "MALFORMED_REQUEST", "Content-Encoding"},
		{"wrong method", "DELETE", record, ``, nil, 405, "NO_SUCH_METHOD", "Allow"},
		{"method override", "POST", "/v1/agencies/a", ``, []string{"X-HTTP-Method-Override", "GET"}, 405, "NO_SUCH_METHOD", "Allow"},
		{"form to GET", "POST", "/v1/agencies/a", ``, []string{"Content-Type", "application/x-www-form-urlencoded"}, 405, "NO_SUCH_METHOD", "Allow"},
		{"unknown path", "GET", "/v1/kids", ``, nil, 404, "NO_SUCH_METHOD", "no such"},
		{"unknown page", "GET", "/nothing", ``, nil, 404, "NO_SUCH_METHOD", "no such"},
		{"double slash", "GET", "/v1//children/x", ``, nil, 404, "NO_SUCH_METHOD", "no such"},
		{"POST to a page", "POST", "/docs", ``, nil, 405, "NO_SUCH_METHOD", "Allow"},
		{"unknown parameter", "GET", "/v1/children/x?asof=2026-01-31", ``, nil, 400, "MALFORMED_REQUEST", `"asof"`},
		{"parameter of the path", "GET", "/v1/children/x?name=children/y", ``, nil, 400, "MALFORMED_REQUEST", `"name"`},
		{"parameter value", "GET", "/v1/children/x?knownAt=SECRET", ``, nil, 400, "MALFORMED_REQUEST", `"knownAt" must be a time such as`},
		{"value of a few", "POST", "/v1/matchReviews/x:resolve", `{"resolution":"SECRET"}`, nil, 400, "MALFORMED_REQUEST", "resolution must be one of MATCH_RESOLUTION_SAME, MATCH_RESOLUTION_NOT_SAME, "},
		{"parameter of a few", "GET", "/v1/matchReviews?state=SECRET", ``, nil, 400, "MALFORMED_REQUEST", "must be one of MATCH_REVIEW_STATE_OPEN, "},
		{"parameter of a list", "GET", "/v1/events?kinds=CHILD_CREATED&kinds=SECRET", ``, nil, 400, "MALFORMED_REQUEST", "must be one of EVENT_KIND_CHILD_CREATED, "},
		{"parameter no number", "GET", "/v1/agencies?pageSize=SECRET", ``, nil, 400, "MALFORMED_REQUEST", `"pageSize" must be a whole number`},
		{"parameter twice", "GET", "/v1/agencies?pageSize=1&pageSize=2", ``, nil, 400, "MALFORMED_REQUEST", `"pageSize" is given twice`},
		{"parameter in two spellings", "GET", "/v1/agencies?pageSize=1&page_size=2", ``, nil, 400, "MALFORMED_REQUEST", "twice"},
		{"parameters of a body", "POST", "/v1/children:search?familyName=SECRET", `{}`, nil, 400, "MALFORMED_REQUEST", `"familyName"`},
		{"encoded slash", "GET", "/v1/children/a%2Fversions", ``, nil, 400, "MALFORMED_REQUEST", "slash"},
		{"broken query", "GET", "/v1/children/x?knownAt=%zz", ``, nil, 400, "MALFORMED_REQUEST", "after ?"},
		{"header twice", "GET", "/v1/children/x", ``, []string{"Irt-Purpose", "AUDIT", "Irt-Purpose", "EMERGENCY"}, 400, "MALFORMED_REQUEST", "Irt-Purpose"},
		{"header not ASCII", "GET", "/v1/children/x", ``, []string{"Irt-Reason", "SECRET Zoë"}, 400, "MALFORMED_REQUEST", "Irt-Reason"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a answer
			if len(tt.headers) > 0 && tt.headers[0] == "Chunked" {
				a = h.send(t, tt.method, tt.path, struct{ *strings.Reader }{strings.NewReader(tt.body)})
			} else {
				a = h.do(t, tt.method, tt.path, tt.body, tt.headers...)
			}
			got, reason := a.failure(t)
			if a.status != tt.status || reason != tt.reason || !strings.Contains(got.Error.Message, tt.says) {
				t.Errorf("%d %s %q, want %d %s and %q", a.status, reason, got.Error.Message, tt.status, tt.reason, tt.says)
			}
			if strings.Contains(a.body, "rpc error") {
				t.Errorf("the error shows how it is wrapped: %s", a.body)
			}
			if strings.Contains(a.body, "SECRET") {
				t.Errorf("the error repeats what was sent: %s", a.body)
			}
		})
	}
	if calls := h.reached(); len(calls) > 0 {
		t.Errorf("the hub was called: %+v", calls)
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for path, want := range map[string]string{
		"/v1/agencies/a/childRecords/1":          "GET, HEAD, PUT",
		"/v1/agencies/a/childRecords/1:withdraw": "GET, HEAD, POST, PUT", // a local id may hold a colon
		"/v1/agencies":                           "GET, HEAD, POST",
		"/v1/agencies/a/imports":                 "GET, HEAD, POST",
		"/docs":                                  "GET, HEAD",
	} {
		if a := h.do(t, "OPTIONS", path, ""); a.status != 405 || a.header.Get("Allow") != want {
			t.Errorf("%s: %d, Allow %q; want 405, %q", path, a.status, a.header.Get("Allow"), want)
		}
	}
}

// The errors of the hub come out with the HTTP status that goes with them, and
// with everything a gRPC caller would get.
func TestErrorsOfTheHub(t *testing.T) {
	t.Parallel()
	overloaded, _ := status.New(codes.ResourceExhausted, "later").WithDetails(
		&errdetails.ErrorInfo{Reason: "OVERLOADED", Domain: "irt"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)})
	invalid := rpc.Invalid([]standard.Fault{{
		Field: "child_record.carers[0].given_name", RuleID: "NAME_PLACEHOLDER", Description: "It is no name.", Action: "Send the name.",
	}})
	e := rpc.Error
	for _, tt := range []struct {
		name    string
		err     error
		headers []string
		status  int
		code    string
		reason  string
		header  [2]string
	}{
		{"no token", e(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_TOKEN_MISSING, "m"), nil, 401, "UNAUTHENTICATED", "TOKEN_MISSING", [2]string{"Www-Authenticate", `Bearer realm="irthub"`}},
		{"old token", e(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_TOKEN_EXPIRED, "m"), nil, 401, "UNAUTHENTICATED", "TOKEN_EXPIRED", [2]string{"Www-Authenticate", `Bearer realm="irthub", error="invalid_token"`}},
		{"denied", rpc.Denied(), nil, 403, "PERMISSION_DENIED", "ACCESS_DENIED", [2]string{}},
		{"not found", rpc.NotFound("child"), nil, 404, "NOT_FOUND", "NOT_FOUND", [2]string{}},
		{"exists", rpc.AlreadyExists("agency"), nil, 409, "ALREADY_EXISTS", "ALREADY_EXISTS", [2]string{}},
		{"etag in the body", rpc.Aborted(`"v2"`), nil, 409, "ABORTED", "ETAG_MISMATCH", [2]string{}},
		{"etag in If-Match", rpc.Aborted(`"v2"`), []string{"If-Match", `"v1"`}, 412, "ABORTED", "ETAG_MISMATCH", [2]string{}},
		{"state", rpc.Precondition("m"), nil, 400, "FAILED_PRECONDITION", "FAILED_PRECONDITION", [2]string{}},
		{"overloaded", overloaded.Err(), nil, 429, "RESOURCE_EXHAUSTED", "OVERLOADED", [2]string{"Retry-After", "2"}},
		{"too large", rpc.TooLarge(2, 1), nil, 413, "RESOURCE_EXHAUSTED", "TOO_LARGE", [2]string{}},
		{"unavailable", rpc.Unavailable(context.Canceled, "m"), nil, 503, "UNAVAILABLE", "UNAVAILABLE", [2]string{"Retry-After", "2"}},
		{"too slow", context.DeadlineExceeded, nil, 504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", [2]string{}},
		{"fault of the hub", status.Error(codes.Internal, "m"), nil, 500, "INTERNAL", "INTERNAL", [2]string{}},
		{"broken rule", invalid, nil, 400, "INVALID_ARGUMENT", "VALIDATION_FAILED", [2]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, &services{submitRecord: func(context.Context, *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
				return nil, tt.err
			}})
			a := h.do(t, "PUT", "/v1/agencies/a/childRecords/1", `{}`, tt.headers...)
			body, reason := a.failure(t)
			if a.status != tt.status || body.Error.Status != tt.code || reason != tt.reason {
				t.Errorf("%d %s %s, want %d %s %s", a.status, body.Error.Status, reason, tt.status, tt.code, tt.reason)
			}
			if got := a.header.Get(tt.header[0]); got != tt.header[1] {
				t.Errorf("%s: %q, want %q", tt.header[0], got, tt.header[1])
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control: %q", a.header.Get("Cache-Control"))
			}
		})
	}
	t.Run("field paths are JSON's", func(t *testing.T) {
		t.Parallel()
		h := start(t, &services{submitRecord: func(context.Context, *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
			return nil, invalid
		}})
		a := h.do(t, "PUT", "/v1/agencies/a/childRecords/1", `{}`)
		body, _ := a.failure(t)
		const path = "childRecord.carers[0].givenName"
		for _, d := range body.Error.Details {
			for _, v := range d.FieldViolations {
				if v.Field == path && v.Reason == "NAME_PLACEHOLDER" && strings.Contains(body.Error.Message, path) {
					return
				}
			}
		}
		t.Errorf("no violation at %s: %s", path, a.body)
	})
}
