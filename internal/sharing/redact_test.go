package sharing_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/sharing"
)

// messages are all types of message of the standard.
func messages() (all []protoreflect.MessageDescriptor) {
	protoregistry.GlobalFiles.RangeFilesByPackage("irt.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Messages().Len() {
			if f.Path() != "irt/v1/options.proto" {
				all = append(all, f.Messages().Get(i))
			}
		}
		return true
	})
	return all
}

// fill sets every field of a message, two levels deep in those that hold themselves.
func fill(m protoreflect.Message, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		switch {
		case fd.IsMap():
		case fd.IsList() && fd.Message() != nil:
			one := m.Mutable(fd).List().AppendMutable().Message()
			if depth > 0 {
				fill(one, depth-1)
			}
		case fd.IsList():
			m.Mutable(fd).List().Append(value(fd))
		case fd.Message() != nil:
			one := m.Mutable(fd).Message()
			if depth > 0 {
				fill(one, depth-1)
			}
		default:
			m.Set(fd, value(fd))
		}
	}
}

func value(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("x")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("x"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(1)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(1)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(1)
	}
	return fd.Default()
}

// populated calls see with every field that is set, at any depth.
func populated(m protoreflect.Message, see func(protoreflect.FieldDescriptor, irtv1.Category)) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		std, _ := proto.GetExtension(fd.Options(), irtv1.E_Standard).(*irtv1.FieldStandard)
		see(fd, std.GetCategory())
		switch {
		case fd.Message() == nil || fd.IsMap() || !sharing.InSchema(fd.Message()):
		case fd.IsList():
			for i := range v.List().Len() {
				populated(v.List().Get(i).Message(), see)
			}
		default:
			populated(v.Message(), see)
		}
		return true
	})
}

// Every type of message keeps what is shown and loses what is not, whatever is
// shown; a field without a category goes.
func TestEveryMessageIsRedactedByItsCategories(t *testing.T) {
	t.Parallel()
	p := embedded(t)
	worker := sharing.Facts{
		Identified: true, Role: irtv1.Role_ROLE_PRACTITIONER, Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL,
		Purpose: irtv1.Purpose_PURPOSE_EDUCATION,
	}
	involved, shielded, own := worker, worker, worker
	involved.Involved, own.Own = true, true
	shielded.Involved, shielded.Shielded = true, true
	for who, f := range map[string]sharing.Facts{
		"nobody": {}, "somebody": worker, "involved": involved, "of a shielded child": shielded, "own": own,
	} {
		d := p.Decide(sharing.See, f)
		for _, md := range messages() {
			mt, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
			if err != nil {
				t.Fatal(err)
			}
			m := mt.New()
			fill(m, 3)
			before := 0
			populated(m, func(_ protoreflect.FieldDescriptor, c irtv1.Category) {
				if d.Shows(c) {
					before++
				}
			})
			d.Redact(m.Interface())
			after := 0
			populated(m, func(fd protoreflect.FieldDescriptor, c irtv1.Category) {
				after++
				if !d.Shows(c) {
					t.Errorf("%s: %s of %v is left", who, fd.FullName(), c)
				}
			})
			if who == "own" && after < before {
				t.Errorf("%s: %s had %d fields that are shown, and has %d", who, md.FullName(), before, after)
			}
		}
	}
}

// What is withheld is told whether or not there was anything, once a category.
func TestWithheldDoesNotTellWhatThereIs(t *testing.T) {
	t.Parallel()
	d := embedded(t).Decide(sharing.See, sharing.Facts{
		Identified: true, Role: irtv1.Role_ROLE_PRACTITIONER, Purpose: irtv1.Purpose_PURPOSE_EDUCATION,
	})
	full := &irtv1.Child{GivenName: "Jo", Postcode: "NR1 3JU", Telephone: "1", Ethnicity: "WBRI", KnownToAgencies: true}
	empty := &irtv1.Child{GivenName: "Jo"}
	d.Redact(full)
	d.Redact(empty)
	if !proto.Equal(full, empty) {
		t.Errorf("%v\nis told from\n%v", full, empty)
	}
	var told []irtv1.Category
	for _, w := range full.GetWithheld() {
		told = append(told, w.GetCategory())
	}
	if len(told) != 4 {
		t.Errorf("withheld %v; want location, contact, characteristic and involvement", told)
	}
}

func BenchmarkRedact(b *testing.B) {
	d := embedded(b).Decide(sharing.See, sharing.Facts{
		Identified: true, Role: irtv1.Role_ROLE_PRACTITIONER, Purpose: irtv1.Purpose_PURPOSE_EDUCATION, Involved: true,
		Kind: irtv1.AgencyKind_AGENCY_KIND_POLICE,
	})
	m := &irtv1.Child{}
	for b.Loop() {
		m.GivenName, m.Ethnicity, m.Withheld = "Jo", "WBRI", nil
		d.Redact(m)
	}
}
