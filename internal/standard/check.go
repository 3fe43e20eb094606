package standard

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	irtv1 "irthub/gen/irt/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fault is one rule that a message breaks. It names the field and never repeats
// its value.
type Fault struct {
	// Field is the path in the schema's names, such as "upn" or
	// "carers[0].telephone".
	Field string
	// RuleID is the rule, such as "NHS_NUMBER_CHECK_DIGIT"; those of bounds are
	// buf.validate's ids in this spelling, such as "STRING_MAX_LEN".
	RuleID string
	// Description says what is wrong, and Action what to do about it.
	Description, Action string
}

// Options of a check.
type Options struct {
	// Strict raises the rules that say so from queries to errors.
	Strict bool
	// Today is the day that ages and future dates are counted from; the zero
	// value is today in England.
	Today time.Time
	// NameOptional accepts a message without its resource name. Requests whose
	// schema says that the name may be left out are checked so in any case.
	NameOptional bool
}

// Rules that the check itself knows.
const (
	textInvalid = "TEXT_INVALID"
	checkFailed = "CHECK_FAILED"
	codeUnknown = "CODE_UNKNOWN"
)

// Check holds a message of the schema to the standard, and the messages within
// it: bounds, code lists and rules. It gives every fault, not only the first, in
// the order of the fields, divided into errors, which reject the message, and
// queries, which are kept with it. Of several broken bounds of one field it
// gives one, and goes on to the field's rules only where its bounds hold.
//
// The message should have been normalised. Fields that only the hub sets are not
// looked at. It is safe for concurrent use.
func Check(m proto.Message, o Options) (errors, queries []Fault) {
	c := checker{today: o.Today}
	if c.today.IsZero() {
		c.today = today()
	}
	message := m.ProtoReflect()
	name := message.Descriptor().FullName()
	c.nameOptional = o.NameOptional || nameMayBeLeftOut[name]
	c.checkBounds(m)
	if plan := plans()[name]; plan != nil {
		c.walk(message, plan, "")
	}
	return c.graded(o.Strict)
}

// Prepare does now what the first Check would, compiling the schema's bounds: tens
// of milliseconds that no caller should wait for.
func Prepare() {
	validator()
	notTexts()
	plans()
}

// nameMayBeLeftOut are the requests whose resource is given its name by the hub
// or by another field, or needs none. A test holds them against the schema's text.
var nameMayBeLeftOut = map[protoreflect.FullName]bool{
	"irt.v1.CreateAgencyRequest":       true,
	"irt.v1.CreatePractitionerRequest": true,
	"irt.v1.MatchChildRequest":         true,
	"irt.v1.ValidateRecordRequest":     true,
}

// checker is one check. Rules read from it the day and the field they are at.
type checker struct {
	today        time.Time
	nameOptional bool

	record *irtv1.ChildRecord // the record being walked, where it is one
	at     *fieldPlan
	prefix string // of its path
	place  []int  // field numbers and indexes that lead to it

	broken map[string]bool // paths that protovalidate found broken
	found  []placedFault
}

// placedFault carries what sorts it into field order.
type placedFault struct {
	Fault
	rule  *Rule
	place []int
}

// field is the name of the field being checked.
func (c *checker) field() protoreflect.Name { return c.at.field.Name() }

// age is that of a date of birth on the day of the check, -1 where it is no date.
func (c *checker) age(born string) int {
	t, err := ParseDate(born)
	if err != nil {
		return -1
	}
	return ageOn(c.today, t)
}

func (c *checker) walk(m protoreflect.Message, plan *messagePlan, prefix string) {
	outer, depth := c.record, len(c.place)
	c.record, _ = m.Interface().(*irtv1.ChildRecord)
	for i := range plan.fields {
		f := &plan.fields[i]
		c.at, c.prefix = f, prefix
		c.place = append(c.place[:depth], int(f.field.Number()))
		switch {
		case f.nested != nil:
			c.walkNested(m, f, prefix)
		case f.text && f.field.IsList():
			c.checkTexts(m.Get(f.field).List(), f)
		case f.text && f.field.HasPresence() && !m.Has(f.field):
		case f.text:
			c.checkText(m.Get(f.field).String(), f)
		default:
			c.checkRecordRules(f)
		}
	}
	c.record, c.place = outer, c.place[:depth]
}

func (c *checker) walkNested(m protoreflect.Message, f *fieldPlan, prefix string) {
	if !m.Has(f.field) {
		return
	}
	name := prefix + string(f.field.Name())
	if !f.field.IsList() {
		c.walk(m.Get(f.field).Message(), f.nested, name+".")
		return
	}
	list := m.Get(f.field).List()
	for i := range min(list.Len(), f.most) {
		c.place = append(c.place, i)
		c.walk(list.Get(i).Message(), f.nested, name+"["+strconv.Itoa(i)+"].")
		c.place = c.place[:len(c.place)-1]
	}
}

const noIndex = -1

func (c *checker) checkText(v string, f *fieldPlan) {
	if v == "" && f.name && c.nameOptional {
		return
	}
	if c.checkBound(v, f, noIndex) {
		c.checkRecordRules(f)
		c.checkValueRules(v, f, noIndex)
	}
}

func (c *checker) checkTexts(list protoreflect.List, f *fieldPlan) {
	if f.bounds != nil && list.Len() > f.most {
		fault := c.add(rulesByID["REPEATED_MAX_ITEMS"], noIndex)
		fault.Description, fault.Action = describeLimit(fault.rule, f.most)
	} else {
		c.checkRecordRules(f)
	}
	for i := range min(list.Len(), f.most) {
		if v := list.Get(i).String(); c.checkBound(v, f, i) {
			c.checkValueRules(v, f, i)
		}
	}
}

// checkBound reports whether the bounds of a text hold, so that its rules can be
// looked at.
func (c *checker) checkBound(v string, f *fieldPlan, index int) bool {
	if c.isBroken(index) {
		return false
	}
	if f.bounds != nil {
		if id, limit := f.bounds.broken(v); id != "" {
			c.addBound(id, v, limit, index)
			return false
		}
	}
	if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
		c.add(rulesByID[textInvalid], index)
		return false
	}
	return true
}

// addBound reports a broken bound of a text. What is too long for a code is told
// as what it is, an unknown code.
func (c *checker) addBound(id, v string, limit, index int) {
	if c.at.codes != nil && v != "" {
		c.addUnknownCode(index)
		return
	}
	fault := c.add(rulesByID[id], index)
	fault.Description, fault.Action = describeText(fault.rule, v, c.at.bounds, limit)
}

// addUnknownCode says which codes there are.
func (c *checker) addUnknownCode(index int) {
	fault := c.add(rulesByID[codeUnknown], index)
	fault.Action = c.at.codes.howToChoose
}

// checkValueRules runs the rules about one value. An empty one breaks none:
// whether it may be empty is a matter of bounds and of rules about the record.
func (c *checker) checkValueRules(v string, f *fieldPlan, index int) {
	if v == "" {
		return
	}
	for _, rule := range f.values {
		switch {
		case !rule.breaksValue(v, c):
		case rule.ID == codeUnknown:
			c.addUnknownCode(index)
		default:
			c.add(rule, index)
		}
	}
}

func (c *checker) checkRecordRules(f *fieldPlan) {
	if c.record == nil {
		return
	}
	for _, rule := range f.record {
		if rule.breaksRecord(c.record, c) {
			c.add(rule, noIndex)
		}
	}
}

func (c *checker) isBroken(index int) bool {
	return len(c.broken) > 0 && c.broken[c.path(index)]
}

func (c *checker) path(index int) string {
	path := c.prefix + string(c.field())
	if index == noIndex {
		return path
	}
	return path + "[" + strconv.Itoa(index) + "]"
}

// add gives the fault, for its words to be completed.
func (c *checker) add(rule *Rule, index int) *placedFault {
	place := slices.Clone(c.place)
	if index != noIndex {
		place = append(place, index)
	}
	c.found = append(c.found, newFault(rule, c.path(index), place))
	return &c.found[len(c.found)-1]
}

func newFault(rule *Rule, path string, place []int) placedFault {
	fault := Fault{Field: path, RuleID: rule.ID, Description: rule.Description, Action: rule.Action}
	return placedFault{Fault: fault, rule: rule, place: place}
}

// graded sorts the faults into field order and divides them.
func (c *checker) graded(strict bool) (errors, queries []Fault) {
	slices.SortStableFunc(c.found, func(a, b placedFault) int { return slices.Compare(a.place, b.place) })
	for _, f := range c.found {
		grade := f.rule.Grade
		if strict {
			grade = f.rule.StrictGrade
		}
		if grade == ruleQuery {
			queries = append(queries, f.Fault)
		} else {
			errors = append(errors, f.Fault)
		}
	}
	return errors, queries
}

// Queries gives faults in the form in which answers and records carry them.
func Queries(faults []Fault) []*irtv1.Query {
	var queries []*irtv1.Query
	for _, f := range faults {
		queries = append(queries, &irtv1.Query{
			RuleId: f.RuleID, Field: f.Field, Description: f.Description, Action: f.Action,
		})
	}
	return queries
}
