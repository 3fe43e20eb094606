package reference

import (
	"bytes"
	"encoding/json"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// Schema is a JSON Schema, in the dialect of OpenAPI 3.1.
type Schema struct {
	Ref         string        `json:"$ref,omitempty"`
	Type        string        `json:"type,omitempty"`
	Format      string        `json:"format,omitempty"`
	Description string        `json:"description,omitempty"`
	Enum        []string      `json:"enum,omitempty"`
	MinLength   uint64        `json:"minLength,omitempty"`
	MaxLength   uint64        `json:"maxLength,omitempty"`
	Pattern     string        `json:"pattern,omitempty"`
	Minimum     *int32        `json:"minimum,omitempty"`
	Items       *Schema       `json:"items,omitempty"`
	MaxItems    uint64        `json:"maxItems,omitempty"`
	Properties  Properties    `json:"properties,omitempty"`
	Required    []string      `json:"required,omitempty"`
	ReadOnly    bool          `json:"readOnly,omitempty"`
	Media       string        `json:"contentMediaType,omitempty"`
	Open        bool          `json:"additionalProperties,omitempty"`
	Values      []EnumValue   `json:"-"`
	Standard    *StandardNote `json:"x-irt-standard,omitempty"`
}

// EnumValue is one value of an enum and what it means.
type EnumValue struct{ Name, Meaning string }

// StandardNote is what the standard says of a field beyond its form.
type StandardNote struct {
	Category string   `json:"category,omitempty"`
	Source   string   `json:"source,omitempty"`
	CodeList string   `json:"codeList,omitempty"`
	Rules    []string `json:"rules,omitempty"`
}

// Properties are the fields of an object in the order of the schema, which is
// the order people expect to read them in.
type Properties []Property

// Property is one field of an object.
type Property struct {
	Name   string
	Schema *Schema
}

// MarshalJSON implements json.Marshaler.
func (p Properties) MarshalJSON() ([]byte, error) { return marshalOrdered(p) }

func marshalOrdered(all []Property) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(one.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(one.Schema)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemas collects the messages and enums that the operations use.
type schemas struct {
	comments *comments
	byName   map[string]*Schema
	order    []string
}

const schemaPrefix = "#/components/schemas/"

// ref refers to a message or enum, and sees to it that it is described.
func (s *schemas) ref(d protoreflect.Descriptor) *Schema {
	name := string(d.Name())
	if _, known := s.byName[name]; !known {
		s.byName[name] = &Schema{} // a message may hold itself
		*s.byName[name] = *s.describe(d)
		s.order = append(s.order, name)
	}
	return &Schema{Ref: schemaPrefix + name}
}

func (s *schemas) describe(d protoreflect.Descriptor) *Schema {
	if enum, ok := d.(protoreflect.EnumDescriptor); ok {
		return s.enum(enum)
	}
	m, _ := d.(protoreflect.MessageDescriptor)
	object := s.object(m.Fields(), nil)
	object.Description = s.comments.message(m)
	return object
}

func (s *schemas) enum(d protoreflect.EnumDescriptor) *Schema {
	e := &Schema{Type: "string", Description: s.comments.message(d)}
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		if v.Number() == 0 {
			continue // not stated: left out of JSON
		}
		e.Enum = append(e.Enum, string(v.Name()))
		e.Values = append(e.Values, EnumValue{string(v.Name()), s.comments.value(v)})
	}
	return e
}

// object describes the fields that keep lets through, or all.
func (s *schemas) object(fields protoreflect.FieldDescriptors, keep func(protoreflect.FieldDescriptor) bool) *Schema {
	object := &Schema{Type: "object"}
	for i := range fields.Len() {
		f := fields.Get(i)
		if keep != nil && !keep(f) {
			continue
		}
		if has(f, annotations.FieldBehavior_REQUIRED) {
			object.Required = append(object.Required, f.JSONName())
		}
		object.Properties = append(object.Properties, Property{f.JSONName(), s.field(f, nil)})
	}
	return object
}

// field describes one field; method is where its comment may be found, if it is
// a parameter.
func (s *schemas) field(f protoreflect.FieldDescriptor, method protoreflect.MethodDescriptor) *Schema {
	one := s.value(f)
	bounds, _ := proto.GetExtension(f.Options(), validate.E_Field).(*validate.FieldRules)
	if f.IsList() {
		bound(one, bounds.GetRepeated().GetItems())
		one = &Schema{Type: "array", Items: one, MaxItems: bounds.GetRepeated().GetMaxItems()}
	} else {
		bound(one, bounds)
	}
	one.Description = s.comments.field(f, method)
	one.ReadOnly = has(f, annotations.FieldBehavior_OUTPUT_ONLY)
	one.Standard = note(f)
	return one
}

// value is the JSON form of a field's value, as protobuf's JSON mapping has it.
func (s *schemas) value(f protoreflect.FieldDescriptor) *Schema {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return &Schema{Type: "boolean"}
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return &Schema{Type: "number", Format: "double"}
	case protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Sint32Kind:
		return &Schema{Type: "integer", Format: "int32"}
	case protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.Sint64Kind:
		return &Schema{Type: "string", Format: "int64"} // JSON numbers lose digits above 2^53
	case protoreflect.BytesKind:
		return &Schema{Type: "string", Format: "byte"}
	case protoreflect.EnumKind:
		return s.ref(f.Enum())
	case protoreflect.MessageKind:
		return s.messageValue(f.Message())
	default:
		return &Schema{Type: "string"}
	}
}

func (s *schemas) messageValue(m protoreflect.MessageDescriptor) *Schema {
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		return &Schema{Type: "string", Format: "date-time"}
	case "google.protobuf.Duration":
		return &Schema{Type: "string", Pattern: "^-?[0-9]+(\\.[0-9]{1,9})?s$"}
	case "google.protobuf.FieldMask":
		return &Schema{Type: "string", Format: "field-mask"}
	case "google.protobuf.Any", "google.rpc.Status":
		return &Schema{Type: "object", Open: true}
	}
	return s.ref(m)
}

// bound states the bounds of one value.
func bound(s *Schema, rules *validate.FieldRules) {
	if text := rules.GetString(); text != nil {
		s.MinLength, s.MaxLength, s.Pattern = text.GetMinLen(), text.GetMaxLen(), text.GetPattern()
		if text.GetEmail() {
			s.Format = "email"
		}
		if rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE && s.Pattern != "" {
			s.Pattern = "^$|" + s.Pattern
		}
	}
	if number := rules.GetInt32(); number != nil && number.HasGte() {
		least := number.GetGte()
		s.Minimum = &least
	}
}

func has(f protoreflect.FieldDescriptor, wanted annotations.FieldBehavior) bool {
	behaviours, _ := proto.GetExtension(f.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	for _, b := range behaviours {
		if b == wanted {
			return true
		}
	}
	return false
}

// note is what the standard says of a field of the data that is exchanged; of
// the API's own fields there is nothing to say.
func note(f protoreflect.FieldDescriptor) *StandardNote {
	s, _ := proto.GetExtension(f.Options(), irtv1.E_Standard).(*irtv1.FieldStandard)
	if s == nil || s.GetCategory() == irtv1.Category_CATEGORY_ADMINISTRATIVE || s.GetCategory() == irtv1.Category_CATEGORY_PUBLIC && s.GetSource() == "" {
		return nil
	}
	return &StandardNote{
		Category: s.GetCategory().String()[len("CATEGORY_"):],
		Source:   s.GetSource(),
		CodeList: s.GetCodeList(),
		Rules:    s.GetRules(),
	}
}
