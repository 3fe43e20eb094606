package reference

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"irthub/gen/openapi"
)

// comments are the schema's comments, which generated Go leaves out. They are
// taken from the OpenAPI 2 document that is generated beside it.
type comments struct {
	definitions map[string]definition        // by message or enum name
	operations  map[string]operationComment  // by method name
	services    map[string]string            // by service name
	jsonNames   map[string]string            // of fields, by proto name
	values      map[string]map[string]string // of enum values, by enum and value
}

// definition describes a message or field. The generator calls a comment that
// does not end in a full stop a title.
type definition struct {
	Title       string                `json:"title"`
	Description string                `json:"description"`
	Properties  map[string]definition `json:"properties"`
}

type operationComment struct {
	OperationID string `json:"operationId"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Parameters  []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"parameters"`
}

func readComments() (*comments, error) {
	var doc struct {
		Tags        []struct{ Name, Description string }   `json:"tags"`
		Paths       map[string]map[string]operationComment `json:"paths"`
		Definitions map[string]definition                  `json:"definitions"`
	}
	if err := json.Unmarshal(openapi.JSON, &doc); err != nil {
		return nil, fmt.Errorf("reference: the generated OpenAPI document: %w", err)
	}
	c := &comments{
		definitions: doc.Definitions,
		operations:  map[string]operationComment{},
		services:    map[string]string{},
		jsonNames:   map[string]string{},
		values:      map[string]map[string]string{},
	}
	for _, t := range doc.Tags {
		c.services[t.Name] = t.Description
	}
	for _, verbs := range doc.Paths {
		for _, op := range verbs {
			c.operations[op.OperationID] = op
		}
	}
	for name, d := range doc.Definitions {
		c.values[name] = enumValueComments(d.Description)
	}
	return c, nil
}

// enumValueComments reads the list " - NAME: what it means" that the generator
// makes of an enum's values.
func enumValueComments(description string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(description) {
		item, ok := strings.CutPrefix(line, " - ")
		if !ok {
			continue
		}
		name, meaning, _ := strings.Cut(item, ": ")
		values[name] = strings.TrimSpace(meaning)
	}
	return values
}

// learnNames notes the JSON names of a message's fields, so that comments that
// name a field can name it as JSON callers know it.
func (c *comments) learnNames(m protoreflect.MessageDescriptor) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		c.jsonNames[string(f.Name())] = f.JSONName()
	}
}

var snakeCase = regexp.MustCompile(`\b[a-z][a-z0-9]*(_[a-z0-9]+)+\b`)

// tidy makes one line of a comment's paragraphs, and JSON names of field names.
func (c *comments) tidy(text string) string {
	var paragraphs []string
	for p := range strings.SplitSeq(text, "\n\n") {
		if line := strings.Join(strings.Fields(p), " "); line != "" && !strings.HasPrefix(line, "- ") {
			paragraphs = append(paragraphs, line)
		}
	}
	return snakeCase.ReplaceAllStringFunc(strings.Join(paragraphs, "\n\n"), func(name string) string {
		if json, ok := c.jsonNames[name]; ok {
			return json
		}
		return name
	})
}

func (c *comments) service(s protoreflect.Descriptor) string {
	return c.tidy(c.services[string(s.Name())])
}

func (c *comments) message(d protoreflect.Descriptor) string {
	return c.tidy(c.definitions[string(d.Name())].Description)
}

// field is what the schema says of a field, found where the generator put it:
// with its message, with the body made of a request, or with the parameters of
// the method.
func (c *comments) field(f protoreflect.FieldDescriptor, method protoreflect.MethodDescriptor) string {
	message := string(f.ContainingMessage().Name())
	for _, name := range []string{message, strings.TrimSuffix(message, "Request") + "Body"} {
		if d, ok := c.definitions[name].Properties[f.JSONName()]; ok {
			return c.tidy(cmp.Or(d.Description, d.Title))
		}
	}
	if f.Message() != nil && f.Message().FullName() == "google.protobuf.FieldMask" {
		// Left out by the generator.
		return "The fields to change, by their names here, separated by commas; without it, those that the body has."
	}
	if method == nil {
		return ""
	}
	for _, p := range c.operations[string(method.Name())].Parameters {
		if p.Name == f.JSONName() {
			first, _, _ := strings.Cut(p.Description, "\n\n - ") // the values are listed with their enum
			return c.tidy(first)
		}
	}
	return ""
}

// value is what the schema says of an enum's value.
func (c *comments) value(v protoreflect.EnumValueDescriptor) string {
	return c.values[string(v.Parent().Name())][string(v.Name())]
}
