package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

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
		"AuditService/ListAccesses":           {&irtv1.ListAccessesRequest{Parent: s.name}, &irtv1.ListAccessesRequest{Parent: school}},
		"AuditService/ProveEntry":             {&irtv1.ProveEntryRequest{Name: "accesses/0198c0de-0000-7000-8000-000000000000"}},
		"AuditService/ListUnusualAccess":      {&irtv1.ListUnusualAccessRequest{}},
		"AuditService/ExportUnusualAccess":    {&irtv1.ListUnusualAccessRequest{}},
		"ExportService/ExportChildRecords":    {&irtv1.ExportChildRecordsRequest{Parent: school}},
		"ExportService/ExportInvolvements":    {&irtv1.ExportInvolvementsRequest{Parent: school}, &irtv1.ExportInvolvementsRequest{Parent: "agencies/clinic-1"}},
		"ExportService/ExportConcerns":        {&irtv1.ExportConcernsRequest{Parent: school}, &irtv1.ExportConcernsRequest{Parent: "agencies/clinic-1"}},
		"ExportService/ExportPlans":           {&irtv1.ExportPlansRequest{Parent: "agencies/social-1"}, &irtv1.ExportPlansRequest{Parent: "agencies/clinic-1"}},
		"ExportService/ExportConsents":        {&irtv1.ExportConsentsRequest{Parent: school}, &irtv1.ExportConsentsRequest{Parent: "agencies/clinic-1"}},
		"ExportService/ExportReferrals":       {&irtv1.ExportReferralsRequest{Parent: school}, &irtv1.ExportReferralsRequest{Parent: "agencies/clinic-1"}},
		"ExportService/ExportQualityFindings": {&irtv1.ExportQualityFindingsRequest{}, &irtv1.ExportQualityFindingsRequest{Agency: school}},
		"ExportService/ExportAccesses":        {&irtv1.ExportAccessesRequest{Parent: s.name}},
		"ChildService/GetChildRecord":         {&irtv1.GetChildRecordRequest{Name: record}},
		"ChildService/ListChildRecords":       {&irtv1.ListChildRecordsRequest{Parent: "agencies/-", Child: s.name}, &irtv1.ListChildRecordsRequest{Parent: school}},
		"ChildService/GetChild":               {&irtv1.GetChildRequest{Name: s.name}, &irtv1.GetChildRequest{Name: s.name, KnownAt: now()}},
		"ChildService/LookupChild":            {&irtv1.LookupChildRequest{Identifier: &irtv1.LookupChildRequest_ChildRecord{ChildRecord: record}}},
		"ChildService/SearchChildren":         {&irtv1.SearchChildrenRequest{FamilyName: "Family" + tag, DateOfBirth: born}, &irtv1.SearchChildrenRequest{GivenName: "Given" + tag, DateOfBirth: born, Sex: "F", Postcode: postcode}},
		"ChildService/ListChildVersions":      {&irtv1.ListChildVersionsRequest{Parent: s.name}},
		"ChildService/ListChildPins":          {&irtv1.ListChildPinsRequest{Parent: s.name}},
		"ChildService/PinChildField":          {&irtv1.PinChildFieldRequest{Child: s.name, Field: "given_name", Reason: "x", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: record}}},
		"ChildService/UnpinChildField":        {&irtv1.UnpinChildFieldRequest{Child: s.name, Field: "given_name", Reason: "x"}},
		"ImportService/DownloadImportRejects": {&irtv1.DownloadImportRejectsRequest{Parent: school + "/imports/0198c0de-0000-7000-8000-000000000000"}},
		"ContactService/RequestContact": {
			&irtv1.RequestContactRequest{Child: s.name, To: &irtv1.RequestContactRequest_Audience{Audience: irtv1.ContactAudience_CONTACT_AUDIENCE_EVERYBODY}},
			&irtv1.RequestContactRequest{Child: s.name, To: &irtv1.RequestContactRequest_Involvement{Involvement: "agencies/clinic-1/involvements/i" + tag + "clinic-1"}},
			&irtv1.RequestContactRequest{Child: s.name, To: &irtv1.RequestContactRequest_Involvement{Involvement: school + "/involvements/i" + tag + "school-1"}},
		},
		"ContactService/GetContactRequest":      {&irtv1.GetContactRequestRequest{Name: school + "/contactRequests/0198c0de-0000-7000-8000-000000000000"}},
		"ContactService/ListContactRequests":    {&irtv1.ListContactRequestsRequest{Parent: school}, &irtv1.ListContactRequestsRequest{Parent: "agencies/clinic-1", Received: true}},
		"ContactService/ListContactMessages":    {&irtv1.ListContactMessagesRequest{Parent: school + "/contactRequests/0198c0de-0000-7000-8000-000000000000"}},
		"ReferralService/GetReferral":           {&irtv1.GetReferralRequest{Name: school + "/referrals/r" + tag}},
		"ReferralService/ListReferrals":         {&irtv1.ListReferralsRequest{Parent: s.name}, &irtv1.ListReferralsRequest{Parent: s.name, KnownAt: now()}, &irtv1.ListReferralsRequest{Parent: school}, &irtv1.ListReferralsRequest{Parent: school, Sent: true}},
		"ReferralService/GetReferralStatistics": {&irtv1.GetReferralStatisticsRequest{Parent: school}},
		"LeadNominationService/NominateLeadProfessional": {
			&irtv1.NominateLeadProfessionalRequest{Child: s.name, Involvement: school + "/involvements/i" + tag + "school-1"},
			&irtv1.NominateLeadProfessionalRequest{Child: s.name, Involvement: "agencies/clinic-1/involvements/i" + tag + "clinic-1"},
		},
		"LeadNominationService/GetLeadNomination":      {&irtv1.GetLeadNominationRequest{Name: school + "/leadNominations/0198c0de-0000-7000-8000-000000000000"}},
		"LeadNominationService/ListLeadNominations":    {&irtv1.ListLeadNominationsRequest{Parent: s.name}, &irtv1.ListLeadNominationsRequest{Parent: school}, &irtv1.ListLeadNominationsRequest{Parent: school, Sent: true}},
		"PlanService/GetPlan":                          {&irtv1.GetPlanRequest{Name: "agencies/social-1/plans/p" + tag}},
		"PlanService/ListPlans":                        {&irtv1.ListPlansRequest{Parent: s.name}, &irtv1.ListPlansRequest{Parent: "agencies/social-1"}},
		"ConcernService/GetConcern":                    {&irtv1.GetConcernRequest{Name: school + "/concerns/c" + tag}, &irtv1.GetConcernRequest{Name: "agencies/clinic-1/concerns/c" + tag}},
		"ConcernService/ListConcerns":                  {&irtv1.ListConcernsRequest{Parent: s.name}, &irtv1.ListConcernsRequest{Parent: s.name, KnownAt: now()}, &irtv1.ListConcernsRequest{Parent: school}},
		"ConsentService/GetConsent":                    {&irtv1.GetConsentRequest{Name: school + "/consents/c1"}},
		"ConsentService/ListConsents":                  {&irtv1.ListConsentsRequest{Parent: s.name}},
		"ConsentService/CheckSharing":                  {&irtv1.CheckSharingRequest{Child: s.name}},
		"ConsentService/ListRefusals":                  {&irtv1.ListRefusalsRequest{Parent: s.name}},
		"EmergencyAccessService/ListEmergencyAccesses": {&irtv1.ListEmergencyAccessesRequest{}},
		"SubscriptionService/CreateSubscription":       {&irtv1.CreateSubscriptionRequest{Parent: school}},
		"EventService/Watch":                           {&irtv1.WatchRequest{}},
		"EventService/ListEvents":                      {&irtv1.ListEventsRequest{}},
		"InvolvementService/GetInvolvement":            {&irtv1.GetInvolvementRequest{Name: school + "/involvements/i" + tag + "school-1"}, &irtv1.GetInvolvementRequest{Name: "agencies/clinic-1/involvements/i" + tag + "clinic-1"}},
		"InvolvementService/ListInvolvements":          {&irtv1.ListInvolvementsRequest{Parent: s.name}, &irtv1.ListInvolvementsRequest{Parent: s.name, IncludeEnded: true}, &irtv1.ListInvolvementsRequest{Parent: s.name, KnownAt: now()}},
		"InvolvementService/ListLeadProfessionals":     {&irtv1.ListLeadProfessionalsRequest{Parent: s.name}, &irtv1.ListLeadProfessionalsRequest{Parent: s.name, KnownAt: now()}},
		"MatchService/MatchChild":                      {&irtv1.MatchChildRequest{ChildRecord: sought}},
		"MatchService/ListMatchReviews":                {&irtv1.ListMatchReviewsRequest{}},
		"MatchService/GetMatchReview":                  {&irtv1.GetMatchReviewRequest{Name: "matchReviews/none"}},
		"MatchService/MergeChildren":                   {&irtv1.MergeChildrenRequest{Child: other, IntoChild: s.name, Reason: "x", ValidateOnly: true}},
		"MatchService/SplitChildRecord":                {&irtv1.SplitChildRecordRequest{Child: s.name, ChildRecords: []string{record}, NewChild: true, Reason: "x", ValidateOnly: true}},
		"MatchService/ExplainMatch":                    {&irtv1.ExplainMatchRequest{ChildRecord: record}, &irtv1.ExplainMatchRequest{Child: s.name, OtherChild: other}},
		"MatchService/ListMatchConstraints":            {&irtv1.ListMatchConstraintsRequest{Child: s.name}},
		"QualityService/GetQualityReport":              {&irtv1.GetQualityReportRequest{}},
		"QualityService/ListQualityFindings":           {&irtv1.ListQualityFindingsRequest{Kind: 1}},
		"TimelineService/ListTimelineEntries":          {&irtv1.ListTimelineEntriesRequest{Parent: s.name}, &irtv1.ListTimelineEntriesRequest{Parent: s.name, KnownAt: now()}},
		"RetentionService/GetRetention":                {&irtv1.GetRetentionRequest{Name: s.name + "/retention"}},
		"ShieldService/GetShield":                      {&irtv1.GetShieldRequest{Name: s.name + "/shields/0198c0de-0000-7000-8000-000000000000"}},
		"ShieldService/ListShields":                    {&irtv1.ListShieldsRequest{Parent: s.name}},
	}
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
