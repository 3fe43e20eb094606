// Package reference describes the REST API from the schema: its routes, the
// OpenAPI document of them, and a page for people to read it. What the schema's
// options say (who may call, which purpose, bounds, categories) is stated here
// once more by no one.
package reference

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// Route is one REST form of one method, as the schema's google.api.http option
// has it; or the upload, which the schema cannot express.
type Route struct {
	Verb    string // GET, POST …
	Pattern string // /v1/{name=children/*}/versions
	Body    string // the request field the body fills: "" none, "*" the whole request
	Method  protoreflect.MethodDescriptor
	Further int // 0 for a method's first form; 1, 2 … for those beside it
}

// UploadPattern is the address files are uploaded to. It is a handler of its
// own, since a client stream has no REST form in google.api.http.
const UploadPattern = "/v1/{parent=agencies/*}/imports"

// WatchPattern is the address of the stream of events, whose answers have two
// forms that google.api.http does not know.
const WatchPattern = "/v1/events:watch"

// schemaFiles are the files of the schema that define services.
var schemaFiles = []protoreflect.FileDescriptor{
	irtv1.File_irt_v1_agency_service_proto,
	irtv1.File_irt_v1_audit_service_proto,
	irtv1.File_irt_v1_child_service_proto,
	irtv1.File_irt_v1_emergency_service_proto,
	irtv1.File_irt_v1_event_service_proto,
	irtv1.File_irt_v1_concern_service_proto,
	irtv1.File_irt_v1_consent_service_proto,
	irtv1.File_irt_v1_contact_service_proto,
	irtv1.File_irt_v1_referral_service_proto,
	irtv1.File_irt_v1_export_service_proto,
	irtv1.File_irt_v1_import_service_proto,
	irtv1.File_irt_v1_involvement_service_proto,
	irtv1.File_irt_v1_lead_nomination_service_proto,
	irtv1.File_irt_v1_limit_service_proto,
	irtv1.File_irt_v1_match_service_proto,
	irtv1.File_irt_v1_plan_service_proto,
	irtv1.File_irt_v1_quality_service_proto,
	irtv1.File_irt_v1_revocation_service_proto,
	irtv1.File_irt_v1_retention_service_proto,
	irtv1.File_irt_v1_shield_service_proto,
	irtv1.File_irt_v1_standard_service_proto,
	irtv1.File_irt_v1_subscription_service_proto,
	irtv1.File_irt_v1_timeline_service_proto,
}

// Routes lists every route, in the order of the schema.
func Routes() []Route {
	var all []Route
	for _, file := range schemaFiles {
		services := file.Services()
		for i := range services.Len() {
			methods := services.Get(i).Methods()
			for j := range methods.Len() {
				all = append(all, methodRoutes(methods.Get(j))...)
			}
		}
	}
	return all
}

func methodRoutes(method protoreflect.MethodDescriptor) []Route {
	if isUpload(method) {
		return []Route{{Verb: http.MethodPost, Pattern: UploadPattern, Method: method}}
	}
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	var all []Route
	for i, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		verb, pattern := verbAndPattern(r)
		all = append(all, Route{Verb: verb, Pattern: pattern, Body: r.GetBody(), Method: method, Further: i})
	}
	return all
}

func verbAndPattern(r *annotations.HttpRule) (verb, pattern string) {
	switch p := r.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Put:
		return http.MethodPut, p.Put
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	}
	return "", ""
}

// segments cuts a pattern into the segments of an address, "*" for any one:
// /v1/{name=children/*}/versions is v1, children, *, versions. Verbs stay with
// the last segment: "*:withdraw".
func (r Route) segments() []string {
	flat := r.Pattern
	for {
		before, rest, found := strings.Cut(flat, "{")
		if !found {
			break
		}
		variable, after, _ := strings.Cut(rest, "}")
		name, glob, hasGlob := strings.Cut(variable, "=")
		if !hasGlob {
			_, glob = name, "*"
		}
		flat = before + glob + after
	}
	return strings.Split(strings.TrimPrefix(flat, "/"), "/")
}

// Matches says whether an address is one of the route's.
func (r Route) Matches(path string) bool {
	have, want := strings.Split(strings.TrimPrefix(path, "/"), "/"), r.segments()
	return slices.EqualFunc(have, want, func(have, want string) bool {
		id, verb, hasVerb := strings.Cut(want, ":")
		if id != "*" {
			return have == want
		}
		return have != "" && (!hasVerb || strings.HasSuffix(have, ":"+verb))
	})
}

// Allowed lists the HTTP methods that an address answers, for the Allow header.
func Allowed(all []Route, path string) []string {
	var verbs []string
	for _, r := range all {
		if r.Matches(path) && !slices.Contains(verbs, r.Verb) {
			verbs = append(verbs, r.Verb)
		}
	}
	if slices.Contains(verbs, http.MethodGet) {
		verbs = append(verbs, http.MethodHead)
	}
	slices.Sort(verbs)
	return verbs
}

// isUpload tells CreateImport, whose REST form is a handler of the gateway's own.
func isUpload(m protoreflect.MethodDescriptor) bool {
	return m.FullName() == "irt.v1.ImportService.CreateImport"
}

// Input is the message that the address and the body of a request fill: the
// method's request, or for the upload the message that says what is uploaded.
func (r Route) Input() protoreflect.MessageDescriptor {
	if isUpload(r.Method) {
		return (*irtv1.ImportHeader)(nil).ProtoReflect().Descriptor()
	}
	return r.Method.Input()
}

// QueryParameters are the request fields that an address may carry after the
// question mark: those that neither the path nor the body fills.
func (r Route) QueryParameters() []protoreflect.FieldDescriptor {
	if r.Body == "*" {
		return nil
	}
	var fields []protoreflect.FieldDescriptor
	all := r.Input().Fields()
	for i := range all.Len() {
		if f := all.Get(i); string(f.Name()) != r.Body && !r.inPath(f) {
			fields = append(fields, f)
		}
	}
	return fields
}

// inPath says whether the path fills a field of the request.
func (r Route) inPath(f protoreflect.FieldDescriptor) bool {
	return strings.Contains(r.Pattern, "{"+string(f.Name())+"=")
}

// FullMethod is a method's name as gRPC calls it: /irt.v1.ChildService/GetChild.
func FullMethod(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}
