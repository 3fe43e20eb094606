package reference

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The media types of what is not one JSON object.
const (
	// LinesType is one JSON object a line.
	LinesType = "application/x-ndjson"
	// ServerSentType is server-sent events, as browsers know them.
	ServerSentType = "text/event-stream"
	// TableType is a table with a header.
	TableType = "text/csv"

	objectType = "application/json"
	formType   = "multipart/form-data"
)

// FileTypes are the types that a file sent as it is may say it has.
var FileTypes = []string{
	TableType, LinesType, "application/jsonl", "application/xml", "text/xml", "application/octet-stream",
}

// answers are the forms that a method's answer has; a caller chooses by Accept where
// there are two. A description says what to know of them.
func (s *schemas) answers(m protoreflect.MethodDescriptor) (description string, forms map[string]Media) {
	table := Media{Schema: &Schema{Type: "string", Description: "A table, whose first row names its columns."}}
	switch {
	case m.Output().FullName() == "google.api.HttpBody":
		return "A file.", map[string]Media{TableType: table}
	case m.Name() == "GetImportTemplate":
		return "Done; with Accept: text/csv the file itself.", map[string]Media{objectType: {Schema: s.ref(m.Output())}, TableType: table}
	case !m.IsStreamingServer():
		return "Done.", map[string]Media{objectType: {Schema: s.ref(m.Output())}}
	case m.Name() == "Watch":
		return "As it comes: a line each, the last being an error that says why it ended; or a server-sent event each.", map[string]Media{
			LinesType:      {Schema: s.ref(m.Output())},
			ServerSentType: {Schema: &Schema{Type: "string", Description: "An event each; its id is a cursor."}},
		}
	case m.IsStreamingClient():
		return "An answer a line, in the order of the lines sent, each when its record is durable. A stream that breaks off ends with a line that is an Error.",
			map[string]Media{LinesType: {Schema: s.ref(m.Output())}}
	case strings.HasPrefix(string(m.Name()), "Export"):
		return "As it is read: one a line, or with Accept: text/csv a table. Lines that break off end with one that is an Error; a table's connection ends.",
			map[string]Media{LinesType: {Schema: s.ref(element(m.Output()))}, TableType: table}
	}
	return "As it is read. Where it breaks off the connection ends.", map[string]Media{TableType: table}
}

// element is what the answers of an export are batches of.
func element(batch protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	for i := range batch.Fields().Len() {
		if f := batch.Fields().Get(i); f.IsList() && f.Message() != nil {
			return f.Message()
		}
	}
	return batch
}

// requestForm is the form of a request's body.
func requestForm(m protoreflect.MethodDescriptor) string {
	if m.IsStreamingClient() {
		return LinesType
	}
	return objectType
}
