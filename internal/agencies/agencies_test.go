package agencies_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

// hub is one process's directory service on a database.
type hub struct {
	pool      *pgxpool.Pool
	directory *agencies.Directory
	*agencies.Service
}

func newHub(t *testing.T) *hub {
	t.Helper()
	return onPool(t, pgtest.New(t))
}

// onPool starts another process's service on the database.
func onPool(t *testing.T, pool *pgxpool.Pool) *hub {
	t.Helper()
	directory, err := agencies.NewDirectory(t.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(directory.Close)
	tokens, err := rpc.LoadPageTokens(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	access := audit.NewWriter(pool)
	t.Cleanup(func() {
		if err := access.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &hub{pool, directory, agencies.New(pool, directory, tokens, access)}
}

// as is the context of a call by an agency in a role.
func as(t *testing.T, agency string, role irtv1.Role) context.Context {
	t.Helper()
	ctx := identity.NewContext(t.Context(), identity.Caller{Agency: agency, Role: role})
	return audit.NewContext(ctx, audit.New(ctx, "test"))
}

const (
	system   = irtv1.Role_ROLE_AGENCY_SYSTEM
	manager  = irtv1.Role_ROLE_DATA_MANAGER
	operator = irtv1.Role_ROLE_HUB_OPERATOR
)

func asOperator(t *testing.T) context.Context { t.Helper(); return as(t, "council", operator) }

func (h *hub) create(t *testing.T, id string, change func(*irtv1.Agency)) *irtv1.Agency {
	t.Helper()
	a := &irtv1.Agency{DisplayName: "Agency " + id, Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL}
	if change != nil {
		change(a)
	}
	out, err := h.CreateAgency(asOperator(t), &irtv1.CreateAgencyRequest{AgencyId: id, Agency: a})
	if err != nil {
		t.Fatalf("creating %s: %v", id, err)
	}
	return out
}

// wantError checks an error's code and reason, and returns the rules it names, as
// "field RULE".
func wantError(t *testing.T, err error, code codes.Code, reason string) (rules []string) {
	t.Helper()
	st := status.Convert(rpc.Edge(err))
	got := ""
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			got = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				rules = append(rules, v.GetField()+" "+v.GetReason())
			}
		}
	}
	if st.Code() != code || got != reason {
		t.Fatalf("got %v %s (%s), want %v %s", st.Code(), got, st.Message(), code, reason)
	}
	return rules
}

func TestAgencyIsRegisteredNormalisedAndRead(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	made := h.create(t, "oak-school", func(a *irtv1.Agency) {
		a.DisplayName, a.Postcode, a.Urn = "  Oak   School ", "nr13ju", "123 456"
		a.AddressLines = []string{"1 High Street", " ", "Norwich"}
		a.CreateTime, a.Etag = timestamppb.Now(), `"mine"`
	})
	if made.GetName() != "agencies/oak-school" || made.GetDisplayName() != "Oak School" || made.GetPostcode() != "NR1 3JU" ||
		made.GetUrn() != "123456" || !slices.Equal(made.GetAddressLines(), []string{"1 High Street", "Norwich"}) {
		t.Errorf("created %v", made)
	}
	if made.GetState() != irtv1.AgencyState_AGENCY_STATE_ACTIVE || made.GetEtag() == `"mine"` {
		t.Errorf("state %v, etag %s: want active, and an etag of the hub's", made.GetState(), made.GetEtag())
	}
	got, err := h.GetAgency(as(t, "anybody", system), &irtv1.GetAgencyRequest{Name: "agencies/oak-school"})
	if err != nil || !proto.Equal(got, made) {
		t.Errorf("got %v, %v\nwant %v", got, err, made)
	}
	_, err = h.CreateAgency(asOperator(t), &irtv1.CreateAgencyRequest{AgencyId: "oak-school", Agency: made})
	wantError(t, err, codes.AlreadyExists, "ALREADY_EXISTS")
	_, err = h.GetAgency(asOperator(t), &irtv1.GetAgencyRequest{Name: "agencies/elm"})
	wantError(t, err, codes.NotFound, "NOT_FOUND")
}

func TestBadAgenciesAreRefusedRuleByRule(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	good := func() *irtv1.CreateAgencyRequest {
		return &irtv1.CreateAgencyRequest{AgencyId: "a", Agency: &irtv1.Agency{DisplayName: "A", Kind: irtv1.AgencyKind_AGENCY_KIND_POLICE}}
	}
	for name, c := range map[string]struct {
		spoil func(*irtv1.CreateAgencyRequest)
		want  []string
	}{
		"no agency":      {func(r *irtv1.CreateAgencyRequest) { r.Agency = nil }, []string{"agency REQUIRED"}},
		"no id":          {func(r *irtv1.CreateAgencyRequest) { r.AgencyId = "" }, []string{"agency_id STRING_PATTERN"}},
		"a slash":        {func(r *irtv1.CreateAgencyRequest) { r.AgencyId = "a/b" }, []string{"agency_id STRING_PATTERN"}},
		"another name":   {func(r *irtv1.CreateAgencyRequest) { r.Agency.Name = "agencies/b" }, []string{"agency.name NAME_MISMATCH"}},
		"no kind":        {func(r *irtv1.CreateAgencyRequest) { r.Agency.Kind = 0 }, []string{"agency.kind REQUIRED"}},
		"several faults": {func(r *irtv1.CreateAgencyRequest) { r.Agency.Urn, r.Agency.Postcode = "12", "nowhere" }, []string{"agency.urn STRING_PATTERN", "agency.postcode STRING_PATTERN"}},
		"unknown state":  {func(r *irtv1.CreateAgencyRequest) { r.Agency.State = 9 }, []string{"agency.state ENUM_DEFINED_ONLY"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := good()
			c.spoil(req)
			_, err := h.CreateAgency(asOperator(t), req)
			if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if list, err := h.ListAgencies(asOperator(t), &irtv1.ListAgenciesRequest{}); err != nil || len(list.GetAgencies()) != 0 {
		t.Errorf("after refusals: %v, %v; want no agency", list, err)
	}
}

func TestUpdateFollowsTheMask(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	before := h.create(t, "oak", func(a *irtv1.Agency) { a.Telephone, a.Email = "01632 960001", "office@oak.example" })
	for _, c := range []struct {
		name  string
		mask  []string
		given *irtv1.Agency
		want  func(*irtv1.Agency)
		rules []string
	}{
		{name: "no mask changes what is set", given: &irtv1.Agency{DisplayName: "New"}, want: func(a *irtv1.Agency) { a.DisplayName = "New" }},
		{name: "a mask clears", mask: []string{"telephone"}, given: &irtv1.Agency{DisplayName: "Unseen"}, want: func(a *irtv1.Agency) { a.Telephone = "" }},
		{
			name: "a star replaces all", mask: []string{"*"}, given: &irtv1.Agency{DisplayName: "All", Kind: irtv1.AgencyKind_AGENCY_KIND_POLICE},
			want: func(a *irtv1.Agency) {
				a.DisplayName, a.Kind, a.Telephone, a.Email = "All", irtv1.AgencyKind_AGENCY_KIND_POLICE, "", ""
			},
		},
		{
			name: "what was read may be sent back", mask: []string{"name", "email", "create_time", "update_time", "etag"},
			given: &irtv1.Agency{Email: "new@oak.example", CreateTime: before.GetCreateTime(), UpdateTime: before.GetUpdateTime(), Etag: before.GetEtag()},
			want:  func(a *irtv1.Agency) { a.Email = "new@oak.example" },
		},
		{name: "unknown path", mask: []string{"colour"}, rules: []string{"update_mask UPDATE_MASK_PATH"}},
		{name: "path into nothing", mask: []string{"create_time.seconds"}, rules: []string{"update_mask UPDATE_MASK_PATH"}},
		{name: "the hub's own field", mask: []string{"create_time"}, given: &irtv1.Agency{CreateTime: timestamppb.Now()}, rules: []string{"update_mask UPDATE_MASK_PATH"}},
		{name: "required field cleared", mask: []string{"display_name"}, rules: []string{"agency.display_name STRING_MIN_LEN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := "agency-" + strings.ReplaceAll(c.name, " ", "-")
			id = strings.ReplaceAll(id, "'", "")
			start := h.create(t, id, func(a *irtv1.Agency) { a.Telephone, a.Email = "01632 960001", "office@oak.example" })
			given := &irtv1.Agency{}
			if c.given != nil {
				given = proto.CloneOf(c.given)
			}
			given.Name = start.GetName()
			if c.given.GetEtag() != "" {
				given.Etag, given.CreateTime, given.UpdateTime = start.GetEtag(), start.GetCreateTime(), start.GetUpdateTime()
			}
			got, err := h.UpdateAgency(asOperator(t), &irtv1.UpdateAgencyRequest{Agency: given, UpdateMask: &fieldmaskpb.FieldMask{Paths: c.mask}})
			if c.rules != nil {
				if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); !slices.Equal(got, c.rules) {
					t.Errorf("got %v, want %v", got, c.rules)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := proto.CloneOf(start)
			c.want(want)
			want.UpdateTime, want.Etag = got.GetUpdateTime(), got.GetEtag()
			if !proto.Equal(got, want) || got.GetEtag() == start.GetEtag() || !got.GetUpdateTime().AsTime().After(start.GetUpdateTime().AsTime()) {
				t.Errorf("got  %v\nwant %v with a new etag", got, want)
			}
		})
	}
}

func TestUpdateHoldsToItsConditions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.create(t, "oak", nil)
	update := func(a *irtv1.Agency, allowMissing bool) (*irtv1.Agency, error) {
		return h.UpdateAgency(asOperator(t), &irtv1.UpdateAgencyRequest{Agency: a, AllowMissing: allowMissing})
	}
	same, err := update(&irtv1.Agency{Name: "agencies/oak", DisplayName: first.GetDisplayName()}, false)
	if err != nil || !proto.Equal(same, first) {
		t.Errorf("an update that changes nothing gave %v, %v; want the same version", same, err)
	}
	second, err := update(&irtv1.Agency{Name: "agencies/oak", Telephone: "01632 960001", Etag: first.GetEtag()}, false)
	if err != nil || second.GetEtag() == first.GetEtag() {
		t.Fatalf("updating: %v, %v", second, err)
	}
	_, err = update(&irtv1.Agency{Name: "agencies/oak", Telephone: "01632 960002", Etag: first.GetEtag()}, false)
	wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
	_, err = update(&irtv1.Agency{Name: "agencies/elm", DisplayName: "Elm"}, false)
	wantError(t, err, codes.NotFound, "NOT_FOUND")
	_, err = update(&irtv1.Agency{Name: "agencies/elm", DisplayName: "Elm"}, true)
	if got := wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"); !slices.Equal(got, []string{"agency.kind REQUIRED"}) {
		t.Errorf("registering without a kind: %v", got)
	}
	elm, err := update(&irtv1.Agency{Name: "agencies/elm", DisplayName: "Elm", Kind: irtv1.AgencyKind_AGENCY_KIND_POLICE}, true)
	if err != nil || elm.GetState() != irtv1.AgencyState_AGENCY_STATE_ACTIVE {
		t.Errorf("registering by update: %v, %v", elm, err)
	}
}

func TestListsArePagedById(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for i := range 7 {
		h.create(t, fmt.Sprintf("a%d", i), func(a *irtv1.Agency) {
			if i%2 == 1 {
				a.Kind = irtv1.AgencyKind_AGENCY_KIND_POLICE
			}
		})
	}
	var ids []string
	req := &irtv1.ListAgenciesRequest{PageSize: 2, Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL}
	for pages := 1; ; pages++ {
		page, err := h.ListAgencies(asOperator(t), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.GetAgencies() {
			ids = append(ids, a.GetName())
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
		if pages == 1 { // a token of other arguments
			other := &irtv1.ListAgenciesRequest{PageSize: 2, PageToken: req.GetPageToken()}
			_, err := h.ListAgencies(asOperator(t), other)
			wantError(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
		}
	}
	if want := []string{"agencies/a0", "agencies/a2", "agencies/a4", "agencies/a6"}; !slices.Equal(ids, want) {
		t.Errorf("listed %v, want %v", ids, want)
	}
}

func TestPractitionersAreKeptByTheirAgencyAndShownByRule(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create(t, "oak", nil)
	h.create(t, "clinic", func(a *irtv1.Agency) { a.Sensitive = true })
	create := func(ctx context.Context, parent string) error {
		_, err := h.CreatePractitioner(ctx, &irtv1.CreatePractitionerRequest{
			Parent: parent, PractitionerId: "p-" + strings.ToLower(identity.FromContext(ctx).Role.String()),
			Practitioner: &irtv1.Practitioner{DisplayName: "Jo Bloggs", JobTitle: "Nurse"},
		})
		return err
	}
	for _, c := range []struct {
		agency      string
		role        irtv1.Role
		parent      string
		keeps, sees bool
		missing     bool
	}{
		{agency: "oak", role: system, parent: "agencies/oak", keeps: true, sees: true},
		{agency: "elm", role: system, parent: "agencies/oak", sees: true},
		{agency: "oak", role: irtv1.Role_ROLE_PRACTITIONER, parent: "agencies/oak", sees: true},
		{agency: "council", role: manager, parent: "agencies/oak", keeps: true, sees: true},
		{agency: "council", role: operator, parent: "agencies/oak", keeps: true, sees: true},
		{agency: "clinic", role: system, parent: "agencies/clinic", keeps: true, sees: true},
		{agency: "oak", role: system, parent: "agencies/clinic"},
		{agency: "council", role: operator, parent: "agencies/clinic"},
		{agency: "council", role: manager, parent: "agencies/clinic", keeps: true, sees: true},
		{agency: "council", role: manager, parent: "agencies/none", keeps: true, sees: true, missing: true},
		{agency: "oak", role: system, parent: "agencies/none", sees: true, missing: true},
	} {
		t.Run(fmt.Sprintf("%s of %s at %s", c.role, c.agency, c.parent), func(t *testing.T) {
			ctx := func() context.Context { return as(t, c.agency, c.role) } // a call each
			check := func(err error, allowed bool) {
				t.Helper()
				switch {
				case !allowed:
					wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
				case c.missing:
					wantError(t, err, codes.NotFound, "NOT_FOUND")
				case err != nil:
					t.Error(err)
				}
			}
			check(create(ctx(), c.parent), c.keeps)
			_, err := h.ListPractitioners(ctx(), &irtv1.ListPractitionersRequest{Parent: c.parent})
			check(err, c.sees)
			_, err = h.GetPractitioner(ctx(), &irtv1.GetPractitionerRequest{Name: c.parent + "/practitioners/nobody"})
			if c.sees {
				wantError(t, err, codes.NotFound, "NOT_FOUND")
			} else { // the same whether or not there is such a one
				wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
			}
			_, err = h.UpdatePractitioner(ctx(), &irtv1.UpdatePractitionerRequest{
				Practitioner: &irtv1.Practitioner{Name: c.parent + "/practitioners/new", DisplayName: "New"}, AllowMissing: true,
			})
			check(err, c.keeps)
		})
	}
}

func TestPractitionerIsUpdatedAndPaged(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create(t, "oak", nil)
	ctx := func() context.Context { return as(t, "oak", system) } // a call each
	for i := range 3 {
		if _, err := h.CreatePractitioner(ctx(), &irtv1.CreatePractitionerRequest{
			Parent: "agencies/oak", PractitionerId: fmt.Sprintf("p%d", i), Practitioner: &irtv1.Practitioner{DisplayName: "Jo"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.CreatePractitioner(ctx(), &irtv1.CreatePractitionerRequest{
		Parent: "agencies/oak", PractitionerId: "p1", Practitioner: &irtv1.Practitioner{DisplayName: "Jo"},
	})
	wantError(t, err, codes.AlreadyExists, "ALREADY_EXISTS")
	got, err := h.UpdatePractitioner(ctx(), &irtv1.UpdatePractitionerRequest{
		Practitioner: &irtv1.Practitioner{Name: "agencies/oak/practitioners/p1", State: irtv1.AgencyState_AGENCY_STATE_INACTIVE},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"state"}},
	})
	if err != nil || got.GetDisplayName() != "Jo" || got.GetState() != irtv1.AgencyState_AGENCY_STATE_INACTIVE {
		t.Fatalf("updated to %v, %v", got, err)
	}
	page, err := h.ListPractitioners(ctx(), &irtv1.ListPractitionersRequest{Parent: "agencies/oak", PageSize: 2})
	if err != nil || len(page.GetPractitioners()) != 2 || !proto.Equal(page.GetPractitioners()[1], got) {
		t.Fatalf("first page %v, %v", page, err)
	}
	page, err = h.ListPractitioners(ctx(), &irtv1.ListPractitionersRequest{Parent: "agencies/oak", PageToken: page.GetNextPageToken()})
	if err != nil || len(page.GetPractitioners()) != 1 || page.GetNextPageToken() != "" {
		t.Fatalf("second page %v, %v", page, err)
	}
}

// Every write is in the access log by the time it is answered.
func TestWritesRecordTheirAccess(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ctx := asOperator(t)
	if _, err := h.CreateAgency(ctx, &irtv1.CreateAgencyRequest{
		AgencyId: "oak", Agency: &irtv1.Agency{DisplayName: "Oak", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
	}); err != nil {
		t.Fatal(err)
	}
	var agency string
	var returned []string
	err := h.pool.QueryRow(t.Context(), `SELECT agency_id, returned FROM audit_entries WHERE entry_id = $1`,
		audit.FromContext(ctx).ID()).Scan(&agency, &returned)
	if err != nil || agency != "council" || !slices.Equal(returned, []string{"agencies/oak"}) {
		t.Errorf("the access log has %s %v, %v", agency, returned, err)
	}
}
