package standard

import (
	"cmp"
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
	for _, c := range r.GetCarers() {
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
	r.FormerFamilyNames = cleanList(r.GetFormerFamilyNames(), CleanText)
}

func normaliseIdentifiers(r *irtv1.ChildRecord) {
	r.NhsNumber = removeSeparators(r.GetNhsNumber())
	r.NhsNumberOmissionReason = normaliseCode(omissionReasons, r.GetNhsNumberOmissionReason())
	r.NhsNumberVerificationStatus = normaliseCode(verificationStatuses, r.GetNhsNumberVerificationStatus())
	r.Upn = upper(removeSeparators(r.GetUpn()))
	r.UpnUnknownReason = normaliseCode(upnUnknownReasons, r.GetUpnUnknownReason())
	r.FormerUpn = upper(removeSeparators(r.GetFormerUpn()))
	r.Uln = removeSeparators(r.GetUln())
	r.LaChildId = CleanText(r.GetLaChildId())
}

func normaliseDetails(r *irtv1.ChildRecord) {
	r.Sex = normaliseCode(sexes, r.GetSex())
	r.AddressLines = cleanList(r.GetAddressLines(), CleanText)
	r.Postcode = NormalisePostcode(r.GetPostcode())
	r.Uprn = removeSpaces(r.GetUprn())
	r.AddressStartDate = CleanText(r.GetAddressStartDate())
	r.Telephone = normaliseTelephone(r.GetTelephone())
	r.Email = CleanText(r.GetEmail())
	r.SchoolUrn = removeSpaces(r.GetSchoolUrn())
	r.SchoolStartDate = CleanText(r.GetSchoolStartDate())
	r.GpPracticeCode = upper(removeSpaces(r.GetGpPracticeCode()))
	r.Ethnicity = normaliseCode(ethnicities, r.GetEthnicity())
	r.Disabilities = withoutRepeats(cleanList(r.GetDisabilities(), func(s string) string {
		return normaliseCode(disabilities, s)
	}))
}

func normaliseCarer(c *irtv1.Carer) {
	c.DisplayName = CleanText(c.GetDisplayName())
	c.Relationship = normaliseCode(carerRelationships, c.GetRelationship())
	c.Telephone = normaliseTelephone(c.GetTelephone())
	c.Email = CleanText(c.GetEmail())
}

// NormaliseInvolvement does for an involvement what Normalise does for a record.
func NormaliseInvolvement(i *irtv1.Involvement) {
	i.Role = normaliseCode(involvementRoles, i.GetRole())
	i.StartDate = CleanText(i.GetStartDate())
	i.EndDate = CleanText(i.GetEndDate())
	i.SensitiveBasis = normaliseCode(sensitiveBases, i.GetSensitiveBasis())
}

// NormaliseConsent does for a consent what Normalise does for a record. Lists are
// sorted too, so that the same consent in another order is the same.
func NormaliseConsent(c *irtv1.Consent) {
	c.GivenBy = normaliseCode(consentGivers, c.GetGivenBy())
	c.StartDate = CleanText(c.GetStartDate())
	c.EndDate = CleanText(c.GetEndDate())
	c.Categories = sortedSet(c.GetCategories())
	c.RecipientKinds = sortedSet(c.GetRecipientKinds())
	c.Recipients = sortedSet(cleanList(c.GetRecipients(), CleanText))
}

// NormaliseConcern does for a concern what Normalise does for a record.
func NormaliseConcern(c *irtv1.Concern) {
	c.Category = normaliseCode(concernCategories, c.GetCategory())
	c.Level = normaliseCode(concernLevels, c.GetLevel())
	c.StartDate = CleanText(c.GetStartDate())
	c.ReviewDate = CleanText(c.GetReviewDate())
}

// NormaliseConcernOutcome does so for what became of one.
func NormaliseConcernOutcome(r *irtv1.CloseConcernRequest) {
	r.Outcome = normaliseCode(concernOutcomes, r.GetOutcome())
}

// NormaliseRefusal does for a refusal what Normalise does for a record.
func NormaliseRefusal(r *irtv1.Refusal) {
	r.Reason = normaliseCode(refusalReasons, r.GetReason())
	r.Details = CleanText(r.GetDetails())
	r.RefuseDate = CleanText(r.GetRefuseDate())
	r.Categories = sortedSet(r.GetCategories())
}

// NormalisePlan does for a plan what Normalise does for a record.
func NormalisePlan(p *irtv1.ProtectionPlan) {
	p.StartDate = CleanText(p.GetStartDate())
	p.EndDate = CleanText(p.GetEndDate())
}

// NormaliseReferral does for a referral what Normalise does for a record.
func NormaliseReferral(r *irtv1.Referral) {
	r.Reason = normaliseCode(referralReasons, r.GetReason())
	r.Basis = normaliseCode(referralBases, r.GetBasis())
	r.Service = CleanText(r.GetService())
}

func sortedSet[T cmp.Ordered](values []T) []T {
	slices.Sort(values)
	return slices.Compact(values)
}

// NormaliseAgency does for an agency what Normalise does for a record.
func NormaliseAgency(a *irtv1.Agency) {
	a.DisplayName = CleanText(a.GetDisplayName())
	a.Urn = removeSpaces(a.GetUrn())
	a.OdsCode = upper(removeSpaces(a.GetOdsCode()))
	a.AddressLines = cleanList(a.GetAddressLines(), CleanText)
	a.Postcode = NormalisePostcode(a.GetPostcode())
	a.Telephone = normaliseTelephone(a.GetTelephone())
	a.OutOfHoursTelephone = normaliseTelephone(a.GetOutOfHoursTelephone())
	a.Email = CleanText(a.GetEmail())
	a.CertificateNames = cleanList(a.GetCertificateNames(), normaliseCertificateName)
}

// normaliseCertificateName lowers a DNS name, whose letters may be of either case. A
// URI, which has a colon, stands as it is.
func normaliseCertificateName(s string) string {
	s = CleanText(s)
	if strings.Contains(s, ":") {
		return s
	}
	return strings.ToLower(s)
}

// NormalisePractitioner does for a practitioner what Normalise does for a record.
func NormalisePractitioner(p *irtv1.Practitioner) {
	p.DisplayName = CleanText(p.GetDisplayName())
	p.JobTitle = CleanText(p.GetJobTitle())
	p.Telephone = normaliseTelephone(p.GetTelephone())
	p.Email = CleanText(p.GetEmail())
}

// NormaliseService does for a service what Normalise does for a record.
func NormaliseService(s *irtv1.Service) {
	s.DisplayName = CleanText(s.GetDisplayName())
	s.Kind = ServiceKind(s.GetKind())
	s.Telephone = normaliseTelephone(s.GetTelephone())
	s.Email = CleanText(s.GetEmail())
}

// ServiceKind is the code of a kind of service that is given in any of its forms.
func ServiceKind(given string) string { return normaliseCode(serviceKinds, given) }

// NormaliseSearch does for a search what Normalise does for a record.
func NormaliseSearch(q *irtv1.SearchChildrenRequest) {
	q.GivenName = CleanText(q.GetGivenName())
	q.FamilyName = CleanText(q.GetFamilyName())
	q.DateOfBirth = CleanText(q.GetDateOfBirth())
	q.Sex = normaliseCode(sexes, q.GetSex())
	q.Postcode = NormalisePostcode(q.GetPostcode())
}

// NormaliseNHSNumber takes out the spaces and hyphens with which an NHS number
// is grouped for reading.
func NormaliseNHSNumber(s string) string { return removeSeparators(s) }

// NormaliseUPN takes out spaces and raises letters to capitals.
func NormaliseUPN(s string) string { return upper(removeSeparators(s)) }

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
