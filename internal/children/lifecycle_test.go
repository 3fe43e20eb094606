package children_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

const (
	merged   = irtv1.MergeOutcome_MERGE_OUTCOME_MERGED
	awaiting = irtv1.MergeOutcome_MERGE_OUTCOME_AWAITING_SECOND
)

// person is a data manager who is somebody.
func person(t *testing.T, practitioner string) context.Context {
	t.Helper()
	ctx := identity.NewContext(t.Context(), identity.Caller{
		Agency: "social", Practitioner: practitioner, Role: irtv1.Role_ROLE_DATA_MANAGER,
		Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY,
	})
	return audit.NewContext(ctx, audit.New(ctx, "/irt.v1.MatchService/Test"))
}

// freya is a child with nothing in common with jennifer.
func freya() *irtv1.ChildRecord {
	return &irtv1.ChildRecord{
		GivenName: "Freya", FamilyName: "Walker", DateOfBirth: "2011-02-11", Sex: "F",
		AddressLines: []string{"3 High Street", "Cromer"}, Postcode: "NR27 9AB",
	}
}

func (h *hub) merge(practitioner, child, into string) *irtv1.MergeChildrenResponse {
	h.t.Helper()
	got, err := h.MergeChildren(person(h.t, practitioner), &irtv1.MergeChildrenRequest{Child: child, IntoChild: into, Reason: "the mother rang"})
	if err != nil {
		h.t.Fatalf("merging: %v", err)
	}
	return got
}

// mergeByTwo merges what takes two people.
func (h *hub) mergeByTwo(child, into string) {
	h.t.Helper()
	if got := h.merge("ann", child, into); got.GetOutcome() != awaiting {
		return
	}
	if got := h.merge("ben", child, into); got.GetOutcome() != merged {
		h.t.Fatalf("the second person's merge: %v", got.GetOutcome())
	}
}

func (h *hub) split(child string, records ...string) *irtv1.SplitChildRecordResponse {
	h.t.Helper()
	got, err := h.SplitChildRecord(person(h.t, "ann"), &irtv1.SplitChildRecordRequest{Child: child, ChildRecords: records, Reason: "two children"})
	if err != nil {
		h.t.Fatalf("splitting: %v", err)
	}
	return got
}

func code(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// state is all that stands where, without the versions and times.
func (h *hub) state() string {
	h.t.Helper()
	var b strings.Builder
	for _, sql := range []string{
		`SELECT concat_ws('|', 'child', child_id, state, merged_into, given_name, family_name, nhs_number, postcode, telephone, upn) FROM children ORDER BY 1`,
		`SELECT concat_ws('|', 'record', record_id, child_id, state) FROM child_records ORDER BY 1`,
		`SELECT concat_ws('|', 'key', key, record_id) FROM match_keys ORDER BY 1`,
		`SELECT concat_ws('|', 'involvement', involvement_id, child_id, record_id, role, start_date, end_date) FROM involvements ORDER BY 1`,
		`SELECT concat_ws('|', 'lead', child_id, start_date, end_date, involvement_id) FROM lead_professionals ORDER BY 1`,
		`SELECT concat_ws('|', 'constraint', record_id, other_record_id, kind) FROM match_constraints ORDER BY 1`,
		`SELECT concat_ws('|', 'pin', child_id, pin, record_id, value) FROM child_pins ORDER BY 1`,
	} {
		rows, err := h.pool.Query(h.t.Context(), sql)
		if err != nil {
			h.t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				h.t.Fatal(err)
			}
			b.WriteString(line + "\n")
		}
		if rows.Err() != nil {
			h.t.Fatal(rows.Err())
		}
	}
	return b.String()
}

// works says that an agency works with a child, by its record or by the child alone.
func (h *hub) works(agency, local, record, child, practitioner string) {
	h.t.Helper()
	id, err := standard.ParseChildID(strings.TrimPrefix(child, "children/"))
	if err != nil {
		h.t.Fatal(err)
	}
	var recordID *[16]byte
	if record != "" {
		r := [16]byte(standard.RecordID(agency, record))
		recordID = &r
	}
	involvement := [16]byte(standard.InvolvementID(agency, local))
	h.exec(`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, record_id, record_local_id, role, practitioner_id, start_date, create_time, known_from, revision)
		VALUES ($1, $2, $3, $4, $5, $6, 'OTHER', $7, '2026-01-01', now(), now(), 1)`, [16]byte(id), involvement, agency, local, recordID, record, practitioner)
	if practitioner != "" {
		h.exec(`INSERT INTO lead_professionals (child_id, start_date, involvement_id, agency_id, practitioner_id, known_from)
			VALUES ($1, '2026-01-01', $2, $3, $4, now())`, [16]byte(id), involvement, agency, practitioner)
	}
}

const (
	schoolRecord = "agencies/school/childRecords/p1"
	gpRecord     = "agencies/gp/childRecords/77"
)

// Two entries of one child become one, are parted and become one again, with all
// that hangs on them: each state is what it was.
func TestMergeSplitMerge(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("school", "p1", jennifer()).GetChild()
	b := h.send("gp", "77", freya()).GetChild()
	h.send("police", "w", with(jennifer(), func(r *irtv1.ChildRecord) { r.MiddleNames = "Ann" }))
	h.withdraw("police", "w")
	h.works("school", "i1", "p1", a, "teacher")
	h.works("police", "i2", "", a, "") // by the child's name alone
	h.works("gp", "i3", "77", b, "doctor")
	h.works("police", "i4", "w", a, "") // on a record that was withdrawn
	apart := h.state()
	h.mergeByTwo(a, b)
	one := h.state()
	if one == apart || h.child(a).GetName() != b || h.child(b).GetName() != b {
		t.Fatalf("after the merge %s answers as %s", a, h.child(a).GetName())
	}
	if n := h.count(`SELECT count(*) FROM involvements WHERE child_id = $1`, idOf(t, b)); n != 4 {
		t.Errorf("%d of 4 involvements came along", n)
	}
	if n := h.count(`SELECT count(*) FROM lead_professionals`); n != 1 {
		t.Errorf("%d lead professionals of one child", n)
	}

	got := h.split(b, schoolRecord)
	if got.GetOutcome() != irtv1.SplitOutcome_SPLIT_OUTCOME_FORMER_CHILD || got.GetChild().GetName() != a || got.GetRemainingChild().GetName() != b {
		t.Fatalf("split into %v %s", got.GetOutcome(), got.GetChild().GetName())
	}
	withoutConstraints := func(s string) string {
		return strings.Join(slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return strings.HasPrefix(l, "constraint") }), "\n")
	}
	if now := withoutConstraints(h.state()); now != withoutConstraints(apart) {
		t.Errorf("the split did not restore what was:\n%s\nbefore:\n%s", now, apart)
	}
	h.mergeByTwo(a, b)
	if now := h.state(); now != one {
		t.Errorf("merged again:\n%s\nthe first time:\n%s", now, one)
	}
	h.checkInvariants()
}

func (h *hub) withdraw(agency, local string) {
	h.t.Helper()
	name := "agencies/" + agency + "/childRecords/" + local
	if _, err := h.WithdrawChildRecord(system(h.t, agency), &irtv1.WithdrawChildRecordRequest{Name: name}); err != nil {
		h.t.Fatal(err)
	}
}

func idOf(t *testing.T, child string) [16]byte {
	t.Helper()
	id, err := standard.ParseChildID(strings.TrimPrefix(child, "children/"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// What came later follows its record: an involvement that was added to the merged
// child goes where the record it is on goes.
func TestWhatCameLaterFollowsItsRecord(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("school", "p1", jennifer()).GetChild()
	b := h.send("gp", "77", freya()).GetChild()
	h.mergeByTwo(a, b)
	h.works("school", "later", "p1", b, "")
	h.works("gp", "later", "77", b, "")
	h.split(b, schoolRecord)
	for child, agency := range map[string]string{a: "school", b: "gp"} {
		if n := h.count(`SELECT count(*) FROM involvements WHERE child_id = $1 AND agency_id = $2`, idOf(t, child), agency); n != 1 {
			t.Errorf("the involvement of %s does not stand under its record's child", agency)
		}
	}
}

// A name that was merged leads to what it became, however often that was merged on
// and parted again, in one step.
func TestRedirectsStayOneStep(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.send("school", "p1", jennifer()).GetChild()
	b := h.send("gp", "77", freya()).GetChild()
	c := h.send("police", "x", with(freya(), func(r *irtv1.ChildRecord) {
		r.GivenName, r.FamilyName, r.DateOfBirth, r.Postcode, r.AddressLines = "Chidi", "Okafor", "2016-08-01", "NR3 1AB", []string{"9 Quay"}
	})).GetChild()
	h.mergeByTwo(a, b)
	h.mergeByTwo(b, c)
	for _, name := range []string{a, b, c} {
		if got := h.child(name).GetName(); got != c {
			t.Errorf("%s answers as %s, want %s", name, got, c)
		}
	}
	if n := h.count(`SELECT count(*) FROM children WHERE merged_into = $1`, idOf(t, c)); n != 2 {
		t.Errorf("%d of 2 names lead straight there", n)
	}
	// b comes back with its record, and a, which had become b, leads there again.
	got, err := h.SplitChildRecord(person(t, "ann"), &irtv1.SplitChildRecordRequest{
		Child: c, ChildRecords: []string{schoolRecord, gpRecord}, IntoChild: b, Reason: "two children",
	})
	if err != nil || got.GetChild().GetName() != b {
		t.Fatalf("split into %s, error %v", got.GetChild().GetName(), err)
	}
	if got := h.child(a).GetName(); got != b {
		t.Errorf("%s answers as %s, want %s", a, got, b)
	}
	h.checkInvariants()
}

// The database itself refuses chains, circles and dead ends.
func TestDatabaseRefusesBadRedirects(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a, b := idOf(t, h.send("school", "p1", jennifer()).GetChild()), idOf(t, h.send("gp", "77", freya()).GetChild())
	c := idOf(t, h.send("gp", "78", with(freya(), func(r *irtv1.ChildRecord) {
		r.GivenName, r.DateOfBirth, r.FamilyName = "Omar", "2018-05-05", "Kaya"
	})).GetChild())
	h.exec(`UPDATE children SET state = 3, merged_into = $2 WHERE child_id = $1`, a, b)
	for what, sql := range map[string]string{
		"a chain":    `UPDATE children SET state = 3, merged_into = $3 WHERE child_id = $2 AND $1::uuid IS NOT NULL`,
		"a circle":   `UPDATE children SET state = 3, merged_into = $1 WHERE child_id = $2 AND $3::uuid IS NOT NULL`,
		"itself":     `UPDATE children SET state = 3, merged_into = $3 WHERE child_id = $3 AND $1::uuid <> $2::uuid`,
		"a dead end": `UPDATE children SET state = 3, merged_into = gen_random_uuid() WHERE child_id = $3 AND $1::uuid <> $2::uuid`,
	} {
		if _, err := h.pool.Exec(t.Context(), sql, a, b, c); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

func TestMergeGuards(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.send("school", "p1", jennifer())
	a, b := first.GetChild(), h.send("gp", "77", freya()).GetChild()
	before := h.state()
	req := &irtv1.MergeChildrenRequest{Child: a, IntoChild: b, Reason: "why", Etag: `"stale"`}
	_, err := h.MergeChildren(person(t, "ann"), req)
	code(t, "a stale etag", err, codes.Aborted)
	req.Etag, req.ValidateOnly = "", true
	if got, err := h.MergeChildren(person(t, "ann"), req); err != nil || !got.GetValidateOnly() || h.state() != before {
		t.Errorf("validate_only: %v, error %v", got.GetOutcome(), err)
	}
	_, err = h.MergeChildren(person(t, "ann"), &irtv1.MergeChildrenRequest{Child: a, IntoChild: a, Reason: "why"})
	code(t, "with itself", err, codes.InvalidArgument)
	_, err = h.MergeChildren(system(t, "school"), &irtv1.MergeChildrenRequest{Child: a, IntoChild: b, Reason: "why"})
	code(t, "by a school", err, codes.PermissionDenied)
	h.mergeByTwo(a, b)
	if got := h.merge("ann", a, b); got.GetOutcome() != irtv1.MergeOutcome_MERGE_OUTCOME_UNCHANGED {
		t.Errorf("again: %v", got.GetOutcome())
	}
	_, err = h.MergeChildren(person(t, "ann"), &irtv1.MergeChildrenRequest{Child: b, IntoChild: a, Reason: "why"})
	code(t, "into a name that was merged", err, codes.FailedPrecondition)
	_, err = h.SplitChildRecord(person(t, "ann"), &irtv1.SplitChildRecordRequest{
		Child: b, ChildRecords: []string{schoolRecord, gpRecord}, Reason: "why",
	})
	code(t, "splitting all of it off", err, codes.FailedPrecondition)
	h.split(b, schoolRecord)
	if got := h.split(b, schoolRecord); got.GetOutcome() != irtv1.SplitOutcome_SPLIT_OUTCOME_UNCHANGED || got.GetChild().GetName() != a {
		t.Errorf("splitting again: %v %s", got.GetOutcome(), got.GetChild().GetName())
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE method LIKE '%MatchService%' AND $1 = ANY(children)`, idOf(t, a)); n == 0 {
		t.Error("no access entry tells of it")
	}
}

// How a record came to its child is kept as it was decided.
func TestMatchesAreExplained(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send("gp", "77", jennifer())
	resp := h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName = "Jenny" }))
	got, err := h.ExplainMatch(manager(t), &irtv1.ExplainMatchRequest{ChildRecord: schoolRecord})
	if err != nil || got.GetChild() != resp.GetChild() || got.GetMatch().GetComparedWith() != gpRecord {
		t.Fatalf("%v, error %v", got, err)
	}
	want := resp.GetMatch().GetFieldWeights()
	if len(got.GetMatch().GetFieldWeights()) != len(want) || len(want) < 5 {
		t.Fatalf("stored %v, answered %v", got.GetMatch().GetFieldWeights(), want)
	}
	for i, f := range got.GetMatch().GetFieldWeights() {
		if diff := f.GetWeight() - want[i].GetWeight(); f.GetField() != want[i].GetField() || f.GetLevel() != want[i].GetLevel() || diff > 0.01 || diff < -0.01 {
			t.Errorf("stored %v, answered %v", f, want[i])
		}
	}
	own, err := h.ExplainMatch(system(t, "school"), &irtv1.ExplainMatchRequest{ChildRecord: schoolRecord})
	if err != nil || len(own.GetMatch().GetFieldWeights()) == 0 || own.GetMatch().GetComparedWith() != "" {
		t.Errorf("the school's own: %v, error %v", own, err)
	}
	pairs, err := h.ExplainMatch(manager(t), &irtv1.ExplainMatchRequest{ChildRecord: schoolRecord, OtherChildRecord: gpRecord})
	if err != nil || len(pairs.GetPairs()) != 1 || len(pairs.GetPairs()[0].GetClasses()) != 4 {
		t.Errorf("two records: %v, error %v", pairs, err)
	}
	_, err = h.ExplainMatch(system(t, "school"), &irtv1.ExplainMatchRequest{ChildRecord: schoolRecord, OtherChildRecord: gpRecord})
	code(t, "another agency's record", err, codes.PermissionDenied)
}

// Every change of a child tells of itself, once, in its own transaction.
func TestChangesOfChildrenAreTold(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	told := func() (kinds []int) {
		rows, err := h.pool.Query(t.Context(), `DELETE FROM event_outbox RETURNING kind`)
		if err != nil {
			t.Fatal(err)
		}
		if kinds, err = pgx.CollectRows(rows, pgx.RowTo[int]); err != nil {
			t.Fatal(err)
		}
		slices.Sort(kinds)
		return kinds
	}
	expect := func(what string, want ...int) {
		t.Helper()
		if got := told(); !slices.Equal(got, want) {
			t.Errorf("%s: told %v, want %v", what, got, want)
		}
	}
	a := h.send("school", "p1", jennifer()).GetChild()
	expect("a new child", 1)
	h.send("school", "p1", jennifer())
	expect("the same again")
	b := h.send("gp", "77", freya()).GetChild()
	told()
	h.send("gp", "77", with(freya(), func(r *irtv1.ChildRecord) { r.Sex = "U" }))
	expect("a change", 2)
	h.merge("ann", a, b)
	expect("the first of two people", 22)
	h.merge("ben", a, b)
	expect("the second one's merge", 2, 4, 20, 23)
	h.split(b, schoolRecord)
	expect("a split", 1, 2, 5, 20)
	h.withdraw("gp", "77")
	expect("the last record withdrawn", 3)
}
