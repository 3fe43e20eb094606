package audit

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxQuery bounds what is kept of a request, in bytes: larger ones are no query
// that the hub would answer.
const maxQuery = 16 << 10

// queryOf is what is kept of a request, as JSON: all of it for reads, for that is
// what was asked; of a write only what it is about, since the content is in the
// tables.
func queryOf(m proto.Message, whole bool) string {
	if !whole {
		m = subject(m)
	}
	return string(bounded(m))
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // a string can always be marshalled
		return []byte(`""`)
	}
	return b
}

// bounded is the JSON of a message, or how long it would be.
func bounded(m proto.Message) []byte {
	if size := proto.Size(m); size > maxQuery {
		return fmt.Appendf(nil, `{"omitted":"%d bytes"}`, size)
	}
	b, err := protojson.Marshal(m)
	if err != nil {
		return []byte(`{"omitted":"not JSON"}`)
	}
	return withoutNUL(b)
}

// withoutNUL replaces the escaped character NUL, which jsonb refuses. A caller must
// not be able to avoid an entry by sending one.
func withoutNUL(b []byte) []byte {
	if !bytes.Contains(b, []byte(`\u0000`)) {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		switch {
		case bytes.HasPrefix(b[i:], []byte(`\u0000`)):
			out = append(out, `\ufffd`...)
			i += 6
		case b[i] == '\\' && i+1 < len(b):
			out = append(out, b[i], b[i+1])
			i += 2
		default:
			out = append(out, b[i])
			i++
		}
	}
	return out
}

// subject is a write's request without its content: its plain fields, and of the
// resources it carries only their names.
func subject(m proto.Message) proto.Message {
	src := m.ProtoReflect()
	dst := src.New()
	src.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList(), fd.IsMap(), fd.Kind() == protoreflect.BytesKind:
		case fd.Message() == nil:
			dst.Set(fd, v)
		case proto.HasExtension(fd.Message().Options(), annotations.E_Resource):
			if name := fd.Message().Fields().ByName("name"); name != nil {
				dst.Mutable(fd).Message().Set(name, v.Message().Get(name))
			}
		default:
			dst.Set(fd, protoreflect.ValueOfMessage(subject(v.Message().Interface()).ProtoReflect()))
		}
		return true
	})
	return dst.Interface()
}

// arrayLiteral writes a PostgreSQL array of texts, since unnest takes apart arrays
// of arrays only when they are all of one length.
func arrayLiteral(items []string) string {
	if len(items) == 0 {
		return "{}"
	}
	b := make([]byte, 0, 2+len(items)*40)
	b = append(b, '{')
	for i, s := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		for j := range len(s) {
			switch s[j] {
			case '"', '\\':
				b = append(b, '\\', s[j])
			case 0: // no text of PostgreSQL can hold it
			default:
				b = append(b, s[j])
			}
		}
		b = append(b, '"')
	}
	return string(append(b, '}'))
}
