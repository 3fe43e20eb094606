package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

const (
	ownConcerns    = irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS
	jsonConcerns   = irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS_NDJSON
	ownReferrals   = irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS
	jsonReferrals  = irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS_NDJSON
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
	want := []string{"4 urgency CODE_UNKNOWN", "5  REFERRAL_RECIPIENT", "6  REFERRAL_BASIS_REQUIRED", "7  REFERRAL_RECIPIENT"}
	if got := h.rules(done); !slices.Equal(got, want) || done.GetAccepted() != 2 {
		for _, r := range h.rejects(done.GetName()) {
			t.Log(r)
		}
		t.Errorf("rejects %q, want %q; %v", got, want, done)
	}
	wantCounts(t, "JSON", h.send(jsonReferrals, file(
		`{"name":"r-1","childRecord":"p-1","recipient":"other","reason":"SAFEGUARDING","urgency":"REFERRAL_URGENCY_URGENT"}`,
		`{"name":"r-7","childRecord":"p-1","recipient":"agencies/other","reason":"SAFEGUARDING","urgency":"REFERRAL_URGENCY_IMMEDIATE"}`)), 1, 1, 0)
	if n := h.count(`SELECT count(*) FROM referrals WHERE recipient_id = 'other' AND urgency IN (1, 2, 3)`); n != 3 {
		t.Errorf("%d referrals", n)
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
		"referrals": "name,child,childRecord,recipient,service,reason,urgency,basis\n",
	} {
		got, err := h.imports.GetImportTemplate(h.ctx(), &irtv1.GetImportTemplateRequest{Name: "importTemplates/" + name})
		if err != nil || !strings.HasPrefix(got.GetContent(), want) {
			t.Errorf("%s: %q, %v", name, got.GetContent(), err)
		}
	}
}
