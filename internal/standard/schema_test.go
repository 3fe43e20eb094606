package standard

import (
	"maps"
	"slices"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// schemaFields are all fields of all messages but those that describe the schema
// itself.
func schemaFields() []protoreflect.FieldDescriptor {
	var fields []protoreflect.FieldDescriptor
	for _, message := range schemaMessages() {
		if message.ParentFile().Path() == optionsFile {
			continue
		}
		for i := range message.Fields().Len() {
			fields = append(fields, message.Fields().Get(i))
		}
	}
	return fields
}

func fieldBounds(field protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

func TestEveryFieldSaysWhatTheStandardNeeds(t *testing.T) {
	t.Parallel()
	lists := make(map[string]bool)
	for _, l := range allLists() {
		lists[l.id] = true
	}
	for _, field := range schemaFields() {
		s := fieldStandard(field)
		if s.GetCategory() == irtv1.Category_CATEGORY_UNSPECIFIED {
			t.Errorf("%s has no category: it would be withheld from everyone", field.FullName())
		}
		if id := s.GetCodeList(); id != "" && !lists[id] {
			t.Errorf("%s names a code list that there is not: %s", field.FullName(), id)
		}
		if id := s.GetCodeList(); id != "" && field.Enum() != nil && id != enumListID(field.Enum()) {
			t.Errorf("%s is of %s and names the code list %s", field.FullName(), field.Enum().Name(), id)
		}
		if schemaComment(field.FullName()) == "" {
			t.Errorf("%s has no definition", field.FullName())
		}
	}
	for _, message := range schemaMessages() {
		if schemaComment(message.FullName()) == "" {
			t.Errorf("%s has no definition", message.FullName())
		}
	}
}

func TestEveryMethodSaysWhoMayCallIt(t *testing.T) {
	t.Parallel()
	methods := 0
	for _, file := range schemaFiles() {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				methods++
				method := service.Methods().Get(j)
				access, _ := proto.GetExtension(method.Options(), irtv1.E_Access).(*irtv1.MethodAccess)
				if access.GetPublic() == (len(access.GetRoles()) > 0) {
					t.Errorf("%s must be either public or open to some roles", method.FullName())
				}
			}
		}
	}
	if methods == 0 {
		t.Fatal("the schema has no methods")
	}
}

// A rule that the schema names must be there, and a rule that is there must be
// used, or one of the two is mistaken.
func TestRulesAndSchemaAgree(t *testing.T) {
	t.Parallel()
	named := map[string]string{textInvalid: "every text", checkFailed: "the check itself"}
	for _, field := range schemaFields() {
		for _, id := range fieldStandard(field).GetRules() {
			named[id] = string(field.FullName())
		}
		for _, id := range boundIDs(fieldBounds(field)) {
			named[id] = string(field.FullName())
		}
	}
	for _, message := range schemaMessages() {
		rules, _ := proto.GetExtension(message.Options(), validate.E_Message).(*validate.MessageRules)
		for _, rule := range rules.GetCel() {
			named[rule.GetId()] = string(message.FullName())
			if field := rulesByID[rule.GetId()].Field; message.Fields().ByName(protoreflect.Name(field)) == nil {
				t.Errorf("%s is reported at %q, which %s does not have", rule.GetId(), field, message.Name())
			}
		}
	}
	for id, by := range named {
		if rulesByID[id] == nil {
			t.Errorf("%s, named by %s, is not registered", id, by)
		}
	}
	for _, r := range rules {
		if named[r.ID] == "" {
			t.Errorf("%s is registered, and nothing names it", r.ID)
		}
	}
	if len(rulesByID) != len(rules) {
		t.Error("two rules have one id")
	}
}

// boundIDs are the rule ids that a field's bounds can give.
func boundIDs(rules *validate.FieldRules) []string {
	if rules == nil {
		return nil
	}
	var ids []string
	if rules.GetRequired() {
		ids = append(ids, "REQUIRED")
	}
	rules.ProtoReflect().Range(func(kind protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if kind.Message() == nil {
			return true
		}
		v.Message().Range(func(bound protoreflect.FieldDescriptor, of protoreflect.Value) bool {
			if items, ok := of.Interface().(protoreflect.Message); ok {
				ids = append(ids, boundIDs(items.Interface().(*validate.FieldRules))...)
				return true
			}
			ids = append(ids, strings.ToUpper(string(kind.Name())+"_"+string(bound.Name())))
			return true
		})
		return true
	})
	return ids
}

func TestRulesAreWordedForPeople(t *testing.T) {
	t.Parallel()
	for _, r := range Rules() {
		for what, text := range map[string]string{"description": r.Description, "action": r.Action} {
			if !strings.HasSuffix(text, ".") || strings.ToUpper(text[:1]) != text[:1] {
				t.Errorf("%s: the %s is no sentence: %q", r.ID, what, text)
			}
		}
		if r.Source == "" || r.Grade == 0 || r.StrictGrade == 0 {
			t.Errorf("%s lacks its source or a grade", r.ID)
		}
		if r.Grade == ruleError && r.StrictGrade != ruleError {
			t.Errorf("%s is milder in strict mode", r.ID)
		}
		if got, known := RuleByID(r.ID); !known || got.Description != r.Description {
			t.Errorf("RuleByID(%q) does not give the rule", r.ID)
		}
	}
	if _, known := RuleByID("NO_SUCH_RULE"); known {
		t.Error("a rule that there is not")
	}
}

func TestEveryPatternIsSaidInWords(t *testing.T) {
	t.Parallel()
	used := make(map[string]bool)
	for _, field := range schemaFields() {
		for _, rules := range []*validate.FieldRules{fieldBounds(field), fieldBounds(field).GetRepeated().GetItems()} {
			if rules.GetString().HasPattern() {
				used[rules.GetString().GetPattern()] = true
			}
		}
	}
	for pattern := range used {
		if patternForms[pattern] == "" {
			t.Errorf("no words for %s", pattern)
		}
	}
	for pattern := range maps.Keys(patternForms) {
		if !used[pattern] {
			t.Errorf("words for a pattern that no field has: %s", pattern)
		}
	}
}

// The definitions come from schema.binpb and the checks from generated code: both
// must be made from the same schema. `make generate` makes both.
func TestSchemaImageIsCurrent(t *testing.T) {
	t.Parallel()
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(schemaImage, &set); err != nil {
		t.Fatal(err)
	}
	files := schemaFiles()
	if len(set.GetFile()) != len(files) {
		t.Fatalf("schema.binpb has %d files, the generated code %d", len(set.GetFile()), len(files))
	}
	for _, file := range files {
		i := slices.IndexFunc(set.GetFile(), func(f *descriptorpb.FileDescriptorProto) bool { return f.GetName() == file.Path() })
		if i < 0 {
			t.Fatalf("schema.binpb lacks %s", file.Path())
		}
		embedded := set.GetFile()[i]
		if embedded.GetSourceCodeInfo() == nil {
			t.Errorf("%s has no comments in schema.binpb", file.Path())
		}
		embedded.SourceCodeInfo = nil
		embedded.ProtoReflect().SetUnknown(nil) // buf's own notes on the file
		if !proto.Equal(embedded, protodesc.ToFileDescriptorProto(file)) {
			t.Errorf("%s differs between schema.binpb and the generated code: run make generate", file.Path())
		}
	}
}

func TestRequestsThatNeedNoName(t *testing.T) {
	t.Parallel()
	said := make(map[protoreflect.FullName]bool)
	for _, field := range schemaFields() {
		if strings.Contains(schemaComment(field.FullName()), "its name may be left out") {
			said[field.ContainingMessage().FullName()] = true
		}
	}
	if !maps.Equal(said, nameMayBeLeftOut) {
		t.Errorf("the schema says %v, the check %v", said, nameMayBeLeftOut)
	}
}

// Nested messages and enums would be missed by everything made from the schema.
func TestSchemaDoesNotNest(t *testing.T) {
	t.Parallel()
	for _, message := range schemaMessages() {
		if message.Messages().Len()+message.Enums().Len() > 0 {
			t.Errorf("%s has messages or enums within it", message.FullName())
		}
	}
}
