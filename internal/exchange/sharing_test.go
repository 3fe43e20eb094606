package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
)

const (
	ownConcerns    = irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS
	jsonConcerns   = irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS_NDJSON
	ownReferrals   = irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS
	jsonReferrals  = irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS_NDJSON
	ownPlans       = irtv1.ImportFormat_IMPORT_FORMAT_PLANS
	jsonPlans      = irtv1.ImportFormat_IMPORT_FORMAT_PLANS_NDJSON
	planHeader     = "name,childRecord,kind,startDate,endDate,practitioner"
	concernHeader  = "name,childRecord,category,level,startDate,reviewDate,practitioner"
	referralHeader = "name,childRecord,recipient,reason,urgency,basis"
)

// Concerns come in as tables and as JSON lines; a row that is refused touches no
// other, and a rehearsal writes nothing.
func TestConcerns(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(rosalind))
	rows := file(concernHeader, "Required: your own id of it,Optional,Required,Required,Required,Optional,",
		"c-1,p-1,attendance,early help,05/01/2026,,sen",
		"c-2,agencies/school/childRecords/p-1,ATTENDANCE,NONE,2026-01-05,,",
		"c-3,p-none,ATTENDANCE,UNIVERSAL,2026-01-05,,",
		"agencies/other/concerns/c-4,p-1,ATTENDANCE,UNIVERSAL,2026-01-05,,",
		"c-1,p-1,ATTENDANCE,ACUTE,2026-01-05,,",
		"c-5,p-1,ATTENDANCE,UNIVERSAL,2099-01-05,31/02/2026,")
	rehearsal := h.header(ownConcerns)
	rehearsal.ValidateOnly = true
	tried, err := h.upload(rehearsal, rows)
	if err != nil || tried.GetAccepted() != 1 || h.count(`SELECT count(*) FROM concerns`) != 0 || h.count(`SELECT count(*) FROM event_outbox WHERE kind = 60`) != 0 {
		t.Errorf("rehearsed: %v, %v", tried, err)
	}
	done := h.send(ownConcerns, rows)
	want := []string{
		"4 level CODE_UNKNOWN", "5  ACCESS_DENIED", "6  IMPORT_OTHER_AGENCY", "7  IMPORT_DUPLICATE_ROW",
		"8 startDate DATE_FUTURE", "8 reviewDate STRING_PATTERN",
	}
	got := h.rules(done)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || done.GetAccepted() != 1 {
		t.Errorf("rejects %q, want %q; %v", got, want, done)
	}
	if n := h.count(`SELECT count(*) FROM concerns WHERE agency_id = 'school' AND local_id = 'c-1' AND practitioner_id = 'sen' AND level = 'EARLY_HELP'`); n != 1 {
		t.Errorf("%d concerns", n)
	}
	wantCounts(t, "again", h.send(jsonConcerns, file(
		`{"name":"c-1","childRecord":"p-1","category":"ATTENDANCE","level":"EARLY_HELP","startDate":"2026-01-05","practitioner":"sen"}`)), 0, 1, 0)
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE query->>'name' = 'agencies/school/concerns/c-1' AND decision = 'ALLOWED' AND cardinality(children) = 1`); n < 2 {
		t.Errorf("%d entries of one concern in the access log", n)
	}
	if _, err := h.as("other", "ROLE_AGENCY_SYSTEM").upload(h.header(ownConcerns), rows); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another agency's file: %v", err)
	}
}

func TestReferrals(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(rosalind))
	done := h.send(ownReferrals, file(referralHeader,
		"r-1,p-1,other,safeguarding,urgent,",
		"r-2,p-1,agencies/other,SAFEGUARDING,REFERRAL_URGENCY_ROUTINE,SAFEGUARDING",
		"r-3,p-1,other,SAFEGUARDING,soon,",
		"r-4,p-1,nobody,SAFEGUARDING,ROUTINE,",
		"r-5,p-1,other,EARLY_HELP,ROUTINE,",
		"r-6,p-1,school,SAFEGUARDING,ROUTINE,"))
	want := []string{"4 urgency CODE_UNKNOWN", "5 recipient REFERRAL_RECIPIENT", "6 basis REFERRAL_BASIS_REQUIRED", "7 recipient REFERRAL_RECIPIENT"}
	if got := h.rules(done); !slices.Equal(got, want) || done.GetAccepted() != 2 {
		for _, r := range h.rejects(done.GetName()) {
			t.Log(r)
		}
		t.Errorf("rejects %q, want %q; %v", got, want, done)
	}
	wantCounts(t, "JSON", h.send(jsonReferrals, file(
		`{"name":"r-1","childRecord":"p-1","recipient":"other","reason":"SAFEGUARDING","urgency":"REFERRAL_URGENCY_URGENT"}`,
		`{"name":"r-7","childRecord":"p-1","recipient":"agencies/other","reason":"SAFEGUARDING","urgency":"immediate"}`,
		`{"name":"r-8","childRecord":"p-1","recipient":"agencies/other","reason":"SAFEGUARDING","urgency":"soon"}`)), 1, 1, 1)
	if n := h.count(`SELECT count(*) FROM referrals WHERE recipient_id = 'other' AND urgency IN (1, 2, 3)`); n != 3 {
		t.Errorf("%d referrals", n)
	}
}

// Plans come in as tables and as JSON lines, of social care alone; the table that goes
// out comes in again, and changes nothing.
func TestPlans(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(rosalind))
	rows := file(planHeader, "Required: your own id of it,Optional,Required,Required,Optional,",
		"p-1,p-1,child protection,05/01/2026,,",
		"p-2,agencies/social/childRecords/p-1,PLAN_KIND_LOOKED_AFTER,2026-01-05,2026-06-30,",
		"p-3,p-1,WATCHED,2026-01-05,,",
		"p-4,p-none,UNBORN,2026-01-05,,",
		"p-5,p-1,UNBORN,2026-01-05,2025-01-05,",
		"p-6,p-1,UNBORN,2026-01-05,,nobody",
		"agencies/other/plans/p-7,p-1,UNBORN,2026-01-05,,")
	if denied := h.send(ownPlans, file(planHeader, "p-1,p-1,UNBORN,2026-01-05,,")); !slices.Equal(h.rules(denied), []string{"2  ACCESS_DENIED"}) {
		t.Errorf("a school's: %q", h.rules(denied))
	}
	social := h.as("social", "ROLE_AGENCY_SYSTEM")
	social.send(jsonRecords, file(rosalind))
	rehearsal := social.header(ownPlans)
	rehearsal.ValidateOnly = true
	tried, err := social.upload(rehearsal, rows)
	if err != nil || tried.GetAccepted() != 2 || h.count(`SELECT count(*) FROM plans`) != 0 || h.count(`SELECT count(*) FROM event_outbox WHERE kind IN (101, 102)`) != 0 {
		t.Errorf("rehearsed: %v, %v", tried, err)
	}
	done := social.send(ownPlans, rows)
	want := []string{"5 kind CODE_UNKNOWN", "6  ACCESS_DENIED", "7 endDate PERIOD_ORDER", "8 practitioner PRACTITIONER_UNKNOWN", "9  IMPORT_OTHER_AGENCY"}
	if got := social.rules(done); !slices.Equal(got, want) || done.GetAccepted() != 2 {
		t.Errorf("rejects %q, want %q; %v", got, want, done)
	}
	wantCounts(t, "JSON", social.send(jsonPlans, file(
		`{"name":"p-1","childRecord":"p-1","kind":"PLAN_KIND_CHILD_PROTECTION","startDate":"2026-01-05"}`,
		`{"name":"p-8","childRecord":"p-1","kind":"PLAN_KIND_UNBORN","startDate":"2026-01-05"}`)), 1, 1, 0)
	stream, err := social.exports.ExportPlans(social.purpose(), &irtv1.ExportPlansRequest{Parent: "agencies/-"})
	if err != nil {
		t.Fatal(err)
	}
	page, err := stream.Recv()
	if err != nil || len(page.GetPlans()) != 3 {
		t.Fatalf("exported: %v, %v", page, err)
	}
	form := recordfile.Plans()
	table := [][]string{form.Columns()}
	for _, p := range page.GetPlans() {
		table = append(table, form.Row(p))
	}
	text, err := recordfile.Table(table)
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "again", social.send(ownPlans, []byte(text)), 0, 3, 0)
	if n := h.count(`SELECT count(*) FROM plans_history`); n != 0 {
		t.Errorf("%d second versions", n)
	}
}

// An upload of concerns that breaks off goes on where it was, and nothing is in twice.
func TestFaultInterruptedConcernsGoOn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(rosalind))
	lines := []string{concernHeader}
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf("c-%d,p-1,ATTENDANCE,UNIVERSAL,2026-01-05,,", i))
	}
	lines[5] = "c-5,p-1,ATTENDANCE,NONE,2026-01-05,,"
	broken := h.breakOff(h.header(ownConcerns), file(lines[:2500]...), 300)
	resumed := h.header(ownConcerns)
	resumed.Import = broken.GetName()
	done, err := h.upload(resumed, file(lines...))
	if err != nil || done.GetRows() != 3000 || done.GetRejected() != 1 || done.GetAccepted()+done.GetUnchanged() != 2999 {
		t.Errorf("gone on with: %v, %v", done, err)
	}
	if n := h.count(`SELECT count(*) FROM concerns`); n != 2999 {
		t.Errorf("%d concerns", n)
	}
	if n := h.count(`SELECT count(*) FROM concerns_history`); n != 0 {
		t.Errorf("%d second versions", n)
	}
}

func TestTemplatesOfSharing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for name, want := range map[string]string{
		"concerns":  "name,child,childRecord,category,level,practitioner,startDate,reviewDate\n",
		"plans":     "name,child,childRecord,kind,startDate,endDate,practitioner\n",
		"referrals": "name,child,childRecord,recipient,service,reason,urgency,basis\n",
	} {
		got, err := h.imports.GetImportTemplate(h.ctx(), &irtv1.GetImportTemplateRequest{Name: "importTemplates/" + name})
		if err != nil || !strings.HasPrefix(got.GetContent(), want) {
			t.Errorf("%s: %q, %v", name, got.GetContent(), err)
		}
	}
}
