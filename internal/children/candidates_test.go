package children

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// TestCandidatesHaveWhatMatchingLooksAt fills every field of a record and drops those
// that are not read of a candidate: matching must see no difference.
func TestCandidatesHaveWhatMatchingLooksAt(t *testing.T) {
	whole, read := &irtv1.ChildRecord{}, &irtv1.ChildRecord{}
	for i := range personColumns {
		fill(whole.ProtoReflect(), personColumns[i].record)
	}
	for i := range matchColumns {
		fill(read.ProtoReflect(), matchColumns[i].record)
	}
	if want, got := personOf(whole), personOf(read); !reflect.DeepEqual(want, got) {
		t.Errorf("matching looks at what is not read of a candidate:\n%+v of a whole record,\n%+v", want, got)
	}
	if len(matchColumns) != 14 {
		t.Errorf("%d columns are read of a candidate: a name has changed in the schema", len(matchColumns))
	}
}

// fill gives a field a value of its own.
func fill(m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	value := protoreflect.ValueOfString(string(fd.Name()))
	switch {
	case fd.IsList() && fd.Message() != nil:
		one := m.Mutable(fd).List().AppendMutable().Message()
		for i := range fd.Message().Fields().Len() {
			if inner := fd.Message().Fields().Get(i); inner.Kind() == protoreflect.StringKind && !inner.IsList() {
				fill(one, inner)
			}
		}
	case fd.IsList():
		m.Mutable(fd).List().Append(value)
	case fd.Kind() == protoreflect.StringKind:
		m.Set(fd, value)
	case fd.Kind() == protoreflect.BoolKind:
		m.Set(fd, protoreflect.ValueOfBool(true))
	default:
		m.Set(fd, protoreflect.ValueOfEnum(1))
	}
}
