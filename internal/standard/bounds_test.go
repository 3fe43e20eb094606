package standard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// The bounds of texts are checked here, not by protovalidate. Both must find the
// same fields broken, and name the same bound where only one is.
func TestTextBoundsAgreeWithProtovalidate(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, message := range schemaMessages() {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(message.FullName())
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			m := kind.New()
			fillTexts(rng, m)
			compareBounds(t, m.Interface())
		}
	}
}

// FuzzTextBounds does the same with texts that somebody thought of.
func FuzzTextBounds(f *testing.F) {
	for _, s := range []string{"", "\x85", "é", "\xff", "2015-03-27", "agencies/a", "9434765870", "B801200005001", "NR1 3JU", "\u0085", strings.Repeat("é", 101)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, message := range schemaMessages() {
			kind, err := protoregistry.GlobalTypes.FindMessageByName(message.FullName())
			if err != nil {
				t.Fatal(err)
			}
			m := kind.New()
			setTexts(m, func() string { return s })
			compareBounds(t, m.Interface())
		}
	})
}

func fillTexts(rng *rand.Rand, m protoreflect.Message) {
	samples := []string{
		"", "a", "Flat 2", "2015-03-27", "9434765870", "B801200005001", "NR1 3JU", "123456", "A81001", "agencies/a",
		"agencies/a/childRecords/b", "agencies/a/involvements/b", "agencies/a/practitioners/b", "\u0085", "a\nb", "é\xff",
	}
	setTexts(m, func() string {
		if rng.IntN(4) == 0 {
			return strings.Repeat("é", rng.IntN(310))
		}
		return samples[rng.IntN(len(samples))]
	})
}

// setTexts fills the texts of a message and of those within it.
func setTexts(m protoreflect.Message, text func() string) {
	for i := range m.Descriptor().Fields().Len() {
		field := m.Descriptor().Fields().Get(i)
		switch {
		case field.ContainingOneof() != nil, field.IsMap(), hasBehavior(field, annotations.FieldBehavior_OUTPUT_ONLY):
		case field.Kind() == protoreflect.StringKind && field.IsList():
			for range len(text()) % 15 {
				m.Mutable(field).List().Append(protoreflect.ValueOfString(text()))
			}
		case field.Kind() == protoreflect.StringKind:
			m.Set(field, protoreflect.ValueOfString(text()))
		case field.Message() == nil || field.Message().ParentFile().Package() != schemaPackage:
		case field.IsList():
			setTexts(m.Mutable(field).List().AppendMutable().Message(), text)
		default:
			setTexts(m.Mutable(field).Message(), text)
		}
	}
}

func compareBounds(t *testing.T, m proto.Message) {
	t.Helper()
	want := make(map[string]map[string]bool) // path → rule ids
	var invalid *protovalidate.ValidationError
	if err := validator().Validate(m); err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if invalid != nil {
		for _, v := range invalid.Violations {
			id := strings.ToUpper(strings.ReplaceAll(v.Proto.GetRuleId(), ".", "_"))
			if !isLeftOutName(m, v) && (strings.HasPrefix(id, "STRING_") || strings.HasPrefix(id, "REPEATED_")) {
				path := protovalidate.FieldPathString(v.Proto.GetField())
				if want[path] == nil {
					want[path] = make(map[string]bool)
				}
				want[path][id] = true
			}
		}
	}
	errs, _ := Check(m, Options{})
	tooMany := make(map[string]bool) // lists beyond whose bound Check does not look
	for _, f := range errs {
		if !strings.HasPrefix(f.RuleID, "STRING_") && !strings.HasPrefix(f.RuleID, "REPEATED_") && f.RuleID != codeUnknown {
			continue
		}
		if f.RuleID != codeUnknown && !want[f.Field][f.RuleID] {
			t.Errorf("%s: %s at %s, not by protovalidate", m.ProtoReflect().Descriptor().Name(), f.RuleID, f.Field)
		}
		tooMany[f.Field] = tooMany[f.Field] || f.RuleID == "REPEATED_MAX_ITEMS"
		delete(want, f.Field)
	}
	for path, ids := range want {
		if tooMany[path[:max(0, strings.LastIndexByte(path, '['))]] {
			continue
		}
		t.Errorf("%s: protovalidate finds %s at %s", m.ProtoReflect().Descriptor().Name(), fmt.Sprint(ids), path)
	}
}

// isLeftOutName is what Check does not mind and protovalidate does.
func isLeftOutName(m proto.Message, v *protovalidate.Violation) bool {
	return nameMayBeLeftOut[m.ProtoReflect().Descriptor().FullName()] && v.FieldDescriptor != nil &&
		isIdentifier(v.FieldDescriptor) && v.FieldValue.String() == ""
}
