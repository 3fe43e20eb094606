package standard

import (
	"fmt"
	"strings"

	irtv1 "irthub/gen/irt/v1"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// optionsFile says what the schema can say of itself; its messages are no terms.
const optionsFile = "irt/v1/options.proto"

// Dictionary is the standard described by itself, for people: the terms (the
// messages that are exchanged, with the schema's comments as definitions), the
// rules, and the code lists without their codes. The message is the caller's own.
func Dictionary() *irtv1.Standard {
	s := &irtv1.Standard{Name: "standard", Version: Version}
	for _, message := range schemaMessages() {
		if isTerm(message) {
			s.Terms = append(s.Terms, term(message))
		}
	}
	for i := range rules {
		s.Rules = append(s.Rules, rules[i].message())
	}
	for _, l := range CodeLists() {
		l.Codes = nil
		s.CodeLists = append(s.CodeLists, l)
	}
	return s
}

// isTerm leaves out what only frames a call.
func isTerm(message protoreflect.MessageDescriptor) bool {
	name := string(message.Name())
	return !strings.HasSuffix(name, "Request") && !strings.HasSuffix(name, "Response") &&
		message.ParentFile().Path() != optionsFile
}

func (r *Rule) message() *irtv1.StandardRule {
	return &irtv1.StandardRule{
		RuleId: r.ID, Grade: r.Grade, StrictGrade: r.StrictGrade,
		Description: r.Description, Action: r.Action, Source: r.Source,
	}
}

func term(message protoreflect.MessageDescriptor) *irtv1.StandardTerm {
	t := &irtv1.StandardTerm{Term: string(message.Name()), Definition: schemaComment(message.FullName())}
	for i := range message.Fields().Len() {
		t.Fields = append(t.Fields, termField(message.Fields().Get(i)))
	}
	return t
}

func termField(field protoreflect.FieldDescriptor) *irtv1.StandardField {
	s := fieldStandard(field)
	return &irtv1.StandardField{
		Name:           string(field.Name()),
		JsonName:       field.JSONName(),
		Type:           typeName(field),
		Definition:     schemaComment(field.FullName()),
		Required:       isRequired(field),
		OutputOnly:     hasBehavior(field, annotations.FieldBehavior_OUTPUT_ONLY),
		Category:       s.GetCategory(),
		Source:         s.GetSource(),
		CodeList:       fieldCodeList(field),
		Bounds:         boundsInWords(field),
		Rules:          fieldRules(field),
		TrustedSources: s.GetTrustedSources(),
		Group:          s.GetGroup(),
	}
}

func isRequired(field protoreflect.FieldDescriptor) bool {
	return hasBehavior(field, annotations.FieldBehavior_REQUIRED) || isIdentifier(field)
}

// fieldCodeList names the list of an enum too, where the schema leaves it unsaid.
func fieldCodeList(field protoreflect.FieldDescriptor) string {
	if id := fieldStandard(field).GetCodeList(); id != "" || field.Enum() == nil {
		return id
	}
	return enumListID(field.Enum())
}

// typeName is the type as a reader of the JSON needs to know it.
func typeName(field protoreflect.FieldDescriptor) string {
	name := field.Kind().String()
	switch {
	case field.Message() != nil:
		name = string(field.Message().Name())
	case field.Enum() != nil:
		name = string(field.Enum().Name())
	}
	if field.IsList() {
		return "repeated " + name
	}
	return name
}

// fieldRules are the field's own rules, and those about the whole message that
// are reported at it.
func fieldRules(field protoreflect.FieldDescriptor) []string {
	ids := append([]string(nil), fieldStandard(field).GetRules()...)
	message, _ := proto.GetExtension(field.ContainingMessage().Options(), validate.E_Message).(*validate.MessageRules)
	for _, rule := range message.GetCel() {
		if r := rulesByID[rule.GetId()]; r != nil && r.Field == string(field.Name()) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// boundsInWords says what buf.validate asks of a field.
func boundsInWords(field protoreflect.FieldDescriptor) []string {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	var words []string
	if n := rules.GetRepeated().GetMaxItems(); n > 0 {
		words = append(words, fmt.Sprintf("at most %d values", n))
	}
	words = append(words, textInWords(rules.GetString(), "")...)
	words = append(words, textInWords(rules.GetRepeated().GetItems().GetString(), "each ")...)
	if rules.GetInt32().HasGte() {
		words = append(words, fmt.Sprintf("%d or more", rules.GetInt32().GetGte()))
	}
	if n := rules.GetBytes().GetMaxLen(); n > 0 {
		words = append(words, fmt.Sprintf("at most %d bytes", n))
	}
	return words
}

func textInWords(rules *validate.StringRules, each string) []string {
	var words []string
	switch minLen, maxLen := rules.GetMinLen(), rules.GetMaxLen(); {
	case minLen > 0 && maxLen > 0:
		words = append(words, fmt.Sprintf("%s%d to %d characters", each, minLen, maxLen))
	case minLen > 0:
		words = append(words, fmt.Sprintf("%sat least %d characters", each, minLen))
	case maxLen > 0:
		words = append(words, fmt.Sprintf("%sat most %d characters", each, maxLen))
	}
	if form := patternForms[rules.GetPattern()]; form != "" {
		words = append(words, each+form)
	}
	if rules.GetEmail() {
		words = append(words, each+"an e-mail address")
	}
	return words
}
