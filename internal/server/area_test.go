package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/server"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// area is a hub with children of every sort, each of whose details is a word that
// stands nowhere else, so that a word in an answer tells what was disclosed.
type area struct {
	*hub
	children []*subject
}

// subject is a child of the area.
type subject struct {
	sort, name, id string
	facts          sharing.Facts // of the child itself
	works          map[string]bool
	consent        sharing.Categories // to charity-1
	words          []word
}

// word is a detail of a child.
type word struct {
	text     string
	category irtv1.Category
	agency   string // whose involvement, concern or record it is in alone, or ""; of a referral its two sides
}

var areaAgencies = map[string]irtv1.AgencyKind{
	"school-1": irtv1.AgencyKind_AGENCY_KIND_SCHOOL, "gp-1": irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE,
	"social-1": irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE, "police-1": irtv1.AgencyKind_AGENCY_KIND_POLICE,
	"charity-1": irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY, "clinic-1": irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST,
}

func newArea(t *testing.T) *area {
	t.Helper()
	return newAreaWith(t, server.Config{})
}

// newAreaWith is newArea with settings.
func newAreaWith(t *testing.T, c server.Config) *area {
	t.Helper()
	a := &area{hub: startWith(t, c)}
	var all []*irtv1.Agency
	for id, kind := range areaAgencies {
		// The hub takes in a new name some seconds later, and would tell first the one
		// and then the other: those that start made stay as they are.
		if id == "school-1" || id == "gp-1" {
			continue
		}
		all = append(all, &irtv1.Agency{Name: "agencies/" + id, DisplayName: id, Kind: kind, Sensitive: id == "clinic-1"})
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), a.pool, all); err != nil {
		t.Fatal(err)
	}
	// The day's run of the retention rules is done, and the next day's, should midnight
	// come: so who is archived here stays so.
	a.exec(t, `INSERT INTO retention_runs (run_id, today, start_time, end_time)
		SELECT gen_random_uuid(), $1::date + n, now(), now() FROM generate_series(0, 1) AS n`, standard.Today())
	var one []*irtv1.Practitioner // for whom mediators act
	for id := range areaAgencies {
		one = append(one, &irtv1.Practitioner{
			Name: "agencies/" + id + "/practitioners/p1", DisplayName: "P", State: irtv1.AgencyState_AGENCY_STATE_ACTIVE,
		})
	}
	if _, _, _, err := agencies.UpsertPractitioners(t.Context(), a.pool, one); err != nil {
		t.Fatal(err)
	}
	for i, sort := range []string{"plain", "shielded", "sensitive", "deceased", "archived", "consented"} {
		a.children = append(a.children, a.add(t, i, sort))
	}
	return a
}

// as is the context of a call over gRPC.
func (a *area) as(t *testing.T, c identity.Caller) context.Context {
	t.Helper()
	return metadata.NewOutgoingContext(t.Context(), metadata.New(a.headers(t, c)))
}

func (a *area) headers(t *testing.T, c identity.Caller) map[string]string {
	t.Helper()
	token, err := a.key.Issue(identity.Claims{Agency: c.Agency, Role: c.Role, Practitioner: c.Practitioner})
	if err != nil {
		t.Fatal(err)
	}
	h := map[string]string{"authorization": "Bearer " + token}
	for key, value := range map[string]string{
		"irt-purpose": identity.PurposeText(c.Purpose), "irt-reason": c.Reason, "irt-on-behalf-of": c.OnBehalfOf,
	} {
		if value != "" {
			h[key] = value
		}
	}
	return h
}

func (a *area) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := a.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// add makes a child with records of the school and of social care, and what its
// sort says.
func (a *area) add(t *testing.T, i int, sort string) *subject {
	t.Helper()
	s := &subject{sort: sort, works: map[string]bool{"school-1": true, "social-1": true}}
	tag := strings.ToUpper(string(rune('a'+i))) + "q"
	r := &irtv1.ChildRecord{
		GivenName: "Given" + tag, FamilyName: "Family" + tag, DateOfBirth: fmt.Sprintf("2015-0%d-11", i+1), Sex: "F",
		NhsNumber: nhsNumber(t, 999200010+i), LaChildId: "LA" + tag + "77",
		AddressLines: []string{"Lane" + tag}, Postcode: fmt.Sprintf("NR%d 4XQ", i+1),
		Telephone: fmt.Sprintf("01632 96077%d", i), Email: "child" + tag + "@example.org", Ethnicity: "WBRI",
		Carers: []*irtv1.Carer{{DisplayName: "Carer" + tag, Relationship: "MTH", Email: "carer" + tag + "@example.org"}},
	}
	if sort == "deceased" {
		r.DateOfDeath, s.facts.Deceased = "2026-01-02", true
	}
	s.words = []word{
		{"Family" + tag, irtv1.Category_CATEGORY_BASIC, ""},
		{"LA" + tag + "77", irtv1.Category_CATEGORY_IDENTIFIER, ""},
		{"Lane" + tag, irtv1.Category_CATEGORY_LOCATION, ""},
		{r.GetPostcode(), irtv1.Category_CATEGORY_LOCATION, ""},
		{"child" + tag, irtv1.Category_CATEGORY_CONTACT, ""},
		{"carer" + tag, irtv1.Category_CATEGORY_CONTACT, ""},
		{"Carer" + tag, irtv1.Category_CATEGORY_CARER, ""},
	}
	for agency := range s.works {
		own := proto.CloneOf(r)
		own.Name = "agencies/" + agency + "/childRecords/r" + tag
		client := irtv1.NewChildServiceClient(a.conn)
		resp, err := client.SubmitChildRecord(a.as(t, identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM}),
			&irtv1.SubmitChildRecordRequest{ChildRecord: own})
		if err != nil {
			t.Fatal(err)
		}
		s.name = resp.GetChild()
	}
	a.involve(t, s, "school-1", tag, "")
	if sort == "sensitive" || sort == "shielded" {
		a.involve(t, s, "clinic-1", tag, "CONSENT")
		s.works["clinic-1"] = true
	}
	a.plan(t, s, tag)
	id := strings.TrimPrefix(s.name, "children/")
	s.id = id
	a.set(t, s, sort, "r"+tag)
	return s
}

// involve makes an agency work with a child through a practitioner of its own.
func (a *area) involve(t *testing.T, s *subject, agency, tag, basis string) {
	t.Helper()
	person := "agencies/" + agency + "/practitioners/w" + tag
	if _, _, _, err := agencies.UpsertPractitioners(t.Context(), a.pool, []*irtv1.Practitioner{
		{Name: person, DisplayName: "Worker" + tag + agency, Telephone: "01632 960001"},
	}); err != nil {
		t.Fatal(err)
	}
	ctx := a.as(t, identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
	client := irtv1.NewInvolvementServiceClient(a.conn)
	i, err := client.SubmitInvolvement(ctx, &irtv1.SubmitInvolvementRequest{Involvement: &irtv1.Involvement{
		Name: "agencies/" + agency + "/involvements/i" + tag + agency, Child: s.name, Role: "OTHER", Practitioner: person,
		StartDate: "2026-01-05", SensitiveBasis: basis, Sensitive: basis != "",
	}})
	if err != nil {
		t.Fatal(err)
	}
	category := irtv1.Category_CATEGORY_INVOLVEMENT
	if basis != "" {
		category = irtv1.Category_CATEGORY_SENSITIVE
	} else if _, err := client.SetLeadProfessional(ctx, &irtv1.SetLeadProfessionalRequest{Child: s.name, Involvement: i.GetName()}); err != nil {
		t.Fatal(err)
	}
	s.words = append(s.words, word{"Worker" + tag + agency, category, agency}, word{"/i" + tag + agency, category, agency})
	a.worry(ctx, t, s, agency, tag, basis != "")
}

// worry makes an agency share a concern about a child, and the school refer it to
// social care.
func (a *area) worry(ctx context.Context, t *testing.T, s *subject, agency, tag string, sensitive bool) {
	t.Helper()
	concern := "/concerns/c" + tag
	if _, err := irtv1.NewConcernServiceClient(a.conn).SubmitConcern(ctx, &irtv1.SubmitConcernRequest{Concern: &irtv1.Concern{
		Name: "agencies/" + agency + concern, Child: s.name, Category: "ATTENDANCE", Level: "EARLY_HELP", StartDate: "2026-01-05",
	}}); err != nil {
		t.Fatal(err)
	}
	if sensitive {
		s.words = append(s.words, word{agency + concern, irtv1.Category_CATEGORY_SENSITIVE, agency})
		return
	}
	s.words = append(s.words, word{agency + concern, irtv1.Category_CATEGORY_CONCERN, agency})
	referral := "agencies/" + agency + "/referrals/r" + tag
	if _, err := irtv1.NewReferralServiceClient(a.conn).SendReferral(ctx, &irtv1.SendReferralRequest{Referral: &irtv1.Referral{
		Name: referral, Child: s.name, Recipient: "agencies/social-1", Reason: "CHILD_IN_NEED",
		Urgency: irtv1.ReferralUrgency_REFERRAL_URGENCY_ROUTINE, Basis: "SAFEGUARDING",
	}}); err != nil {
		t.Fatal(err)
	}
	s.words = append(s.words, word{referral, irtv1.Category_CATEGORY_REFERRAL, agency + " social-1"})
}

// plan puts a child on a plan of social care.
func (a *area) plan(t *testing.T, s *subject, tag string) {
	t.Helper()
	person := "agencies/social-1/practitioners/l" + tag
	if _, _, _, err := agencies.UpsertPractitioners(t.Context(), a.pool, []*irtv1.Practitioner{{Name: person, DisplayName: "Planner" + tag}}); err != nil {
		t.Fatal(err)
	}
	social := identity.Caller{Agency: "social-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM}
	_, err := irtv1.NewPlanServiceClient(a.conn).SubmitPlan(a.as(t, social), &irtv1.SubmitPlanRequest{Plan: &irtv1.ProtectionPlan{
		Name: "agencies/social-1/plans/p" + tag, ChildRecord: "agencies/social-1/childRecords/r" + tag,
		Kind: irtv1.PlanKind_PLAN_KIND_CHILD_PROTECTION, StartDate: "2026-01-12", Practitioner: person,
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.words = append(s.words, word{"Planner" + tag, irtv1.Category_CATEGORY_PLAN, "social-1"})
}

// set makes a child what its sort says, in the tables of consents and shields.
func (a *area) set(t *testing.T, s *subject, sort, record string) {
	t.Helper()
	const insert = `INSERT INTO child_sharing (child_id, shielded, archive_date, consents)
		SELECT child_id, $2, $3::date, $4::jsonb FROM child_records WHERE agency_id = 'school-1' AND local_id = $1`
	switch sort {
	case "shielded":
		s.facts.Shielded = true
		a.exec(t, insert, record, true, nil, "[]")
	case "archived":
		s.facts.Archived = true
		a.exec(t, insert, record, false, "2026-01-01", "[]")
	case "consented":
		s.consent = sharing.SetOf(irtv1.Category_CATEGORY_LOCATION)
		a.exec(t, insert, record, false, nil, `[{"s":1,"c":[4],"r":["charity-1"],"a":"school-1","f":"2026-01-01"}]`)
	}
}

// nhsNumber puts the check digit behind nine digits, or behind the next nine that
// have one.
func nhsNumber(t *testing.T, nine int) string {
	t.Helper()
	for ; ; nine += 100 {
		text, sum := fmt.Sprintf("%09d", nine), 0
		for i, digit := range text {
			sum += int(digit-'0') * (10 - i)
		}
		if check := 11 - sum%11; check != 10 {
			return text + fmt.Sprint(check%11)
		}
	}
}
