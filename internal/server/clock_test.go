package server_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// The clock is set back by an hour, and with it to yesterday: all that is stored is of
// the future. Everything can be changed all the same, no version overlaps another, what
// is read is what was written last, and each change is told.
func TestFaultClockStepsBack(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	child := a.children[0].name
	school, social := a.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), a.token(t, "social-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	put := func(path, format, value string) {
		t.Helper()
		a.call(t, 200, "PUT", "/v1/agencies/school-1/"+path, fmt.Sprintf(format, value), school)
	}
	const consent = `{"child": %q, "scope": "CONSENT_SCOPE_SHARING", "recipients": ["agencies/gp-1"], "givenBy": %%q, "startDate": "2026-01-05"}`
	put("consents/c", fmt.Sprintf(consent, child), "CHILD")
	var asked struct{ Name string }
	_, answer := a.rest(t, "POST", "/v1/"+child+":requestContact", `{"involvement": "agencies/school-1/involvements/iAqschool-1"}`, social,
		map[string]string{"Irt-Purpose": "SAFEGUARDING", "Irt-Reason": "a meeting"})
	decode(t, answer, &asked)
	shield := a.call(t, 200, "POST", "/v1/"+a.children[3].name+"/shields", `{"reason": "An order of the court."}`,
		a.person(t, "social-1", "p1", irtv1.Role_ROLE_PRACTITIONER))["name"].(string)
	a.stepBack(t)

	a.call(t, 200, "POST", "/v1/"+asked.Name+":answer", `{"text": "At three."}`, school)
	a.call(t, 200, "POST", "/v1/"+shield+":approve", `{}`, a.person(t, "social-1", "p2", irtv1.Role_ROLE_DATA_MANAGER))
	listener := identity.Caller{Agency: "school-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	record := fmt.Sprintf(`{"givenName": "GivenAq", "familyName": "FamilyAq", "dateOfBirth": "2015-01-11", "nhsNumber": %q, "email": %%q}`,
		nhsNumber(t, 999200010))
	for round, v := range [][]string{{"one@example.org", "CLASS_TEACHER", "2026-03-02", "PARENTAL_RESPONSIBILITY"}, {"two@example.org", "HEAD_TEACHER", "2026-03-03", "CHILD"}} {
		for _, change := range []struct {
			kind irtv1.EventKind
			make func()
		}{
			{irtv1.EventKind_EVENT_KIND_CHILD_UPDATED, func() {
				put("childRecords/rAq", record, v[0])
				a.call(t, 200, "PUT", "/v1/agencies/social-1/childRecords/rAq", fmt.Sprintf(record, v[0]), social)
			}},
			{irtv1.EventKind_EVENT_KIND_INVOLVEMENT_SUBMITTED, func() {
				put("involvements/iAqschool-1", `{"child": "`+child+`", "role": %q, "startDate": "2026-01-05"}`, v[1])
			}},
			{irtv1.EventKind_EVENT_KIND_CONCERN_SUBMITTED, func() {
				put("concerns/cAq", `{"child": "`+child+`", "category": "ATTENDANCE", "level": "EARLY_HELP", "startDate": "2026-01-05", "reviewDate": %q}`, v[2])
			}},
			{irtv1.EventKind_EVENT_KIND_CONSENT_RECORDED, func() { put("consents/c", fmt.Sprintf(consent, child), v[3]) }},
			{irtv1.EventKind_EVENT_KIND_PLAN_SUBMITTED, func() {
				a.call(t, 200, "PUT", "/v1/agencies/social-1/plans/pAq", fmt.Sprintf(`{"childRecord": "agencies/social-1/childRecords/rAq",
					"kind": "PLAN_KIND_CHILD_PROTECTION", "startDate": "2026-01-%d", "practitioner": "agencies/social-1/practitioners/lAq"}`, 13+round), social)
			}},
			{[]irtv1.EventKind{irtv1.EventKind_EVENT_KIND_REFERRAL_ACKNOWLEDGED, irtv1.EventKind_EVENT_KIND_REFERRAL_ACCEPTED}[round], func() {
				a.call(t, 200, "POST", "/v1/agencies/school-1/referrals/rAq:"+[]string{"acknowledge", "accept"}[round], []string{`{}`, `{"role": "SOCIAL_WORKER"}`}[round], social)
			}},
		} {
			from := a.cursor(t, listener)
			change.make()
			a.after(t, listener, from, change.kind)
		}
	}
	for path, want := range map[string]string{
		"agencies/school-1/childRecords/rAq": "two@example.org", "agencies/school-1/involvements/iAqschool-1": "HEAD_TEACHER",
		"agencies/school-1/concerns/cAq": "2026-03-03", "agencies/school-1/referrals/rAq": "REFERRAL_STATE_ACCEPTED",
	} {
		if got := a.get(t, listener, "/v1/"+path); !strings.Contains(got, want) {
			t.Errorf("%s is not as it was written last: %s", path, got)
		}
	}
	a.versionsFollow(t)
}

// Between two changes of a child the clock is set back by an hour, and one round tells
// of both: in the order in which they were made.
func TestFaultClockStepsBackWithinARound(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	child := a.children[0].name
	school := a.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	const involvement = "agencies/school-1/involvements/iAqschool-1"
	listener := identity.Caller{Agency: "school-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	from := a.cursor(t, listener)
	round, err := a.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = round.Rollback(t.Context()) }()
	if _, err := round.Exec(t.Context(), `SELECT FROM event_head FOR UPDATE`); err != nil { // no round runs
		t.Fatal(err)
	}
	for _, role := range []string{"CLASS_TEACHER", "HEAD_TEACHER"} {
		a.exec(t, `UPDATE event_outbox SET event_time = event_time + interval '1 hour'`)
		a.call(t, 200, "PUT", "/v1/"+involvement, `{"child": "`+child+`", "role": "`+role+`", "startDate": "2026-01-05"}`, school)
	}
	a.exec(t, `UPDATE event_outbox SET event_time = event_time + interval '1 hour'`)
	a.call(t, 200, "PUT", "/v1/"+involvement,
		`{"child": "`+child+`", "role": "HEAD_TEACHER", "startDate": "2026-01-05", "endDate": "2026-02-05"}`, school)
	if err := round.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	var kinds []irtv1.EventKind
	var times []int64
	for _, e := range a.after(t, listener, from, irtv1.EventKind_EVENT_KIND_INVOLVEMENT_ENDED).GetEvents() {
		if e.GetResource() == involvement {
			kinds, times = append(kinds, e.GetKind()), append(times, e.GetEventTime().GetSeconds())
		}
	}
	if len(kinds) > 3 { // what the area's making told of it
		kinds, times = kinds[len(kinds)-3:], times[len(times)-3:]
	}
	submitted := irtv1.EventKind_EVENT_KIND_INVOLVEMENT_SUBMITTED
	if want := []irtv1.EventKind{submitted, submitted, irtv1.EventKind_EVENT_KIND_INVOLVEMENT_ENDED}; !slices.Equal(kinds, want) {
		t.Errorf("told were %v", kinds)
	}
	if !slices.IsSortedFunc(times, func(a, b int64) int { return cmp.Compare(b, a) }) {
		t.Errorf("the clock did not step back: %v", times)
	}
}

// cursor is where the log of events ends.
func (a *area) cursor(t *testing.T, c identity.Caller) string {
	t.Helper()
	cursor := ""
	for {
		got, err := irtv1.NewEventServiceClient(a.conn).ListEvents(a.as(t, c), &irtv1.ListEventsRequest{Cursor: cursor, PageSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if cursor = got.GetCursor(); got.GetNextPageToken() == "" {
			return cursor
		}
	}
}

// stepBack has all that is stored been so an hour ahead, and tomorrow.
func (a *area) stepBack(t *testing.T) {
	t.Helper()
	rows, err := a.pool.Query(t.Context(), `SELECT format('UPDATE %I SET %s', table_name, string_agg(format('%I = %I + interval ''1 hour''', column_name, column_name), ', '))
		FROM information_schema.columns WHERE table_schema = 'public' AND column_name IN ('known_from', 'known_to', 'create_time')
			AND table_name IN (SELECT table_name FROM information_schema.columns WHERE column_name = 'known_from')
		GROUP BY table_name`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(all) < 20 {
		t.Fatalf("%q, %v", all, err)
	}
	for _, sql := range append(all, `UPDATE event_head SET day = day + 1`) {
		a.exec(t, sql)
	}
}

// versionsFollow fails where two versions of a thing overlap, or one never was.
func (a *area) versionsFollow(t *testing.T) {
	t.Helper()
	//nolint:rowserrcheck // ForEachRow does
	rows, err := a.pool.Query(t.Context(), `SELECT p.table_name, string_agg(quote_ident(k.column_name), ', ' ORDER BY k.ordinal_position)
		FROM information_schema.tables p
		JOIN information_schema.columns h ON h.table_name = p.table_name || '_history' AND h.column_name = 'known_from'
		JOIN information_schema.table_constraints c ON c.table_name = p.table_name AND c.constraint_type = 'PRIMARY KEY'
		JOIN information_schema.key_column_usage k ON k.constraint_name = c.constraint_name
		GROUP BY p.table_name`)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	var table, key string
	if _, err := pgx.ForEachRow(rows, []any{&table, &key}, func() error {
		keys[table] = key
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for table, key := range keys {
		var versions, wrong int
		err := a.pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(*), count(*) FILTER (WHERE known_to <= known_from OR next < known_to) FROM (
			SELECT known_from, known_to, lead(known_from) OVER (PARTITION BY %[2]s ORDER BY known_from) AS next FROM (
				SELECT %[2]s, known_from, NULL AS known_to FROM %[1]s UNION ALL SELECT %[2]s, known_from, known_to FROM %[1]s_history) AS v) AS v`,
			table, key)).Scan(&versions, &wrong)
		if err != nil || wrong > 0 {
			t.Errorf("%s: %d of %d versions overlap: %v", table, wrong, versions, err)
		}
	}
	for _, table := range []string{
		"children", "child_records", "involvements", "concerns", "consents", "plans", "referrals", "contact_requests", "contact_routes", "shields",
	} {
		var n int
		if err := a.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table+`_history`).Scan(&n); err != nil || n < 1 || keys[table] == "" {
			t.Errorf("%s: %d versions are looked at: %v", table, n, err)
		}
	}
}
