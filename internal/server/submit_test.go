package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
)

// lines posts lines of JSON, and gives what answers each: its request_id and the id
// of the result or the reason of the refusal.
func (h *hub) lines(t *testing.T, path, token string, lines ...string) (answers []string) {
	t.Helper()
	status, answer := h.rest(t, "POST", path, strings.Join(lines, "\n"), token, map[string]string{"Content-Type": "application/x-ndjson"})
	if status != 200 {
		t.Fatalf("%s: %d %s", path, status, answer)
	}
	for line := range strings.Lines(string(answer)) {
		var a struct {
			RequestID string         `json:"requestId"`
			Result    map[string]any `json:"result"`
			Error     struct {
				Details []struct {
					Reason          string `json:"reason"`
					FieldViolations []struct {
						Field  string `json:"field"`
						Reason string `json:"reason"`
					} `json:"fieldViolations"`
				} `json:"details"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		text := a.RequestID
		if name, ok := a.Result["name"].(string); ok {
			text += " " + name[strings.LastIndexByte(name, '/')+1:]
		}
		for _, d := range a.Error.Details {
			if d.Reason != "" {
				text += " " + d.Reason
			}
			for _, v := range d.FieldViolations {
				text += " " + v.Field + " " + v.Reason
			}
		}
		answers = append(answers, text)
	}
	return answers
}

func wantAnswers(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("answered\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Concerns and referrals by the stream, over REST: each line is answered in order, one
// that is refused touches no other, and a later version follows an earlier one.
func TestConcernsAndReferralsByTheLine(t *testing.T) {
	t.Parallel()
	h := start(t)
	school, gp := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	child, _ := h.call(t, 200, "PUT", "/v1/agencies/school-1/childRecords/1",
		`{"givenName": "Rosalind", "familyName": "Achterberg", "dateOfBirth": "2015-06-02"}`, school)["child"].(string)
	concern := func(request, id, level, more string) string {
		return `{"requestId": "` + request + `", "concern": {"name": "agencies/school-1/concerns/` + id + `", "childRecord": "agencies/school-1/childRecords/1",
			"category": "ATTENDANCE", "level": "` + level + `", "startDate": "2026-01-05"}` + more + `}`
	}
	flat := func(s string) string { return strings.ReplaceAll(s, "\n", " ") }
	wantAnswers(t, h.lines(t, "/v1/concerns:submit", school,
		flat(concern("1", "c1", "UNIVERSAL", "")), flat(concern("2", "c2", "NONE", "")), flat(concern("3", "c3", "UNIVERSAL", `, "validateOnly": true`)),
		`{"requestId": "4"`, strings.ReplaceAll(flat(concern("5", "c1", "UNIVERSAL", "")), "school-1/concerns", "gp-1/concerns"),
		flat(concern("6", "c1", "TARGETED", "")), flat(concern("7", "c1", "ACUTE", "")), `{"requestId": "8"}`, flat(concern("9", "c4", "UNIVERSAL", ""))),
		"1 c1", "2 VALIDATION_FAILED concern.level CODE_UNKNOWN", "3 c3", " MALFORMED_REQUEST", "5 ACCESS_DENIED", "6 c1", "7 c1",
		"8 VALIDATION_FAILED concern REQUIRED", "9 c4")
	if m := h.call(t, 200, "GET", "/v1/agencies/school-1/concerns/c1", "", school); m["level"] != "ACUTE" {
		t.Errorf("the last version: %v", m)
	}
	h.call(t, 404, "GET", "/v1/agencies/school-1/concerns/c3", "", school)
	wantAnswers(t, h.lines(t, "/v1/concerns:submit", gp,
		`{"requestId": "1", "concern": {"name": "agencies/gp-1/concerns/g1", "child": "`+child+`", "category": "ATTENDANCE", "level": "ACUTE", "startDate": "2026-01-05"}}`,
		`{"requestId": "2", "concern": {"name": "agencies/gp-1/concerns/g1", "child": "children/00000000000000000000000000", "category": "ATTENDANCE", "level": "ACUTE", "startDate": "2026-01-05"}}`),
		"1 ACCESS_DENIED", "2 ACCESS_DENIED")

	referral := func(request, id, to string) string {
		return `{"requestId": "` + request + `", "referral": {"name": "agencies/school-1/referrals/` + id + `", "child": "` + child + `", ` +
			`"recipient": "agencies/` + to + `", "reason": "SAFEGUARDING", "urgency": "REFERRAL_URGENCY_ROUTINE"}}`
	}
	wantAnswers(t, h.lines(t, "/v1/referrals:submit", school, referral("1", "r1", "gp-1"), referral("2", "r2", "none"), referral("3", "r1", "gp-1"), referral("4", "r3", "gp-1"), `{"requestId": "5"}`),
		"1 r1", "2 VALIDATION_FAILED referral.recipient REFERRAL_RECIPIENT", "3 r1", "4 r3", "5 VALIDATION_FAILED referral REQUIRED")
	var entries, refused int
	err := h.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE decision = 'ALLOWED'), count(*) FILTER (WHERE decision <> 'ALLOWED')
		FROM audit_entries WHERE method LIKE '%/SubmitConcerns' AND query->>'name' LIKE '%/concerns/%'`).Scan(&entries, &refused)
	if err != nil || entries < 4 || refused < 4 {
		t.Errorf("in the access log %d concerns, and %d that were refused: %v", entries, refused, err)
	}
	if status, answer := h.rest(t, "POST", "/v1/concerns:submit", "{}", "", map[string]string{"Content-Type": "application/x-ndjson"}); status != 401 {
		t.Errorf("without a token: %d %s", status, answer)
	}
}

// Many over gRPC: all that is good is in, in whatever batches it went.
func TestManyConcernsByTheStream(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	for i := range 3 {
		h.call(t, 200, "PUT", fmt.Sprint("/v1/agencies/school-1/childRecords/", i),
			fmt.Sprintf(`{"givenName": "Ada%d", "familyName": "Achterberg", "dateOfBirth": "201%d-06-02"}`, i, i), school)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+school)
	stream, err := irtv1.NewConcernServiceClient(h.conn).SubmitConcerns(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const many = 1200
	go func() {
		for i := range many {
			c := &irtv1.Concern{
				Name: fmt.Sprintf("agencies/school-1/concerns/c%d", i), ChildRecord: fmt.Sprintf("agencies/school-1/childRecords/%d", i%4),
				Category: "ATTENDANCE", Level: "UNIVERSAL", StartDate: "2026-01-05",
			}
			if stream.Send(&irtv1.SubmitConcernsRequest{RequestId: fmt.Sprint(i), Concern: c}) != nil {
				return
			}
		}
		_ = stream.CloseSend()
	}()
	for i := 0; ; i++ {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) && i == many {
			break
		}
		if err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		// The fourth record is none.
		if answer.GetRequestId() != fmt.Sprint(i) || (answer.GetError() != nil) != (i%4 == 3) || answer.GetResult().GetEtag() == "" && i%4 != 3 {
			t.Fatalf("%d: %v", i, answer)
		}
	}
	var concerns, told int
	err = h.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM concerns), (SELECT count(*) FROM event_outbox WHERE kind = 60) + (SELECT count(*) FROM events WHERE kind = 60)`).
		Scan(&concerns, &told)
	if err != nil || concerns != many*3/4 || told != concerns {
		t.Errorf("%d concerns, %d events: %v", concerns, told, err)
	}
}

// A service is recorded, found and referred to over REST, and the statistics name it.
func TestServicesOverREST(t *testing.T) {
	t.Parallel()
	h := start(t)
	school, gp := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	h.call(t, 200, "PUT", "/v1/agencies/school-1/childRecords/1", `{"givenName": "Rosalind", "familyName": "Achterberg", "dateOfBirth": "2015-06-02"}`, school)
	const service = `{"displayName": "Baby clinic", "kind": "health visiting", "maximumAge": 5}`
	h.call(t, 403, "PUT", "/v1/agencies/gp-1/services/baby", service, school)
	if m := h.call(t, 200, "PUT", "/v1/agencies/gp-1/services/baby", service, gp); m["kind"] != "HEALTH_VISITING" || m["etag"] == nil {
		t.Errorf("recorded: %v", m)
	}
	h.call(t, 200, "GET", "/v1/agencies/gp-1/services/baby", "", school)
	if all, _ := h.call(t, 200, "GET", "/v1/agencies/-/services?kind=HEALTH_VISITING", "", school)["services"].([]any); len(all) != 1 {
		t.Errorf("listed: %v", all)
	}
	refer := func(status int, service string) map[string]any {
		return h.call(t, status, "PUT", "/v1/agencies/school-1/referrals/r1", `{"childRecord": "agencies/school-1/childRecords/1", "recipient": "agencies/gp-1",
			"service": "`+service+`", "reason": "HEALTH", "urgency": "REFERRAL_URGENCY_ROUTINE"}`, school)
	}
	if m := refer(400, "none"); !strings.Contains(fmt.Sprint(m), "REFERRAL_SERVICE") {
		t.Errorf("refused: %v", m)
	}
	refer(200, "baby")
	if m := h.call(t, 200, "GET", "/v1/agencies/gp-1/referrals:statistics", "", gp); !strings.Contains(fmt.Sprint(m["services"]), "agencies/gp-1/services/baby") {
		t.Errorf("counted: %v", m)
	}
}

// One that the database cannot take is refused alone, whatever it was in a batch with.
func TestOneThatFailsTouchesNoOther(t *testing.T) {
	t.Parallel()
	h := start(t)
	school := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	h.call(t, 200, "PUT", "/v1/agencies/school-1/childRecords/1", `{"givenName": "Rosalind", "familyName": "Achterberg", "dateOfBirth": "2015-06-02"}`, school)
	if _, err := h.pool.Exec(t.Context(), `ALTER TABLE concerns ADD CHECK (local_id <> 'c50')`); err != nil {
		t.Fatal(err)
	}
	var lines, want []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf(`{"requestId": "%d", "concern": {"name": "agencies/school-1/concerns/c%d", "childRecord": "agencies/school-1/childRecords/1", "category": "ATTENDANCE", "level": "UNIVERSAL", "startDate": "2026-01-05"}}`, i, i))
		want = append(want, fmt.Sprintf("%d c%d", i, i))
	}
	want[50] = "50 INTERNAL"
	wantAnswers(t, h.lines(t, "/v1/concerns:submit", school, lines...), want...)
	var told int
	err := h.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM event_outbox WHERE kind = 60) + (SELECT count(*) FROM events WHERE kind = 60)`).Scan(&told)
	if err != nil || told != 99 {
		t.Errorf("%d events of 99 concerns: %v", told, err)
	}
}

// What is only checked is answered as if it were submitted, or refused as it would be:
// nothing is written, nobody is told, and the access log has it.
func TestConcernsAndReferralsAreOnlyChecked(t *testing.T) {
	t.Parallel()
	h := start(t)
	school, gp := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	child, _ := h.call(t, 200, "PUT", "/v1/agencies/school-1/childRecords/1",
		`{"givenName": "Rosalind", "familyName": "Achterberg", "dateOfBirth": "2015-06-02"}`, school)["child"].(string)
	concern := func(level string) string {
		return `{"child": "` + child + `", "category": "ATTENDANCE", "level": "` + level + `", "startDate": "2026-01-05"}`
	}
	referral := func(to, more string) string {
		return `{"child": "` + child + `", "recipient": "agencies/` + to + `", "urgency": "REFERRAL_URGENCY_ROUTINE", ` + more + `}`
	}
	h.call(t, 200, "PUT", "/v1/agencies/school-1/concerns/open", concern("UNIVERSAL"), school)
	h.call(t, 200, "PUT", "/v1/agencies/school-1/concerns/closed", concern("UNIVERSAL"), school)
	h.call(t, 200, "POST", "/v1/agencies/school-1/concerns/closed:close", `{"outcome": "RESOLVED"}`, school)
	stored := func() (n int) {
		t.Helper()
		if err := h.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM concerns) + (SELECT count(*) FROM concerns_history) + (SELECT count(*) FROM referrals)
			+ (SELECT count(*) FROM events) + (SELECT count(*) FROM event_outbox)`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := stored()
	for _, c := range []struct {
		what, path, body, token string
		status                  int
		says                    string
	}{
		{"a concern", "concerns/new", concern("ACUTE"), school, 200, "ACUTE"},
		{"another version", "concerns/open", concern("ACUTE"), school, 200, "ACUTE"},
		{"no such level", "concerns/new", concern("NONE"), school, 400, "CODE_UNKNOWN"},
		{"of what is closed", "concerns/closed", concern("ACUTE"), school, 400, "CLOSED"},
		{"in another's name", "concerns/new", concern("ACUTE"), gp, 403, ""},
		{"a referral", "referrals/new", referral("gp-1", `"reason": "SAFEGUARDING"`), school, 200, "SENT"},
		{"to nobody", "referrals/new", referral("none", `"reason": "SAFEGUARDING"`), school, 400, "REFERRAL_RECIPIENT"},
		{"without a basis", "referrals/new", referral("gp-1", `"reason": "EARLY_HELP"`), school, 400, "REFERRAL_BASIS_REQUIRED"},
		{"without the consent", "referrals/new", referral("gp-1", `"reason": "EARLY_HELP", "basis": "CONSENT"`), school, 400, "REFERRAL_CONSENT_MISSING"},
	} {
		answer := fmt.Sprint(h.call(t, c.status, "PUT", "/v1/agencies/school-1/"+c.path+"?validateOnly=true", c.body, c.token))
		if !strings.Contains(answer, c.says) {
			t.Errorf("%s: %s does not say %s", c.what, answer, c.says)
		}
	}
	// Whom it does not concern is told no more than by submitting it.
	h.call(t, 403, "PUT", "/v1/agencies/gp-1/concerns/new?validateOnly=true", concern("ACUTE"), gp)
	if after := stored(); after != before {
		t.Errorf("%d rows were written", after-before)
	}
	if m := h.call(t, 200, "GET", "/v1/agencies/school-1/concerns/open", "", school); m["level"] != "UNIVERSAL" {
		t.Errorf("what was checked is stored: %v", m)
	}
	var allowed, refused, about int
	err := h.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE decision = 'ALLOWED'), count(*) FILTER (WHERE decision <> 'ALLOWED'),
			count(*) FILTER (WHERE decision = 'ALLOWED' AND cardinality(children) = 1)
		FROM audit_entries WHERE query->>'validateOnly' = 'true'`).Scan(&allowed, &refused, &about)
	if err != nil || allowed != 3 || refused != 7 || about != 3 {
		t.Errorf("in the access log %d allowed, %d of them about the child, and %d refused: %v", allowed, about, refused, err)
	}
}
