package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/demo"
	"irthub/internal/pg/pgtest"
)

// TestDemo loads a small area, with and without what only sensitive services may
// record, and again.
func TestDemo(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool := pgtest.Open(t, url)
	_, _, _, err := agencies.UpsertAgencies(t.Context(), pool, []*irtv1.Agency{
		{Name: agencies.Name(demo.Authority), DisplayName: "The authority", Kind: irtv1.AgencyKind_AGENCY_KIND_LOCAL_AUTHORITY},
	})
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	server := []string{"IRTHUB_DATABASE_URL=" + url, "IRTHUB_DATA=" + data}
	hub := serve(t, server)
	token, errs, status := output(t, server, "token", "--agency", demo.Authority, "--role", "data-manager")
	if status != 0 {
		t.Fatalf("irthub token: %s", errs)
	}
	env := []string{"IRTHUB_ADDR=" + hub.GRPC, "IRTHUB_TOKEN=" + strings.TrimSpace(token)}
	load := func(want string, args ...string) {
		t.Helper()
		out, errs, status := output(t, env, append([]string{"demo", "--children", "300"}, args...)...)
		if status != 0 || !strings.Contains(out, want) || !strings.Contains(out, demo.AmeliaSchoolRecord) {
			t.Fatalf("irthub demo: status %d, %s%s; want %q", status, out, errs, want)
		}
	}
	count := func(sql string) (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	load("only they may record them")
	if n := count(`SELECT count(*) FROM involvements WHERE sensitive`); n != 0 {
		t.Errorf("%d sensitive involvements were recorded by another agency", n)
	}
	load("(0 new)", "--data", data)
	if n := count(`SELECT count(*) FROM involvements WHERE sensitive`); n == 0 {
		t.Error("the sensitive services are not loaded")
	}
	whole := fingerprint(t, count)
	load("(0 new)", "--data", data)
	if again := fingerprint(t, count); again != whole {
		t.Errorf("loading again changed something: %s, before %s", again, whole)
	}

	ids := fmt.Sprintf("'%s', '%s', '%s'", filepath.Base(demo.AmeliaSchoolRecord), filepath.Base(demo.AmeliaPracticeRecord), filepath.Base(demo.AmeliaSocialCareRecord))
	if n := count(`SELECT count(DISTINCT child_id) * 10 + count(*) FROM child_records WHERE local_id IN (` + ids + `)`); n != 13 {
		t.Errorf("Amelia's three records are not one child: %d", n)
	}
	if n := count(`SELECT count(*) FROM lead_professionals JOIN child_records USING (child_id) WHERE local_id = 'P00001'`); n != 1 {
		t.Errorf("Amelia has %d lead professionals", n)
	}
	if n := count(`SELECT count(DISTINCT child_id) FROM child_records WHERE local_id IN ('P00001', 'P00002')`); n != 2 {
		t.Error("Amelia and her brother are one child")
	}
}

// fingerprint tells whether anything was written but the access log.
func fingerprint(t *testing.T, count func(string) int) string {
	t.Helper()
	var b strings.Builder
	for _, table := range []string{
		"agencies", "practitioners", "child_records", "child_records_history", "children", "children_history",
		"involvements", "involvements_history", "lead_professionals", "lead_professionals_history", "match_reviews",
	} {
		fmt.Fprintf(&b, "%s %d ", table, count("SELECT count(*) FROM "+table))
	}
	fmt.Fprintf(&b, "revisions %d", count("SELECT (SELECT sum(revision) FROM agencies) + (SELECT sum(revision) FROM practitioners)"))
	return b.String()
}
