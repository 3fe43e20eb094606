package gateway

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"irthub/internal/standard"
)

// codec is JSON as the API speaks it: protobuf's own mapping with
// lowerCamelCase names, empty fields left out, and on the way in nothing that
// the schema does not know.
type codec struct {
	runtime.JSONPb
}

func newCodec() *codec {
	return &codec{runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
	}}
}

// ContentType implements runtime.Marshaler: JSON, but for an answer that is a file.
func (c *codec) ContentType(v any) string {
	if file, ok := v.(*httpbody.HttpBody); ok {
		return file.GetContentType()
	}
	return c.JSONPb.ContentType(v)
}

// Marshal implements runtime.Marshaler. A line end makes answers kind to terminals;
// a file is as it is.
func (c *codec) Marshal(v any) ([]byte, error) {
	if file, ok := v.(*httpbody.HttpBody); ok {
		return file.GetData(), nil
	}
	b, err := c.JSONPb.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// NewDecoder implements runtime.Marshaler. The library's own decoder stops at
// the end of the first JSON value and puts the caller's values into its errors.
func (c *codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		body, err := io.ReadAll(r)
		if err != nil {
			return errors.New("its body could not be read")
		}
		if len(body) == 0 {
			return io.EOF // the library takes this as an empty request
		}
		m, err := messageOf(v)
		if err != nil {
			return err
		}
		return decode(c.UnmarshalOptions, body, m, 0)
	})
}

// decode reads JSON, which stands after so many lines of a body, into a message, as
// standard.DecodeJSON does.
func decode(o protojson.UnmarshalOptions, text []byte, m proto.Message, before int) error {
	f, err := standard.DecodeJSON(o, text, m)
	switch {
	case f != nil:
		return fmt.Errorf("the field %s must be %s%s", f.Path, valuesInWords(f.Enum), placeInWords(before+f.Line, f.Column))
	case err != nil:
		return publicDecodeError(err, before)
	}
	return nil
}

// messageOf is the message to decode into: v itself, or a new one that v, the
// address of a request's message field, is set to.
func messageOf(v any) (proto.Message, error) {
	if m, ok := v.(proto.Message); ok {
		return m, nil
	}
	field := reflect.ValueOf(v)
	if field.Kind() != reflect.Pointer || field.Elem().Kind() != reflect.Pointer {
		return nil, fmt.Errorf("a body cannot be a %T", v)
	}
	field.Elem().Set(reflect.New(field.Elem().Type().Elem()))
	m, ok := field.Elem().Interface().(proto.Message)
	if !ok {
		return nil, fmt.Errorf("a body cannot be a %T", v)
	}
	return m, nil
}

// What protojson's errors look like. Its messages repeat values, which may be
// personal data, so only these parts of them are used.
var (
	jsonPosition  = regexp.MustCompile(`\(line (\d+):(\d+)\)`)
	jsonUnknown   = regexp.MustCompile(`unknown field "([^"]{1,64})"`)
	jsonDuplicate = regexp.MustCompile(`duplicate field "([^"]{1,64})"`)
	jsonWrongType = regexp.MustCompile(`invalid value for (\w+) field ("?\w{1,64}"?)`)
	jsonUTF8      = regexp.MustCompile(`invalid UTF-8`)
	jsonOneof     = regexp.MustCompile(`oneof .* is already set`)
)

// publicDecodeError says what is wrong with JSON that stands after so many lines of
// a body, and where, without repeating anything of it but the names of fields.
func publicDecodeError(err error, before int) error {
	text, where := err.Error(), ""
	if at := jsonPosition.FindStringSubmatch(text); at != nil {
		line, _ := strconv.Atoi(at[1]) // both are digits
		column, _ := strconv.Atoi(at[2])
		where = placeInWords(before+line, column)
	}
	switch {
	case jsonUTF8.MatchString(text):
		return errors.New("its body is not UTF-8" + where)
	case jsonUnknown.MatchString(text):
		return fmt.Errorf("there is no field %q here%s; /docs lists those there are", jsonUnknown.FindStringSubmatch(text)[1], where)
	case jsonDuplicate.MatchString(text):
		return fmt.Errorf("the field %q is given twice%s", jsonDuplicate.FindStringSubmatch(text)[1], where)
	case jsonWrongType.MatchString(text):
		m := jsonWrongType.FindStringSubmatch(text)
		return fmt.Errorf("the field %s must be %s%s", m[2], kindInWords(m[1]), where)
	case jsonOneof.MatchString(text):
		return errors.New("two fields are given of which only one may be" + where)
	}
	return errors.New("its body is not JSON of the form that /docs shows" + where)
}

// placeInWords says where in a body something is.
func placeInWords(line, column int) string { return fmt.Sprintf(" (line %d, column %d)", line, column) }

// valuesInWords lists the values of an enumeration that a caller may send, or the first
// of many.
func valuesInWords(e protoreflect.EnumDescriptor) string {
	const few = 12
	var names []string
	for i := 1; i < e.Values().Len() && i <= few; i++ {
		names = append(names, string(e.Values().Get(i).Name()))
	}
	if e.Values().Len() > few+1 {
		names = append(names, "others that /docs lists")
	}
	return "one of " + strings.Join(names, ", ")
}

// kindInWords describes the JSON form of a protobuf kind.
func kindInWords(kind string) string {
	switch kind {
	case "string", "bytes":
		return "a string"
	case "bool":
		return "true or false"
	case "float", "double":
		return "a number"
	}
	return "a whole number"
}
