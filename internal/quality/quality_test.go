package quality_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/quality"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// hub is an index in which the school and the GP know one child, at two
// addresses, the clinic (a sensitive service) and the school another, and the
// school alone a third.
func hub(t *testing.T) (*quality.Service, [3]uuid.UUID) {
	t.Helper()
	pool := pgtest.New(t)
	tokens, err := rpc.LoadPageTokens(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, pool, `INSERT INTO agencies (agency_id, display_name, kind, sensitive)
		VALUES ('school', 'School', 1, false), ('gp', 'GP', 2, false), ('clinic', 'Clinic', 3, true)`)
	var children [3]uuid.UUID
	for i := range children {
		children[i] = standard.NewChildID()
		exec(t, pool, `INSERT INTO children (child_id, state, school_urn, create_time, known_from, revision) VALUES ($1, 1, '100001', now(), now(), 1)`,
			[16]byte(children[i]))
	}
	record := func(agency, local string, child uuid.UUID, nhs, postcode string, queries ...string) {
		exec(t, pool, `INSERT INTO child_records (record_id, agency_id, local_id, child_id, state, nhs_number, postcode, queries, create_time, known_from, revision)
			VALUES ($1, $2, $3, $4, 1, $5, $6, coalesce($7::text[], '{}'), now(), now(), 1)`,
			[16]byte(standard.RecordID(agency, local)), agency, local, [16]byte(child), nhs, postcode, queries)
	}
	record("school", "1", children[0], "", "NR1 1AA", "UPN_CHECK_LETTER upn", "POSTCODE_STRICT postcode")
	record("gp", "1", children[0], "9434765870", "NR2 2BB")
	record("school", "2", children[1], "", "NR1 1AA")
	record("clinic", "2", children[1], "", "NR3 3CC")
	record("school", "3", children[2], "9000000009", "NR1 1AA")
	involve := func(child uuid.UUID, agency, role string) {
		exec(t, pool, `INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, role, start_date, create_time, known_from, revision)
			VALUES ($1, $2, $3, 'i', $4, '2020-01-01', now(), now(), 1)`, [16]byte(child), [16]byte(uuid.New()), agency, role)
	}
	involve(children[0], "school", "CLASS_TEACHER")
	involve(children[0], "gp", "GP")
	involve(children[1], "school", "CLASS_TEACHER")
	involve(children[1], "school", "CLASS_TEACHER")
	directory, err := agencies.NewDirectory(t.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(directory.Close)
	return quality.New(pool, directory, tokens), children
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func as(t *testing.T, agency string, role irtv1.Role) context.Context {
	t.Helper()
	ctx := identity.NewContext(t.Context(), identity.Caller{Agency: agency, Role: role})
	return audit.NewContext(ctx, audit.New(ctx, "/irt.v1.QualityService/ListQualityFindings"))
}

func counts(list []*irtv1.QualityCount) map[string]int64 {
	m := map[string]int64{}
	for _, c := range list {
		m[c.GetKind().String()[len("QUALITY_FINDING_KIND_"):]] = c.GetCount()
	}
	return m
}

func same(t *testing.T, what string, got, want map[string]int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s: %s is %d, want %d", what, k, got[k], n)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	s, _ := hub(t)
	r, err := s.GetQualityReport(as(t, "hub", irtv1.Role_ROLE_DATA_MANAGER), &irtv1.GetQualityReportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.GetAgencies()) != 3 || r.GetAgencies()[2].GetAgency() != "agencies/school" || r.GetAgencies()[2].GetRecords() != 3 || r.GetChildren() != 3 {
		t.Fatalf("%v", r)
	}
	// The clinic's record counts neither as a match nor as another address.
	same(t, "school", counts(r.GetAgencies()[2].GetCounts()), map[string]int64{
		"NO_NHS_NUMBER": 2, "NO_SCHOOL": 0, "NO_GP_PRACTICE": 3, "ADDRESS_DIFFERS": 1, "SUSPECTED_DUPLICATE": 0, "QUERY": 1, "UNMATCHED": 2,
	})
	same(t, "index", counts(r.GetCounts()), map[string]int64{
		"SEVERAL_WITHOUT_LEAD": 1, "SEVERAL_WITH_LEAD": 0, "INVOLVED_TWICE": 1, "NO_INVOLVEMENT": 1,
	})
	if q := r.GetAgencies()[2].GetQueries(); len(q) != 2 || q[0].GetRuleId() != "POSTCODE_STRICT" || q[0].GetCount() != 1 {
		t.Errorf("queries %v", q)
	}
	own, err := s.GetQualityReport(as(t, "gp", irtv1.Role_ROLE_AGENCY_SYSTEM), &irtv1.GetQualityReportRequest{})
	if err != nil || len(own.GetAgencies()) != 1 || own.GetAgencies()[0].GetAgency() != "agencies/gp" || own.GetChildren() != 0 || own.GetCounts() != nil {
		t.Errorf("an agency sees %v, %v", own, err)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	s, children := hub(t)
	school := as(t, "school", irtv1.Role_ROLE_AGENCY_SYSTEM)
	req := &irtv1.ListQualityFindingsRequest{Kind: irtv1.QualityFindingKind_QUALITY_FINDING_KIND_UNMATCHED, PageSize: 1}
	var listed []string
	for {
		page, err := s.ListQualityFindings(school, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.GetFindings() {
			listed = append(listed, f.GetChild())
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if len(listed) != 2 || listed[0] == listed[1] {
		t.Errorf("unmatched: %v", listed)
	}
	manager := as(t, "hub", irtv1.Role_ROLE_DATA_MANAGER)
	page, err := s.ListQualityFindings(manager, &irtv1.ListQualityFindingsRequest{Kind: irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_INVOLVEMENT})
	if err != nil || len(page.GetFindings()) != 1 || page.GetFindings()[0].GetChild() != rpc.ChildName(children[2]) {
		t.Errorf("no involvement: %v, %v", page, err)
	}
	page, err = s.ListQualityFindings(manager, &irtv1.ListQualityFindingsRequest{Kind: irtv1.QualityFindingKind_QUALITY_FINDING_KIND_QUERY, Agency: "agencies/school"})
	if err != nil || len(page.GetFindings()) != 1 || len(page.GetFindings()[0].GetRuleIds()) != 2 {
		t.Errorf("queries: %v, %v", page, err)
	}
}

func TestOthersAreDenied(t *testing.T) {
	t.Parallel()
	s, _ := hub(t)
	school := as(t, "school", irtv1.Role_ROLE_AGENCY_SYSTEM)
	for _, req := range []*irtv1.ListQualityFindingsRequest{
		{Kind: irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_NHS_NUMBER, Agency: "agencies/gp"},
		{Kind: irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_INVOLVEMENT},
	} {
		if _, err := s.ListQualityFindings(school, req); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%v: %v", req, err)
		}
	}
	if _, err := s.GetQualityReport(school, &irtv1.GetQualityReportRequest{Agency: "agencies/gp"}); status.Code(err) != codes.PermissionDenied {
		t.Error("a school reads the GP's counts")
	}
}
