package standard

import (
	"strings"
	"sync"
	"unicode"

	irtv1 "irthub/gen/irt/v1"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// enumLists are the enums of the schema as code lists, so that they cannot differ
// from it. In JSON a field of an enum takes the value's full name, which stands
// as a mapping. They are made when first asked for: reading the schema's comments
// takes milliseconds that every start of a command would pay.
var enumLists = sync.OnceValue(func() []*codeList {
	var lists []*codeList
	for _, file := range schemaFiles() {
		for i := range file.Enums().Len() {
			lists = append(lists, enumList(file.Enums().Get(i)))
		}
	}
	return lists
})

// enumListID is the id of an enum's list: agency-kind for AgencyKind.
func enumListID(enum protoreflect.EnumDescriptor) string {
	return strings.ReplaceAll(strings.ToLower(spaced(string(enum.Name()))), " ", "-")
}

// spaced parts a name such as AgencyKind into words: Agency kind.
func spaced(name string) string {
	var words strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			words.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		words.WriteRune(r)
	}
	return words.String()
}

// enumList leaves out the prefix of the values, and the value "not stated".
func enumList(enum protoreflect.EnumDescriptor) *codeList {
	values := enum.Values()
	prefix := strings.TrimSuffix(string(values.Get(0).Name()), "UNSPECIFIED")
	l := codeList{
		id: enumListID(enum), title: spaced(string(enum.Name())), version: Version,
		source: "IRT Hub: the schema's " + string(enum.FullName()),
	}
	for i := 1; i < values.Len(); i++ {
		value := values.Get(i)
		c := code{code: strings.TrimPrefix(string(value.Name()), prefix), display: schemaComment(value.FullName())}
		c.maps = []mapping{{system: string(enum.FullName()), code: string(value.Name())}}
		if enum.FullName() == irtv1.Role(0).Descriptor().FullName() {
			c.aliases = []string{tokenRole(c.code)}
		}
		l.codes = append(l.codes, c)
	}
	return newCodeList(l)
}

// tokenRole is the form of a role in tokens and on the command line.
func tokenRole(code string) string { return strings.ToLower(strings.ReplaceAll(code, "_", "-")) }
