package standard

import (
	"fmt"
	"math"
	"slices"
	"sync"

	irtv1 "irthub/gen/irt/v1"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// messagePlan is what there is to check in a message beyond its bounds, worked
// out once from the options of its fields.
type messagePlan struct {
	fields     []fieldPlan
	outputOnly []protoreflect.FieldDescriptor
}

type fieldPlan struct {
	field  protoreflect.FieldDescriptor
	text   bool // a string, or a list of strings
	name   bool // the resource's own name, which some requests may leave out
	bounds *textBounds
	most   int // items of a list that are looked at
	values []*Rule
	record []*Rule
	codes  *codeList
	nested *messagePlan
}

// plans holds a plan for every message of the schema. Fields that only the hub
// sets are left out: whatever was sent in them is not used.
var plans = sync.OnceValue(func() map[protoreflect.FullName]*messagePlan {
	all := make(map[protoreflect.FullName]*messagePlan)
	for _, message := range schemaMessages() {
		planMessage(all, message)
	}
	return all
})

func planMessage(all map[protoreflect.FullName]*messagePlan, message protoreflect.MessageDescriptor) *messagePlan {
	if plan, done := all[message.FullName()]; done {
		return plan
	}
	plan := &messagePlan{}
	all[message.FullName()] = plan
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if hasBehavior(field, annotations.FieldBehavior_OUTPUT_ONLY) {
			plan.outputOnly = append(plan.outputOnly, field)
			continue
		}
		p := fieldPlan{
			field: field, bounds: boundsByField()[field], most: maxItems(field),
			text: field.Kind() == protoreflect.StringKind, name: isIdentifier(field),
		}
		p.takeRules(fieldStandard(field))
		if m := field.Message(); m != nil && m.ParentFile().Package() == schemaPackage {
			p.nested = planMessage(all, m)
		}
		if p.text || p.nested != nil || len(p.record) > 0 {
			plan.fields = append(plan.fields, p)
		}
	}
	slices.SortFunc(plan.fields, func(a, b fieldPlan) int { return int(a.field.Number() - b.field.Number()) })
	return plan
}

// maxItems is the bound of a list. What lies beyond it is not looked at, so that a
// list of a million bad values is one fault and not a million.
func maxItems(field protoreflect.FieldDescriptor) int {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	if n := clamp(rules.GetRepeated().GetMaxItems()); n > 0 {
		return n
	}
	return math.MaxInt
}

// takeRules sorts the rules that the field names by what they look at.
func (p *fieldPlan) takeRules(s *irtv1.FieldStandard) {
	p.codes = textListByID(s.GetCodeList())
	for _, id := range s.GetRules() {
		rule, known := rulesByID[id]
		switch {
		case !known:
			must(fmt.Errorf("%s names an unknown rule %s", p.field.FullName(), id))
		case rule.breaksRecord != nil:
			p.record = append(p.record, rule)
		case rule.breaksValue != nil:
			p.values = append(p.values, rule)
		}
	}
}

// fieldStandard is the irt.v1.standard option of a field; nil-safe to read where
// there is none.
func fieldStandard(field protoreflect.FieldDescriptor) *irtv1.FieldStandard {
	s, _ := proto.GetExtension(field.Options(), irtv1.E_Standard).(*irtv1.FieldStandard)
	return s
}

func hasBehavior(field protoreflect.FieldDescriptor, behavior annotations.FieldBehavior) bool {
	behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, behavior)
}

// ClearOutputOnly empties the fields of a resource that only the hub sets, so
// that nothing a sender put there is mistaken for the hub's.
func ClearOutputOnly(resource proto.Message) {
	m := resource.ProtoReflect()
	if plan := plans()[m.Descriptor().FullName()]; plan != nil {
		for _, field := range plan.outputOnly {
			m.Clear(field)
		}
	}
}
