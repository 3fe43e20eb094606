package involvement_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/involvement"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// hub is one process's service on a database.
type hub struct {
	t         testing.TB
	pool      *pgxpool.Pool
	directory *agencies.Directory
	*involvement.Service
}

// newHub has a directory of a school, a practice, social care and a clinic that
// is a sensitive service, with practitioners each.
func newHub(t testing.TB) *hub {
	t.Helper()
	pool := pgtest.New(t)
	list := []*irtv1.Agency{
		{
			Name: "agencies/school", DisplayName: "Oak School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL,
			Telephone: "01632 960001", Email: "office@school.example", OutOfHoursTelephone: "01632 960009",
		},
		{Name: "agencies/gp", DisplayName: "Elm Surgery", Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE, Telephone: "01632 960002"},
		{Name: "agencies/social", DisplayName: "Social Care", Kind: irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE, Telephone: "01632 960003"},
		{Name: "agencies/clinic", DisplayName: "Willow Clinic", Kind: irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, Sensitive: true, Telephone: "01632 960666"},
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, list); err != nil {
		t.Fatal(err)
	}
	people := []*irtv1.Practitioner{
		{Name: "agencies/school/practitioners/t1", DisplayName: "Tess Teacher", JobTitle: "Form tutor", Telephone: "01632 960011", Email: "tess@school.example"},
		{Name: "agencies/school/practitioners/t2", DisplayName: "Ted Teacher", JobTitle: "Head of year"},
		{Name: "agencies/gp/practitioners/d1", DisplayName: "Dee Doctor", JobTitle: "General practitioner", Telephone: "01632 960012"},
		{Name: "agencies/social/practitioners/s1", DisplayName: "Sam Worker", JobTitle: "Social worker", Telephone: "01632 960013"},
		{Name: "agencies/clinic/practitioners/kit-secret", DisplayName: "Kitteridge Counsellor", JobTitle: "Counsellor", Telephone: "01632 960667"},
	}
	if _, _, _, err := agencies.UpsertPractitioners(t.Context(), pool, people); err != nil {
		t.Fatal(err)
	}
	return onPool(t, pool)
}

// onPool starts another process's service on the database.
func onPool(t testing.TB, pool *pgxpool.Pool) *hub {
	t.Helper()
	directory, err := agencies.NewDirectory(t.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := rpc.LoadPageTokens(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	writer := audit.NewWriter(pool)
	s := involvement.New(pool, directory, tokens, writer)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(s.Close(ctx), writer.Close(ctx)); err != nil {
			t.Error(err)
		}
		directory.Close()
	})
	return &hub{t, pool, directory, s}
}

const (
	system  = irtv1.Role_ROLE_AGENCY_SYSTEM
	manager = irtv1.Role_ROLE_DATA_MANAGER
)

// as is the context of a call by an agency's system.
func as(t testing.TB, agency string) context.Context { t.Helper(); return asRole(t, agency, system) }

func asManager(t testing.TB) context.Context { t.Helper(); return asRole(t, "council", manager) }

func asRole(t testing.TB, agency string, role irtv1.Role) context.Context {
	t.Helper()
	c := identity.Caller{Agency: agency, Role: role, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	if role == irtv1.Role_ROLE_MEDIATOR {
		c.OnBehalfOf = "agencies/" + agency + "/practitioners/p"
	}
	ctx := identity.NewContext(t.Context(), c)
	return audit.NewContext(ctx, audit.New(ctx, "test"))
}

func (h *hub) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

// child makes an entry of the index, as the children's pipeline would, of which
// readers have records.
func (h *hub) child() uuid.UUID {
	h.t.Helper()
	id := standard.NewChildID()
	h.exec(`INSERT INTO children (child_id, state, create_time, known_from, revision) VALUES ($1, 1, $2, $2, 1)`, id, longAgo)
	for _, agency := range readers {
		h.record(agency, "r-"+childName(id)[9:], id)
	}
	return id
}

// readers have a record of every child, so that policy lets them see who works with it.
var readers = []string{"gp", "social"}

// longAgo is before anything that the tests do.
var longAgo = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)

// record makes an agency's record of a child, as the children's pipeline would.
func (h *hub) record(agency, localID string, child uuid.UUID) {
	h.t.Helper()
	h.exec(`INSERT INTO child_records (record_id, agency_id, local_id, child_id, state, create_time, known_from, revision)
		VALUES ($1, $2, $3, $4, 1, $5, $5, 1)`, standard.RecordID(agency, localID), agency, localID, child, longAgo)
}

// merge makes one entry lead to another, with its involvements, as the
// children's pipeline would.
func (h *hub) merge(from, into uuid.UUID) {
	h.t.Helper()
	tx, err := h.pool.Begin(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(h.t.Context()))
	for _, sql := range []string{
		`SELECT 1 FROM children WHERE child_id IN ($1, $2) ORDER BY child_id FOR UPDATE`,
		`INSERT INTO children_history SELECT children.*, clock_timestamp() FROM children 
			WHERE (child_id = $1 OR merged_into = $1) AND $2::uuid IS NOT NULL`,
		`UPDATE children SET state = 3, merged_into = $2, known_from = clock_timestamp(), revision = revision + 1
			WHERE child_id = $1 OR merged_into = $1`,
		`UPDATE child_records SET child_id = $2 WHERE child_id = $1`,
		`WITH gone AS (DELETE FROM involvements WHERE child_id = $1 RETURNING *),
			kept AS (INSERT INTO involvements_history SELECT gone.*, clock_timestamp() FROM gone)
		INSERT INTO involvements SELECT $2::uuid, involvement_id, agency_id, local_id, record_id, record_local_id, role, practitioner_id,
			start_date, end_date, sensitive, sensitive_basis, create_time, clock_timestamp(), revision + 1 FROM gone`,
	} {
		if _, err := tx.Exec(h.t.Context(), sql, from, into); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := tx.Commit(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func childName(id uuid.UUID) string { return "children/" + standard.FormatChildID(id) }

// inv is an involvement to submit: agencies/{agency}/involvements/{id} with a
// child since the beginning of 2026.
func inv(agency, id string, child uuid.UUID) *irtv1.Involvement {
	i := &irtv1.Involvement{
		Name: "agencies/" + agency + "/involvements/" + id,
		Role: "CLASS_TEACHER", StartDate: "2026-01-05",
	}
	if child != uuid.Nil {
		i.Child = childName(child)
	}
	if agency == "clinic" {
		i.SensitiveBasis = "CONSENT"
	}
	return i
}

// submit has the involvement's own agency submit it.
func (h *hub) submit(i *irtv1.Involvement) *irtv1.Involvement {
	h.t.Helper()
	out, err := h.trySubmit(i)
	if err != nil {
		h.t.Fatalf("submitting %s: %v", i.GetName(), status.Convert(err).Details())
	}
	return out
}

func (h *hub) trySubmit(i *irtv1.Involvement) (*irtv1.Involvement, error) {
	h.t.Helper()
	agency := strings.Split(i.GetName(), "/")[1]
	return h.SubmitInvolvement(as(h.t, agency), &irtv1.SubmitInvolvementRequest{Involvement: i})
}

func (h *hub) list(ctx context.Context, req *irtv1.ListInvolvementsRequest) *irtv1.ListInvolvementsResponse {
	h.t.Helper()
	out, err := h.ListInvolvements(ctx, req)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// locals are the local ids of the involvements in an answer, in its order.
func locals(r *irtv1.ListInvolvementsResponse) string {
	var ids []string
	for _, i := range r.GetInvolvements() {
		ids = append(ids, i.GetName()[strings.LastIndexByte(i.GetName(), '/')+1:])
	}
	return strings.Join(ids, " ")
}

// now is the database's time, by which the hub knows things.
func (h *hub) now() time.Time {
	h.t.Helper()
	var now time.Time
	if err := h.pool.QueryRow(h.t.Context(), `SELECT clock_timestamp()`).Scan(&now); err != nil {
		h.t.Fatal(err)
	}
	return now
}

func (h *hub) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// wantError checks an error's code and reason, and returns the rules it names, as
// "field RULE".
func wantError(t testing.TB, err error, code codes.Code, reason string) string {
	t.Helper()
	st := status.Convert(rpc.Edge(err))
	got := ""
	var rules []string
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
	return strings.Join(rules, ", ")
}

// day is a date relative to today in England.
func day(offset int) string { return standard.Today().AddDate(0, 0, offset).Format(time.DateOnly) }
