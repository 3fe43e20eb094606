package standard

// Lists of the Department for Education: Common Basic Data Set and children in
// need census.

const ukCoreEthnicity = "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategoryEngland"

const fhirGender = "http://hl7.org/fhir/administrative-gender"

var sexes = newCodeList(codeList{
	id: "sex", title: "Sex", version: "2026-04",
	source: "DfE children in need census: Sex; older and FHIR forms as aliases",
	codes: []code{
		{"F", "Female", []string{"2", "girl"}, []mapping{{fhirGender, "female"}}},
		{"M", "Male", []string{"1", "boy"}, []mapping{{fhirGender, "male"}}},
		{
			"U", "Not specified",
			[]string{"0", "9", "X", "I", "other", "unknown", "indeterminate", "not known", "not stated"},
			[]mapping{{fhirGender, "unknown"}, {fhirGender, "other"}},
		},
	},
})

var ethnicities = newCodeList(codeList{
	id: "ethnicity", title: "Ethnicity", version: "2026-04",
	source: "DfE Common Basic Data Set: ethnicity. UK Core mapping by this hub, to the nearest category that includes it",
	codes: []code{
		ethnicity("WBRI", "A", "White British", "White - British"),
		ethnicity("WIRI", "B", "Irish", "White Irish"),
		ethnicity("WOTH", "C", "Any other White background", "White other"),
		ethnicity("WIRT", "C", "Traveller of Irish heritage"),
		ethnicity("WROM", "C", "Gypsy/Roma", "Gypsy or Roma"),
		ethnicity("MWBC", "D", "White and Black Caribbean"),
		ethnicity("MWBA", "E", "White and Black African"),
		ethnicity("MWAS", "F", "White and Asian"),
		ethnicity("MOTH", "G", "Any other mixed background", "Mixed other"),
		ethnicity("AIND", "H", "Indian"),
		ethnicity("APKN", "J", "Pakistani"),
		ethnicity("ABAN", "K", "Bangladeshi"),
		ethnicity("CHNE", "R", "Chinese"),
		ethnicity("AOTH", "L", "Any other Asian background", "Asian other"),
		ethnicity("BCRB", "M", "Black Caribbean", "Caribbean"),
		ethnicity("BAFR", "N", "Black African", "African"),
		ethnicity("BOTH", "P", "Any other Black background", "Black other"),
		ethnicity("OOTH", "S", "Any other ethnic group"),
		ethnicity("REFU", "Z", "Refused"),
		ethnicity("NOBT", "99", "Information not yet obtained", "not obtained"),
	},
})

func ethnicity(dfe, ukCore, display string, aliases ...string) code {
	return code{code: dfe, display: display, aliases: aliases, maps: []mapping{{ukCoreEthnicity, ukCore}}}
}

var disabilities = newCodeList(codeList{
	id: "disability", title: "Disability", version: "2026-04",
	source: "DfE children in need census: Disability",
	codes: []code{
		{code: "NONE", display: "No disability"},
		{code: "MOB", display: "Mobility"},
		{code: "HAND", display: "Hand function"},
		{code: "PC", display: "Personal care"},
		{code: "INC", display: "Incontinence"},
		{code: "COMM", display: "Communication"},
		{code: "LD", display: "Learning"},
		{code: "HEAR", display: "Hearing"},
		{code: "VIS", display: "Vision"},
		{code: "BEH", display: "Behaviour"},
		{code: "CON", display: "Consciousness"},
		{code: "AUT", display: "Diagnosed with autism or Asperger syndrome"},
		{code: "DDA", display: "Other disability under the Equality Act 2010"},
	},
})

var upnUnknownReasons = newCodeList(codeList{
	id: "upn-unknown-reason", title: "Reason why the UPN is not known", version: "2026-04",
	source: "DfE children in need census: UPN unknown; codes as published, texts in this hub's own short words",
	codes: []code{
		{code: "UN1", display: "Not in school: too young, or not yet assigned a UPN"},
		{code: "UN2", display: "Never attended a maintained school in England"},
		{code: "UN3", display: "Educated outside England"},
		{code: "UN4", display: "Newly in need and not yet known"},
		{code: "UN5", display: "Sources disagree, so that the UPN is not reliable"},
		{code: "UN7", display: "Referral that led to no further action"},
	},
})

var referralSources = newCodeList(codeList{
	id: "referral-source", title: "Source of a referral", version: "2026-04",
	source: "DfE children in need census: Referral source; codes as published, texts in this hub's own short words",
	codes: []code{
		{code: "1A", display: "Individual: family member, relative or carer"},
		{code: "1B", display: "Individual: acquaintance, such as a neighbour or childminder"},
		{code: "1C", display: "Individual: the child"},
		{code: "1D", display: "Individual: other, such as a stranger or member of parliament"},
		{code: "2A", display: "Schools"},
		{code: "2B", display: "Education services"},
		{code: "3A", display: "Health services: GP"},
		{code: "3B", display: "Health services: health visitor"},
		{code: "3C", display: "Health services: school nurse"},
		{code: "3D", display: "Health services: other primary health services"},
		{code: "3E", display: "Health services: accident and emergency"},
		{code: "3F", display: "Health services: other, such as a hospice"},
		{code: "4", display: "Housing"},
		{code: "5A", display: "Local authority: social care, such as adult social care"},
		{code: "5B", display: "Local authority: other internal, such as youth offending"},
		{code: "5C", display: "Local authority: external, such as another authority's adult social care"},
		{code: "5D", display: "Local authority: other external"},
		{code: "6", display: "Police"},
		{code: "7", display: "Other legal agency, such as courts, probation, prison or immigration"},
		{code: "8", display: "Other, such as children's centres and voluntary organisations"},
		{code: "9", display: "Anonymous"},
		{code: "10", display: "Unknown"},
	},
})

var needs = newCodeList(codeList{
	id: "need", title: "Primary need", version: "2026-04",
	source: "DfE children in need census: Primary need code",
	codes: []code{
		{code: "N1", display: "Abuse or neglect"},
		{code: "N2", display: "Child's disability or illness"},
		{code: "N3", display: "Parental disability or illness"},
		{code: "N4", display: "Family in acute stress"},
		{code: "N5", display: "Family dysfunction"},
		{code: "N6", display: "Socially unacceptable behaviour"},
		{code: "N7", display: "Low income"},
		{code: "N8", display: "Absent parenting"},
		{code: "N9", display: "Cases other than children in need"},
		{code: "N0", display: "Not stated"},
	},
})

var closureReasons = newCodeList(codeList{
	id: "closure-reason", title: "Reason for closing a case", version: "2026-04",
	source: "DfE children in need census: Reason for closure",
	codes: []code{
		{code: "RC1", display: "Adopted"},
		{code: "RC2", display: "Died"},
		{code: "RC3", display: "Child arrangements order"},
		{code: "RC4", display: "Special guardianship order"},
		{code: "RC5", display: "Transferred to services of another local authority"},
		{code: "RC6", display: "Transferred to adult social care services"},
		{code: "RC7", display: "Services ceased for any other reason, including child no longer in need"},
		{code: "RC8", display: "Case closed after assessment, no further action"},
		{code: "RC9", display: "Case closed after assessment, referred to early help"},
	},
})
