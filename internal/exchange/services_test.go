package exchange_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
)

const (
	ownServices   = irtv1.ImportFormat_IMPORT_FORMAT_SERVICES
	jsonServices  = irtv1.ImportFormat_IMPORT_FORMAT_SERVICES_NDJSON
	serviceHeader = "name,displayName,kind,minimumAge,maximumAge,telephone,email,state"
)

// Services come in as tables and as JSON lines; a row that is refused touches no other,
// and a rehearsal writes nothing.
func TestServices(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rows := file(serviceHeader, "Required: your own id of it,Required,Required,Optional,Optional,,,",
		"parenting,  Parenting   programme,parenting,2, 11,01603 222222,,",
		"agencies/school/services/clubs,\"Clubs, after school\",OTHER,,,,clubs@example.org,inactive",
		"s-3,Plumbing,PLUMBING,,,,,",
		"s-4,Play,OTHER,two,3.5,,,closed",
		"s-5,Play,OTHER,12,11,,x,",
		"agencies/other/services/s-6,Play,OTHER,,,,,",
		"parenting,Another,PARENTING,,,,,",
		"s 8,,OTHER,-1,99999999999,,,")
	rehearsal := h.header(ownServices)
	rehearsal.ValidateOnly = true
	tried, err := h.upload(rehearsal, rows)
	if err != nil || tried.GetAccepted() != 2 || h.count(`SELECT count(*) FROM services`) != 0 {
		t.Errorf("rehearsed: %v, %v", tried, err)
	}
	done := h.send(ownServices, rows)
	want := []string{
		"5 kind CODE_UNKNOWN", "6 minimumAge IMPORT_NOT_NUMBER", "6 maximumAge IMPORT_NOT_NUMBER", "6 state CODE_UNKNOWN",
		"7 email STRING_EMAIL", "7 maximumAge AGE_RANGE", "8  IMPORT_OTHER_AGENCY", "9  IMPORT_DUPLICATE_ROW",
		"10 displayName STRING_MIN_LEN", "10 maximumAge IMPORT_NOT_NUMBER", "10 minimumAge INT32_GTE", "10 name STRING_PATTERN",
	}
	got := h.rules(done)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || done.GetAccepted() != 2 {
		t.Errorf("rejects %q, want %q; %v", got, want, done)
	}
	if n := h.count(`SELECT count(*) FROM services WHERE agency_id = 'school' AND (service_id = 'parenting' AND display_name = 'Parenting programme' AND kind = 'PARENTING'
		AND minimum_age = 2 AND maximum_age = 11 AND state = 1 OR service_id = 'clubs' AND display_name = 'Clubs, after school' AND maximum_age = 0 AND state = 2)`); n != 2 {
		t.Errorf("%d services", n)
	}
	wantCounts(t, "again", h.send(ownServices, rows), 0, 2, 6)
	wantCounts(t, "JSON", h.send(jsonServices, file(
		`{"name":"parenting","displayName":"Parenting programme","kind":"PARENTING","minimumAge":2,"maximumAge":11,"telephone":"01603 222222"}`,
		`{"name":"clubs","displayName":"Clubs, after school","kind":"OTHER","email":"clubs@example.org","state":"AGENCY_STATE_ACTIVE"}`,
		`{"name":"s-9","displayName":"Play","kind":"OTHER","minimumAge":"two"}`)), 1, 1, 1)
	if n := h.count(`SELECT count(*) FROM services WHERE revision > 1 OR state = 2`); n != 1 {
		t.Errorf("%d second versions, or services that are not in use", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE query->>'name' = 'agencies/school/services/parenting' AND method LIKE '%/CreateImport' AND decision = 'ALLOWED'
		AND returned = '{agencies/school/services/parenting}'`); n != 3 {
		t.Errorf("%d entries of one service in the access log", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE query->>'name' = 'agencies/school/services/s-5' AND decision = 'FAILED'`); n != 0 {
		t.Errorf("%d entries of a row that its file's check refuses", n)
	}
}

// A file is sent by those who may record its services, and by nobody else.
func TestServicesAreSentByWhoKeepsThem(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rows := file(serviceHeader, "s-1,Play,OTHER,,,,,")
	for _, c := range []struct {
		agency, role string
		want         codes.Code
	}{
		{"other", "ROLE_AGENCY_SYSTEM", codes.PermissionDenied},
		{"school", "ROLE_PRACTITIONER", codes.PermissionDenied},
		{"other", "ROLE_DATA_MANAGER", codes.OK},
		{"school", "ROLE_AGENCY_SYSTEM", codes.OK},
	} {
		for _, format := range []irtv1.ImportFormat{ownServices, jsonServices} {
			sent := rows
			if format == jsonServices {
				sent = file(`{"name":"s-1","displayName":"Play","kind":"OTHER"}`)
			}
			_, err := h.as(c.agency, c.role).upload(h.header(format), sent)
			wantCode(t, c.agency+" "+c.role, err, c.want)
		}
	}
	if n := h.count(`SELECT count(*) FROM services`); n != 1 {
		t.Errorf("%d services", n)
	}
}

// The template, filled in, is a file; so is what goes out, which changes nothing.
func TestServicesComeBack(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	template, err := h.imports.GetImportTemplate(h.ctx(), &irtv1.GetImportTemplateRequest{Name: "importTemplates/services"})
	if err != nil || !strings.HasPrefix(template.GetContent(), serviceHeader+"\n") || !strings.Contains(template.GetContent(), "one of ACTIVE, INACTIVE") {
		t.Fatalf("the template: %q, %v", template.GetContent(), err)
	}
	lines := []string{strings.TrimSpace(template.GetContent())}
	const many = 450 // more than one batch
	for i := range many {
		lines = append(lines, "s-"+strings.Repeat("x", i%50)+strings.Repeat("y", i/50)+",Play,OTHER,,"+[]string{"", "11"}[i%2]+",,,"+[]string{"", "ACTIVE", "INACTIVE"}[i%3])
	}
	wantCounts(t, "the template", h.send(ownServices, file(lines...)), many, 0, 0)
	h.as("other", "ROLE_AGENCY_SYSTEM").send(ownServices, file(serviceHeader, "s-other,Play,OTHER,,,,,"))

	stream, err := h.exports.ExportServices(h.ctx(), &irtv1.ExportServicesRequest{Parent: "agencies/-"})
	if err != nil {
		t.Fatal(err)
	}
	form := recordfile.Services()
	table, ended := [][]string{form.Columns()}, error(nil)
	for ended == nil {
		var page *irtv1.ExportServicesResponse
		page, ended = stream.Recv()
		for _, s := range page.GetServices() {
			table = append(table, form.Row(s))
		}
	}
	text, err := recordfile.Table(table)
	if err != nil || len(table) != many+1 {
		t.Fatalf("exported: %d rows, %v, %v", len(table), ended, err)
	}
	wantCounts(t, "again", h.send(ownServices, []byte(text)), 0, many, 0)
	if n := h.count(`SELECT count(*) FROM services WHERE revision > 1`); n != 0 {
		t.Errorf("%d second versions", n)
	}
	if n := h.count(`SELECT count(DISTINCT r) FROM audit_entries e, unnest(e.returned) AS r WHERE e.method LIKE '%/ExportServices'`); n != many {
		t.Errorf("%d of those exported are in the access log", n)
	}
	for _, role := range []string{"ROLE_AGENCY_SYSTEM", "ROLE_DATA_MANAGER"} {
		stream, err := h.as("other", role).exports.ExportServices(h.as("other", role).ctx(), &irtv1.ExportServicesRequest{Parent: "agencies/school"})
		if err == nil {
			_, err = stream.Recv()
		}
		wantCode(t, "another's export", err, codes.PermissionDenied)
	}
}
