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

var carerRelationships = newCodeList(codeList{
	id: "carer-relationship", title: "Relationship of a carer to the child", version: "3.0.0",
	source: "HL7 v3 RoleCode (http://terminology.hl7.org/CodeSystem/v3-RoleCode), the part that describes carers",
	codes: []code{
		{code: "MTH", display: "Mother", aliases: []string{"mum", "mummy", "mam", "mom", "birth mother"}},
		{code: "FTH", display: "Father", aliases: []string{"dad", "daddy", "birth father"}},
		{code: "PRN", display: "Parent"},
		{code: "STPMTH", display: "Stepmother", aliases: []string{"step mum", "step mom"}},
		{code: "STPFTH", display: "Stepfather", aliases: []string{"step dad"}},
		{code: "STPPRN", display: "Step-parent"},
		{code: "ADOPTM", display: "Adoptive mother", aliases: []string{"adopted mother"}},
		{code: "ADOPTF", display: "Adoptive father", aliases: []string{"adopted father"}},
		{code: "ADOPTP", display: "Adoptive parent", aliases: []string{"adopted parent"}},
		{code: "MTHFOST", display: "Foster mother", aliases: []string{"foster mum"}},
		{code: "FTHFOST", display: "Foster father", aliases: []string{"foster dad"}},
		{code: "PRNFOST", display: "Foster parent", aliases: []string{"foster carer", "foster"}},
		{code: "GRMTH", display: "Grandmother", aliases: []string{"gran", "granny", "nan", "nana", "grandma"}},
		{code: "GRFTH", display: "Grandfather", aliases: []string{"grandad", "granddad", "grandpa"}},
		{code: "GRPRN", display: "Grandparent"},
		{code: "AUNT", display: "Aunt", aliases: []string{"auntie", "aunty"}},
		{code: "UNCLE", display: "Uncle"},
		{code: "SIS", display: "Sister"},
		{code: "BRO", display: "Brother"},
		{code: "SIB", display: "Sibling"},
		{code: "COUSN", display: "Cousin"},
		{code: "GUARD", display: "Guardian", aliases: []string{"legal guardian", "special guardian"}},
		{code: "FAMMEMB", display: "Family member", aliases: []string{"other relative", "relative", "other family member"}},
		{code: "FRND", display: "Friend", aliases: []string{"family friend"}},
	},
})
