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

	irtv1 "irthub/gen/irt/v1"
)

// validator checks the bounds that the schema states, all but those of texts. It
// knows every message of the schema from the start, so that a bound that does not
// compile fails the first check and not the first use of a rare message.
var validator = sync.OnceValue(func() protovalidate.Validator {
	v, err := protovalidate.New(
		protovalidate.WithMessageDescriptors(schemaMessages()...),
		protovalidate.WithDisableLazy(),
	)
	must(err)
	return v
})

// plainlyKept tells of a message, without CEL, that it keeps its own rules: CEL
// took a fifteenth of the hub's CPU for a submission. What it does not tell so, CEL
// still judges; a test holds the two against each other.
var plainlyKept = map[protoreflect.FullName]func(protoreflect.Message) bool{
	"irt.v1.ChildRecord": func(m protoreflect.Message) bool {
		r, ok := m.Interface().(*irtv1.ChildRecord)
		return ok && (r.GetDateOfBirth() == "") != (r.GetExpectedDateOfBirth() == "")
	},
}

// notTexts leaves out of protovalidate what textBounds checks, and the rules of
// messages that plainly keep them.
var notTexts = sync.OnceValue(func() protovalidate.ValidationOption {
	texts := boundsByField()
	return protovalidate.WithFilter(protovalidate.FilterFunc(
		func(m protoreflect.Message, d protoreflect.Descriptor) bool {
			field, isField := d.(protoreflect.FieldDescriptor)
			if kept := plainlyKept[d.FullName()]; kept != nil {
				return !kept(m)
			}
			return !isField || field.Kind() != protoreflect.StringKind || texts[field] == nil
		}))
})

// checkBounds finds the broken bounds of a message and of those within it, one
// for each field, but for those of texts.
func (c *checker) checkBounds(m proto.Message) {
	err := validator().Validate(m, notTexts())
	if err == nil {
		return
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		c.found = append(c.found, newFault(rulesByID[checkFailed], "", nil))
		return
	}
	c.broken = make(map[string]bool)
	for _, v := range invalid.Violations {
		c.addViolation(m.ProtoReflect().Descriptor(), v)
	}
}

func (c *checker) addViolation(message protoreflect.MessageDescriptor, v *protovalidate.Violation) {
	path, place := protovalidate.FieldPathString(v.Proto.GetField()), placeOf(v.Proto.GetField())
	rule, known := rulesByID[strings.ToUpper(strings.ReplaceAll(v.Proto.GetRuleId(), ".", "_"))]
	if !known {
		rule = rulesByID[checkFailed] // a test shows that every bound of the schema is known
	}
	if rule.Field != "" { // the rule is about the message at the path
		for _, e := range v.Proto.GetField().GetElements() {
			message = message.Fields().ByNumber(protoreflect.FieldNumber(e.GetFieldNumber())).Message()
		}
		if path != "" {
			path += "."
		}
		field := message.Fields().ByName(protoreflect.Name(rule.Field))
		c.found = append(c.found, newFault(rule, path+rule.Field, append(place, int(field.Number()))))
		return
	}
	if c.broken[path] {
		return
	}
	c.broken[path] = true
	fault := newFault(rule, path, place)
	if v.RuleDescriptor != nil && v.RuleDescriptor.Kind() != protoreflect.BoolKind && !v.RuleDescriptor.IsList() {
		fault.Description, fault.Action = describeLimit(rule, v.RuleValue.Interface())
	}
	c.found = append(c.found, fault)
}

func placeOf(path *validate.FieldPath) []int {
	var place []int
	for _, e := range path.GetElements() {
		place = append(place, int(e.GetFieldNumber()))
		if e.WhichSubscript() == validate.FieldPathElement_Index_case {
			place = append(place, clamp(e.GetIndex()))
		}
	}
	return place
}

// describeLimit completes the words of a rule with the bound that is broken.
func describeLimit(rule *Rule, limit any) (description, action string) {
	switch rule.ID {
	case "STRING_MAX_LEN":
		return fmt.Sprintf("The text is longer than %d characters.", limit), fmt.Sprintf("Send at most %d characters.", limit)
	case "REPEATED_MAX_ITEMS":
		return fmt.Sprintf("There are more than %d values.", limit), fmt.Sprintf("Send at most %d.", limit)
	case "BYTES_MAX_LEN":
		return fmt.Sprintf("There are more than %d bytes.", limit), rule.Action
	case "INT32_GTE", "INT64_GTE":
		return fmt.Sprintf("The number is less than %d.", limit), fmt.Sprintf("Send %d or more.", limit)
	}
	return rule.Description, rule.Action
}

// describeText words a broken bound of a text.
func describeText(rule *Rule, v string, b *textBounds, limit int) (description, action string) {
	form := patternForms[b.pattern]
	switch {
	case v == "" && form != "" && b.pattern != noControl:
		return "The value is missing.", "Send " + form + "."
	case v == "":
		return "The value is missing.", "Send it: nothing can be done without it."
	case rule.ID == "STRING_PATTERN" && form != "":
		return "The value is not " + form + ".", "Send " + form + "."
	case rule.ID == "STRING_MIN_LEN":
		return fmt.Sprintf("The text is shorter than %d characters.", limit), rule.Action
	}
	return describeLimit(rule, limit)
}

const (
	agencyPattern = "agencies/[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
	localPattern  = "[A-Za-z0-9][A-Za-z0-9._:@~-]{0,63}"
)

// patternForms says in words what each pattern of the schema asks for. A test
// shows that none is missing and none is left over.
var patternForms = map[string]string{
	noControl: "text without control characters",

	`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`:            "a date as YYYY-MM-DD",
	`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`: "a time as HH:MM",
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
	"^" + agencyPattern + "/services/[A-Za-z0-9][A-Za-z0-9._-]{0,62}$":      "agencies/{agency}/services/{service}, the ids being 1 to 63 letters, digits and the signs - . _",
	"^" + agencyPattern + "/childRecords/" + localPattern + "$":             "agencies/{agency}/childRecords/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
	"^" + agencyPattern + "/consents/" + localPattern + "$":                 "agencies/{agency}/consents/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
	"^" + agencyPattern + "/referrals/" + localPattern + "$":                "agencies/{agency}/referrals/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
	"^" + agencyPattern + "/plans/" + localPattern + "$":                    "agencies/{agency}/plans/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
	"^" + agencyPattern + "/concerns/" + localPattern + "$":                 "agencies/{agency}/concerns/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
	"^" + agencyPattern + "/refusals/" + localPattern + "$":                 "agencies/{agency}/refusals/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
	"^([A-Za-z0-9][A-Za-z0-9.-]*|[A-Za-z][A-Za-z0-9+.-]*:[!-~]+)$":          "a DNS name such as mis.school.example, or a URI such as spiffe://example/school-1",
	"^(" + agencyPattern + "/)?accessLimits/[a-z-]{1,20}$":                  "accessLimits/{role} or agencies/{agency}/accessLimits/{role}, the role being one such as practitioner",
	"^" + agencyPattern + "/involvements/" + localPattern + "$":             "agencies/{agency}/involvements/{local_id}, the local id being 1 to 64 letters, digits and the signs - . _ : @ ~",
}

// isIdentifier reports the field that holds a resource's name.
func isIdentifier(field protoreflect.FieldDescriptor) bool {
	return hasBehavior(field, annotations.FieldBehavior_IDENTIFIER)
}
