package standard

// wholeRules are about more than one field. The schema states and protovalidate
// checks them, all but the last two, which hold for all text and for the check
// itself.
var wholeRules = []Rule{
	{
		ID: "BIRTH_DATE_ONE_OF", Grade: ruleError, StrictGrade: ruleError, Field: "date_of_birth",
		Description: "There must be a date of birth or, for an unborn child, an expected date of birth; not both.",
		Action:      "Send date_of_birth, or for an unborn child expected_date_of_birth.",
		Source:      "DfE children in need census: date of birth, expected date of birth",
	},
	{
		ID: "INVOLVEMENT_SUBJECT", Grade: ruleError, StrictGrade: ruleError, Field: "child_record",
		Description: "Nothing says which child the involvement is with.",
		Action:      "Send child_record, your own record of the child, or child, the entry of the index.",
		Source:      "IRT Hub",
	},
	{
		ID: "SUBJECT_REQUIRED", Grade: ruleError, StrictGrade: ruleError, Field: "child_record",
		Description: "Nothing says which child it is about.",
		Action:      "Send child_record, your own record of the child, or child, the entry of the index.",
		Source:      "IRT Hub",
	},
	{
		ID: "CONSENT_CATEGORIES", Grade: ruleError, StrictGrade: ruleError, Field: "categories",
		Description: "Only a consent to share is about categories of information.",
		Action:      "Leave categories out, or record a consent with the scope SHARING.",
		Source:      "IRT Hub",
	},
	{
		ID: "CONSENT_RECIPIENTS", Grade: ruleError, StrictGrade: ruleError, Field: "recipients",
		Description: "A consent to keep the entry shares nothing, so it has no recipients.",
		Action:      "Leave recipients and recipient_kinds out, or record a consent of another scope.",
		Source:      "IRT Hub",
	},
	{
		ID: "REFUSAL_DETAILS_REQUIRED", Grade: ruleError, StrictGrade: ruleError, Field: "details",
		Description: "A refusal for another reason does not say which.",
		Action:      "Send details: the reason in a few words, without case notes.",
		Source:      "Children's Wellbeing and Schools Act 2026 s. 4",
	},
	{
		ID: "PERIOD_ORDER", Grade: ruleError, StrictGrade: ruleError, Field: "end_date",
		Description: "The last day is before the first day.",
		Action:      "Correct whichever date is wrong.",
		Source:      "IRT Hub",
	},
	{
		ID: "AGE_RANGE", Grade: ruleError, StrictGrade: ruleError, Field: "maximum_age",
		Description: "The ages are not of children or young people to 25, or the first is above the last.",
		Action:      "Correct minimum_age or maximum_age; leave maximum_age out where there is no last age.",
		Source:      "IRT Hub",
	},
	{
		ID: "OFFICE_HOURS_ORDER", Grade: ruleError, StrictGrade: ruleError, Field: "close",
		Description: "The office closes before it opens.",
		Action:      "Correct open or close; for hours past midnight send a span for each day.",
		Source:      "IRT Hub",
	},
	{
		ID: "SENSITIVE_BASIS_REQUIRED", Grade: ruleError, StrictGrade: ruleError, Field: "sensitive_basis",
		Description: "A sensitive involvement is recorded without its basis.",
		Action:      "Send sensitive_basis: CONSENT or SIGNIFICANT_HARM.",
		Source:      "SI 2007/2182 (consent, or reasonable cause to suspect significant harm)",
	},
	{
		ID: textInvalid, Grade: ruleError, StrictGrade: ruleError,
		Description: "The text is not valid Unicode (UTF-8), or holds a null character.",
		Action:      "Send text as UTF-8; check the encoding of the file it comes from.",
		Source:      "RFC 3629",
	},
	{
		ID: checkFailed, Grade: ruleError, StrictGrade: ruleError,
		Description: "The hub could not check this, through a fault of its own.",
		Action:      "Report it to those who run the hub.",
		Source:      "IRT Hub",
	},
}

// boundRules are the kinds of bounds that the schema states with buf.validate.
// The description of a fault names the bound, so that it differs from field to
// field; these are their general forms.
var boundRules = []Rule{
	bound("REQUIRED", "The value is missing.", "Send it: nothing can be done without it."),
	bound("STRING_MIN_LEN", "The text is missing or too short.", "Send it: at least as long as the standard says."),
	bound("STRING_MAX_LEN", "The text is too long.", "Shorten it to what the standard allows."),
	bound("STRING_PATTERN", "The text does not have the form it must have.", "Send it in the form the standard gives."),
	bound("STRING_EMAIL", "The text is not an e-mail address.", "Send one address of the form name@domain, or leave it out."),
	bound("BYTES_MAX_LEN", "There are too many bytes.", "Send them in smaller parts."),
	bound("REPEATED_MAX_ITEMS", "There are too many values.", "Send no more than the standard allows."),
	bound("ENUM_DEFINED_ONLY", "The value is not one of those the schema defines.", "Send one of the values that the standard lists."),
	bound("ENUM_NOT_IN", "The value may not be used here.", "Send another of the values that the standard lists."),
	bound("INT32_GTE", "The number is too small.", "Send a larger number."),
	bound("INT64_GTE", "The number is too small.", "Send a larger number."),
}

func bound(id, description, action string) Rule {
	return Rule{
		ID: id, Grade: ruleError, StrictGrade: ruleError, Description: description, Action: action,
		Source: "the schema (buf.validate)",
	}
}
