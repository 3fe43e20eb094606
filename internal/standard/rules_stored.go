package standard

// storedRules are judged by what the hub holds when something is submitted. A check of
// a message by itself, and so ValidateRecord, cannot find them broken.
var storedRules = []Rule{
	stored("CONCERN_OTHER_CHILD", "The concern of that name is about another child.",
		"Share a concern under a name of its own."),
	stored("LEAD_START_OVER", "The first day is over: nobody can agree to it any more.",
		"Send today or a later day, or leave it out."),
	stored("PLAN_OTHER_CHILD", "The plan of that name is for another child.",
		"Submit a plan under a name of its own."),
	stored("PRACTITIONER_FOREIGN", "The practitioner is of another agency.",
		"Name a practitioner of the agency itself, or nobody."),
	stored("REFERRAL_BASIS_REQUIRED", "Early help needs the family's consent, or another basis that is recorded.",
		"Send basis: CONSENT once consent is recorded, or the basis on which it is made without."),
	stored("REFERRAL_CONSENT_MISSING", "The hub has no consent in force that lets this recipient have information about the child.",
		"Record the consent first (RecordConsent), or state the basis on which it is made without."),
	stored("REFERRAL_OTHER", "The referral of that name is about another child, or to another agency.",
		"Send a referral under a name of its own."),
	stored("REFERRAL_RECIPIENT", "The directory has no such agency in use, or the referral comes from it.",
		"Send agencies/{agency} with the id of another agency of the directory."),
	stored("REFERRAL_SERVICE", "The recipient has recorded its services, and none in use has that id.",
		"Send the id of one of the services that ListServices gives of the recipient, or leave service out."),
}

func stored(id, description, action string) Rule {
	return Rule{
		ID: id, Grade: ruleError, StrictGrade: ruleError, Stored: true, Description: description, Action: action,
		Source: "IRT Hub: against what it holds",
	}
}
