package sharing

import (
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// Open are the categories that say nothing about a person: they may leave the hub
// without a decision about a child.
var Open = SetOf(irtv1.Category_CATEGORY_ADMINISTRATIVE, irtv1.Category_CATEGORY_PUBLIC)

// Shape is what the schema says of a type of message: the category of each of its
// fields. It is read once.
type Shape struct {
	// Holds are the categories of the fields of the message and of the messages in it.
	Holds Categories
	// Fields are the fields, in the order of the descriptor.
	Fields []Field

	withheld protoreflect.FieldDescriptor // where the message says what it leaves out, or nil
}

// Field is one field of a message.
type Field struct {
	Descriptor protoreflect.FieldDescriptor
	// Category is unspecified where the schema gives none: the field is withheld.
	Category irtv1.Category
	// Inner is the shape of the messages in the field, nil for values and for
	// messages that are not of this schema, which are taken as values.
	Inner *Shape
}

var shapes sync.Map // protoreflect.FullName of a message to *Shape

// ShapeOf reads the shape of a type of message.
func ShapeOf(d protoreflect.MessageDescriptor) *Shape {
	if s, ok := shapes.Load(d.FullName()); ok {
		return s.(*Shape)
	}
	building := map[protoreflect.FullName]*Shape{}
	s := build(d, building)
	s.settle()
	for _, one := range building {
		one.settle()
	}
	for name, one := range building {
		shapes.LoadOrStore(name, one)
	}
	return s
}

// build makes the shapes of a type and of all types in it.
func build(d protoreflect.MessageDescriptor, building map[protoreflect.FullName]*Shape) *Shape {
	if s, ok := building[d.FullName()]; ok {
		return s
	}
	s := &Shape{}
	building[d.FullName()] = s
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := Field{Descriptor: fd, Category: categoryOf(fd)}
		if inner := innerMessage(fd); inner != nil {
			f.Inner = build(inner, building)
			if fd.IsList() && inner.FullName() == withheldName {
				s.withheld = fd
			}
		}
		s.Fields = append(s.Fields, f)
	}
	return s
}

var withheldName = (*irtv1.Withheld)(nil).ProtoReflect().Descriptor().FullName()

// settle finds what a shape holds, through messages that hold each other.
func (s *Shape) settle() { s.Holds = s.collect(map[*Shape]bool{}) }

func (s *Shape) collect(seen map[*Shape]bool) Categories {
	if seen[s] {
		return 0
	}
	seen[s] = true
	var held Categories
	for _, f := range s.Fields {
		held |= SetOf(f.Category)
		if f.Inner != nil {
			held |= f.Inner.collect(seen)
		}
	}
	return held
}

// categoryOf is what the schema says of a field.
func categoryOf(fd protoreflect.FieldDescriptor) irtv1.Category {
	std, _ := proto.GetExtension(fd.Options(), irtv1.E_Standard).(*irtv1.FieldStandard)
	return std.GetCategory()
}

// innerMessage is the type of the messages of this schema in a field, or nil. Maps
// are taken as values.
func innerMessage(fd protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if fd.IsMap() || fd.Message() == nil || !InSchema(fd.Message()) {
		return nil
	}
	return fd.Message()
}

// InSchema tells whether a type of message is one of the standard's.
func InSchema(d protoreflect.MessageDescriptor) bool { return d.ParentFile().Package() == "irt.v1" }

// Redact takes out of a message about a child what the decision does not show, and
// has the message say so, if it has a field for that. It returns the categories of
// its type that are withheld, whether or not there was anything in them: what was
// there is not told.
//
// The field of the sensitive is said to be withheld only where there is one, by
// who knows: see Withheld.
func (d *Decision) Redact(m proto.Message) Categories {
	r := m.ProtoReflect()
	shape := ShapeOf(r.Descriptor())
	missing := shape.Holds &^ d.shown
	if missing == 0 {
		return 0
	}
	d.redact(r, shape)
	return missing &^ SetOf(irtv1.Category_CATEGORY_SENSITIVE, whole)
}

func (d *Decision) redact(m protoreflect.Message, shape *Shape) {
	for i := range shape.Fields {
		f := &shape.Fields[i]
		switch {
		case !d.Shows(f.Category):
			m.Clear(f.Descriptor)
		case f.Inner == nil || f.Inner.Holds&^d.shown == 0 || !m.Has(f.Descriptor):
		case f.Descriptor.IsList():
			list := m.Get(f.Descriptor).List()
			for j := range list.Len() {
				d.redact(list.Get(j).Message(), f.Inner)
			}
		default:
			d.redact(m.Mutable(f.Descriptor).Message(), f.Inner)
		}
	}
	if shape.withheld != nil {
		d.tell(m, shape)
	}
}

// tell fills in what is withheld of the message's own type.
func (d *Decision) tell(m protoreflect.Message, shape *Shape) {
	told := shape.Holds &^ d.shown &^ SetOf(irtv1.Category_CATEGORY_SENSITIVE, whole)
	if told == 0 || !d.Shows(irtv1.Category_CATEGORY_ADMINISTRATIVE) {
		return
	}
	list := m.Mutable(shape.withheld).List()
	for _, c := range categories {
		if told.Has(c) {
			list.Append(protoreflect.ValueOfMessage(d.withheld[c].ProtoReflect()))
		}
	}
}
