package standard

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// validator checks the bounds that the schema states. It knows every message of
// the schema from the start, so that a bound that does not compile fails the
// first check and not the first use of a rare message.
var validator = sync.OnceValue(func() protovalidate.Validator {
	v, err := protovalidate.New(
		protovalidate.WithMessageDescriptors(schemaMessages()...),
		protovalidate.WithDisableLazy(),
	)
	if err != nil {
		panic("standard: bounds of the schema: " + err.Error())
	}
	return v
})

// checkBounds finds the broken bounds, one for each field.
func (c *checker) checkBounds(m proto.Message, nameOptional bool) {
	err := validator().Validate(m)
	if err == nil {
		return
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		rule := rulesByID[checkFailed]
		c.found = append(c.found, placedFault{
			Fault: Fault{RuleID: rule.ID, Description: rule.Description, Action: rule.Action}, rule: rule,
		})
		return
	}
	c.broken = make(map[string]bool)
	for _, v := range invalid.Violations {
		if nameOptional && isEmptyName(v) {
			continue
		}
		c.addViolation(m.ProtoReflect().Descriptor(), v)
	}
}

// isEmptyName reports a fault that is only that a resource has no name yet.
func isEmptyName(v *protovalidate.Violation) bool {
	return v.FieldDescriptor != nil && v.FieldValue.IsValid() &&
		v.FieldDescriptor.Kind() == protoreflect.StringKind && !v.FieldDescriptor.IsList() &&
		hasBehavior(v.FieldDescriptor, annotations.FieldBehavior_IDENTIFIER) && v.FieldValue.String() == ""
}

func (c *checker) addViolation(message protoreflect.MessageDescriptor, v *protovalidate.Violation) {
	path, place := protovalidate.FieldPathString(v.Proto.GetField()), placeOf(v.Proto.GetField())
	id := strings.ToUpper(strings.ReplaceAll(v.Proto.GetRuleId(), ".", "_"))
	rule, known := rulesByID[id]
	if !known {
		rule = rulesByID[checkFailed] // a test shows that every bound of the schema is known
	}
	fault := Fault{Field: path, RuleID: rule.ID, Description: rule.Description, Action: rule.Action}
	if rule.Field != "" {
		if v.FieldDescriptor != nil {
			message, fault.Field = v.FieldDescriptor.Message(), path+"."
		}
		fault.Field += rule.Field
		place = append(place, int32(message.Fields().ByName(protoreflect.Name(rule.Field)).Number()))
		c.found = append(c.found, placedFault{fault, rule, place})
		return
	}
	if c.broken[path] {
		return
	}
	c.broken[path] = true
	fault.Description, fault.Action = describeBound(v, rule)
	c.found = append(c.found, placedFault{fault, rule, place})
}

func placeOf(path *validate.FieldPath) []int32 {
	var place []int32
	for _, e := range path.GetElements() {
		place = append(place, e.GetFieldNumber())
		if e.WhichSubscript() == validate.FieldPathElement_Index_case {
			place = append(place, int32(e.GetIndex()))
		}
	}
	return place
}

// describeBound completes the words of a rule with the bound that is broken.
func describeBound(v *protovalidate.Violation, rule *Rule) (description, action string) {
	switch rule.ID {
	case "STRING_MIN_LEN":
		if n := v.RuleValue.Uint(); n > 1 {
			return fmt.Sprintf("The text is shorter than %d characters.", n), rule.Action
		}
		return "The value is missing.", "Send it: nothing can be done without it."
	case "STRING_MAX_LEN":
		n := v.RuleValue.Uint()
		return fmt.Sprintf("The text is longer than %d characters.", n), fmt.Sprintf("Send at most %d characters.", n)
	case "REPEATED_MAX_ITEMS":
		n := v.RuleValue.Uint()
		return fmt.Sprintf("There are more than %d values.", n), fmt.Sprintf("Send at most %d.", n)
	case "BYTES_MAX_LEN":
		return fmt.Sprintf("There are more than %d bytes.", v.RuleValue.Uint()), rule.Action
	case "INT32_GTE":
		n := v.RuleValue.Int()
		return fmt.Sprintf("The number is less than %d.", n), fmt.Sprintf("Send %d or more.", n)
	case "STRING_PATTERN":
		return describePattern(v, rule)
	}
	return rule.Description, rule.Action
}

func describePattern(v *protovalidate.Violation, rule *Rule) (description, action string) {
	form, known := patternForms[v.RuleValue.String()]
	if !known {
		return rule.Description, rule.Action
	}
	if v.FieldValue.IsValid() && v.FieldDescriptor.Kind() == protoreflect.StringKind &&
		!v.FieldDescriptor.IsList() && v.FieldValue.String() == "" {
		return "The value is missing.", "Send " + form + "."
	}
	return "The value is not " + form + ".", "Send " + form + "."
}

const (
	agencyPattern = "agencies/[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
	localPattern  = "[A-Za-z0-9][A-Za-z0-9._:@~-]{0,63}"
)

// patternForms says in words what each pattern of the schema asks for. A test
// shows that none is missing and none is left over.
var patternForms = map[string]string{
	`^[^\p{Cc}]*$`:                             "text without control characters",
	`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`:             "a date as YYYY-MM-DD",
	`^[0-9]{10}$`:                              "10 digits",
	`^[1-9][0-9]{9}$`:                          "10 digits, the first not 0",
	`^[0-9]{6}$`:                               "6 digits",
	`^[0-9]{1,12}$`:                            "1 to 12 digits",
	`^[A-Z][0-9]{11}[0-9A-Z]$`:                 "13 characters: a letter, 11 digits, and a digit or letter",
	`^[A-Za-z0-9]{1,20}$`:                      "1 to 20 letters and digits",
	`^[A-Z0-9]{3,10}$`:                         "3 to 10 capital letters and digits",
	`^([A-Z][0-9]{5}|[A-Z]{3}[0-9]{3})$`:       "a letter and 5 digits, such as A81001, or 3 letters and 3 digits",
	`^[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][A-Z]{2}$`: "a postcode with one space, such as NR1 3JU",
	`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`:        "1 to 63 letters, digits and the signs - . _, beginning with a letter or digit",
	"^" + agencyPattern + "$":                  "agencies/{agency}, the id being 1 to 63 letters, digits and the signs - . _",
	"^" + agencyPattern + "/practitioners/[A-Za-z0-9][A-Za-z0-9._-]{0,62}$": "agencies/{agency}/practitioners/{practitioner}, the ids being 1 to 63 letters, digits and the signs - . _",
	"^" + agencyPattern + "/childRecords/" + localPattern + "$":             "agencies/{agency}/childRecords/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
	"^" + agencyPattern + "/involvements/" + localPattern + "$":             "agencies/{agency}/involvements/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
}
