package involvement_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/involvement"
	"irthub/internal/standard"
)

func stamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }

func TestListKeepsToTheDay(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	for id, period := range map[string][2]string{
		"past": {day(-30), day(-1)}, "ends-today": {day(-20), day(0)}, "open": {day(-10), ""},
		"starts-today": {day(0), ""}, "future": {day(1), day(10)},
	} {
		i := inv("school", id, child)
		i.StartDate, i.EndDate = period[0], period[1]
		h.submit(i)
	}
	h.submit(inv("gp", "other", h.child()))
	for _, c := range []struct {
		name string
		req  *irtv1.ListInvolvementsRequest
		want string
	}{
		{"today", &irtv1.ListInvolvementsRequest{}, "ends-today open starts-today"},
		{"today by its date", &irtv1.ListInvolvementsRequest{AsOf: day(0)}, "ends-today open starts-today"},
		{"the first day", &irtv1.ListInvolvementsRequest{AsOf: day(-30)}, "past"},
		{"the last day", &irtv1.ListInvolvementsRequest{AsOf: day(-1)}, "past ends-today open"},
		{"tomorrow", &irtv1.ListInvolvementsRequest{AsOf: day(1)}, "open starts-today future"},
		{"before all", &irtv1.ListInvolvementsRequest{AsOf: "1999-12-31"}, ""},
		{"ever", &irtv1.ListInvolvementsRequest{IncludeEnded: true}, "past ends-today open starts-today future"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.req.Parent = childName(child)
			if got := locals(h.list(as(t, "gp"), c.req)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Who was involved on a day, as it was known on another: both times vary.
func TestListKeepsToWhatWasKnown(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	i := inv("school", "i", child)
	i.Practitioner = "agencies/school/practitioners/t1"
	i.StartDate = "2026-01-05"
	before := h.now()
	h.submit(i) // open, since January
	one := h.now()
	if _, err := h.SetLeadProfessional(as(t, "school"), &irtv1.SetLeadProfessionalRequest{
		Child: childName(child), Involvement: i.GetName(), StartDate: "2026-02-01",
	}); err != nil {
		t.Fatal(err)
	}
	two := h.now()
	i.StartDate, i.EndDate = "2026-03-01", "2026-06-30" // corrected: from March to June
	h.submit(i)
	three := h.now()
	for _, c := range []struct {
		known time.Time
		asOf  string
		want  string // the involvement, and whether it leads
	}{
		{before, "2026-02-15", ""},
		{one, "2026-01-04", ""},
		{one, "2026-01-05", "i"},
		{one, "2026-09-01", "i"},
		{two, "2026-01-31", "i"},
		{two, "2026-02-01", "i leads"},
		{two, "2026-09-01", "i leads"},
		{three, "2026-01-31", ""},
		{three, "2026-03-01", "i leads"},
		{three, "2026-06-30", "i leads"},
		{three, "2026-07-01", ""},
		{time.Time{}, "2026-03-01", "i leads"},
		{time.Time{}, "2026-07-01", ""},
		{one, "", "i"}, // of the day of that instant
		{three, "", ""},
	} {
		req := &irtv1.ListInvolvementsRequest{Parent: childName(child), AsOf: c.asOf}
		if !c.known.IsZero() {
			req.KnownAt = stamp(c.known)
		}
		got := h.list(as(t, "gp"), req)
		text := locals(got)
		if len(got.GetInvolvements()) == 1 && got.GetInvolvements()[0].GetLeadProfessional() {
			text += " leads"
		}
		if text != c.want {
			t.Errorf("on %s as known %v: %q, want %q", c.asOf, c.known, text, c.want)
		}
	}
	ever := h.list(as(t, "gp"), &irtv1.ListInvolvementsRequest{Parent: childName(child), KnownAt: stamp(one), IncludeEnded: true})
	if got := ever.GetInvolvements()[0]; got.GetStartDate() != "2026-01-05" || got.GetEndDate() != "" {
		t.Errorf("ever, as first known: %v", got)
	}
}

func TestListIsPaged(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	var want []string
	for n := range 23 {
		i := inv("school", fmt.Sprintf("i%02d", n), child)
		i.StartDate = fmt.Sprintf("2026-01-%02d", 1+n/2) // two a day
		h.submit(i)
		want = append(want, fmt.Sprintf("i%02d", n))
	}
	for name, req := range map[string]*irtv1.ListInvolvementsRequest{
		"today":    {},
		"a day":    {AsOf: "2026-05-01"},
		"ever":     {IncludeEnded: true},
		"known at": {KnownAt: stamp(h.now())},
	} {
		t.Run(name, func(t *testing.T) {
			req.Parent, req.PageSize = childName(child), 5
			var got []string
			pages := 0
			for {
				page := h.list(as(t, "gp"), req)
				pages++
				for _, i := range page.GetInvolvements() {
					got = append(got, i.GetName()[len("agencies/school/involvements/"):])
				}
				if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
					break
				}
				foreign := &irtv1.ListInvolvementsRequest{Parent: childName(standard.NewChildID()), PageToken: req.GetPageToken()}
				_, err := h.ListInvolvements(as(t, "gp"), foreign)
				wantError(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
			}
			slices.Sort(got) // two of one day may come in either order, always the same
			if pages != 5 || !slices.Equal(got, want) {
				t.Errorf("%d pages of %v, want each of 23 once in 5", pages, got)
			}
		})
	}
}

// A child with more than the coalescer brings is answered whole, page by page.
func TestListOfVeryManyIsWhole(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	h.exec(`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, role, start_date, create_time, known_from, revision)
		SELECT $1, gen_random_uuid(), 'school', 'i' || n, 'CLASS_TEACHER', '2026-01-05', now(), now(), 1 FROM generate_series(1, 1300) n`, child)
	first := h.list(as(t, "gp"), &irtv1.ListInvolvementsRequest{Parent: childName(child), PageSize: 5000})
	rest := h.list(as(t, "gp"), &irtv1.ListInvolvementsRequest{Parent: childName(child), PageSize: 5000, PageToken: first.GetNextPageToken()})
	seen := map[string]bool{}
	for _, i := range append(first.GetInvolvements(), rest.GetInvolvements()...) {
		seen[i.GetName()] = true
	}
	if len(first.GetInvolvements()) != 1000 || len(seen) != 1300 || rest.GetNextPageToken() != "" {
		t.Errorf("a page of %d, %d in all; want 1000 and 1300", len(first.GetInvolvements()), len(seen))
	}
}

func TestMergedChildAnswersByWhatItBecame(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a, b, c := h.child(), h.child(), h.child()
	h.submit(inv("school", "on-a", a))
	h.submit(inv("gp", "on-c", c))
	before := h.now()
	h.merge(a, b)
	h.merge(b, c)
	ctx := as(t, "social")
	got := h.list(ctx, &irtv1.ListInvolvementsRequest{Parent: childName(a)})
	if locals(got) != "on-a on-c" && locals(got) != "on-c on-a" || got.GetInvolvements()[0].GetChild() != childName(c) {
		t.Errorf("by the first name: %v", got)
	}
	var children [][16]byte
	e := audit.FromContext(ctx)
	writer := audit.NewWriter(h.pool)
	if err := writer.Write(ctx, e); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.pool.QueryRow(t.Context(), `SELECT children FROM audit_entries WHERE entry_id = $1`, e.ID()).Scan(&children); err != nil ||
		len(children) != 1 || children[0] != c {
		t.Errorf("the access log names %x, %v; want the child that answered", children, err)
	}
	// Then they were three.
	then := h.list(as(t, "social"), &irtv1.ListInvolvementsRequest{Parent: childName(a), KnownAt: stamp(before)})
	if locals(then) != "on-a" || then.GetInvolvements()[0].GetChild() != childName(a) {
		t.Errorf("as known before: %v", then)
	}
	if got := h.list(as(t, "social"), &irtv1.ListInvolvementsRequest{Parent: childName(a), KnownAt: stamp(longAgo.Add(-time.Hour))}); len(got.GetInvolvements()) != 0 {
		t.Errorf("before the hub knew the child: %v", got)
	}
}

func TestBadListsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := childName(h.child())
	for name, c := range map[string]struct {
		req  *irtv1.ListInvolvementsRequest
		want string
	}{
		"as_of and include_ended": {&irtv1.ListInvolvementsRequest{Parent: child, AsOf: day(0), IncludeEnded: true}, "include_ended AS_OF_OR_ENDED"},
		"no such day":             {&irtv1.ListInvolvementsRequest{Parent: child, AsOf: "2026-02-30"}, "as_of DATE_INVALID"},
		"the future":              {&irtv1.ListInvolvementsRequest{Parent: child, KnownAt: stamp(time.Now().Add(time.Hour))}, "known_at KNOWN_AT_RANGE"},
		"antiquity":               {&irtv1.ListInvolvementsRequest{Parent: child, KnownAt: &timestamppb.Timestamp{Seconds: -1 << 60}}, "known_at KNOWN_AT_RANGE"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.ListInvolvements(as(t, "gp"), c.req)
			if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	for _, parent := range []string{"children/x", childName(standard.NewChildID()), "agencies/school", ""} {
		for _, req := range []*irtv1.ListInvolvementsRequest{{Parent: parent}, {Parent: parent, IncludeEnded: true}, {Parent: parent, KnownAt: stamp(h.now())}} {
			_, err := h.ListInvolvements(as(t, "gp"), req)
			wantError(t, err, codes.NotFound, "NOT_FOUND")
		}
	}
	_, err := h.ListInvolvements(as(t, "gp"), &irtv1.ListInvolvementsRequest{Parent: child, PageToken: "AAAA"})
	wantError(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
}

// The coalesced list must stay nested loops over keys, whatever the size of the
// tables: a generic plan, which is what a prepared statement comes to.
func TestListPlanGoesByKey(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.exec(`INSERT INTO children (child_id, state, create_time, known_from, revision)
		SELECT gen_random_uuid(), 1, now(), now(), 1 FROM generate_series(1, 20000)`)
	h.exec(`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, practitioner_id, role, start_date, create_time, known_from, revision)
		SELECT child_id, gen_random_uuid(), 'school', 'x', 't1', 'CLASS_TEACHER', '2026-01-05', now(), now(), 1 FROM children, generate_series(1, 3)`)
	h.exec(`INSERT INTO practitioners (agency_id, practitioner_id, display_name) SELECT 'school', 'p' || n, 'P' FROM generate_series(1, 5000) n`)
	h.exec(`ANALYZE children, involvements, practitioners, lead_professionals`)
	conn, err := h.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, sql := range []string{`SET plan_cache_mode = force_generic_plan`, `PREPARE list (uuid[], date, int, text[], bool[]) AS ` + involvement.ListQuery} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE list ('{}', '2026-11-23', 201, '{}', '{}')`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	for _, bad := range []string{"Seq Scan on children", "Seq Scan on involvements", "Seq Scan on practitioners", "Hash", "Merge Join"} {
		if strings.Contains(plan, bad) {
			t.Fatalf("the plan has a %s:\n%s", bad, plan)
		}
	}
}

// What policy needs to know of a child is looked up once, and not for each of its
// involvements.
func TestListLooksUpTheChildOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	for n := range 5 {
		h.submit(inv("school", fmt.Sprint(n), child))
	}
	tx, err := h.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `SET LOCAL enable_seqscan = off`); err != nil { // as where there are many records
		t.Fatal(err)
	}
	rows, err := tx.Query(t.Context(), `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) `+involvement.ListQuery,
		[][16]byte{child}, standard.Today(), involvement.CoalescedRows, []string{"gp"}, []bool{false})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, line := range plan {
		if strings.Contains(line, " on child_records") && strings.Contains(line, "actual") {
			found = true
			if !strings.Contains(line, "loops=1)") {
				t.Errorf("the records are looked up once for each row: %s", line)
			}
		}
	}
	if !found {
		t.Errorf("no records are looked up in\n%s", strings.Join(plan, "\n"))
	}
}
