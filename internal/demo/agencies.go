package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"

	irtv1 "irthub/gen/irt/v1"
)

// Agencies whose ids are fixed, to be named in documentation.
const (
	Authority       = "broadshire-council"
	SocialCare      = "broadshire-social-care"
	YouthOffending  = "broadshire-yot"
	Police          = "broadshire-police"
	HealthTrust     = "broadshire-community-health"
	YouthService    = "broadshire-connexions"
	FirstCharity    = "harbour-families"
	SecondCharity   = "young-carers-broadshire"
	CAMHS           = "broadshire-camhs"
	SubstanceMisuse = "the-quay-project"
)

// agency is one of the area, with the people in it.
type agency struct {
	message *irtv1.Agency
	id      string
	town    int
	stage   stage // of a school
	people  []*irtv1.Practitioner
}

// stage is whom a school takes.
type stage int

const (
	noSchool stage = iota
	primary
	secondary
	college
)

// area is the authority's: everything that does not depend on how many children
// there are.
type area struct {
	all       []*agency
	byID      map[string]*agency
	schools   []*agency
	practices []*agency
	nurseries []*agency
	numbers   int // telephone numbers given out
}

// The 60 schools and practices: each town has some of every stage.
const (
	primaries   = 32
	secondaries = 8
	colleges    = 2
	practices   = 18
)

func newArea(r *rand.Rand) *area {
	a := &area{byID: map[string]*agency{}}
	a.addSchools(r)
	a.addPractices(r)
	for _, s := range services {
		added := a.add(r, s.id, s.name, s.kind, 0)
		added.message.Sensitive = s.sensitive
		for range s.people {
			a.employ(r, added, s.job[len(added.people)%len(s.job)])
		}
		if s.kind == irtv1.AgencyKind_AGENCY_KIND_EARLY_YEARS {
			a.nurseries = append(a.nurseries, added)
		}
	}
	return a
}

// services are the agencies other than schools and practices.
var services = []struct {
	id, name  string
	kind      irtv1.AgencyKind
	sensitive bool
	people    int
	job       []string
}{
	{Authority, "Broadshire County Council", irtv1.AgencyKind_AGENCY_KIND_LOCAL_AUTHORITY, false, 0, nil},
	{
		SocialCare, "Broadshire Children's Social Care", irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE, false, 14,
		[]string{"Social worker", "Social worker", "Senior social worker"},
	},
	{
		YouthOffending, "Broadshire Youth Offending Team", irtv1.AgencyKind_AGENCY_KIND_YOUTH_OFFENDING_TEAM, false, 4,
		[]string{"Youth offending officer"},
	},
	{
		Police, "Broadshire Constabulary, Safeguarding Children", irtv1.AgencyKind_AGENCY_KIND_POLICE, false, 3,
		[]string{"Detective constable", "Police constable"},
	},
	{
		HealthTrust, "Broadshire Community Health NHS Trust", irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, false, 12,
		[]string{"Health visitor", "School nurse"},
	},
	{
		"little-terns-nursery", "Little Terns Nursery", irtv1.AgencyKind_AGENCY_KIND_EARLY_YEARS, false, 2,
		[]string{"Nursery manager", "Key person"},
	},
	{
		"windmill-childrens-centre", "Windmill Children's Centre", irtv1.AgencyKind_AGENCY_KIND_EARLY_YEARS, false, 2,
		[]string{"Centre manager", "Key person"},
	},
	{FirstCharity, "Harbour Families", irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY, false, 2, []string{"Family support worker"}},
	{SecondCharity, "Young Carers Broadshire", irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY, false, 2, []string{"Young carers' worker"}},
	{YouthService, "Broadshire Connexions", irtv1.AgencyKind_AGENCY_KIND_YOUTH_SERVICE, false, 2, []string{"Personal adviser"}},
	{
		CAMHS, "Broadshire Child and Adolescent Mental Health Service", irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, true, 3,
		[]string{"Mental health practitioner"},
	},
	{SubstanceMisuse, "The Quay Project", irtv1.AgencyKind_AGENCY_KIND_DRUG_ACTION_TEAM, true, 2, []string{"Substance misuse worker"}},
}

var schoolSaints = words(`St-Agnes St-Botolph's St-Edmund's St-Felix Holy-Trinity All-Saints St-Margaret's St-Withburga`)

// firstURN begins a range of unique reference numbers that no school has.
const firstURN = 990001

func (a *area) addSchools(r *rand.Rand) {
	for i := range primaries + secondaries + colleges {
		town := i % len(towns)
		name, s := spaced(towns[town])+" Community Primary School", primary
		switch {
		case i >= primaries+secondaries:
			name, s = spaced(towns[town])+" Sixth Form College", college
		case i >= primaries:
			name, s = spaced(towns[town])+" High School", secondary
		case i >= 2*len(towns):
			name = fmt.Sprintf("%s %s Primary School", spaced(towns[town]), streetNames[i%len(streetNames)])
		case i >= len(towns):
			name = spaced(schoolSaints[town]) + " Church of England Primary School, " + spaced(towns[town])
		}
		school := a.add(r, slug(name), name, irtv1.AgencyKind_AGENCY_KIND_SCHOOL, town)
		school.stage = s
		school.message.Urn = fmt.Sprint(firstURN + i)
		a.employ(r, school, "Designated safeguarding lead")
		a.employ(r, school, map[stage]string{primary: "Class teacher", secondary: "Head of year", college: "Personal tutor"}[s])
		a.schools = append(a.schools, school)
	}
}

var practiceNames = words(`Surgery Medical-Centre Health-Centre`)

func (a *area) addPractices(r *rand.Rand) {
	for i := range practices {
		town := i % len(towns)
		name := spaced(towns[town]) + " " + spaced(practiceNames[i/len(towns)])
		practice := a.add(r, "gp-"+slug(name), name, irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE, town)
		practice.message.OdsCode = fmt.Sprintf("Z99%03d", i+1) // no practice's code begins with Z
		a.employ(r, practice, "General practitioner")
		a.practices = append(a.practices, practice)
	}
}

// slug makes an id of a name.
func slug(name string) string {
	for _, cut := range []string{" Community", " Church of England", " School", "'"} {
		name = strings.ReplaceAll(name, cut, "")
	}
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == ' ' || r == ',' || r == '-' }), "-")
}

func (a *area) add(r *rand.Rand, id, name string, kind irtv1.AgencyKind, town int) *agency {
	at := newHome(r, town)
	added := &agency{id: id, town: town, message: &irtv1.Agency{
		Name: "agencies/" + id, DisplayName: name, Kind: kind, AddressLines: at.lines(), Postcode: at.postcode,
		Telephone: a.telephone(), Email: "office@" + id + ".example.org", State: irtv1.AgencyState_AGENCY_STATE_ACTIVE,
	}}
	if kind == irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE || kind == irtv1.AgencyKind_AGENCY_KIND_POLICE {
		added.message.OutOfHoursTelephone = a.telephone()
	}
	a.all, a.byID[id] = append(a.all, added), added
	return added
}

// telephone gives out the numbers that Ofcom keeps for drama, which reach nobody.
func (a *area) telephone() string {
	a.numbers++
	return fmt.Sprintf("01632 960%03d", a.numbers)
}

func mobile(r *rand.Rand) string { return fmt.Sprintf("07700 900%03d", r.IntN(1000)) }

func (a *area) employ(r *rand.Rand, at *agency, job string) {
	c := someCulture(r)
	given, surname := some(r, c.girls), some(r, c.surnames)
	if r.IntN(3) == 0 {
		given = some(r, c.boys)
	}
	name := given + " " + surname
	if job == "General practitioner" {
		name = "Dr " + name
	}
	id := fmt.Sprintf("%s-%d", initials(given, surname), len(at.people)+1)
	at.people = append(at.people, &irtv1.Practitioner{
		Name: at.message.GetName() + "/practitioners/" + id, DisplayName: name, JobTitle: job, Telephone: mobile(r),
		Email: id + "@" + at.id + ".example.org", State: irtv1.AgencyState_AGENCY_STATE_ACTIVE,
	})
}

// initials are plain letters, since they stand in ids and addresses.
func initials(given, surname string) string {
	plain := strings.NewReplacer("Ł", "l", "ł", "l")
	return strings.ToLower(plain.Replace(given[:firstRune(given)]) + plain.Replace(surname[:firstRune(surname)]))
}

func firstRune(s string) int {
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

func some[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func someCulture(r *rand.Rand) *culture {
	n := r.IntN(100)
	for _, c := range cultures {
		if n -= c.share; n < 0 {
			return c
		}
	}
	return cultures[0]
}
