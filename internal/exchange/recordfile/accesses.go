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
	return []string{
		a.GetAccessTime().AsTime().Format(time.RFC3339), a.GetAgency(), a.GetAgencyDisplayName(), a.GetPractitioner(),
		a.GetOnBehalfOf(), strings.TrimPrefix(a.GetRole().String(), "ROLE_"), strings.TrimPrefix(a.GetPurpose().String(), "PURPOSE_"),
		a.GetReason(), a.GetMethod(), strings.TrimPrefix(a.GetDecision().String(), "ACCESS_DECISION_"),
		strings.Join(a.GetChildren(), " "), a.GetQuery(), strings.Join(a.GetReturned(), " "),
		strings.Join(a.GetWithheldBy(), " "), a.GetDescription(), a.GetName(),
	}
}
