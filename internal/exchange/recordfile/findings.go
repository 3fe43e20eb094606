package recordfile

import (
	"strings"

	irtv1 "irthub/gen/irt/v1"
)

// FindingColumns are those of a table of quality findings.
var FindingColumns = []string{"kind", "child", "child_record", "rules"}

// FindingRow is a quality finding as a row of FindingColumns: the kind in small
// letters, and the rules broken with a space between them.
func FindingRow(f *irtv1.QualityFinding) []string {
	kind := strings.ToLower(strings.TrimPrefix(f.GetKind().String(), "QUALITY_FINDING_KIND_"))
	return []string{kind, f.GetChild(), f.GetChildRecord(), strings.Join(f.GetRuleIds(), " ")}
}
