package involvement_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

func TestSubmittedInvolvementSaysWhoToRing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	h.record("school", "pupil-7", child)
	given := inv("school", "i1", child)
	given.Child, given.ChildRecord = "", "agencies/school/childRecords/pupil-7"
	given.Role, given.Practitioner = " Form tutor ", "agencies/school/practitioners/t1"
	given.AgencyDisplayName, given.LeadProfessional = "Mine", true // the hub's own to say
	got := h.submit(given)
	want := &irtv1.Involvement{
		Name: "agencies/school/involvements/i1", Child: childName(child), ChildRecord: "agencies/school/childRecords/pupil-7",
		Role: "CLASS_TEACHER", Practitioner: "agencies/school/practitioners/t1", StartDate: "2026-01-05",
		AgencyDisplayName: "Oak School", AgencyKind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL,
		PractitionerDisplayName: "Tess Teacher", PractitionerJobTitle: "Form tutor",
		Telephone: "01632 960011", OutOfHoursTelephone: "01632 960009", Email: "tess@school.example",
		CreateTime: got.GetCreateTime(), UpdateTime: got.GetUpdateTime(), Etag: got.GetEtag(),
	}
	if !proto.Equal(got, want) || got.GetEtag() == "" || !got.GetCreateTime().IsValid() {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	stored, err := h.GetInvolvement(as(t, "school"), &irtv1.GetInvolvementRequest{Name: got.GetName()})
	if err != nil || !proto.Equal(stored, got) {
		t.Errorf("stored %v, %v\nwant   %v", stored, err, got)
	}
	if list := h.list(as(t, "school"), &irtv1.ListInvolvementsRequest{Parent: childName(child)}); !proto.Equal(list.GetInvolvements()[0], got) {
		t.Errorf("listed %v\nwant   %v", list, got)
	}
	// To others it is the same, save the school's own id of the child and the etag.
	want.ChildRecord, want.Etag = "", ""
	if list := h.list(as(t, "gp"), &irtv1.ListInvolvementsRequest{Parent: childName(child)}); !proto.Equal(list.GetInvolvements()[0], want) {
		t.Errorf("shown to another agency: %v\nwant %v", list, want)
	}
	// Where the practitioner has no telephone or e-mail, the agency's serve.
	given.Practitioner = "agencies/school/practitioners/t2"
	if got := h.submit(given); got.GetTelephone() != "01632 960001" || got.GetEmail() != "office@school.example" {
		t.Errorf("contacts %q, %q; want the agency's", got.GetTelephone(), got.GetEmail())
	}
}

func TestSubmittingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	first := h.submit(inv("school", "i1", child))
	if again := h.submit(inv("school", "i1", child)); !proto.Equal(again, first) {
		t.Errorf("again gave %v\nwant %v", again, first)
	}
	changed := inv("school", "i1", child)
	changed.EndDate = "2026-03-31"
	second := h.submit(changed)
	if second.GetEtag() == first.GetEtag() || !proto.Equal(second.GetCreateTime(), first.GetCreateTime()) ||
		!second.GetUpdateTime().AsTime().After(first.GetUpdateTime().AsTime()) {
		t.Errorf("changed: %v\nfirst: %v", second, first)
	}
	if rows, past := h.count(`SELECT count(*) FROM involvements`), h.count(`SELECT count(*) FROM involvements_history`); rows != 1 || past != 1 {
		t.Errorf("%d present rows and %d past ones, want 1 and 1", rows, past)
	}
}

func TestEtagConditionsAreHeldTo(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	withEtag := func(etag, end string) (*irtv1.Involvement, error) {
		i := inv("school", "i1", child)
		i.Etag, i.EndDate = etag, end
		return h.trySubmit(i)
	}
	_, err := withEtag(`"none"`, "")
	wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
	first := h.submit(inv("school", "i1", child))
	second, err := withEtag(first.GetEtag(), "2026-03-31")
	if err != nil {
		t.Fatal(err)
	}
	_, err = withEtag(first.GetEtag(), "2026-04-30")
	wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
	ctx := metadata.NewIncomingContext(as(t, "school"), metadata.Pairs("if-match", first.GetEtag()))
	_, err = h.EndInvolvement(ctx, &irtv1.EndInvolvementRequest{Name: first.GetName()})
	wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
	if _, err := h.EndInvolvement(as(t, "school"), &irtv1.EndInvolvementRequest{Name: first.GetName(), Etag: second.GetEtag()}); err != nil {
		t.Error(err)
	}
}

func TestBadInvolvementsAreRefusedRuleByRule(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	for name, c := range map[string]struct {
		spoil func(*irtv1.Involvement)
		want  string
	}{
		"no name":             {func(i *irtv1.Involvement) { i.Name = "" }, "involvement.name"},
		"a bad local id":      {func(i *irtv1.Involvement) { i.Name = "agencies/school/involvements/a b" }, "involvement.name STRING_PATTERN"},
		"a name of no agency": {func(i *irtv1.Involvement) { i.Name = "involvements/1" }, "involvement.name STRING_PATTERN"},
		"no subject":          {func(i *irtv1.Involvement) { i.Child = "" }, "involvement.child_record INVOLVEMENT_SUBJECT"},
		"unknown role":        {func(i *irtv1.Involvement) { i.Role = "WIZARD" }, "involvement.role CODE_UNKNOWN"},
		"no role":             {func(i *irtv1.Involvement) { i.Role = "" }, "involvement.role STRING_MIN_LEN"},
		"no start":            {func(i *irtv1.Involvement) { i.StartDate = "" }, "involvement.start_date STRING_PATTERN"},
		"a day that is none":  {func(i *irtv1.Involvement) { i.StartDate = "2026-02-30" }, "involvement.start_date DATE_INVALID"},
		"a day of another form": {
			func(i *irtv1.Involvement) { i.StartDate = "05/01/2026" },
			"involvement.start_date STRING_PATTERN",
		},
		"end before start":        {func(i *irtv1.Involvement) { i.EndDate = "2026-01-04" }, "involvement.end_date PERIOD_ORDER"},
		"sensitive without basis": {func(i *irtv1.Involvement) { i.Sensitive = true }, "involvement.sensitive_basis SENSITIVE_BASIS_REQUIRED"},
		"unknown basis":           {func(i *irtv1.Involvement) { i.Sensitive, i.SensitiveBasis = true, "HUNCH" }, "involvement.sensitive_basis CODE_UNKNOWN"},
		"a stranger": {
			func(i *irtv1.Involvement) { i.Practitioner = "agencies/school/practitioners/nobody" },
			"involvement.practitioner PRACTITIONER_UNKNOWN",
		},
		"another agency's practitioner": {
			func(i *irtv1.Involvement) { i.Practitioner = "agencies/gp/practitioners/d1" },
			"involvement.practitioner PRACTITIONER_UNKNOWN",
		},
		"another agency's record": {
			func(i *irtv1.Involvement) { i.ChildRecord = "agencies/gp/childRecords/1" },
			"involvement.child_record INVOLVEMENT_SUBJECT",
		},
		"invalid text": {func(i *irtv1.Involvement) { i.Role = "\xff" }, "involvement.role TEXT_INVALID"},
		"several": {
			func(i *irtv1.Involvement) { i.Role, i.StartDate, i.Practitioner = "WIZARD", "never", "x" },
			"involvement.role CODE_UNKNOWN, involvement.start_date STRING_PATTERN, involvement.practitioner PRACTITIONER_UNKNOWN",
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := inv("school", "i1", child)
			c.spoil(i)
			for _, only := range []bool{true, false} {
				_, err := h.SubmitInvolvement(as(t, "school"), &irtv1.SubmitInvolvementRequest{Involvement: i, ValidateOnly: only})
				if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); !strings.HasPrefix(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
	_, err := h.SubmitInvolvement(as(t, "school"), &irtv1.SubmitInvolvementRequest{})
	wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED")
	if n := h.count(`SELECT count(*) FROM involvements`); n != 0 {
		t.Errorf("%d rows written by refused submissions", n)
	}
}

func TestSubjectIsFoundAndFollowed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	one, two, former := h.child(), h.child(), h.child()
	h.merge(former, one)
	h.record("school", "on-one", one)
	h.record("school", "on-one-too", one)
	h.record("school", "on-two", two)
	h.record("gp", "p1", one)
	h.record("school", "gone", two)
	h.exec(`UPDATE child_records SET state = 2 WHERE local_id = 'gone'`)
	unknown := standard.FormatChildID(standard.NewChildID())
	for _, c := range []struct {
		name, record, child string
		wantChild           string
		wantRecord          string
		code                codes.Code
	}{
		{name: "record", record: "on-two", wantChild: childName(two), wantRecord: "on-two"},
		{name: "child with a record of the agency", child: childName(two), wantChild: childName(two), wantRecord: "on-two"},
		{name: "child with two records", child: childName(one), wantChild: childName(one), wantRecord: "on-one"},
		{name: "merged child", child: childName(former), wantChild: childName(one), wantRecord: "on-one"},
		{name: "both", record: "on-one-too", child: childName(one), wantChild: childName(one), wantRecord: "on-one-too"},
		{name: "both by the former name", record: "on-one", child: childName(former), wantChild: childName(one), wantRecord: "on-one"},
		{name: "both, of two children", record: "on-one", child: childName(two), code: codes.InvalidArgument},
		{name: "both, and no such child", record: "on-one", child: "children/" + unknown, code: codes.InvalidArgument},
		{name: "no such record", record: "nothing", code: codes.NotFound},
		{name: "withdrawn record", record: "gone", code: codes.NotFound},
		{name: "no such child", child: "children/" + unknown, code: codes.NotFound},
		{name: "not a child's name", child: "children/abc", code: codes.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := inv("school", strings.ReplaceAll(strings.ReplaceAll(c.name, " ", "-"), ",", ""), [16]byte{})
			i.Name = strings.ReplaceAll(i.GetName(), "'", "")
			i.Child = c.child
			if c.record != "" {
				i.ChildRecord = "agencies/school/childRecords/" + c.record
			}
			got, err := h.trySubmit(i)
			switch {
			case c.code == codes.NotFound:
				wantError(t, err, c.code, "NOT_FOUND")
			case c.code == codes.InvalidArgument:
				wantError(t, err, c.code, "VALIDATION_FAILED")
			case err != nil:
				t.Fatal(err)
			case got.GetChild() != c.wantChild || got.GetChildRecord() != "agencies/school/childRecords/"+c.wantRecord:
				t.Errorf("is with %s by %s, want %s by %s", got.GetChild(), got.GetChildRecord(), c.wantChild, c.wantRecord)
			}
		})
	}
}

// An agency without a record of the child is involved all the same; once it has
// one, sending the involvement again puts it there, and from then on it stays.
func TestInvolvementWithoutRecordIsAttachedLater(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	if got := h.submit(inv("school", "i1", child)); got.GetChildRecord() != "" {
		t.Fatalf("follows %s, which does not exist", got.GetChildRecord())
	}
	h.record("school", "b", child)
	attached := h.submit(inv("school", "i1", child))
	h.record("school", "a", child)
	if again := h.submit(inv("school", "i1", child)); !proto.Equal(again, attached) || again.GetChildRecord() != "agencies/school/childRecords/b" {
		t.Errorf("got %v\nwant it still on record b: %v", again, attached)
	}
	// A withdrawn record holds what was on it.
	h.exec(`UPDATE child_records SET state = 2`)
	byRecord := inv("school", "i1", child)
	byRecord.Child, byRecord.ChildRecord = "", "agencies/school/childRecords/b"
	if again := h.submit(byRecord); !proto.Equal(again, attached) {
		t.Errorf("got %v\nwant %v", again, attached)
	}
}

func TestInvolvementMovesWithItsSubject(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	wrong, right := h.child(), h.child()
	h.record("school", "wrong", wrong)
	h.record("school", "right", right)
	i := inv("school", "i1", [16]byte{})
	i.Practitioner = "agencies/school/practitioners/t1"
	i.ChildRecord = "agencies/school/childRecords/wrong"
	first := h.submit(i)
	if _, err := h.SetLeadProfessional(as(t, "school"), &irtv1.SetLeadProfessionalRequest{Child: childName(wrong), Involvement: i.GetName()}); err != nil {
		t.Fatal(err)
	}
	then := h.now()
	i.ChildRecord = "agencies/school/childRecords/right"
	second := h.submit(i)
	if second.GetChild() != childName(right) || second.GetLeadProfessional() || !proto.Equal(second.GetCreateTime(), first.GetCreateTime()) {
		t.Errorf("moved to %v, want %s, leading nobody", second, childName(right))
	}
	for _, c := range []struct {
		child, want string
		req         *irtv1.ListInvolvementsRequest
	}{
		{"wrong now", "", &irtv1.ListInvolvementsRequest{Parent: childName(wrong)}},
		{"right now", "i1", &irtv1.ListInvolvementsRequest{Parent: childName(right)}},
		{"wrong then", "i1", &irtv1.ListInvolvementsRequest{Parent: childName(wrong), KnownAt: stamp(then)}},
		{"right then", "", &irtv1.ListInvolvementsRequest{Parent: childName(right), KnownAt: stamp(then)}},
	} {
		if got := locals(h.list(as(t, "gp"), c.req)); got != c.want {
			t.Errorf("%s: %q, want %q", c.child, got, c.want)
		}
	}
	leads, err := h.ListLeadProfessionals(as(t, "gp"), &irtv1.ListLeadProfessionalsRequest{Parent: childName(wrong)})
	if err != nil || len(leads.GetLeadProfessionals()) != 0 {
		t.Errorf("the wrong child's lead professionals: %v, %v; want none", leads, err)
	}
}

func TestValidateOnlyWritesNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	got, err := h.SubmitInvolvement(as(t, "school"), &irtv1.SubmitInvolvementRequest{Involvement: inv("school", "i1", child), ValidateOnly: true})
	if err != nil || got.GetChild() != childName(child) || got.GetAgencyDisplayName() != "Oak School" {
		t.Errorf("rehearsed %v, %v", got, err)
	}
	if n := h.count(`SELECT (SELECT count(*) FROM involvements) + (SELECT count(*) FROM audit_entries)`); n != 0 {
		t.Errorf("a rehearsal wrote %d rows", n)
	}
}

func TestWhoMaySubmitGetAndEnd(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	h.submit(inv("school", "open", child))
	h.submit(inv("clinic", "own", child))
	sensitive := inv("school", "hidden", child)
	sensitive.Sensitive, sensitive.SensitiveBasis = true, "CONSENT"
	h.submit(sensitive)
	for _, c := range []struct {
		who               string
		ctx               context.Context
		agency, id        string
		submit, get, done codes.Code
	}{
		{"its agency", as(t, "school"), "school", "open", codes.OK, codes.OK, codes.OK},
		{"another agency", as(t, "gp"), "school", "open", codes.PermissionDenied, codes.PermissionDenied, codes.PermissionDenied},
		{"another agency", as(t, "gp"), "school", "missing", codes.PermissionDenied, codes.PermissionDenied, codes.PermissionDenied},
		{"another agency", as(t, "gp"), "nowhere", "missing", codes.PermissionDenied, codes.PermissionDenied, codes.PermissionDenied},
		{"a data manager", asManager(t), "school", "open", codes.OK, codes.OK, codes.OK},
		{"a data manager", asManager(t), "nowhere", "missing", codes.NotFound, codes.NotFound, codes.NotFound},
		{"a data manager", asManager(t), "clinic", "own", codes.PermissionDenied, codes.NotFound, codes.NotFound},
		{"a data manager", asManager(t), "clinic", "missing", codes.PermissionDenied, codes.NotFound, codes.NotFound},
		{"a data manager", asManager(t), "school", "hidden", codes.PermissionDenied, codes.NotFound, codes.NotFound},
		{"its agency", as(t, "school"), "school", "hidden", codes.OK, codes.OK, codes.OK},
		{"a sensitive service", as(t, "clinic"), "clinic", "own", codes.OK, codes.OK, codes.OK},
	} {
		t.Run(c.who+" and "+c.agency+" "+c.id, func(t *testing.T) {
			given := inv(c.agency, c.id, child)
			given.Sensitive = c.id == "hidden" && identity.FromContext(c.ctx).Agency == c.agency
			if given.GetSensitive() {
				given.SensitiveBasis = "CONSENT"
			}
			ctx := func() context.Context { return audit.NewContext(c.ctx, audit.New(c.ctx, "test")) } // a call's own
			_, err := h.SubmitInvolvement(ctx(), &irtv1.SubmitInvolvementRequest{Involvement: given})
			wantCode(t, "submit", err, c.submit)
			_, err = h.GetInvolvement(ctx(), &irtv1.GetInvolvementRequest{Name: given.GetName()})
			wantCode(t, "get", err, c.get)
			_, err = h.EndInvolvement(ctx(), &irtv1.EndInvolvementRequest{Name: given.GetName()})
			wantCode(t, "end", err, c.done)
		})
	}
}

func wantCode(t *testing.T, what string, err error, code codes.Code) {
	t.Helper()
	reasons := map[codes.Code]string{codes.OK: "", codes.PermissionDenied: "ACCESS_DENIED", codes.NotFound: "NOT_FOUND"}
	if code == codes.OK && err == nil {
		return
	}
	t.Log(what)
	wantError(t, err, code, reasons[code])
}

func TestEndingAnInvolvement(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	end := func(id, date string) (*irtv1.Involvement, error) {
		return h.EndInvolvement(as(t, "school"), &irtv1.EndInvolvementRequest{Name: "agencies/school/involvements/" + id, EndDate: date})
	}
	h.submit(inv("school", "i1", child))
	first, err := end("i1", day(-3))
	if err != nil || first.GetEndDate() != day(-3) {
		t.Fatalf("ended %v, %v", first, err)
	}
	if again, err := end("i1", ""); err != nil || !proto.Equal(again, first) {
		t.Errorf("ending again without a day gave %v, %v; want it ended as it was", again, err)
	}
	if later, err := end("i1", day(5)); err != nil || later.GetEndDate() != day(5) {
		t.Errorf("correcting the day gave %v, %v", later, err)
	}
	if sooner, err := end("i1", ""); err != nil || sooner.GetEndDate() != day(0) {
		t.Errorf("ending one that was to end later gave %v, %v; want today", sooner, err)
	}
	_, err = end("i1", "2026-01-04")
	if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); got != "end_date PERIOD_ORDER" {
		t.Errorf("ending before the start: %s", got)
	}
	_, err = end("i1", "2026-02-30")
	wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED")
	future := inv("school", "i2", child)
	future.StartDate = day(7)
	h.submit(future)
	_, err = end("i2", "")
	wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED")
	_, err = end("missing", "")
	wantError(t, err, codes.NotFound, "NOT_FOUND")
}

// The access is recorded in the transaction of the write, with the child.
func TestWritesRecordTheirAccess(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child()
	ctx := as(t, "school")
	if _, err := h.SubmitInvolvement(ctx, &irtv1.SubmitInvolvementRequest{Involvement: inv("school", "i1", child)}); err != nil {
		t.Fatal(err)
	}
	var children [][16]byte
	var returned []string
	err := h.pool.QueryRow(t.Context(), `SELECT children, returned FROM audit_entries WHERE entry_id = $1 AND decision = 'ALLOWED'`,
		audit.FromContext(ctx).ID()).Scan(&children, &returned)
	if err != nil || len(children) != 1 || children[0] != child || !slices.Equal(returned, []string{"agencies/school/involvements/i1"}) {
		t.Errorf("the access log has %x %v, %v", children, returned, err)
	}
	_, err = h.SubmitInvolvement(ctx, &irtv1.SubmitInvolvementRequest{Involvement: inv("school", "i2", standard.NewChildID())})
	wantError(t, err, codes.NotFound, "NOT_FOUND")
	if n := h.count(`SELECT count(*) FROM audit_entries`); n != 1 {
		t.Errorf("%d entries; a refusal is its interceptor's to record", n)
	}
}
