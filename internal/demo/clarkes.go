package demo

import (
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// Amelia Clarke is in every area, whatever its size: known to her school, her
// practice and social care under these names, spelt in three ways, with Oliver,
// her brother at the same address. Documentation may rely on her.
const (
	AmeliaSchool           = "holmeford-primary"
	AmeliaPractice         = "gp-holmeford-surgery"
	AmeliaSchoolRecord     = "agencies/" + AmeliaSchool + "/childRecords/P00001"
	AmeliaPracticeRecord   = "agencies/" + AmeliaPractice + "/childRecords/R00001"
	AmeliaSocialCareRecord = "agencies/" + SocialCare + "/childRecords/C00001"
	AmeliaFamilyName       = "Clarke"
	AmeliaDateOfBirth      = "2016-04-12"
	AmeliaNHSNumber        = "9991000003"
)

func clarkes(a *area) *family {
	formerly := home{"3 Church Close", spaced(towns[1]), postcodeOf(1, 7)}
	f := &family{
		culture: cultures[0], surname: AmeliaFamilyName, formerly: &formerly, moved: time.Date(2025, 7, 21, 0, 0, 0, 0, time.UTC),
		home: home{"12 Heron Lane", spaced(towns[0]), postcodeOf(0, 24)}, practice: a.byID[AmeliaPractice],
		parents: []parent{
			{name: "Susan Clarke", relationship: "MTH", telephone: "07700 900101"},
			{name: "David Clarke", relationship: "FTH", telephone: "07700 900102"},
		},
	}
	school := a.byID[AmeliaSchool]
	amelia := &child{
		family: f, given: "Amelia", middle: "Grace", sex: "F", ethnicity: "WBRI", school: school,
		born: time.Date(2016, 4, 12, 0, 0, 0, 0, time.UTC),
	}
	oliver := &child{
		family: f, given: "Oliver", sex: "M", ethnicity: "WBRI", school: school,
		born: time.Date(2018, 6, 30, 0, 0, 0, 0, time.UTC),
	}
	f.children = []*child{amelia, oliver}
	return f
}

// amelia is what the three agencies say of her.
func (w *writer) amelia(c *child) {
	w.school(c, c.school)
	w.practice(c)
	s := w.sent[len(w.sent)-1]
	s.record.MiddleNames = c.middle
	w.socialCare(c)
	s = w.sent[len(w.sent)-1]
	s.record.GivenName, s.record.FamilyName = "Millie", "Clark"
	s.record.NhsNumber, s.record.NhsNumberOmissionReason = "", "UNKNOWN_UNDUE_DELAY"
	s.record.AddressLines, s.record.Postcode = c.formerly.lines(), c.formerly.postcode
	s.record.DateOfBirth = AmeliaDateOfBirth
	s.involvements = []*involvement{{lead: true, message: &irtv1.Involvement{
		Name: "agencies/" + SocialCare + "/involvements/I00001", ChildRecord: AmeliaSocialCareRecord, Role: "SOCIAL_WORKER",
		Practitioner: w.area.byID[SocialCare].people[0].GetName(), StartDate: "2025-11-03",
	}}}
}
