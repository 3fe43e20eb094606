package gateway

import (
	"context"
	"net/http"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// namesFields are the fields of answers that hold the name or path of a field,
// which JSON callers know by another spelling.
var namesFields = map[protoreflect.FullName]bool{
	"irt.v1.Query.field":            true,
	"irt.v1.MatchFieldWeight.field": true,
	"irt.v1.Provenance.fields":      true,
	"irt.v1.ChildPin.fields":        true,
}

// namers remembers by message the fields that lead to one of namesFields.
var namers sync.Map

// fieldsToName are the fields of a message that are, or lead to, the name of a
// field; few are, so that most of an answer is not walked through.
func fieldsToName(m protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	if known, ok := namers.Load(m.FullName()); ok {
		fields, _ := known.([]protoreflect.FieldDescriptor)
		return fields
	}
	fields := findFieldsToName(m, map[protoreflect.FullName]bool{})
	namers.Store(m.FullName(), fields)
	return fields
}

func findFieldsToName(m protoreflect.MessageDescriptor, visiting map[protoreflect.FullName]bool) []protoreflect.FieldDescriptor {
	if visiting[m.FullName()] {
		return nil
	}
	visiting[m.FullName()] = true
	defer delete(visiting, m.FullName())
	var fields []protoreflect.FieldDescriptor
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		leads := f.Message() != nil && !f.IsMap() && len(findFieldsToName(f.Message(), visiting)) > 0
		if namesFields[f.FullName()] || leads {
			fields = append(fields, f)
		}
	}
	return fields
}

// nameFields spells the names of fields in an answer as the answer's own JSON
// does: nhs_number becomes nhsNumber.
func nameFields(_ context.Context, _ http.ResponseWriter, answer proto.Message) error {
	rename(answer.ProtoReflect())
	return nil
}

func rename(m protoreflect.Message) {
	for _, f := range fieldsToName(m.Descriptor()) {
		if !m.Has(f) {
			continue
		}
		switch v := m.Get(f); {
		case f.IsList():
			renameList(v.List(), f)
		case f.Message() != nil:
			rename(v.Message())
		default:
			m.Set(f, protoreflect.ValueOfString(jsonPath(v.String())))
		}
	}
}

func renameList(list protoreflect.List, f protoreflect.FieldDescriptor) {
	for i := range list.Len() {
		if f.Message() != nil {
			rename(list.Get(i).Message())
			continue
		}
		list.Set(i, protoreflect.ValueOfString(jsonPath(list.Get(i).String())))
	}
}
