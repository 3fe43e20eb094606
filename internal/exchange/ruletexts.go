package exchange

import "irthub/internal/standard"

// ruleText is what a rule says, for the summary of an import, in which it stands once
// for all rows: a rule of the standard, or one of these.
func ruleText(id string) string {
	if rule, ok := standard.RuleByID(id); ok {
		return rule.Description
	}
	return ruleTexts[id]
}

// ruleTexts are the rules by which rows are rejected besides those of the standard:
// how a row is written, and what the hub holds.
var ruleTexts = map[string]string{
	"ABORTED":               "It was changed at the same moment by another.",
	"ACCESS_DENIED":         "It is not for the agency to send, or there is no such thing.",
	"AGENCY_UNKNOWN":        "The directory has no such agency.",
	"ALREADY_EXISTS":        "There is one of that name already.",
	"CONSENT_GIVER_ADULT":   "The young person was of age on the first day, so nobody else can consent.",
	"CONSENT_NOT_SENSITIVE": "The agency has no sensitive involvement with the child.",
	"CONSENT_OTHER_CHILD":   "The consent of that name is about another child.",
	"ETAG_MISMATCH":         "It has changed since the row was read from the hub.",
	"FAILED_PRECONDITION":   "It is in a state in which this cannot be done.",
	"IMPORT_DUPLICATE_ROW":  "An earlier row is about the same, and says something else.",
	"IMPORT_FIELD_TYPE":     "A field holds another kind of value than it must.",
	"IMPORT_FIELD_UNKNOWN":  "There is a field that the standard does not have.",
	"IMPORT_NOT_BOOLEAN":    "The value is not one of true, false, yes, no.",
	"IMPORT_NOT_JSON":       "The line is not a JSON object in UTF-8.",
	"IMPORT_NOT_NUMBER":     "The value is not a whole number.",
	"IMPORT_OTHER_AGENCY":   "The name is one of another agency.",
	"IMPORT_ROW_FAILED":     "The hub could not take the row, through a fault of its own.",
	"IMPORT_ROW_LENGTH":     "The row has more or fewer cells than the header.",
	"IMPORT_ROW_QUOTES":     "A quotation mark is out of place, or opens a cell and nothing closes it.",
	"IMPORT_ROW_REFUSED":    "The hub refused the row.",
	"IMPORT_ROW_TOO_LONG":   "The row is longer than a row may be.",
	"IMPORT_ROW_TOO_WIDE":   "The row has more cells than a row may have.",
	"NOT_FOUND":             "What the row names, such as the child's record, is not in the hub.",
	"PRACTITIONER_UNKNOWN":  "The agency has no such practitioner.",
}
