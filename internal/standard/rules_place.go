package standard

import irtv1 "irthub/gen/irt/v1"

var placeRules = []Rule{
	{
		ID: "ADDRESS_MISSING", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "There is no address, and nothing says that none is known.",
		Action:      "Send the address or at least the postcode; or set no_known_address.",
		Source:      "SI 2007/2182 (current or last known address, or no known address)",
		breaksRecord: func(r *irtv1.ChildRecord, _ *checker) bool {
			return !r.GetNoKnownAddress() && len(r.GetAddressLines()) == 0 && r.GetPostcode() == "" && r.GetUprn() == ""
		},
	},
	{
		ID: "NO_KNOWN_ADDRESS_CONFLICT", Grade: ruleError, StrictGrade: ruleError,
		Description:  "There is an address, and also the statement that none is known.",
		Action:       "Leave the address out, or set no_known_address to false.",
		Source:       "SI 2007/2182 (no known address)",
		breaksRecord: noKnownAddressConflict,
	},
	{
		ID: "POSTCODE_STRICT", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The postcode has a form that hardly any postcode has.",
		Action:      "Check the postcode, O and 0, I and 1 in particular.",
		Source:      "Cabinet Office: BS 7666 postcode format; NHS pseudo-postcodes ZZ99 are accepted",
		breaksValue: func(v string, _ *checker) bool { return !postcodeIsUsual(v) },
	},
	{
		ID: "TELEPHONE_INVALID", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The telephone number cannot be dialled as it is.",
		Action:      "Send one number with its area code, or with + and the country code; no remarks.",
		Source:      "Ofcom: National Telephone Numbering Plan; ITU-T E.164",
		breaksValue: func(v string, _ *checker) bool { return !telephoneIsValid(v) },
	},
	{
		ID: "EMAIL_INVALID", Grade: ruleQuery, StrictGrade: ruleQuery,
		Description: "The e-mail address has not the form name@domain.",
		Action:      "Send one address and nothing else.",
		Source:      "RFC 5322, as narrowed by HTML",
		breaksValue: func(v string, _ *checker) bool { return !emailIsValid(v) },
	},
	{
		ID: codeUnknown, Grade: ruleError, StrictGrade: ruleError,
		Description: "The value is not a code of the list, nor a form of one that the list names.",
		Action:      "Send one of the codes of the field's code list.",
		Source:      "The code list",
		breaksValue: func(v string, c *checker) bool { return c.at.codes != nil && !c.at.codes.has(v) },
	},
}

// noKnownAddressConflict is reported at each field of the address that is filled.
// The NHS's postcodes for no fixed abode and the like say the same as the flag.
func noKnownAddressConflict(r *irtv1.ChildRecord, c *checker) bool {
	if !r.GetNoKnownAddress() {
		return false
	}
	switch c.field() {
	case "address_lines":
		return len(r.GetAddressLines()) > 0
	case "postcode":
		return r.GetPostcode() != "" && !pseudoPostcode(r.GetPostcode())
	case "uprn":
		return r.GetUprn() != ""
	default: // no_known_address itself, which is right or wrong with the others
		return false
	}
}
