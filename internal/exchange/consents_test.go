package exchange_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

const (
	ownConsents   = irtv1.ImportFormat_IMPORT_FORMAT_CONSENTS
	jsonConsents  = irtv1.ImportFormat_IMPORT_FORMAT_CONSENTS_NDJSON
	consentHeader = "name,childRecord,scope,categories.1,categories.2,recipientKinds.1,recipients.1,recipients.2,givenBy,startDate,endDate"
)

// Consents come in as tables and as JSON lines; a row that is refused touches no other,
// and a rehearsal writes nothing.
func TestConsents(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(rosalind))
	rows := file(consentHeader, "Required: your own id of it,Optional,Required,,,,,,Required,Required,",
		"a-1,p-1,sharing,contact,category location,SCHOOL,other,agencies/hub,parental responsibility,05/01/2026,",
		"a-2,p-1,SHARING,friends,CONTACT,SCHOOL,,,CHILD,2026-01-05,",
		"a-3,p-1,SHARING,SENSITIVE,CONTACT,SCHOOL,,,CHILD,2026-01-05,",
		"a-4,p-1,SHARING,CONTACT,,,nobody,other,CHILD,2026-01-05,",
		"a-5,p-1,RETENTION,,,,other,,CHILD,2026-01-05,2025-01-05",
		"agencies/other/consents/a-6,p-1,SHARING,,,,,,CHILD,2026-01-05,",
		"a-1,p-1,SHARING,,,,,,CHILD,2026-01-05,",
		"a-7,p-none,SHARING,,,,,,CHILD,2026-01-05,",
		"a-8,p-1,SHARING,CONTACT,,,not an id,other,CHILD,2099-01-05,")
	rehearsal := h.header(ownConsents)
	rehearsal.ValidateOnly = true
	tried, err := h.upload(rehearsal, rows)
	if err != nil || tried.GetAccepted() != 1 || h.count(`SELECT count(*) FROM consents`) != 0 || h.count(`SELECT count(*) FROM child_sharing`) != 0 {
		t.Errorf("rehearsed: %v, %v", tried, err)
	}
	done := h.send(ownConsents, rows)
	want := []string{
		"4 categories CODE_UNKNOWN", "5 categories ENUM_NOT_IN", "6 recipients AGENCY_UNKNOWN", "7 recipients CONSENT_RECIPIENTS", "7 endDate PERIOD_ORDER",
		"8  IMPORT_OTHER_AGENCY", "9  IMPORT_DUPLICATE_ROW", "10  ACCESS_DENIED", "11 recipients STRING_PATTERN", "11 startDate DATE_FUTURE",
	}
	got := h.rules(done)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || done.GetAccepted() != 1 {
		t.Errorf("rejects %q, want %q; %v", got, want, done)
	}
	if n := h.count(`SELECT count(*) FROM consents WHERE agency_id = 'school' AND local_id = 'a-1' AND categories = '{4,5}'
		AND recipients = '{hub,other}' AND given_by = 'PARENTAL_RESPONSIBILITY'`); n != 1 {
		t.Errorf("%d consents", n)
	}
	wantCounts(t, "again", h.send(jsonConsents, file(
		`{"name":"a-1","childRecord":"p-1","scope":"CONSENT_SCOPE_SHARING","categories":["CATEGORY_LOCATION","CATEGORY_CONTACT"],`+
			`"recipientKinds":["AGENCY_KIND_SCHOOL"],"recipients":["other","hub"],"givenBy":"PARENTAL_RESPONSIBILITY","startDate":"2026-01-05"}`,
		`{"name":"a-9","childRecord":"p-1","scope":"CONSENT_SCOPE_SHARING","givenBy":"CHILD","startDate":"2026-01-05","state":"CONSENT_STATE_WITHDRAWN"}`)), 0, 1, 1)
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE query->>'name' = 'agencies/school/consents/a-1' AND decision = 'ALLOWED' AND cardinality(children) = 1`); n < 2 {
		t.Errorf("%d entries of one consent in the access log", n)
	}
	if _, err := h.as("other", "ROLE_AGENCY_SYSTEM").upload(h.header(ownConsents), rows); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another agency's file: %v", err)
	}
}

// What a consent is restricted to is not lost by the name of a column: the file as a
// whole is refused.
func TestConsentsWithUnknownColumns(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(rosalind))
	for _, column := range []string{"categories", "recipient.1", "Categories 1"} {
		_, err := h.upload(h.header(ownConsents), file("name,childRecord,scope,givenBy,startDate,"+column, "a-1,p-1,SHARING,CHILD,2026-01-05,CONTACT"))
		if rules := brokenRules(err); !slices.Equal(rules, []string{"IMPORT_COLUMNS_UNKNOWN"}) {
			t.Errorf("%s: %v, %v", column, rules, err)
		}
	}
	if n := h.count(`SELECT count(*) FROM consents`); n != 0 {
		t.Errorf("%d consents", n)
	}
	got, err := h.imports.GetImportTemplate(h.ctx(), &irtv1.GetImportTemplateRequest{Name: "importTemplates/consents"})
	const columns = "name,child,childRecord,scope,categories.1,categories.2,recipientKinds.1,recipientKinds.2,recipients.1,recipients.2,givenBy,startDate,endDate\n"
	if err != nil || !strings.HasPrefix(got.GetContent(), columns) {
		t.Errorf("%q, %v", got.GetContent(), err)
	}
}
