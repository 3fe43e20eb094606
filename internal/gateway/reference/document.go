package reference

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Document is the OpenAPI 3.1 description of the REST API.
type Document struct {
	OpenAPI    string                           `json:"openapi"`
	Info       Info                             `json:"info"`
	Servers    []Server                         `json:"servers"`
	Security   []map[string][]string            `json:"security"`
	Tags       []*Tag                           `json:"tags"`
	Paths      map[string]map[string]*Operation `json:"paths"`
	Components Components                       `json:"components"`
}

// Info says what the document is about.
type Info struct {
	Title       string  `json:"title"`
	Version     string  `json:"version"`
	Summary     string  `json:"summary"`
	Description string  `json:"description"`
	License     License `json:"license"`
}

// License is the hub's.
type License struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier"`
}

// Server is where the API is: here.
type Server struct {
	URL string `json:"url"`
}

// Tag is a service and, for the page, its operations in the schema's order.
type Tag struct {
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Operations  []*Operation `json:"-"`
}

// Components are what operations refer to.
type Components struct {
	Schemas         Properties            `json:"schemas"`
	Parameters      map[string]*Parameter `json:"parameters"`
	Responses       map[string]*Response  `json:"responses"`
	SecuritySchemes map[string]any        `json:"securitySchemes"`
}

// Parameter is a part of the address or a header.
type Parameter struct {
	Ref         string  `json:"$ref,omitempty"`
	Name        string  `json:"name,omitempty"`
	In          string  `json:"in,omitempty"`
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitempty"`
	Schema      *Schema `json:"schema,omitempty"`
}

// Body is what a request carries.
type Body struct {
	Description string           `json:"description,omitempty"`
	Required    bool             `json:"required"`
	Content     map[string]Media `json:"content"`
}

// Media is one form of a body.
type Media struct {
	Schema  *Schema         `json:"schema"`
	Example json.RawMessage `json:"example,omitempty"`
}

// Response is an answer.
type Response struct {
	Ref         string           `json:"$ref,omitempty"`
	Description string           `json:"description,omitempty"`
	Headers     map[string]any   `json:"headers,omitempty"`
	Content     map[string]Media `json:"content,omitempty"`
}

const (
	title   = "IRT Hub"
	summary = "The index of children, the agencies and practitioners involved with each, and the safe routes between them."
)

// New describes the API of a hub of the given version.
func New(version string) (*Document, error) {
	c, err := readComments()
	if err != nil {
		return nil, err
	}
	routes := Routes()
	for _, r := range routes {
		c.learnNames(r.Method.Input())
		c.learnNames(r.Method.Output())
	}
	d := &Document{
		OpenAPI: "3.1.0",
		Info: Info{
			Title: title, Version: version, Summary: summary, Description: introduction,
			License: License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
		},
		Servers:  []Server{{URL: "/"}},
		Security: []map[string][]string{{"bearer": {}}},
		Paths:    map[string]map[string]*Operation{},
	}
	s := &schemas{comments: c, byName: map[string]*Schema{}}
	for _, r := range routes {
		if err := d.add(r, s); err != nil {
			return nil, err
		}
	}
	d.Components = Components{
		Schemas:         append(s.all(), Property{"Error", errorSchema()}),
		Parameters:      headerParameters(),
		Responses:       map[string]*Response{"Error": errorResponse("The call failed: the body says why.")},
		SecuritySchemes: map[string]any{"bearer": bearerScheme},
	}
	return d, nil
}

// add describes one route.
func (d *Document) add(r Route, s *schemas) error {
	op, err := newOperation(r, s)
	if err != nil {
		return fmt.Errorf("reference: %s %s: %w", r.Verb, r.Pattern, err)
	}
	tag := d.tag(r.Method.Parent(), s.comments)
	tag.Operations = append(tag.Operations, op)
	if d.Paths[op.Path] == nil {
		d.Paths[op.Path] = map[string]*Operation{}
	}
	d.Paths[op.Path][lower(r.Verb)] = op
	return nil
}

func (d *Document) tag(service protoreflect.Descriptor, c *comments) *Tag {
	name := string(service.Name())
	for _, t := range d.Tags {
		if t.Name == name {
			return t
		}
	}
	t := &Tag{Name: name, Description: c.service(service)}
	d.Tags = append(d.Tags, t)
	return t
}

// all lists the schemas by name.
func (s *schemas) all() Properties {
	var all Properties
	for _, name := range sorted(s.order) {
		all = append(all, Property{name, s.byName[name]})
	}
	return all
}

var bearerScheme = map[string]any{
	"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
	"description": "A token of the hub's OpenID Connect issuer, or one printed by irthub token.",
}
