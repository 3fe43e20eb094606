package reference

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// introduction is what holds for every operation.
const introduction = `Everything a gRPC caller can do with a unary method can be done here, through the same checks.

Send a bearer token with every call but those marked public. Calls that disclose personal data also need the header Irt-Purpose, which says why; every access is recorded with it.

JSON is protobuf's: names in lowerCamelCase, dates as YYYY-MM-DD, times as RFC 3339 in UTC, fields that are empty left out. A value of an enumeration may also be sent without what all its values begin with, and in lower case: state=open for MATCH_REVIEW_STATE_OPEN; answers have the whole name. A field or parameter that is not listed here is an error, never ignored.

Lists come in pages: ask again with pageToken set to the nextPageToken of the page before. Resources have an etag; send it back as If-Match to change only what you have seen.

An error has the body {"error": {"code", "message", "status", "details"}}: the message says what to do next, the detail ErrorInfo has a reason for programs, and BadRequest names every rule that the request breaks. 429 and 503 say in Retry-After when to try again.`

// headerParameters are the headers that operations take.
func headerParameters() map[string]*Parameter {
	purposes := &Schema{Type: "string"}
	for i := range irtv1.Purpose(0).Descriptor().Values().Len() {
		v := irtv1.Purpose(0).Descriptor().Values().Get(i)
		if v.Number() != 0 {
			purposes.Enum = append(purposes.Enum, strings.TrimPrefix(string(v.Name()), "PURPOSE_"))
		}
	}
	text := func(maxLen uint64) *Schema { return &Schema{Type: "string", MaxLength: maxLen} }
	return map[string]*Parameter{
		"Irt-Purpose": {
			Name: "Irt-Purpose", In: "header", Required: true, Schema: purposes,
			Description: "Why personal data is read. Recorded with the access.",
		},
		"Irt-Purpose-Optional": {
			Name: "Irt-Purpose", In: "header", Schema: purposes,
			Description: "Why the call is made. Recorded with it.",
		},
		"Irt-Reason": {
			Name: "Irt-Reason", In: "header", Schema: text(200),
			Description: "The same in the caller's own words, in ASCII; no personal data.",
		},
		"Irt-On-Behalf-Of": {
			Name: "Irt-On-Behalf-Of", In: "header", Schema: text(150),
			Description: "The practitioner for whom a system or mediator calls: agencies/{agency}/practitioners/{practitioner}.",
		},
		"If-Match": {
			Name: "If-Match", In: "header", Schema: text(128),
			Description: "The etag of the version to change; 412 if it has changed since.",
		},
		"If-None-Match": {
			Name: "If-None-Match", In: "header", Schema: text(1000),
			Description: "Etags of versions the caller has; 304 if it is still one of them.",
		},
	}
}

// errorSchema is the body of every error.
func errorSchema() *Schema {
	violation := &Schema{Type: "object", Description: "A rule that the request breaks.", Properties: Properties{
		{"field", &Schema{Type: "string", Description: "The field's path, such as childRecord.carers[0].telephone."}},
		{"reason", &Schema{Type: "string", Description: "The rule's id, such as NHS_NUMBER_CHECK_DIGIT; /v1/standard describes it."}},
		{"description", &Schema{Type: "string", Description: "What is wrong and what to do."}},
	}}
	detail := &Schema{Type: "object", Open: true, Properties: Properties{
		{"@type", &Schema{Type: "string", Description: "type.googleapis.com/google.rpc.ErrorInfo, BadRequest or RetryInfo."}},
		{"reason", &Schema{Type: "string", Enum: reasons(), Description: "In ErrorInfo: the reason, for programs."}},
		{"domain", &Schema{Type: "string", Description: "In ErrorInfo: irt."}},
		{"metadata", &Schema{Type: "object", Open: true, Description: "In ErrorInfo: more, such as the id of a fault of the hub, or the present etag."}},
		{"fieldViolations", &Schema{Type: "array", Items: violation, Description: "In BadRequest: every broken rule, at most 100."}},
		{"retryDelay", &Schema{Type: "string", Description: "In RetryInfo: how long to wait, such as 1s."}},
	}}
	return &Schema{
		Type: "object", Description: "Why a call failed.", Required: []string{"error"},
		Properties: Properties{{"error", &Schema{
			Type: "object", Required: []string{"code", "message", "status"},
			Properties: Properties{
				{"code", &Schema{Type: "integer", Description: "The HTTP status."}},
				{"message", &Schema{Type: "string", Description: "What is wrong and what to do next, for people."}},
				{"status", &Schema{Type: "string", Description: "The gRPC code by name, such as INVALID_ARGUMENT."}},
				{"details", &Schema{Type: "array", Items: detail, Description: "The same for programs."}},
			},
		}}},
	}
}

func reasons() []string {
	var all []string
	values := irtv1.ErrorReason(0).Descriptor().Values()
	for i := range values.Len() {
		if v := values.Get(i); v.Number() != 0 {
			all = append(all, strings.TrimPrefix(string(v.Name()), "ERROR_REASON_"))
		}
	}
	return all
}

func errorResponse(description string) *Response {
	return &Response{
		Description: description,
		Content:     map[string]Media{objectType: {Schema: &Schema{Ref: schemaPrefix + "Error"}}},
	}
}

// uploadComment stands in for the comment of CreateImport, which the generator
// leaves out with the method.
var uploadComment = operationComment{
	Summary: "Uploads a file and takes its rows in as they arrive. The answer comes when the last row is durable. " +
		"At most 1 GiB and 1 million rows; a row at most 64 KiB; at most 200 columns. " +
		"Good rows go in, bad rows are listed as rejects, and sending the file again imports nothing twice.",
	Description: "Errors: INVALID_ARGUMENT (VALIDATION_FAILED: the file as a whole cannot be read, and nothing of it went in), PERMISSION_DENIED.",
}

func uploadParameter(f protoreflect.FieldDescriptor) *Parameter {
	if f.Name() == "format" {
		formats := &Schema{Type: "string"}
		for i := range f.Enum().Values().Len() {
			if v := f.Enum().Values().Get(i); v.Number() != 0 {
				formats.Enum = append(formats.Enum, kebab(string(v.Name()), "IMPORT_FORMAT_"))
			}
		}
		return &Parameter{Name: "format", In: "query", Required: true, Schema: formats, Description: "The form of the file."}
	}
	p := &Parameter{Name: f.JSONName(), In: "query"}
	switch f.Name() {
	case "import":
		p.Schema, p.Description = &Schema{Type: "string"}, "The import to go on with: agencies/{agency}/imports/{import}. Send the whole file again."
	case "size":
		p.Schema, p.Description = &Schema{Type: "integer"}, "How long the file is in bytes; of a file sent as it is, the hub knows."
	default:
		p.Schema, p.Description = &Schema{Type: "boolean"}, "Only check the rows; write nothing but the import itself."
	}
	return p
}

func uploadBody() *Body {
	file := Schema{Type: "string", Media: "application/octet-stream", Description: "The file."}
	forms := map[string]Media{formType: {Schema: &Schema{
		Type: "object", Required: []string{"file"}, Properties: Properties{{"file", &file}},
	}}}
	for _, of := range FileTypes {
		forms[of] = Media{Schema: &Schema{Type: "string", Description: "The file as it is."}}
	}
	return &Body{Required: true, Description: "The file: as it is, or as the first file of a form.", Content: forms}
}
