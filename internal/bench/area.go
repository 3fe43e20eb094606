package bench

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
)

// involved are the ten agencies that work with one child where many do, each with
// the role of its practitioner: what ListInvolvements is measured with.
var involved = []struct {
	agency string
	kind   irtv1.AgencyKind
	role   string
}{
	{schoolID(0), irtv1.AgencyKind_AGENCY_KIND_SCHOOL, "CLASS_TEACHER"},
	{practiceID(0), irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE, "GP"},
	{"social-care", irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE, "SOCIAL_WORKER"},
	{"health", irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, "HEALTH_VISITOR"},
	{"hospital", irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, "PAEDIATRICIAN"},
	{"police", irtv1.AgencyKind_AGENCY_KIND_POLICE, "POLICE_OFFICER"},
	{"youth-justice", irtv1.AgencyKind_AGENCY_KIND_YOUTH_OFFENDING_TEAM, "YOUTH_OFFENDING_OFFICER"},
	{"youth-service", irtv1.AgencyKind_AGENCY_KIND_YOUTH_SERVICE, "YOUTH_WORKER"},
	{"council", irtv1.AgencyKind_AGENCY_KIND_LOCAL_AUTHORITY, "EARLY_HELP_WORKER"},
	{"charity", irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY, "VOLUNTARY_WORKER"},
}

// dataManager is the agency that fills the index for everybody.
const dataManager = "council"

// practitionersEach is how many practitioners an agency has.
const practitionersEach = 20

// register registers the area's agencies and practitioners.
func register(ctx context.Context, pool *pgxpool.Pool) error {
	list := areaAgencies()
	if _, _, _, err := agencies.UpsertAgencies(ctx, pool, list); err != nil {
		return err
	}
	var everybody []*irtv1.Practitioner
	for _, a := range list {
		for n := range practitionersEach {
			everybody = append(everybody, &irtv1.Practitioner{
				Name:        a.GetName() + "/practitioners/" + practitionerID(n),
				DisplayName: girls.names[n] + " " + families.names[(7*n)%len(families.names)], JobTitle: "Practitioner",
				Telephone: fmt.Sprintf("01632 960%03d", n), Email: fmt.Sprintf("p%d@example.org", n),
				State: irtv1.AgencyState_AGENCY_STATE_ACTIVE,
			})
		}
	}
	_, _, _, err := agencies.UpsertPractitioners(ctx, pool, everybody)
	return err
}

func practitionerID(n int) string { return fmt.Sprintf("p%d", n+1) }

func areaAgencies() []*irtv1.Agency {
	byName := map[string]*irtv1.Agency{}
	var list []*irtv1.Agency
	add := func(id string, kind irtv1.AgencyKind) *irtv1.Agency {
		name := agencies.Name(id)
		if byName[name] == nil {
			a := &irtv1.Agency{
				Name: name, DisplayName: "Agency " + id, Kind: kind, State: irtv1.AgencyState_AGENCY_STATE_ACTIVE,
				Telephone: "01632 960999", Email: id + "@example.org",
			}
			byName[name], list = a, append(list, a)
		}
		return byName[name]
	}
	for _, i := range involved {
		add(i.agency, i.kind)
	}
	for n := range schools {
		add(schoolID(n), irtv1.AgencyKind_AGENCY_KIND_SCHOOL).Urn = schoolURN(n)
	}
	for n := range practices {
		add(practiceID(n), irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE).OdsCode = practiceCode(n)
	}
	return list
}
