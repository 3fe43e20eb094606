package reference

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// Operation is one method at one address.
type Operation struct {
	Tags        []string              `json:"tags"`
	Summary     string                `json:"summary"`
	Description string                `json:"description,omitempty"`
	OperationID string                `json:"operationId"`
	Parameters  []*Parameter          `json:"parameters,omitempty"`
	Body        *Body                 `json:"requestBody,omitempty"`
	Responses   map[string]*Response  `json:"responses"`
	Security    []map[string][]string `json:"security,omitempty"`
	Roles       []string              `json:"x-irt-roles,omitempty"`
	Purpose     bool                  `json:"x-irt-purpose-required,omitempty"`
	Public      bool                  `json:"-"`
	Rest        string                `json:"-"` // what the description says beyond the summary
	Verb        string                `json:"-"`
	Path        string                `json:"-"`
	Method      string                `json:"-"` // as gRPC has it
	Errors      []OperationError      `json:"-"`
}

// OperationError is an error that the schema says a method gives.
type OperationError struct {
	Status int    // of HTTP
	Code   string // of gRPC
	Note   string // the reason, or what it means here
}

func newOperation(r Route, s *schemas) (*Operation, error) {
	name := string(r.Method.Name())
	comment := s.comments.operations[name]
	if isUpload(r.Method) {
		comment = uploadComment
	}
	id := name
	if r.Further > 0 { // ids are one operation's alone
		id += strconv.Itoa(r.Further + 1)
	}
	op := &Operation{
		Tags: []string{string(r.Method.Parent().Name())}, OperationID: id,
		Verb: r.Verb, Path: r.path(), Method: FullMethod(r.Method),
		Summary: firstSentence(s.comments.tidy(comment.Summary)),
		Errors:  readErrors(comment.Summary + "\n\n" + comment.Description),
	}
	op.Description = describeOperation(s.comments.tidy(comment.Summary + "\n\n" + comment.Description))
	op.Rest = op.Description
	if more, isSentence := strings.CutPrefix(op.Description, op.Summary+"."); isSentence {
		op.Rest = strings.TrimSpace(more)
	}
	op.addAccess(r.Method)
	op.addParameters(r, s)
	if err := op.addBody(r, s); err != nil {
		return nil, err
	}
	op.addResponses(r, s)
	return op, nil
}

// addAccess states who may call, from the schema's (access) option.
func (op *Operation) addAccess(m protoreflect.MethodDescriptor) {
	access, _ := proto.GetExtension(m.Options(), irtv1.E_Access).(*irtv1.MethodAccess)
	op.Purpose = access.GetPurposeRequired()
	if op.Public = access.GetPublic(); op.Public {
		op.Security = []map[string][]string{{}} // none needed, whatever holds elsewhere
	}
	for _, role := range access.GetRoles() {
		op.Roles = append(op.Roles, kebab(role.String(), "ROLE_"))
	}
}

func (op *Operation) addParameters(r Route, s *schemas) {
	for _, v := range r.variables() {
		op.Parameters = append(op.Parameters, &Parameter{
			Name: v.name, In: "path", Required: true, Description: v.meaning, Schema: &Schema{Type: "string"},
		})
	}
	for _, f := range r.QueryParameters() {
		p := &Parameter{Name: f.JSONName(), In: "query", Schema: s.field(f, r.Method), Required: has(f, annotations.FieldBehavior_REQUIRED)}
		p.Description, p.Schema.Description = p.Schema.Description, ""
		if isUpload(r.Method) {
			p = uploadParameter(f)
		}
		op.Parameters = append(op.Parameters, p)
	}
	for _, name := range op.headers(r) {
		op.Parameters = append(op.Parameters, &Parameter{Ref: "#/components/parameters/" + name})
	}
}

// headers are the header parameters an operation takes.
func (op *Operation) headers(r Route) []string {
	if op.Public {
		return nil
	}
	var names []string
	if op.Purpose {
		names = append(names, "Irt-Purpose")
	} else {
		names = append(names, "Irt-Purpose-Optional")
	}
	names = append(names, "Irt-Reason", "Irt-On-Behalf-Of")
	switch {
	case hasEtag(r.Method.Output(), 1) && r.Verb == http.MethodGet:
		names = append(names, "If-None-Match")
	case hasEtag(r.Method.Output(), 1) && r.Verb != http.MethodGet && !strings.HasPrefix(op.OperationID, "Create"):
		names = append(names, "If-Match")
	}
	return names
}

// hasEtag says whether an answer has an etag, itself or in the resource it wraps.
func hasEtag(m protoreflect.MessageDescriptor, depth int) bool {
	if m.Fields().ByName("etag") != nil {
		return true
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if depth > 0 && f.Message() != nil && !f.IsList() && hasEtag(f.Message(), depth-1) {
			return true
		}
	}
	return false
}

func (op *Operation) addBody(r Route, s *schemas) error {
	switch {
	case isUpload(r.Method):
		op.Body = uploadBody()
		return nil
	case r.Body == "":
		return nil
	}
	media := Media{Example: examples[string(r.Method.Name())]}
	if media.Example != nil && !json.Valid(media.Example) {
		return errBadExample
	}
	in := r.Method.Input()
	switch {
	case r.Body != "*":
		media.Schema = s.ref(in.Fields().ByName(protoreflect.Name(r.Body)).Message())
		if r.Verb == http.MethodPatch {
			media.Schema = s.changes(in.Fields().ByName(protoreflect.Name(r.Body)).Message())
		}
	case len(r.variables()) == 0:
		media.Schema = s.ref(in)
	default:
		media.Schema = s.object(in.Fields(), func(f protoreflect.FieldDescriptor) bool { return !r.inPath(f) })
	}
	op.Body = &Body{Required: true, Content: map[string]Media{requestForm(r.Method): media}}
	if r.Method.IsStreamingClient() {
		op.Body.Description = "One a line, as many as there are."
	}
	return nil
}

// changes is the schema of a PATCH: the resource's fields, none of them required.
func (s *schemas) changes(m protoreflect.MessageDescriptor) *Schema {
	name := string(m.Name()) + "Changes"
	if _, known := s.byName[name]; !known {
		object := *s.describe(m)
		object.Required = nil
		object.Description = "Those fields of a " + string(m.Name()) + " that are to change."
		s.byName[name] = &object
		s.order = append(s.order, name)
	}
	return &Schema{Ref: schemaPrefix + name}
}

func (op *Operation) addResponses(r Route, s *schemas) {
	ok := &Response{}
	ok.Description, ok.Content = s.answers(r.Method)
	if hasEtag(r.Method.Output(), 1) {
		ok.Headers = map[string]any{"ETag": map[string]any{
			"description": "Changes with every version of the resource.", "schema": Schema{Type: "string"},
		}}
	}
	op.Responses = map[string]*Response{"200": ok, "default": {Ref: "#/components/responses/Error"}}
	for _, e := range op.Errors {
		key := strconv.Itoa(e.Status)
		text := e.Code
		if e.Note != "" {
			text += ": " + e.Note
		}
		if known := op.Responses[key]; known != nil {
			known.Description += "; " + text
			continue
		}
		op.Responses[key] = errorResponse(text)
	}
}

var (
	errorsParagraph = regexp.MustCompile(`(?s)\n?\n?Errors: .*`)
	namedError      = regexp.MustCompile(`([A-Z]{2,}(?:_[A-Z]+)*)(?:\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\))?`)
)

// describeOperation is a method's comment but for its errors, which are listed
// by themselves.
func describeOperation(text string) string {
	return strings.TrimSpace(errorsParagraph.ReplaceAllString(text, ""))
}

// readErrors reads the paragraph "Errors: NOT_FOUND, ABORTED (ETAG_MISMATCH)."
// that ends every method's comment.
func readErrors(comment string) []OperationError {
	_, listed, found := strings.Cut(comment, "Errors: ")
	if !found {
		return nil
	}
	var all []OperationError
	for _, m := range namedError.FindAllStringSubmatch(strings.Join(strings.Fields(listed), " "), -1) {
		number, ok := code.Code_value[m[1]]
		if !ok {
			continue
		}
		status := runtime.HTTPStatusFromCode(codes.Code(number)) //nolint:gosec // codes are small and not negative
		all = append(all, OperationError{status, m[1], m[2]})
	}
	return all
}

// firstSentence is what a list shows of a comment: as far as it stands alone.
func firstSentence(text string) string {
	for _, end := range []string{"\n\n", ". ", ": ", " (", "; "} {
		text, _, _ = strings.Cut(text, end)
	}
	return strings.TrimSuffix(text, ".")
}

func kebab(enum, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(enum, prefix), "_", "-"))
}

func lower(s string) string { return strings.ToLower(s) }

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
