package exchange

import (
	"context"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/rpc"
)

// cohortTemplate is what schools' systems export, by the names they use.
var cohortTemplate = [][]string{
	{
		"LOCAL_ID", "CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_PREFERRED_GIVEN_NAME", "CHILD_DATE_OF_BIRTH", "CHILD_SEX",
		"CHILD_NHS_NUMBER", "CHILD_UPN", "CHILD_ADDRESS_LINE_1", "CHILD_ADDRESS_LINE_2", "CHILD_TOWN", "CHILD_POSTCODE",
		"CHILD_SCHOOL_URN", "PARENT_1_NAME", "PARENT_1_RELATIONSHIP", "PARENT_1_EMAIL", "PARENT_1_PHONE",
		"PARENT_2_NAME", "PARENT_2_RELATIONSHIP", "PARENT_2_EMAIL", "PARENT_2_PHONE",
	},
	{
		"Optional: your own id of the child", "Required", "Required", "Optional", "Required: DD/MM/YYYY or YYYY-MM-DD", "Optional",
		"Optional: 10 digits", "Optional", "Optional", "Optional", "Optional", "Optional",
		"Optional: 6 digits", "Optional", "Optional", "Optional", "Optional", "Optional", "Optional", "Optional", "Optional",
	},
}

// GetImportTemplate implements irtv1.ImportServiceServer.
func (*Service) GetImportTemplate(_ context.Context, req *irtv1.GetImportTemplateRequest) (*irtv1.ImportTemplate, error) {
	var content string
	var err error
	switch req.GetName() {
	case "importTemplates/child-records":
		content, err = childRecords.form.Template()
	case "importTemplates/involvements":
		content, err = involvements.form.Template()
	case "importTemplates/concerns":
		content, err = concerns.form.Template()
	case "importTemplates/referrals":
		content, err = referrals.form.Template()
	case "importTemplates/plans":
		content, err = plans.form.Template()
	case "importTemplates/consents":
		content, err = consents.form.Template()
	case "importTemplates/services":
		content, err = services.form.Template()
	case "importTemplates/school-cohort":
		content, err = recordfile.Table(cohortTemplate)
	default:
		return nil, rpc.NotFound("template; there are child-records, involvements, concerns, referrals, plans, consents, services and school-cohort")
	}
	return &irtv1.ImportTemplate{Name: req.GetName(), Content: content}, err
}
