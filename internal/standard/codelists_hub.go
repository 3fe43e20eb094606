package standard

// Lists of the hub's own, where no publisher has one.

var omissionReasons = newCodeList(codeList{
	id: "nhs-number-omission-reason", title: "Reason why the NHS number is left out", version: Version,
	source: "Children's Wellbeing and Schools Act 2026 s. 4 (Children Act 2004 ss. 16LA ff.); codes of this hub",
	codes: []code{
		{code: "NOT_FACILITATING", display: "(a) Including it is not likely to help a safeguarding function"},
		{code: "DETRIMENTAL", display: "(b) Including it would be more detrimental to the child"},
		{code: "UNKNOWN_UNDUE_DELAY", display: "(c) It is not known, and finding it would cause unreasonable delay"},
	},
})

// SignificantHarm is the basis of a sensitive involvement that is recorded on reasonable
// cause to suspect significant harm: a code of the list sensitive-basis.
const SignificantHarm = "SIGNIFICANT_HARM"

var sensitiveBases = newCodeList(codeList{
	id: "sensitive-basis", title: "Basis for recording a sensitive involvement", version: Version,
	source: "SI 2007/2182 (sensitive services); codes of this hub",
	codes: []code{
		{code: "CONSENT", display: "Consent of the child or, where the child cannot give it, of a parent"},
		{code: SignificantHarm, display: "Reasonable cause to suspect that the child suffers or may suffer significant harm"},
	},
})

var consentGivers = newCodeList(codeList{
	id: "consent-giver", title: "Who gave a consent", version: Version,
	source: "SI 2007/2182 (consent); Gillick v West Norfolk and Wisbech AHA [1986]; Mental Capacity Act 2005; codes of this hub",
	codes: []code{
		{code: "CHILD", display: "The child or young person, of sufficient understanding", aliases: []string{"young person", "self"}},
		{code: "PARENTAL_RESPONSIBILITY", display: "A person with parental responsibility", aliases: []string{"parent"}},
	},
})

var refusalReasons = newCodeList(codeList{
	id: "refusal-reason", title: "Reason for a refusal to share", version: Version,
	source: "Children's Wellbeing and Schools Act 2026 s. 4 (Children Act 2004 ss. 16LA ff.); codes of this hub",
	codes: []code{
		{code: "MORE_DETRIMENTAL", display: "Disclosure would be more detrimental to the child than not disclosing"},
		{code: "NOT_RELEVANT", display: "It is not relevant to the child's welfare, or would not help the functions of who asked"},
		{code: "NOT_A_LISTED_BODY", display: "Who asked is not a body with whom there is a duty to share, and there is no consent"},
		{code: "NOT_HELD", display: "The agency does not hold it"},
		{code: "PROHIBITED", display: "An enactment or a court's order forbids it"},
		{code: "OTHER", display: "Another reason, stated in the details"},
	},
})

var concernCategories = newCodeList(codeList{
	id: "concern-category", title: "What a concern is about", version: Version,
	source: "Working Together to Safeguard Children; codes of this hub",
	codes: []code{
		{code: "ATTENDANCE", display: "Attendance, exclusion or missing education"},
		{code: "LEARNING", display: "Learning or development"},
		{code: "HEALTH", display: "Physical health"},
		{code: "EMOTIONAL_WELLBEING", display: "Emotional wellbeing or behaviour"},
		{code: "FAMILY", display: "Family circumstances or parenting"},
		{code: "HOUSING", display: "Housing or money"},
		{code: "YOUNG_CARER", display: "Caring for somebody"},
		{code: "ABUSE_OR_NEGLECT", display: "Abuse or neglect"},
		{code: "DOMESTIC_ABUSE", display: "Domestic abuse"},
		{code: "EXPLOITATION", display: "Exploitation, by gangs or otherwise"},
		{code: "OFFENDING", display: "Offending or antisocial behaviour"},
		{code: "MISSING", display: "Going missing"},
	},
})

var concernLevels = newCodeList(codeList{
	id: "concern-level", title: "Level of need", version: Version,
	source: "Levels of need, as in local threshold documents (Working Together to Safeguard Children); codes of this hub",
	codes: []code{
		{code: "UNIVERSAL", display: "Met by universal services"},
		{code: "EARLY_HELP", display: "Early help by one agency"},
		{code: "TARGETED", display: "Several agencies, with a lead professional"},
		{code: "ACUTE", display: "Statutory or specialist services, now"},
	},
})

var concernOutcomes = newCodeList(codeList{
	id: "concern-outcome", title: "What became of a concern", version: Version, source: "Codes of this hub",
	codes: []code{
		{code: "RESOLVED", display: "The need was met"},
		{code: "SUPPORT_IN_PLACE", display: "Support is in place"},
		{code: "REFERRED", display: "Referred to another agency"},
		{code: "ASSESSED_NO_ACTION", display: "Looked into; nothing needs to be done"},
		{code: "MOVED_AWAY", display: "The child has left the area"},
	},
})

var involvementRoles = newCodeList(codeList{
	id: "involvement-role", title: "Role in an involvement", version: Version,
	source: "This hub's own list, after the practitioners named in SI 2007/2182",
	codes: []code{
		{code: "CLASS_TEACHER", display: "Class teacher or form tutor", aliases: []string{"teacher", "form tutor"}},
		{code: "HEAD_TEACHER", display: "Head teacher", aliases: []string{"principal"}},
		{code: "DESIGNATED_SAFEGUARDING_LEAD", display: "Designated safeguarding lead", aliases: []string{"DSL"}},
		{code: "SENCO", display: "Special educational needs coordinator"},
		{code: "PASTORAL_LEAD", display: "Pastoral lead or head of year", aliases: []string{"head of year"}},
		{code: "EDUCATION_WELFARE_OFFICER", display: "Education welfare officer", aliases: []string{"EWO", "attendance officer"}},
		{code: "EDUCATIONAL_PSYCHOLOGIST", display: "Educational psychologist"},
		{code: "VIRTUAL_SCHOOL_HEAD", display: "Virtual school head"},
		{code: "EARLY_YEARS_WORKER", display: "Early years worker", aliases: []string{"key person", "childminder"}},
		{code: "GP", display: "General practitioner", aliases: []string{"doctor"}},
		{code: "PRACTICE_NURSE", display: "Practice nurse"},
		{code: "MIDWIFE", display: "Midwife"},
		{code: "HEALTH_VISITOR", display: "Health visitor"},
		{code: "SCHOOL_NURSE", display: "School nurse"},
		{code: "FAMILY_NURSE", display: "Family nurse"},
		{code: "PAEDIATRICIAN", display: "Paediatrician"},
		{code: "CHILDRENS_COMMUNITY_NURSE", display: "Children's community nurse"},
		{code: "THERAPIST", display: "Speech and language, occupational or physiotherapist"},
		{code: "MENTAL_HEALTH_WORKER", display: "Child and adolescent mental health worker", aliases: []string{"CAMHS"}},
		{code: "SEXUAL_HEALTH_WORKER", display: "Sexual health worker"},
		{code: "SUBSTANCE_MISUSE_WORKER", display: "Substance misuse worker"},
		{code: "SOCIAL_WORKER", display: "Social worker"},
		{code: "INDEPENDENT_REVIEWING_OFFICER", display: "Independent reviewing officer", aliases: []string{"IRO"}},
		{code: "FOSTERING_SOCIAL_WORKER", display: "Fostering or supervising social worker"},
		{code: "PERSONAL_ADVISER", display: "Personal adviser of a care leaver"},
		{code: "EARLY_HELP_WORKER", display: "Early help worker"},
		{code: "FAMILY_SUPPORT_WORKER", display: "Family support worker"},
		{code: "YOUTH_OFFENDING_OFFICER", display: "Youth offending team officer", aliases: []string{"YOT officer", "youth justice worker"}},
		{code: "YOUTH_WORKER", display: "Youth worker"},
		{code: "POLICE_OFFICER", display: "Police officer"},
		{code: "HOUSING_OFFICER", display: "Housing officer"},
		{code: "DOMESTIC_ABUSE_ADVISER", display: "Independent domestic violence adviser", aliases: []string{"IDVA"}},
		{code: "VOLUNTARY_WORKER", display: "Worker of a voluntary or community organisation"},
		{code: "ADVOCATE", display: "Advocate for the child"},
		{code: "OTHER", display: "Other"},
	},
})

var referralReasons = newCodeList(codeList{
	id: "referral-reason", title: "Reason for a referral", version: Version,
	source: "Working Together to Safeguard Children; codes of this hub",
	codes: []code{
		{code: "SAFEGUARDING", display: "The child may be suffering or likely to suffer significant harm"},
		{code: "CHILD_IN_NEED", display: "Assessment as a child in need"},
		{code: "EARLY_HELP", display: "Early help for the child or family"},
		{code: "PARENTING_SUPPORT", display: "Support with parenting"},
		{code: "SEND", display: "Special educational needs or a disability"},
		{code: "HEALTH", display: "Physical health or development"},
		{code: "MENTAL_HEALTH", display: "Emotional wellbeing or mental health"},
		{code: "SUBSTANCE_MISUSE", display: "Substance misuse"},
		{code: "SEXUAL_HEALTH", display: "Sexual health"},
		{code: "ATTENDANCE", display: "Attendance at school, or missing education"},
		{code: "YOUTH_JUSTICE", display: "Offending or risk of it"},
		{code: "YOUNG_CARER", display: "Assessment as a young carer"},
		{code: "HOUSING", display: "Housing or homelessness"},
		{code: "OTHER", display: "Another reason"},
	},
})

var serviceKinds = newCodeList(codeList{
	id: "service-kind", title: "Kind of service", version: Version,
	source: "codes of this hub",
	codes: []code{
		{code: "SAFEGUARDING", display: "Front door for safeguarding, or assessment by social care"},
		{code: "EARLY_HELP", display: "Early help, family hub"},
		{code: "PARENTING", display: "Parenting programme"},
		{code: "HEALTH_VISITING", display: "Health visiting"},
		{code: "SCHOOL_NURSING", display: "School nursing"},
		{code: "PAEDIATRICS", display: "Community paediatrics"},
		{code: "SPEECH_AND_LANGUAGE", display: "Speech and language therapy"},
		{code: "OTHER_THERAPY", display: "Occupational therapy or physiotherapy"},
		{code: "MENTAL_HEALTH", display: "Emotional wellbeing or mental health"},
		{code: "SUBSTANCE_MISUSE", display: "Substance misuse"},
		{code: "SEXUAL_HEALTH", display: "Sexual health"},
		{code: "SEND", display: "Support with special educational needs or a disability"},
		{code: "EDUCATION_WELFARE", display: "Attendance at school, or missing education"},
		{code: "YOUTH_WORK", display: "Youth work"},
		{code: "YOUTH_JUSTICE", display: "Youth justice, or prevention of it"},
		{code: "YOUNG_CARERS", display: "Young carers"},
		{code: "DOMESTIC_ABUSE", display: "Domestic abuse"},
		{code: "HOUSING", display: "Housing or homelessness"},
		{code: "OTHER", display: "Another service"},
	},
})

var referralBases = newCodeList(codeList{
	id: "referral-basis", title: "Basis of a referral", version: Version,
	source: "UK GDPR arts 6 and 9; Children Act 2004 ss. 10, 11 and 16LA; codes of this hub",
	codes: []code{
		{code: "CONSENT", display: "Consent in force, recorded in the hub"},
		{code: "SAFEGUARDING", display: "Safeguarding: the child's welfare needs it, and consent cannot or should not be asked"},
		{code: "DUTY_TO_SHARE", display: "A duty to share information"},
		{code: "DIRECT_CARE", display: "Provision of health or social care"},
	},
})

var referralDeclineReasons = newCodeList(codeList{
	id: "referral-decline-reason", title: "Reason for declining a referral", version: Version,
	source: "Codes of this hub",
	codes: []code{
		{code: "THRESHOLD_NOT_MET", display: "The threshold of the service is not met"},
		{code: "OUT_OF_AREA", display: "The child lives outside the area of the service"},
		{code: "NOT_OFFERED", display: "The service does not offer what is asked"},
		{code: "NO_CAPACITY", display: "There is no capacity in reasonable time"},
		{code: "ALREADY_KNOWN", display: "The service works with the child already"},
		{code: "NO_CONSENT", display: "The family does not agree"},
		{code: "OTHER", display: "Another reason"},
	},
})

var referralOutcomes = newCodeList(codeList{
	id: "referral-outcome", title: "Outcome of a referral", version: Version,
	source: "Codes of this hub",
	codes: []code{
		{code: "NEEDS_MET", display: "The needs were met"},
		{code: "NEEDS_PARTLY_MET", display: "The needs were met in part"},
		{code: "STEPPED_UP", display: "Passed to statutory services"},
		{code: "STEPPED_DOWN", display: "Passed to universal services"},
		{code: "NO_FURTHER_ACTION", display: "Assessed, with no further action"},
		{code: "DISENGAGED", display: "The child or family no longer took part"},
		{code: "MOVED_AWAY", display: "The child moved away"},
		{code: "OTHER", display: "Another outcome"},
	},
})

var leadDeclineReasons = newCodeList(codeList{
	id: "lead-decline-reason", title: "Reason for declining to be lead professional", version: Version,
	source: "Codes of this hub",
	codes: []code{
		{code: "NO_CAPACITY", display: "There is no capacity"},
		{code: "NOT_BEST_PLACED", display: "Somebody else knows the child and family better"},
		{code: "INVOLVEMENT_ENDING", display: "The work with the child is about to end"},
		{code: "FAMILY_DISAGREES", display: "The child or family would rather have somebody else"},
		{code: "OTHER", display: "Another reason"},
	},
})
