package retention_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/retention"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// hub is one process's services on a database.
type hub struct {
	t        testing.TB
	pool     *pgxpool.Pool
	children *children.Service
	*retention.Service
}

func newHub(t testing.TB) *hub {
	t.Helper()
	pool := pgtest.New(t)
	list := []*irtv1.Agency{
		{Name: "agencies/school", DisplayName: "Oak School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/gp", DisplayName: "Elm Surgery", Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE},
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, list); err != nil {
		t.Fatal(err)
	}
	directory, err := agencies.NewDirectory(t.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := rpc.LoadPageTokens(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	access := audit.NewWriter(pool)
	c := children.New(pool, directory, tokens, access)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := access.Close(ctx); err != nil {
			t.Error(err)
		}
		directory.Close()
	})
	return &hub{t, pool, c, retention.New(pool)}
}

func as(t testing.TB, agency string, role irtv1.Role) context.Context {
	t.Helper()
	ctx := identity.NewContext(t.Context(), identity.Caller{Agency: agency, Role: role, Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY})
	return audit.NewContext(ctx, audit.New(ctx, "test"))
}

const system = irtv1.Role_ROLE_AGENCY_SYSTEM

// send has an agency submit a record, and gives the child.
func (h *hub) send(agency string, r *irtv1.ChildRecord) uuid.UUID {
	h.t.Helper()
	r.Name = "agencies/" + agency + "/childRecords/" + r.GetName()
	resp, err := h.children.SubmitChildRecord(as(h.t, agency, system), &irtv1.SubmitChildRecordRequest{ChildRecord: r})
	if err != nil {
		h.t.Fatal(err)
	}
	child, err := rpc.ParseChildName(resp.GetChild())
	if err != nil {
		h.t.Fatal(err)
	}
	return child
}

func (h *hub) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hub) run(today time.Time, want retention.Report) {
	h.t.Helper()
	rehearsed, err := retention.Rehearse(h.t.Context(), h.pool, today)
	if err != nil {
		h.t.Fatal(err)
	}
	got, err := retention.Run(h.t.Context(), h.pool, today)
	if err != nil {
		h.t.Fatal(err)
	}
	if got != want || rehearsed != want {
		h.t.Fatalf("as of %s: did %+v, rehearsed %+v, want %+v", today.Format(time.DateOnly), got, rehearsed, want)
	}
}

func (h *hub) archived(child uuid.UUID) (since string) {
	h.t.Helper()
	err := h.pool.QueryRow(h.t.Context(), `SELECT coalesce((SELECT archive_date::text FROM child_sharing WHERE child_id = $1), '')`, child).Scan(&since)
	if err != nil {
		h.t.Fatal(err)
	}
	return since
}

func date(t testing.TB, iso string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, iso)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func person(id, given, born string) *irtv1.ChildRecord {
	return &irtv1.ChildRecord{Name: id, GivenName: given, FamilyName: "Achterberg", DateOfBirth: born, NoKnownAddress: true}
}

// The life of an entry: in use, archived on the day, put back when the date of birth
// is found to be wrong, archived again, and purged six years later and no sooner.
func TestLifeOfAnEntry(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	leap := h.send("school", person("1", "Rosalind", "2008-02-29"))
	h.send("school", person("2", "Barnaby", "2015-06-02"))
	h.run(date(t, "2028-02-28"), retention.Report{})
	h.run(date(t, "2028-02-29"), retention.Report{Archived: 1})
	h.run(date(t, "2028-02-29"), retention.Report{})
	if since := h.archived(leap); since != "2028-02-29" {
		t.Errorf("archived since %q", since)
	}
	h.send("school", person("1", "Rosalind", "2009-02-28"))
	h.run(date(t, "2028-03-01"), retention.Report{Restored: 1})
	h.run(date(t, "2029-02-28"), retention.Report{Archived: 1})
	h.run(date(t, "2035-02-27"), retention.Report{})
	h.run(date(t, "2035-02-28"), retention.Report{Purged: 1}) // Barnaby is 19, until June
}

// Consent keeps an entry to the 25th birthday; withdrawn, it archives it.
func TestConsentKeepsAnEntry(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.send("school", person("1", "Rosalind", "2008-02-29"))
	h.exec(`INSERT INTO child_sharing (child_id, consents) VALUES ($1, '[{"s":3,"a":"school","f":"2026-01-01"}]')`, child)
	h.run(date(t, "2030-01-01"), retention.Report{})
	h.run(date(t, "2033-02-28"), retention.Report{})
	h.run(date(t, "2033-03-01"), retention.Report{Archived: 1})
	h.exec(`DELETE FROM child_sharing`)
	h.run(date(t, "2030-01-01"), retention.Report{Archived: 1})
	h.exec(`UPDATE child_sharing SET consents = '[{"s":3,"a":"school","f":"2026-01-01"}]'`)
	h.run(date(t, "2030-01-02"), retention.Report{Restored: 1})
	if since := h.archived(child); since != "" {
		t.Errorf("archived since %q, though it is to be kept", since)
	}
}

func TestEntryNobodyHasARecordOf(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.send("school", person("1", "Rosalind", "2015-06-02"))
	_, err := h.children.WithdrawChildRecord(as(t, "school", system), &irtv1.WithdrawChildRecordRequest{Name: "agencies/school/childRecords/1"})
	if err != nil {
		t.Fatal(err)
	}
	yearOn := standard.Today().AddDate(1, 0, 0)
	h.run(yearOn.AddDate(0, 0, -1), retention.Report{})
	h.run(yearOn, retention.Report{Archived: 1})
	h.send("school", person("1", "Rosalind", "2015-06-02"))
	h.run(yearOn, retention.Report{Restored: 1})
	if h.archived(child) != "" {
		t.Error("archived, though an agency has a record again")
	}
}

func TestGetRetention(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := rpc.ChildName(h.send("school", person("1", "Rosalind", "2008-02-29")))
	get := func() string {
		t.Helper()
		r, err := h.GetRetention(as(t, "council", irtv1.Role_ROLE_DATA_MANAGER), &irtv1.GetRetentionRequest{Name: child + "/retention"})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join([]string{r.GetReason().String(), r.GetArchiveDate(), r.GetPurgeDate(), map[bool]string{true: "archived"}[r.GetArchived()]}, " ")
	}
	if got := get(); got != "RETENTION_REASON_AGE 2028-02-29 2034-03-01 " {
		t.Error(got)
	}
	h.run(date(t, "2028-03-05"), retention.Report{Archived: 1})
	if got := get(); got != "RETENTION_REASON_AGE 2028-03-05 2034-03-05 archived" {
		t.Error(got)
	}
}

// full gives a child rows in every table that may hold something of it.
func (h *hub) full(child, merged uuid.UUID) {
	record := standard.RecordID("school", "1")
	for _, sql := range []string{
		`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, record_id, role, start_date, create_time, known_from, revision)
			VALUES ($1, gen_random_uuid(), 'school', 'Zebedee-inv', $2, 'SENCO', '2020-01-01', now(), now(), 1)`,
		`INSERT INTO involvements_history SELECT i.*, now() FROM involvements i WHERE child_id = $1 AND record_id = $2`,
		`INSERT INTO lead_professionals (child_id, start_date, involvement_id, agency_id, practitioner_id, known_from)
			SELECT child_id, '2020-01-01', involvement_id, 'school', 'Zebedee-p', now() FROM involvements WHERE child_id = $1 AND record_id = $2`,
		`INSERT INTO lead_professionals_history SELECT l.*, now() FROM lead_professionals l WHERE child_id = $1 AND $2::uuid IS NOT NULL`,
		`INSERT INTO consents (child_id, consent_id, agency_id, local_id, record_id, scope, given_by, start_date, state, create_time, known_from, revision)
			VALUES ($1, gen_random_uuid(), 'school', 'Zebedee-c', $2, 1, 'CHILD', '2020-01-01', 1, now(), now(), 1)`,
		`INSERT INTO consents_history SELECT c.*, now() FROM consents c WHERE child_id = $1 AND record_id = $2`,
		`INSERT INTO shields (child_id, shield_id, state, reason, agency_id, proposed_by, propose_time, known_from, revision)
			VALUES ($1, $2, 1, 'Zebedee must not be found', 'school', 'x', now(), now(), 1)`,
		`INSERT INTO shields_history SELECT s.*, now() FROM shields s WHERE child_id = $1 AND shield_id = $2`,
		`INSERT INTO sharing_refusals (child_id, refusal_id, agency_id, local_id, record_id, purpose, reason, details, refuse_date, create_time)
			VALUES ($1, gen_random_uuid(), 'school', 'Zebedee-r', $2, 2, 'OTHER', 'Zebedee', '2020-01-01', now())`,
		`INSERT INTO match_reviews (review_id, record_id, agency_id, local_id, candidate_child_id, match, create_time)
			VALUES ($1, $2, 'school', 'Zebedee-m', gen_random_uuid(), '{}', now()), (gen_random_uuid(), gen_random_uuid(), 'gp', 'x', $1, '{}', now())`,
		`INSERT INTO match_review_decisions (review_id, decide_time, resolution, decided_by, reason)
			SELECT $1, now(), 2, 'x', 'Zebedee' WHERE $2::uuid IS NOT NULL`,
		`INSERT INTO match_constraints (record_id, other_record_id, kind, reason, decided_by, create_time)
			VALUES ($2, $1, 2, 'Zebedee', 'x', now()), ($1, $2, 2, 'Zebedee', 'x', now())`,
		`INSERT INTO child_pins (child_id, pin, record_id, reason, pinned_by, agency_id, create_time) VALUES ($1, 'x', $2, 'Zebedee', 'x', 'school', now())`,
	} {
		h.exec(sql, child, record)
	}
	h.exec(`INSERT INTO children SELECT (jsonb_populate_record(c, jsonb_build_object('child_id', $2::uuid, 'state', 3, 'merged_into', $1::uuid))).*
		FROM children c WHERE child_id = $1`, child, merged)
	h.exec(`INSERT INTO children_history SELECT c.*, now() FROM children c WHERE child_id IN ($1, $2)`, child, merged)
}

// traces are the tables in which a text is still found, the access log and the
// events apart, which hold ids alone.
func (h *hub) traces(text string) (found []string) {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(), `SELECT tablename FROM pg_tables
		WHERE schemaname = 'public' AND tablename NOT LIKE 'audit_%' AND tablename NOT LIKE 'event_%' ORDER BY 1`)
	if err != nil {
		h.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		h.t.Fatal(err)
	}
	for _, table := range tables {
		var n int
		if err := h.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM `+table+` t WHERE t::text LIKE '%' || $1 || '%'`, text).Scan(&n); err != nil {
			h.t.Fatal(err)
		}
		if n > 0 {
			found = append(found, table)
		}
	}
	return found
}

// Nothing of a child is left anywhere, and everything of every other child.
func TestPurgeLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	zebedee := func(surname string) *irtv1.ChildRecord {
		return &irtv1.ChildRecord{
			Name: "1", GivenName: "Zebedee", FamilyName: surname, DateOfBirth: "2006-11-26", NhsNumber: "9434765870",
			AddressLines: []string{"Zebedee House"}, Postcode: "NR23 1AH", Email: "zebedee@example.org",
		}
	}
	child := h.send("school", zebedee("Achterberg"))
	h.send("school", zebedee("Achterberg-Marsh")) // an earlier version of the record, and of the child
	if h.send("gp", zebedee("Achterberg-Marsh")) != child {
		t.Fatal("they are not of one child")
	}
	if _, err := h.children.WithdrawChildRecord(as(t, "gp", system), &irtv1.WithdrawChildRecordRequest{Name: "agencies/gp/childRecords/1"}); err != nil {
		t.Fatal(err)
	}
	merged := standard.NewChildID()
	h.full(child, merged)
	other := h.send("gp", person("2", "Ottilie", "2015-06-02"))
	keys := `SELECT count(*) FROM match_keys WHERE record_id IN (SELECT record_id FROM child_records)`
	before := h.count(keys)

	h.run(date(t, "2026-11-26"), retention.Report{Archived: 1})
	h.run(date(t, "2032-11-26"), retention.Report{Purged: 1})
	for _, trace := range []string{"Zebedee", "Achterberg-Marsh", child.String(), merged.String(), standard.RecordID("school", "1").String()} {
		if found := h.traces(trace); len(found) > 0 {
			t.Errorf("%s is still found in %v", trace, found)
		}
	}
	if found := h.traces(other.String()); len(found) < 2 {
		t.Errorf("the other child is found in %v only", found)
	}
	if after := h.count(keys); after == 0 || after >= before || after != h.count(`SELECT count(*) FROM match_keys`) {
		t.Errorf("%d match keys, %d before", after, before)
	}
	var told []string
	rows, err := h.pool.Query(t.Context(), `SELECT kind || ' ' || audience || ' ' || array_to_string(agencies, ',') FROM event_outbox
		WHERE child_id = $1 AND kind BETWEEN 36 AND 38 ORDER BY event_id`, child)
	if err == nil {
		told, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if got := strings.Join(told, "; "); err != nil || got != "36 1 ; 38 3 gp,school" && got != "36 1 ; 38 3 school,gp" {
		t.Errorf("told: %s (%v)", got, err)
	}
	var methods string
	err = h.pool.QueryRow(t.Context(), `SELECT string_agg(method, '; ' ORDER BY entry_id) FROM audit_entries
		WHERE method LIKE 'irthub retention%' AND $1 = ANY(children)`, child).Scan(&methods)
	if err != nil || methods != "irthub retention archive; irthub retention purge" {
		t.Errorf("the access log says %q (%v)", methods, err)
	}
}

func (h *hub) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// Many children go in batches, and a run that is broken off has done what it has done.
func TestPurgeInBatches(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.exec(`INSERT INTO children (child_id, state, date_of_birth, create_time, known_from, revision)
		SELECT gen_random_uuid(), 1, '2000-01-01', now(), now(), 1 FROM generate_series(1, 620)`)
	h.run(date(t, "2026-11-26"), retention.Report{Archived: 620})
	h.run(date(t, "2032-11-26"), retention.Report{Purged: 620})
	if n := h.count(`SELECT count(*) FROM children`); n != 0 {
		t.Errorf("%d children are left", n)
	}
}

// A provisional shield that nobody decided on stays, and is told of every day.
func TestOverdueShieldsAreToldOf(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.send("school", person("1", "Rosalind", "2015-06-02"))
	h.exec(`INSERT INTO shields (child_id, shield_id, state, reason, agency_id, proposed_by, propose_time, approve_by_time, known_from, revision)
		VALUES ($1, gen_random_uuid(), 2, 'r', 'school', 'x', now() - interval '6 days', now() - interval '1 day', now(), 1)`, child)
	for range 2 {
		h.run(standard.Today(), retention.Report{Overdue: 1})
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE child_id = $1 AND kind = 33 AND audience = 2`, child); n != 2 {
		t.Errorf("told %d times", n)
	}
	if n := h.count(`SELECT count(*) FROM shields WHERE state = 2`); n != 1 {
		t.Error("the shield fell because nobody was at work")
	}
}

// Of many processes one does the day's run, and none does it again.
func TestOneProcessRunsADay(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send("school", person("1", "Rosalind", "2008-02-29"))
	var all sync.WaitGroup
	for range 4 {
		d := retention.StartDaily(t.Context(), h.pool, slog.New(slog.DiscardHandler))
		t.Cleanup(func() {
			if err := d.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			for range 3 {
				if err := d.Look(t.Context(), date(t, "2028-02-29")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := h.count(`SELECT count(*) FROM retention_runs WHERE end_time IS NOT NULL AND archived = 1`); n != 1 {
		t.Errorf("%d runs", n)
	}
	if n := h.count(`SELECT count(*) FROM retention_runs`); n != 1 {
		t.Errorf("%d runs were begun", n)
	}
}
