package standard

import (
	"math"
	"regexp"
	"sync"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// textBounds are the bounds of a text, or of each text of a list, read from the
// field's buf.validate option. They are checked here rather than by protovalidate
// because texts are nearly all that records hold: protovalidate (1.4) takes three
// times as long for them, and twice that again for texts in lists. A test holds
// the two against each other.
type textBounds struct {
	ignoreEmpty    bool
	minLen, maxLen int // in characters; maxLen 0: no bound
	pattern        string
	matches        func(string) bool // nil: no pattern
}

// readTextBounds is nil where the field is no text, or where its option says more
// than this type holds: protovalidate then checks it.
func readTextBounds(field protoreflect.FieldDescriptor) *textBounds {
	if field.Kind() != protoreflect.StringKind {
		return nil
	}
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	b := &textBounds{}
	if field.IsList() {
		if !onlySets(rules, "ignore", "repeated") || !onlySets(rules.GetRepeated(), "max_items", "items") {
			return nil
		}
		rules = rules.GetRepeated().GetItems()
	}
	texts := rules.GetString()
	if !onlySets(rules, "ignore", "string") || !onlySets(texts, "min_len", "max_len", "pattern") {
		return nil
	}
	b.ignoreEmpty = rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE
	b.minLen, b.maxLen = clamp(texts.GetMinLen()), clamp(texts.GetMaxLen())
	if texts.HasPattern() {
		b.pattern, b.matches = texts.GetPattern(), matcher(texts.GetPattern())
	}
	return b
}

// clamp is for bounds of the schema, which are far below.
func clamp(n uint64) int { return int(min(n, math.MaxInt32)) }

// onlySets reports whether a message has no fields set but those named.
func onlySets(m proto.Message, names ...protoreflect.Name) bool {
	only := len(m.ProtoReflect().GetUnknown()) == 0
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		found := false
		for _, name := range names {
			found = found || field.Name() == name
		}
		only = only && found
		return only
	})
	return only
}

// noControl is the pattern of all free text, which would be slow as a regular
// expression on every name and address.
const noControl = `^[^\p{Cc}]*$`

func matcher(pattern string) func(string) bool {
	if pattern == noControl {
		return hasNoControl
	}
	return regexp.MustCompile(pattern).MatchString
}

// hasNoControl knows that the category Cc is U+0000 to U+001F and U+007F to U+009F.
func hasNoControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7F {
			return false
		} else if c == 0xC2 && i+1 < len(s) && s[i+1] >= 0x80 && s[i+1] < 0xA0 {
			return false
		}
	}
	return true
}

// broken gives the id of the first bound that a value breaks, and the bound
// where it is a number; "" where it breaks none.
func (b *textBounds) broken(v string) (id string, limit int) {
	if v == "" && b.ignoreEmpty {
		return "", 0
	}
	// A text has at most as many characters as bytes, so most need no counting.
	if b.minLen > 0 && (v == "" || b.minLen > 1 && utf8.RuneCountInString(v) < b.minLen) {
		return "STRING_MIN_LEN", b.minLen
	}
	if b.maxLen > 0 && len(v) > b.maxLen && utf8.RuneCountInString(v) > b.maxLen {
		return "STRING_MAX_LEN", b.maxLen
	}
	if b.matches != nil && !b.matches(v) {
		return "STRING_PATTERN", 0
	}
	return "", 0
}

// boundsByField holds the bounds that this package checks itself, to be left out
// by protovalidate.
var boundsByField = sync.OnceValue(func() map[protoreflect.FieldDescriptor]*textBounds {
	all := make(map[protoreflect.FieldDescriptor]*textBounds)
	for _, message := range schemaMessages() {
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			if b := readTextBounds(field); b != nil {
				all[field] = b
			}
		}
	}
	return all
})
