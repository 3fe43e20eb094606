package standard

import (
	"slices"
	"strings"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// Rule is one rule of the standard. Its description and action are the words of
// every fault that breaks it; those of bounds are completed with the bound.
type Rule struct {
	ID string
	// Grade says whether breaking the rule rejects a record (error) or is kept
	// with it (query); StrictGrade says the same of strict mode.
	Grade, StrictGrade irtv1.RuleGrade
	Description        string
	Action             string
	// Source is the statute, national standard or practice the rule comes from.
	Source string
	// Field is where the fault of a rule about a whole message is reported.
	Field string
	// Stored says that it is judged by what the hub holds, and not by a message alone.
	Stored bool

	// At most one is set; none where buf.validate does the checking.
	breaksValue  func(value string, c *checker) bool
	breaksRecord func(r *irtv1.ChildRecord, c *checker) bool
}

// RuleByID gives the rule of an id such as "NHS_NUMBER_CHECK_DIGIT".
func RuleByID(id string) (Rule, bool) {
	r, known := rulesByID[id]
	if !known {
		return Rule{}, false
	}
	return *r, true
}

// Rules gives every rule: first the hub's own, then the kinds of bounds.
func Rules() []Rule { return slices.Clone(rules) }

const (
	ruleError = irtv1.RuleGrade_RULE_GRADE_ERROR
	ruleQuery = irtv1.RuleGrade_RULE_GRADE_QUERY
)

// rulesByID is filled by init, since some checks look rules up themselves.
var rulesByID = func() map[string]*Rule {
	byID := make(map[string]*Rule, len(rules))
	for i := range rules {
		byID[rules[i].ID] = &rules[i]
	}
	return byID
}()

var rules = slices.Concat(identifierRules, nameRules, dateRules, placeRules, wholeRules, storedRules, boundRules)

var identifierRules = []Rule{
	{
		ID: "NHS_NUMBER_CHECK_DIGIT", Grade: ruleError, StrictGrade: ruleError,
		Description: "The NHS number fails its check digit, so at least one digit is wrong.",
		Action:      "Check the number against the NHS record. If it is not known, leave it out and give an omission reason.",
		Source:      "NHS Data Dictionary: NHS NUMBER",
		breaksValue: func(v string, _ *checker) bool { return !ValidNHSNumber(v) },
	},
	{
		ID: "NHS_NUMBER_MISSING", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description:  "There is neither an NHS number nor a reason for leaving it out.",
		Action:       "Send the NHS number, or one of the codes of nhs-number-omission-reason.",
		Source:       "Children's Wellbeing and Schools Act 2026 s. 4 (consistent identifier)",
		breaksRecord: nhsNumberMissing,
	},
	{
		ID: "NHS_NUMBER_OMISSION_CONFLICT", Grade: ruleError, StrictGrade: ruleError,
		Description: "There is an NHS number, and also a reason for leaving it out.",
		Action:      "Send one of the two.",
		Source:      "Children's Wellbeing and Schools Act 2026 s. 4 (consistent identifier)",
		breaksRecord: func(r *irtv1.ChildRecord, _ *checker) bool {
			return r.GetNhsNumber() != "" && r.GetNhsNumberOmissionReason() != ""
		},
	},
	{
		ID: "UPN_CHECK_LETTER", Grade: ruleQuery, StrictGrade: ruleError,
		Description: "The check letter of the UPN does not fit the rest of it.",
		Action:      "Check the UPN with the school, or in Get Information about Pupils.",
		Source:      "DfE: Unique Pupil Number guide",
		breaksValue: func(v string, _ *checker) bool { return !ValidUPN(v) },
	},
	{
		ID: "UPN_LA_UNKNOWN", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The second to fourth characters of the UPN are not the number of a local authority.",
		Action:      "Check the UPN with the school that assigned it.",
		Source:      "DfE: Unique Pupil Number guide; local authority numbers",
		breaksValue: func(v string, _ *checker) bool { _, listed := UPNAuthority(v); return !listed },
	},
	{
		ID: "UPN_TEMPORARY", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The UPN is a temporary one.",
		Action:      "Send the permanent UPN when it is known.",
		Source:      "DfE: Unique Pupil Number guide",
		breaksValue: func(v string, _ *checker) bool { return UPNTemporary(v) },
	},
	{
		ID: "UPN_UNKNOWN_CONFLICT", Grade: ruleError, StrictGrade: ruleError,
		Description: "There is a UPN, and also a reason why it is not known.",
		Action:      "Send one of the two.",
		Source:      "DfE children in need census: UPN unknown",
		breaksRecord: func(r *irtv1.ChildRecord, _ *checker) bool {
			return r.GetUpn() != "" && r.GetUpnUnknownReason() != ""
		},
	},
	{
		ID: "ULN_CHECK_DIGIT", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The unique learner number fails its check digit.",
		Action:      "Check the number in the Learning Records Service.",
		Source:      "Learning Records Service: ULN format",
		breaksValue: func(v string, _ *checker) bool { return !ValidULN(v) },
	},
	{
		ID: "LOCAL_ID_PERSONAL", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The local id is an NHS number or a UPN. Names of resources travel in web addresses and logs.",
		Action:      "Use an id of your own system that means nothing elsewhere.",
		Source:      "IRT Hub: no personal data in names",
		breaksValue: func(v string, _ *checker) bool { return localIDIsPersonal(v) },
	},
}

var nameRules = []Rule{
	{
		ID: "NAME_PLACEHOLDER", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The name looks like a stand-in for a name that is not known.",
		Action:      "Send the name. For a child not yet named, send Baby as the given name.",
		Source:      "IRT Hub: data quality",
		breaksValue: func(v string, c *checker) bool { return nameIsPlaceholder(v, c.field() == "given_name") },
	},
	{
		ID: "NAME_UNUSUAL", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The name holds signs that names do not have, such as digits, brackets or damaged letters.",
		Action:      "Send only the name; check that the file is read in the right encoding.",
		Source:      "IRT Hub: data quality",
		breaksValue: func(v string, _ *checker) bool { return nameIsUnusual(v) },
	},
}

var dateRules = []Rule{
	{
		ID: "DATE_INVALID", Grade: ruleError, StrictGrade: ruleError,
		Description: "The date is not a day of the calendar between 1900 and 2100.",
		Action:      "Send a day that exists, as YYYY-MM-DD.",
		Source:      "ISO 8601",
		breaksValue: func(v string, _ *checker) bool { _, err := ParseDate(v); return err != nil },
	},
	{
		ID: "DATE_FUTURE", Grade: ruleError, StrictGrade: ruleError,
		Description: "The date is in the future.",
		Action:      "Send the day on which it happened: today or earlier.",
		Source:      "IRT Hub",
		breaksValue: func(v string, c *checker) bool { day, err := ParseDate(v); return err == nil && day.After(c.today) },
	},
	{
		ID: "DATE_OF_BIRTH_FUTURE", Grade: ruleError, StrictGrade: ruleError,
		Description: "The date of birth is in the future.",
		Action:      "Correct it. For an unborn child, send expected_date_of_birth instead.",
		Source:      "DfE children in need census: date of birth",
		breaksValue: func(v string, c *checker) bool { born, err := ParseDate(v); return err == nil && born.After(c.today) },
	},
	{
		ID: "AGE_OUT_OF_RANGE", Grade: ruleError, StrictGrade: ruleError,
		Description: "The date of birth is that of a person of 26 years or more, who is not held in the index.",
		Action:      "Correct the date of birth, or leave the record out.",
		Source:      "IRT concept 2003; SI 2007/2182 (to the 25th year, with consent)",
		breaksValue: func(v string, c *checker) bool { return c.age(v) >= 26 },
	},
	{
		ID: "AGE_OVER_19", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The date of birth is that of a person of 20 to 25 years, who is held only with consent.",
		Action:      "Check the date of birth, and that the person agreed to stay in the index; else withdraw the record.",
		Source:      "IRT concept 2003 (0 to 19); SI 2007/2182 (to the 25th year, with consent)",
		breaksValue: func(v string, c *checker) bool { age := c.age(v); return age >= 20 && age < 26 },
	},
	{
		ID: "EXPECTED_DATE_OF_BIRTH_RANGE", Grade: ruleQuery, StrictGrade: ruleError,
		Description: "The expected date of birth is more than 10 months ahead, or more than 3 months past.",
		Action:      "Correct it. For a child who has been born, send date_of_birth instead.",
		Source:      "IRT Hub, after DfE children in need census: expected date of birth",
		breaksValue: func(v string, c *checker) bool { return expectedOutOfRange(v, c.today) },
	},
	{
		ID: "DATE_OF_DEATH_RANGE", Grade: ruleError, StrictGrade: ruleError,
		Description:  "The date of death is in the future, or before the date of birth.",
		Action:       "Correct whichever date is wrong.",
		Source:       "DfE children in need census: date of death",
		breaksRecord: dateOfDeathOutOfRange,
	},
}

func nhsNumberMissing(r *irtv1.ChildRecord, _ *checker) bool {
	// A child is given an NHS number at birth: an unborn one has none to leave out.
	unborn := r.GetDateOfBirth() == "" && r.GetExpectedDateOfBirth() != ""
	return r.GetNhsNumber() == "" && r.GetNhsNumberOmissionReason() == "" && !unborn
}

func localIDIsPersonal(name string) bool {
	id := NormaliseUPN(name[strings.LastIndexByte(name, '/')+1:])
	return ValidNHSNumber(id) || ValidUPN(id)
}

func expectedOutOfRange(v string, today time.Time) bool {
	expected, err := ParseDate(v)
	if err != nil {
		return false
	}
	return expected.After(today.AddDate(0, 10, 0)) || expected.Before(today.AddDate(0, -3, 0))
}

func dateOfDeathOutOfRange(r *irtv1.ChildRecord, c *checker) bool {
	if r.GetDateOfDeath() == "" {
		return false
	}
	died, err := ParseDate(r.GetDateOfDeath())
	if err != nil {
		return false
	}
	born, err := ParseDate(r.GetDateOfBirth())
	return died.After(c.today) || err == nil && died.Before(born)
}
