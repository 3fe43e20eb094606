package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
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
	agency   string // whose involvement or record it is in alone, or ""
}

var areaAgencies = map[string]irtv1.AgencyKind{
	"school-1": irtv1.AgencyKind_AGENCY_KIND_SCHOOL, "gp-1": irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE,
	"social-1": irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE, "police-1": irtv1.AgencyKind_AGENCY_KIND_POLICE,
	"charity-1": irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY, "clinic-1": irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST,
}

func newArea(t *testing.T) *area {
	t.Helper()
	a := &area{hub: start(t)}
	var all []*irtv1.Agency
	for id, kind := range areaAgencies {
		all = append(all, &irtv1.Agency{Name: "agencies/" + id, DisplayName: id, Kind: kind, Sensitive: id == "clinic-1"})
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), a.pool, all); err != nil {
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
	ctx := t.Context()
	for key, value := range a.headers(t, c) {
		ctx = metadata.AppendToOutgoingContext(ctx, key, value)
	}
	return ctx
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
		{"Family" + tag, irtv1.Category_CATEGORY_BASIC, ""}, {"LA" + tag + "77", irtv1.Category_CATEGORY_IDENTIFIER, ""},
		{"Lane" + tag, irtv1.Category_CATEGORY_LOCATION, ""}, {r.GetPostcode(), irtv1.Category_CATEGORY_LOCATION, ""},
		{"child" + tag, irtv1.Category_CATEGORY_CONTACT, ""}, {"carer" + tag, irtv1.Category_CATEGORY_CONTACT, ""},
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

// shows decides, by the facts of the area, whether a caller may read a word.
func (a *area) shows(c identity.Caller, s *subject, w word, searching bool) bool {
	agency := c.Agency
	if c.Role == irtv1.Role_ROLE_MEDIATOR {
		agency, _, _ = agencies.ParsePractitionerName(c.OnBehalfOf)
	}
	f := s.facts
	f.Identified, f.Role, f.Purpose, f.Reason, f.Kind = true, c.Role, c.Purpose, c.Reason != "", areaAgencies[agency]
	f.Involved, f.HoldsRecord = s.works[agency], s.works[agency] && agency != "clinic-1"
	f.Searching = searching
	if agency == "charity-1" {
		f.Consented = s.consent
	}
	d := sharing.Decide(sharing.See, f)
	if d.Shows(w.category) {
		return true
	}
	// What the agency said itself: its record says all but the involvements of others.
	f.Own = true
	own := s.works[agency] && w.agency == "" && agency != "clinic-1" || w.agency == agency
	return own && sharing.Decide(sharing.See, f).Shows(w.category)
}

// callers are of every role, and at random of every agency and purpose.
func callers(r *rand.Rand, n int) []identity.Caller {
	var all []identity.Caller
	ids := []string{"school-1", "gp-1", "social-1", "police-1", "charity-1", "clinic-1"}
	for i := range n {
		c := identity.Caller{
			Role: irtv1.Role(1 + i%6), Agency: ids[r.IntN(len(ids))], Purpose: irtv1.Purpose(1 + r.IntN(8)),
		}
		if c.Purpose == irtv1.Purpose_PURPOSE_EMERGENCY || r.IntN(2) == 0 {
			c.Reason = "a call from the police"
		}
		switch c.Role {
		case irtv1.Role_ROLE_PRACTITIONER:
			c.Practitioner = "p1"
		case irtv1.Role_ROLE_MEDIATOR:
			c.OnBehalfOf = "agencies/" + ids[r.IntN(len(ids))] + "/practitioners/p1"
		}
		all = append(all, c)
	}
	return all
}

// samples are requests for each method that discloses personal data, about a child.
// A method without samples fails the test.
func samples(s *subject, others []*subject) map[string][]proto.Message {
	tag := strings.TrimPrefix(s.words[0].text, "Family")
	record, school := "agencies/school-1/childRecords/r"+tag, "agencies/school-1"
	born := fmt.Sprintf("2015-0%d-11", tag[0]-'A'+1)
	postcode := s.words[3].text
	other := others[0].name
	if other == s.name {
		other = others[1].name
	}
	sought := &irtv1.ChildRecord{GivenName: "Given" + tag, FamilyName: "Family" + tag, DateOfBirth: born, Postcode: postcode, AddressLines: []string{"Lane" + tag}}
	return map[string][]proto.Message{
		"AuditService/ListAccesses":                    {&irtv1.ListAccessesRequest{Parent: s.name}, &irtv1.ListAccessesRequest{Parent: school}},
		"AuditService/ProveEntry":                      {&irtv1.ProveEntryRequest{Name: "accesses/0198c0de-0000-7000-8000-000000000000"}},
		"ChildService/GetChildRecord":                  {&irtv1.GetChildRecordRequest{Name: record}},
		"ChildService/ListChildRecords":                {&irtv1.ListChildRecordsRequest{Parent: "agencies/-", Child: s.name}, &irtv1.ListChildRecordsRequest{Parent: school}},
		"ChildService/GetChild":                        {&irtv1.GetChildRequest{Name: s.name}, &irtv1.GetChildRequest{Name: s.name, KnownAt: now()}},
		"ChildService/LookupChild":                     {&irtv1.LookupChildRequest{Identifier: &irtv1.LookupChildRequest_ChildRecord{ChildRecord: record}}},
		"ChildService/SearchChildren":                  {&irtv1.SearchChildrenRequest{FamilyName: "Family" + tag, DateOfBirth: born}, &irtv1.SearchChildrenRequest{GivenName: "Given" + tag, DateOfBirth: born, Sex: "F", Postcode: postcode}},
		"ChildService/ListChildVersions":               {&irtv1.ListChildVersionsRequest{Parent: s.name}},
		"ChildService/ListChildPins":                   {&irtv1.ListChildPinsRequest{Parent: s.name}},
		"ChildService/PinChildField":                   {&irtv1.PinChildFieldRequest{Child: s.name, Field: "given_name", Reason: "x", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: record}}},
		"ChildService/UnpinChildField":                 {&irtv1.UnpinChildFieldRequest{Child: s.name, Field: "given_name", Reason: "x"}},
		"ConsentService/GetConsent":                    {&irtv1.GetConsentRequest{Name: school + "/consents/c1"}},
		"ConsentService/ListConsents":                  {&irtv1.ListConsentsRequest{Parent: s.name}},
		"ConsentService/CheckSharing":                  {&irtv1.CheckSharingRequest{Child: s.name}},
		"ConsentService/ListRefusals":                  {&irtv1.ListRefusalsRequest{Parent: s.name}},
		"EmergencyAccessService/ListEmergencyAccesses": {&irtv1.ListEmergencyAccessesRequest{}},
		"EventService/Watch":                           {&irtv1.WatchRequest{}},
		"EventService/ListEvents":                      {&irtv1.ListEventsRequest{}},
		"InvolvementService/GetInvolvement":            {&irtv1.GetInvolvementRequest{Name: school + "/involvements/i" + tag + "school-1"}, &irtv1.GetInvolvementRequest{Name: "agencies/clinic-1/involvements/i" + tag + "clinic-1"}},
		"InvolvementService/ListInvolvements":          {&irtv1.ListInvolvementsRequest{Parent: s.name}, &irtv1.ListInvolvementsRequest{Parent: s.name, IncludeEnded: true}, &irtv1.ListInvolvementsRequest{Parent: s.name, KnownAt: now()}},
		"InvolvementService/ListLeadProfessionals":     {&irtv1.ListLeadProfessionalsRequest{Parent: s.name}},
		"MatchService/MatchChild":                      {&irtv1.MatchChildRequest{ChildRecord: sought}},
		"MatchService/ListMatchReviews":                {&irtv1.ListMatchReviewsRequest{}},
		"MatchService/GetMatchReview":                  {&irtv1.GetMatchReviewRequest{Name: "matchReviews/none"}},
		"MatchService/MergeChildren":                   {&irtv1.MergeChildrenRequest{Child: other, IntoChild: s.name, Reason: "x", ValidateOnly: true}},
		"MatchService/SplitChildRecord":                {&irtv1.SplitChildRecordRequest{Child: s.name, ChildRecords: []string{record}, NewChild: true, Reason: "x", ValidateOnly: true}},
		"MatchService/ExplainMatch":                    {&irtv1.ExplainMatchRequest{ChildRecord: record}, &irtv1.ExplainMatchRequest{Child: s.name, OtherChild: other}},
		"MatchService/ListMatchConstraints":            {&irtv1.ListMatchConstraintsRequest{Child: s.name}},
		"QualityService/GetQualityReport":              {&irtv1.GetQualityReportRequest{}},
		"QualityService/ListQualityFindings":           {&irtv1.ListQualityFindingsRequest{Kind: 1}},
		"RetentionService/GetRetention":                {&irtv1.GetRetentionRequest{Name: s.name + "/retention"}},
		"ShieldService/GetShield":                      {&irtv1.GetShieldRequest{Name: s.name + "/shields/0198c0de-0000-7000-8000-000000000000"}},
		"ShieldService/ListShields":                    {&irtv1.ListShieldsRequest{Parent: s.name}},
	}
}

// disclosing are the methods that need a purpose, which is to say that they
// disclose personal data.
func disclosing() (all []protoreflect.MethodDescriptor) {
	protoregistry.GlobalFiles.RangeFilesByPackage("irt.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				access, _ := proto.GetExtension(m.Options(), irtv1.E_Access).(*irtv1.MethodAccess)
				if access.GetPurposeRequired() {
					all = append(all, m)
				}
			}
		}
		return true
	})
	return all
}

func short(m protoreflect.MethodDescriptor) string {
	return string(m.Parent().Name()) + "/" + string(m.Name())
}

// No answer, to whomever and about whichever child, over gRPC or REST, holds what
// policy withholds.
func TestNothingWithheldIsDisclosed(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number does
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	said, shown := 0, 0
	for _, c := range callers(r, 30) {
		s := a.children[r.IntN(len(a.children))]
		requests := samples(s, a.children)
		for _, m := range disclosing() {
			of, ok := requests[short(m)]
			if !ok {
				t.Fatalf("%s has no samples: add requests to samples", short(m))
			}
			req := of[r.IntN(len(of))]
			for door, text := range map[string]string{"gRPC": a.overGRPC(t, c, m, req), "REST": a.overREST(t, c, m, req)} {
				said++
				shown += a.inspect(t, c, door+" "+short(m), req, text)
			}
		}
	}
	if shown < 100 {
		t.Errorf("%d answers held %d details in all: the test sees nothing", said, shown)
	}
}

// inspect looks for words of every child in an answer, and returns how many there are.
func (a *area) inspect(t *testing.T, c identity.Caller, what string, req proto.Message, answer string) (found int) {
	t.Helper()
	asked := protojson.Format(req)
	searching := strings.HasSuffix(what, "SearchChildren")
	for _, s := range a.children {
		for _, w := range s.words {
			if !strings.Contains(answer, w.text) || strings.Contains(asked, w.text) {
				continue
			}
			found++
			if strings.Contains(what, "Access") && !strings.Contains(what, "GetChild") {
				continue // who looked: names of methods and resources, to those who keep watch; see package accesses
			}
			if !a.shows(c, s, w, searching) {
				t.Errorf("%s: %s (%s, %s, %s) is told %q (%v) of the %s child:\n%s", what, identity.RoleText(c.Role), c.Agency,
					identity.PurposeText(c.Purpose), c.OnBehalfOf, w.text, w.category, s.sort, answer)
			}
		}
	}
	return found
}

func (a *area) overGRPC(t *testing.T, c identity.Caller, m protoreflect.MethodDescriptor, req proto.Message) string {
	t.Helper()
	mt, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	resp := mt.New().Interface()
	if m.IsStreamingServer() {
		return a.firstOfStream(t, c, req)
	}
	if err := a.conn.Invoke(a.as(t, c), method, req, resp); err != nil {
		if code := status.Code(err); code == codes.Internal || code == codes.Unknown {
			t.Errorf("%s: %v", method, err)
		}
		return fmt.Sprint(status.Convert(err).Proto())
	}
	return protojson.Format(resp)
}

// firstOfStream is what Watch tells at once.
func (a *area) firstOfStream(t *testing.T, c identity.Caller, req proto.Message) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(a.as(t, c), 2*time.Second)
	defer cancel()
	stream, err := irtv1.NewEventServiceClient(a.conn).Watch(ctx, req.(*irtv1.WatchRequest))
	if err != nil {
		return err.Error()
	}
	m, err := stream.Recv()
	if err != nil {
		return err.Error()
	}
	return protojson.Format(m)
}

func (a *area) overREST(t *testing.T, c identity.Caller, m protoreflect.MethodDescriptor, req proto.Message) string {
	t.Helper()
	if m.IsStreamingServer() {
		return ""
	}
	verb, path, body := transcode(t, m, req)
	r, err := http.NewRequestWithContext(t.Context(), verb, "http://"+a.HTTP+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range a.headers(t, c) {
		r.Header.Set(key, value)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented || resp.StatusCode == http.StatusNotFound && !bytes.Contains(text, []byte("NOT_FOUND")) {
		t.Errorf("%s %s: %d %s", verb, path, resp.StatusCode, text)
	}
	return string(text)
}

// transcode makes the REST request of a call, as the schema maps it.
func transcode(t *testing.T, m protoreflect.MethodDescriptor, req proto.Message) (verb, path string, body []byte) {
	t.Helper()
	rule := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		rest := proto.Clone(req)
		verb, path = http.MethodGet, r.GetGet()
		if path == "" {
			verb, path = http.MethodPost, r.GetPost()
		}
		fits := true
		for strings.Contains(path, "{") {
			before, inner, _ := strings.Cut(path, "{")
			inner, after, _ := strings.Cut(inner, "}")
			field, pattern, _ := strings.Cut(inner, "=")
			fd := rest.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
			value := rest.ProtoReflect().Get(fd).String()
			if first, _, _ := strings.Cut(pattern, "/"); first != "" && !strings.HasPrefix(value, first+"/") ||
				strings.Count(pattern, "/") != strings.Count(value, "/") {
				fits = false
			}
			rest.ProtoReflect().Clear(fd)
			path = before + value + after
		}
		if !fits {
			continue
		}
		if verb == http.MethodPost {
			b, err := protojson.Marshal(rest)
			if err != nil {
				t.Fatal(err)
			}
			return verb, path, b
		}
		return verb, path + query(rest.ProtoReflect()), nil
	}
	t.Fatalf("%s: no path fits %v", m.FullName(), req)
	return "", "", nil
}

// query writes what is left of a request as a query string.
func query(m protoreflect.Message) string {
	q := url.Values{}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Message() != nil:
			text, _ := protojson.Marshal(v.Message().Interface())
			q.Set(fd.JSONName(), strings.Trim(string(text), `"`))
		case fd.Enum() != nil:
			q.Set(fd.JSONName(), string(fd.Enum().Values().ByNumber(v.Enum()).Name()))
		default:
			q.Set(fd.JSONName(), fmt.Sprint(v.Interface()))
		}
		return true
	})
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// The answers about a child of whom a caller may see nothing are, byte for byte,
// those about a child that does not exist.
func TestDenialsAreTheSameForNoChild(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	archived := a.children[slices.IndexFunc(a.children, func(s *subject) bool { return s.sort == "archived" })]
	missing := missingChild(t)
	for _, c := range []identity.Caller{
		{Agency: "school-1", Role: irtv1.Role_ROLE_PRACTITIONER, Practitioner: "p1", Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING},
		{Agency: "charity-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_EARLY_HELP},
		{Agency: "police-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_EMERGENCY, Reason: "now"},
	} {
		for _, m := range disclosing() {
			for _, req := range samples(archived, a.children)[short(m)] {
				other := withChild(req, archived.name, missing)
				if proto.Equal(req, other) || strings.HasPrefix(short(m), "MatchService/MergeChildren") {
					continue // it names no child, or another one too
				}
				for door, call := range map[string]func(proto.Message) string{
					"gRPC": func(req proto.Message) string { return a.overGRPC(t, c, m, req) },
					"REST": func(req proto.Message) string { return a.overREST(t, c, m, req) },
				} {
					if one, none := call(req), call(other); one != none {
						t.Errorf("%s %s: %s, %s: of an archived child\n%s\nof none\n%s", door, short(m), c.Agency, identity.RoleText(c.Role), one, none)
					}
				}
			}
		}
	}
}

func now() *timestamppb.Timestamp { return timestamppb.Now() }

// missingChild is a well-formed name of no child.
func missingChild(t *testing.T) string {
	t.Helper()
	return "children/" + standard.FormatChildID(standard.NewChildID())
}

// withChild is a request about another child.
func withChild(req proto.Message, from, to string) proto.Message {
	other := proto.Clone(req)
	m := other.ProtoReflect()
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() == protoreflect.StringKind && !fd.IsList() {
			m.Set(fd, protoreflect.ValueOfString(strings.ReplaceAll(v.String(), from, to)))
		}
		return true
	})
	return other
}
