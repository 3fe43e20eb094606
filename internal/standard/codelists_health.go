package standard

// Lists of the NHS, FHIR UK Core and HL7.

var verificationStatuses = newCodeList(codeList{
	id: "nhs-number-verification-status", title: "NHS number verification status", version: "2.2.0",
	source: "FHIR UK Core: https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland",
	codes: []code{
		{code: "01", display: "Number present and verified", aliases: []string{"1"}},
		{code: "02", display: "Number present but not traced", aliases: []string{"2"}},
		{code: "03", display: "Trace required", aliases: []string{"3"}},
		{code: "04", display: "Trace attempted - no match or multiple match found", aliases: []string{"4"}},
		{code: "05", display: "Trace needs to be resolved (NHS number or patient detail conflict)", aliases: []string{"5"}},
		{code: "06", display: "Trace in progress", aliases: []string{"6"}},
		{code: "07", display: "Number not present and trace not required", aliases: []string{"7"}},
		{code: "08", display: "Trace postponed (baby under six weeks old)", aliases: []string{"8"}},
	},
})

const (
	hl7RoleCode     = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
	hl7ContactRole  = "http://terminology.hl7.org/CodeSystem/v2-0131"
	hl7Relationship = "http://terminology.hl7.org/CodeSystem/v2-0063"
)

var carerRelationships = newCodeList(codeList{
	id: "carer-relationship", title: "Relationship of a carer to the child", version: "3.0.0",
	source: "FHIR UK Core PersonRelationshipType: the part of HL7 v3 RoleCode that describes carers, and O and U of HL7 v2 table 0131; CARER is this hub's own",
	codes: []code{
		relationship("MTH", "Mother", "mum", "mummy", "mam", "mom", "birth mother"),
		relationship("FTH", "Father", "dad", "daddy", "birth father"),
		relationship("PRN", "Parent"),
		relationship("STPMTH", "Stepmother", "step mum", "step mom"),
		relationship("STPFTH", "Stepfather", "step dad"),
		relationship("STPPRN", "Step-parent"),
		relationship("ADOPTM", "Adoptive mother", "adopted mother"),
		relationship("ADOPTF", "Adoptive father", "adopted father"),
		relationship("ADOPTP", "Adoptive parent", "adopted parent"),
		relationship("MTHFOST", "Foster mother", "foster mum"),
		relationship("FTHFOST", "Foster father", "foster dad"),
		relationship("PRNFOST", "Foster parent", "foster carer"),
		relationship("GRMTH", "Grandmother", "gran", "granny", "nan", "nana", "grandma"),
		relationship("GRFTH", "Grandfather", "grandad", "granddad", "grandpa"),
		relationship("GRPRN", "Grandparent"),
		relationship("AUNT", "Aunt", "auntie", "aunty"),
		relationship("UNCLE", "Uncle"),
		relationship("SIS", "Sister"),
		relationship("BRO", "Brother"),
		relationship("SIB", "Sibling"),
		relationship("COUSN", "Cousin"),
		relationship("GUARD", "Guardian", "legal guardian", "special guardian"),
		relationship("FAMMEMB", "Family member", "relative", "other relative", "other family member"),
		relationship("FRND", "Friend", "family friend"),
		{"CARER", "Carer, relationship not stated", []string{"carer", "parent/carer", "main carer"}, []mapping{{hl7Relationship, "CGV"}}},
		{"O", "Other", nil, []mapping{{hl7ContactRole, "O"}}},
		{"U", "Unknown", []string{"not known"}, []mapping{{hl7ContactRole, "U"}}},
	},
})

// relationship is a code of HL7 v3 RoleCode.
func relationship(c, display string, aliases ...string) code {
	return code{code: c, display: display, aliases: aliases, maps: []mapping{{hl7RoleCode, c}}}
}
