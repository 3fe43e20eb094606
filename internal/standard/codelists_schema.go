package standard

import (
	"strings"

	irtv1 "irthub/gen/irt/v1"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Lists whose codes are enums of the schema, so that they cannot differ from it.
// Their display texts are the comments of the enum values.
var (
	agencyKinds = enumList("agency-kind", "Kind of agency", irtv1.AgencyKind(0).Descriptor(), nil)
	purposes    = enumList("purpose", "Purpose of an access", irtv1.Purpose(0).Descriptor(), nil)
	roles       = enumList("role", "Role of a caller", irtv1.Role(0).Descriptor(), tokenRole)
)

// tokenRole is the form of a role in tokens and on the command line.
func tokenRole(code string) string { return strings.ToLower(strings.ReplaceAll(code, "_", "-")) }

// enumList makes a code list of an enum: its values without their common prefix,
// and without the value "not stated".
func enumList(id, title string, enum protoreflect.EnumDescriptor, alias func(string) string) *codeList {
	values := enum.Values()
	prefix := strings.TrimSuffix(string(values.Get(0).Name()), "UNSPECIFIED")
	l := codeList{id: id, title: title, version: Version, source: "IRT Hub: " + string(enum.FullName())}
	for i := 1; i < values.Len(); i++ {
		value := values.Get(i)
		name := string(value.Name())
		c := code{code: strings.TrimPrefix(name, prefix), display: schemaComment(value.FullName())}
		c.maps = []mapping{{system: string(enum.FullName()), code: name}}
		if alias != nil {
			c.aliases = []string{alias(c.code)}
		}
		l.codes = append(l.codes, c)
	}
	return newCodeList(l)
}
