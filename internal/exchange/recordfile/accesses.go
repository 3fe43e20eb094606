package recordfile

import (
	"strings"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// AccessColumns are those of a table of accesses.
var AccessColumns = []string{
	"accessTime", "agency", "agencyDisplayName", "practitioner", "onBehalfOf", "role", "purpose", "reason",
	"method", "decision", "children", "query", "returned", "withheldBy", "description", "name",
}

// AccessRow is an access as a row of AccessColumns.
func AccessRow(a *irtv1.Access) []string {
	purpose := ""
	if a.GetPurpose() != irtv1.Purpose_PURPOSE_UNSPECIFIED {
		purpose = strings.TrimPrefix(a.GetPurpose().String(), "PURPOSE_")
	}
	return []string{
		a.GetAccessTime().AsTime().Format(time.RFC3339), a.GetAgency(), plain(a.GetAgencyDisplayName()), a.GetPractitioner(),
		a.GetOnBehalfOf(), strings.TrimPrefix(a.GetRole().String(), "ROLE_"), purpose,
		plain(a.GetReason()), a.GetMethod(), strings.TrimPrefix(a.GetDecision().String(), "ACCESS_DECISION_"),
		strings.Join(a.GetChildren(), " "), plain(a.GetQuery()), strings.Join(a.GetReturned(), " "),
		strings.Join(a.GetWithheldBy(), " "), a.GetDescription(), a.GetName(),
	}
}

// plain is text that others wrote, such that a spreadsheet does not take it for a
// formula and run it: with an apostrophe before it, where it looks like one.
func plain(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
