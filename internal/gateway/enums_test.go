package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
)

// Values of enumerations are taken by their whole names and without what these begin
// with, in any case, wherever they stand; they reach the hub alike.
func TestNamesOfValues(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for _, tt := range []struct {
		prefix, short      string
		method, path, body string
		want               proto.Message
	}{
		{
			"MATCH_RESOLUTION_", "SAME", "POST", "/v1/matchReviews/x:resolve", `{"resolution":"%s"}`,
			&irtv1.ResolveMatchReviewRequest{Name: "matchReviews/x", Resolution: irtv1.MatchResolution_MATCH_RESOLUTION_SAME},
		},
		{
			"REFERRAL_URGENCY_", "ROUTINE", "PUT", "/v1/agencies/a/referrals/r", "{\n \"reason\": \"ÄROUTINE\\\"\", \"urgency\" : \"%s\" , \"service\":\"routine\"}",
			&irtv1.SendReferralRequest{Referral: &irtv1.Referral{
				Name: "agencies/a/referrals/r", Reason: `ÄROUTINE"`, Service: "routine", Urgency: irtv1.ReferralUrgency_REFERRAL_URGENCY_ROUTINE,
			}},
		},
		{
			"EVENT_KIND_", "CHILD_CREATED", "POST", "/v1/agencies/a/subscriptions", `{"kinds":["%s","EVENT_KIND_CHILD_CREATED",1]}`,
			&irtv1.CreateSubscriptionRequest{Parent: "agencies/a", Subscription: &irtv1.Subscription{Kinds: []irtv1.EventKind{
				irtv1.EventKind_EVENT_KIND_CHILD_CREATED, irtv1.EventKind_EVENT_KIND_CHILD_CREATED, irtv1.EventKind_EVENT_KIND_CHILD_CREATED,
			}}},
		},
		{
			"AGENCY_KIND_", "SCHOOL", "PATCH", "/v1/agencies/a", `{"kind":"%s","telephone":"school"}`,
			&irtv1.UpdateAgencyRequest{Agency: &irtv1.Agency{Name: "agencies/a", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL, Telephone: "school"}},
		},
		{"MATCH_REVIEW_STATE_", "OPEN", "GET", "/v1/matchReviews?state=%s", "", &irtv1.ListMatchReviewsRequest{State: irtv1.MatchReviewState_MATCH_REVIEW_STATE_OPEN}},
		{
			"QUALITY_FINDING_KIND_", "UNMATCHED", "GET", "/v1/qualityFindings?kind=%s", "",
			&irtv1.ListQualityFindingsRequest{Kind: irtv1.QualityFindingKind_QUALITY_FINDING_KIND_UNMATCHED},
		},
		{
			"EVENT_KIND_", "CHILD_CREATED", "GET", "/v1/events?kinds=%s&kinds=child_created", "",
			&irtv1.ListEventsRequest{Kinds: []irtv1.EventKind{irtv1.EventKind_EVENT_KIND_CHILD_CREATED, irtv1.EventKind_EVENT_KIND_CHILD_CREATED}},
		},
	} {
		whole := tt.prefix + tt.short
		for _, name := range []string{whole, tt.short, strings.ToLower(whole), strings.ToLower(tt.short)} {
			path, body := tt.path, tt.body
			if body == "" {
				path = fmt.Sprintf(path, name)
			} else {
				body = fmt.Sprintf(body, name)
			}
			before := len(h.reached())
			a := h.do(t, tt.method, path, body)
			calls := h.reached()
			if len(calls) != before+1 {
				t.Errorf("%s %s with %s: %d %s", tt.method, path, name, a.status, a.body)
				continue
			}
			got := proto.CloneOf(calls[before].request.(proto.Message))
			if u, ok := got.(*irtv1.UpdateAgencyRequest); ok {
				u.UpdateMask = nil
			}
			if !proto.Equal(got, tt.want) {
				t.Errorf("%s %s with %s: the hub got %v", tt.method, path, name, got)
			}
		}
	}
}

// Lines of a stream are read alike, and one with no such value touches no other.
func TestNamesOfValuesInLines(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	a := h.do(t, "POST", "/v1/referrals:submit", strings.Join([]string{
		`{"requestId":"1","referral":{"urgency":"REFERRAL_URGENCY_ROUTINE"}}`,
		`{"requestId":"2","referral":{"urgency":"urgent"}}`,
		`{"requestId":"3","referral":{"urgency":"SECRET"}}`,
		`{"requestId":"4","referral":{"urgency":"IMMEDIATE"}}`,
	}, "\n"), "Content-Type", "application/x-ndjson")
	answers := strings.Split(strings.TrimSpace(a.body), "\n")
	if a.status != 200 || len(answers) != 4 || strings.Contains(a.body, "SECRET") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for i, want := range []string{`"1"`, `"2"`, "the field referral.urgency must be one of REFERRAL_URGENCY_ROUTINE, REFERRAL_URGENCY_URGENT, REFERRAL_URGENCY_IMMEDIATE (line 3, column 40)", `"4"`} {
		if !strings.Contains(answers[i], want) {
			t.Errorf("line %d is answered with %s, want %s", i+1, answers[i], want)
		}
	}
}

// The form of a file is named as it is in addresses, or by the value's own names.
func TestNamesOfForms(t *testing.T) {
	t.Parallel()
	h := start(t, &services{createImport: countingImport})
	for _, name := range []string{"school-cohort", "IMPORT_FORMAT_SCHOOL_COHORT", "SCHOOL_COHORT", "School-Cohort"} {
		a := h.do(t, "POST", "/v1/agencies/a/imports?format="+name, "x\n", "Content-Type", "text/csv")
		if a.status != 200 || !strings.Contains(a.body, "IMPORT_FORMAT_SCHOOL_COHORT") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, name := range []string{"", "unspecified", "cohort"} {
		a := h.do(t, "POST", "/v1/agencies/a/imports?format="+name, "x\n", "Content-Type", "text/csv")
		if got, _ := a.failure(t); a.status != 400 || !strings.Contains(got.Error.Message, "school-cohort") {
			t.Errorf("%q: %d %s", name, a.status, a.body)
		}
	}
}
