package standard

import (
	"slices"
	"strings"

	irtv1 "irthub/gen/irt/v1"
)

// Normalise rewrites a record, in place, in the one form the hub keeps, before it
// is checked: text by CleanText, identifiers without spaces and in capitals,
// postcodes by NormalisePostcode, codes by their code list (sex "female" or "2"
// becomes F), empty address lines and repeated codes left out. It never guesses,
// and doing it again changes nothing. Fields that only the hub sets are left alone.
func Normalise(r *irtv1.ChildRecord) {
	normaliseNames(r)
	normaliseIdentifiers(r)
	normaliseDetails(r)
	for _, c := range r.Carers {
		if c != nil {
			normaliseCarer(c)
		}
	}
}

func normaliseNames(r *irtv1.ChildRecord) {
	for _, s := range []*string{
		&r.GivenName, &r.MiddleNames, &r.FamilyName, &r.PreferredGivenName,
		&r.DateOfBirth, &r.ExpectedDateOfBirth, &r.DateOfDeath,
	} {
		*s = CleanText(*s)
	}
	r.FormerFamilyNames = cleanList(r.FormerFamilyNames, CleanText)
}

func normaliseIdentifiers(r *irtv1.ChildRecord) {
	r.NhsNumber = removeSeparators(r.NhsNumber)
	r.NhsNumberOmissionReason = normaliseCode(omissionReasons, r.NhsNumberOmissionReason)
	r.NhsNumberVerificationStatus = normaliseCode(verificationStatuses, r.NhsNumberVerificationStatus)
	r.Upn = strings.ToUpper(removeSeparators(r.Upn))
	r.UpnUnknownReason = normaliseCode(upnUnknownReasons, r.UpnUnknownReason)
	r.FormerUpn = strings.ToUpper(removeSeparators(r.FormerUpn))
	r.Uln = removeSeparators(r.Uln)
	r.LaChildId = CleanText(r.LaChildId)
}

func normaliseDetails(r *irtv1.ChildRecord) {
	r.Sex = normaliseCode(sexes, r.Sex)
	r.AddressLines = cleanList(r.AddressLines, CleanText)
	r.Postcode = NormalisePostcode(r.Postcode)
	r.Uprn = removeSpaces(r.Uprn)
	r.AddressStartDate = CleanText(r.AddressStartDate)
	r.Telephone = normaliseTelephone(r.Telephone)
	r.Email = CleanText(r.Email)
	r.SchoolUrn = removeSpaces(r.SchoolUrn)
	r.SchoolStartDate = CleanText(r.SchoolStartDate)
	r.GpPracticeCode = strings.ToUpper(removeSpaces(r.GpPracticeCode))
	r.Ethnicity = normaliseCode(ethnicities, r.Ethnicity)
	r.Disabilities = withoutRepeats(cleanList(r.Disabilities, func(s string) string {
		return normaliseCode(disabilities, s)
	}))
}

func normaliseCarer(c *irtv1.Carer) {
	c.DisplayName = CleanText(c.DisplayName)
	c.Relationship = normaliseCode(carerRelationships, c.Relationship)
	c.Telephone = normaliseTelephone(c.Telephone)
	c.Email = CleanText(c.Email)
}

// NormaliseInvolvement does for an involvement what Normalise does for a record.
func NormaliseInvolvement(i *irtv1.Involvement) {
	i.Role = normaliseCode(involvementRoles, i.Role)
	i.StartDate = CleanText(i.StartDate)
	i.EndDate = CleanText(i.EndDate)
	i.SensitiveBasis = normaliseCode(sensitiveBases, i.SensitiveBasis)
}

// NormaliseAgency does for an agency what Normalise does for a record.
func NormaliseAgency(a *irtv1.Agency) {
	a.DisplayName = CleanText(a.DisplayName)
	a.Urn = removeSpaces(a.Urn)
	a.OdsCode = strings.ToUpper(removeSpaces(a.OdsCode))
	a.AddressLines = cleanList(a.AddressLines, CleanText)
	a.Postcode = NormalisePostcode(a.Postcode)
	a.Telephone = normaliseTelephone(a.Telephone)
	a.OutOfHoursTelephone = normaliseTelephone(a.OutOfHoursTelephone)
	a.Email = CleanText(a.Email)
}

// NormalisePractitioner does for a practitioner what Normalise does for a record.
func NormalisePractitioner(p *irtv1.Practitioner) {
	p.DisplayName = CleanText(p.DisplayName)
	p.JobTitle = CleanText(p.JobTitle)
	p.Telephone = normaliseTelephone(p.Telephone)
	p.Email = CleanText(p.Email)
}

// NormaliseSearch does for a search what Normalise does for a record.
func NormaliseSearch(q *irtv1.SearchChildrenRequest) {
	q.GivenName = CleanText(q.GivenName)
	q.FamilyName = CleanText(q.FamilyName)
	q.DateOfBirth = CleanText(q.DateOfBirth)
	q.Sex = normaliseCode(sexes, q.Sex)
	q.Postcode = NormalisePostcode(q.Postcode)
}

// NormaliseNHSNumber takes out the spaces and hyphens with which an NHS number
// is grouped for reading.
func NormaliseNHSNumber(s string) string { return removeSeparators(s) }

// NormaliseUPN takes out spaces and raises letters to capitals.
func NormaliseUPN(s string) string { return strings.ToUpper(removeSeparators(s)) }

// normaliseTelephone keeps the number as it was given: groups of digits are read
// out and dialled as the agency wrote them.
func normaliseTelephone(s string) string {
	s = CleanText(s)
	if len(s) > 4 && strings.EqualFold(s[:4], "tel:") {
		s = CleanText(s[4:])
	}
	return s
}

// cleanList cleans every value and leaves out those that are then empty.
func cleanList(values []string, clean func(string) string) []string {
	kept := values[:0]
	for _, v := range values {
		if v = clean(v); v != "" {
			kept = append(kept, v)
		}
	}
	clear(values[len(kept):])
	if len(kept) == 0 {
		return nil
	}
	return kept
}

func withoutRepeats(values []string) []string {
	kept := values[:0]
	for _, v := range values {
		if !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	clear(values[len(kept):])
	return kept
}
