package standard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// EnumValue is the value of an enumeration by its name in the schema, such as
// REFERRAL_URGENCY_ROUTINE, or by that without what the names of all its values begin
// with, ROUTINE, in upper or lower case; nil where there is none.
func EnumValue(enum protoreflect.EnumDescriptor, name string) protoreflect.EnumValueDescriptor {
	upper := protoreflect.Name(strings.ToUpper(name))
	if value := enum.Values().ByName(upper); value != nil {
		return value
	}
	return enum.Values().ByName(protoreflect.Name(EnumPrefix(enum)) + upper)
}

// EnumPrefix is what the names of an enumeration begin with. The first is that of the
// value that states nothing.
func EnumPrefix(enum protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(enum.Values().Get(0).Name()), "UNSPECIFIED")
}

// EnumFault is a value in JSON that is none of an enumeration.
type EnumFault struct {
	Path         string // of the field, in JSON names
	Enum         protoreflect.EnumDescriptor
	Line, Column int
}

// wrongEnum is what protojson says of a value that it does not know.
var wrongEnum = regexp.MustCompile(`invalid value for enum field`)

// DecodeJSON reads JSON into a message, as protojson does, with any names of values that
// EnumValue knows. Those that protojson does not know are looked for only once it has met
// one, so that others pay nothing; text is then changed. Where one names no value, it
// says which and err is protojson's.
func DecodeJSON(o protojson.UnmarshalOptions, text []byte, m proto.Message) (fault *EnumFault, err error) {
	if err = o.Unmarshal(text, m); err == nil || !wrongEnum.MatchString(err.Error()) {
		return nil, err
	}
	if fault = numberEnums(text, m.ProtoReflect().Descriptor()); fault != nil {
		return fault, err
	}
	return nil, o.Unmarshal(text, m)
}

// numberEnums puts the numbers of values of enumerations into JSON of a message in the
// place of their names, which may be any that EnumValue knows: protobuf's own mapping
// knows only the first kind of name, and all numbers. All else stays, and stays where it
// is. It says what is the first that names no value, and nil also of what is not JSON.
func numberEnums(text []byte, of protoreflect.MessageDescriptor) *EnumFault {
	n := &enumNumberer{text: text, in: json.NewDecoder(bytes.NewReader(text))}
	if t, _, err := n.next(); err == nil && t == json.Delim('{') {
		n.message(of, "")
	}
	return n.fault
}

// enumNumberer is a walk through JSON along the schema.
type enumNumberer struct {
	text  []byte
	in    *json.Decoder
	fault *EnumFault
}

// next gives the next token and where it begins.
func (n *enumNumberer) next() (t json.Token, start int64, err error) {
	start = n.in.InputOffset()
	t, err = n.in.Token()
	for start < int64(len(n.text)) && strings.IndexByte(" \t\r\n:,", n.text[start]) >= 0 {
		start++
	}
	return t, start, err
}

// more tells whether there is another item, and ends the object or list where not.
func (n *enumNumberer) more() bool {
	if n.fault == nil && n.in.More() {
		return true
	}
	_, _ = n.in.Token()
	return false
}

// message goes through an object that has begun.
func (n *enumNumberer) message(m protoreflect.MessageDescriptor, path string) {
	for n.more() {
		name, _, err := n.next()
		if err != nil {
			return
		}
		text, _ := name.(string)
		field := m.Fields().ByJSONName(text)
		if field == nil {
			field = m.Fields().ByName(protoreflect.Name(text))
		}
		t, start, err := n.next()
		switch {
		case err != nil:
			return
		case field == nil || field.IsMap():
			n.skip(t)
		case field.IsList() && t == json.Delim('['):
			for i := 0; n.more(); i++ {
				if t, start, err = n.next(); err != nil {
					return
				}
				n.value(field, t, start, fmt.Sprintf("%s%s[%d]", path, field.JSONName(), i))
			}
		default:
			n.value(field, t, start, path+field.JSONName())
		}
	}
}

// value looks at one value of a field.
func (n *enumNumberer) value(field protoreflect.FieldDescriptor, t json.Token, start int64, path string) {
	switch m := field.Message(); {
	case field.Enum() != nil:
		n.enum(field.Enum(), t, start, path)
	case m != nil && m.ParentFile().Package() != "google.protobuf" && t == json.Delim('{'):
		n.message(m, path+".")
		return
	}
	n.skip(t)
}

// enum puts a number in the place of a name, filled up with spaces: it is never longer.
func (n *enumNumberer) enum(enum protoreflect.EnumDescriptor, t json.Token, start int64, path string) {
	name, named := t.(string)
	if _, number := t.(float64); t == nil || number {
		return
	}
	var value protoreflect.EnumValueDescriptor
	if named {
		value = EnumValue(enum, name)
	}
	if value == nil {
		n.fault = &EnumFault{Path: path, Enum: enum}
		before := n.text[:start]
		n.fault.Line = bytes.Count(before, []byte{'\n'}) + 1
		n.fault.Column = utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
		return
	}
	literal := n.text[start:n.in.InputOffset()]
	if digits := strconv.AppendInt(nil, int64(value.Number()), 10); len(digits) <= len(literal) {
		rest := literal[copy(literal, digits):]
		copy(rest, bytes.Repeat([]byte{' '}, len(rest)))
	}
}

// skip passes over the rest of an object or list that has begun with a token.
func (n *enumNumberer) skip(t json.Token) {
	if t != json.Delim('{') && t != json.Delim('[') {
		return
	}
	for depth := 1; depth > 0; {
		t, err := n.in.Token()
		switch {
		case err != nil:
			return
		case t == json.Delim('{') || t == json.Delim('['):
			depth++
		case t == json.Delim('}') || t == json.Delim(']'):
			depth--
		}
	}
}
