package consent_test

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
	"irthub/internal/children"
	"irthub/internal/consent"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// hub is one process's services on a database.
type hub struct {
	t        testing.TB
	pool     *pgxpool.Pool
	children *children.Service
	*consent.Service
}

// newHub has a directory of a school, a practice, social care, the police and a
// clinic that is a sensitive service.
func newHub(t testing.TB) *hub {
	t.Helper()
	pool := pgtest.New(t)
	list := []*irtv1.Agency{
		{Name: "agencies/school", DisplayName: "Oak School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/gp", DisplayName: "Elm Surgery", Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE},
		{Name: "agencies/social", DisplayName: "Social Care", Kind: irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE},
		{Name: "agencies/police", DisplayName: "Police", Kind: irtv1.AgencyKind_AGENCY_KIND_POLICE},
		{Name: "agencies/clinic", DisplayName: "Willow Clinic", Kind: irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, Sensitive: true},
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
	s := consent.New(pool, directory, tokens, access)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(s.Close(ctx), c.Close(ctx)); err != nil {
			t.Error(err)
		}
		if err := access.Close(ctx); err != nil {
			t.Error(err)
		}
		directory.Close()
	})
	return &hub{t, pool, c, s}
}

// kinds of the agencies in the harness, which a caller's token would lead to.
var kinds = map[string]irtv1.AgencyKind{
	"school": irtv1.AgencyKind_AGENCY_KIND_SCHOOL, "gp": irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE,
	"social": irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE, "police": irtv1.AgencyKind_AGENCY_KIND_POLICE,
	"clinic": irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, "council": irtv1.AgencyKind_AGENCY_KIND_HUB_OPERATOR,
}

// as is the context of a call by an agency's system.
func as(t testing.TB, agency string) context.Context {
	t.Helper()
	return call(t, identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
}

// by is the context of a call by a person: "social/ann" is a practitioner of social
// care, "council/dot" a data manager.
func by(t testing.TB, person string) context.Context {
	t.Helper()
	agency, id, _ := strings.Cut(person, "/")
	role := irtv1.Role_ROLE_PRACTITIONER
	if agency == "council" {
		role = irtv1.Role_ROLE_DATA_MANAGER
	}
	return call(t, identity.Caller{Agency: agency, Practitioner: id, Role: role})
}

func call(t testing.TB, c identity.Caller) context.Context {
	t.Helper()
	c.Kind, c.Sensitive, c.Purpose = kinds[c.Agency], c.Agency == "clinic", irtv1.Purpose_PURPOSE_SAFEGUARDING
	ctx := identity.NewContext(t.Context(), c)
	return audit.NewContext(ctx, audit.New(ctx, "test"))
}

// submit has an agency submit a record of a child, and gives the child's name.
func (h *hub) submit(agency, localID, given, born string) string {
	h.t.Helper()
	resp, err := h.children.SubmitChildRecord(as(h.t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: &irtv1.ChildRecord{
		Name: "agencies/" + agency + "/childRecords/" + localID, GivenName: given, FamilyName: "Achterberg", DateOfBirth: born,
		AddressLines: []string{"4 Quay Side"}, Postcode: "NR23 1AH", Sex: "F",
	}})
	if err != nil {
		h.t.Fatalf("submitting: %v", status.Convert(err).Details())
	}
	return resp.GetChild()
}

// sharing is what policy knows of a child.
type known struct {
	shielded bool
	consents []sharing.ConsentFact
	row      bool
}

func (h *hub) known(child string) known {
	h.t.Helper()
	id, err := rpc.ParseChildName(child)
	if err != nil {
		h.t.Fatal(err)
	}
	var k known
	var stored []byte
	rows, err := h.pool.Query(h.t.Context(), `SELECT shielded, consents FROM child_sharing WHERE child_id = $1`, id)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		k.row = true
		if err := rows.Scan(&k.shielded, &stored); err != nil {
			h.t.Fatal(err)
		}
	}
	if k.consents, err = sharing.ParseConsents(stored); err != nil || rows.Err() != nil {
		h.t.Fatal(err, rows.Err())
	}
	return k
}

func (h *hub) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
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

// told are the kinds of the events about a child, in their order, without those of
// the index itself.
func (h *hub) told(child string) string {
	h.t.Helper()
	id, err := rpc.ParseChildName(child)
	if err != nil {
		h.t.Fatal(err)
	}
	rows, err := h.pool.Query(h.t.Context(), `SELECT kind FROM event_outbox WHERE child_id = $1 AND kind BETWEEN 31 AND 39 ORDER BY event_id`, id)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	var kinds []string
	for rows.Next() {
		var kind int32
		if err := rows.Scan(&kind); err != nil {
			h.t.Fatal(err)
		}
		kinds = append(kinds, strings.TrimPrefix(irtv1.EventKind(kind).String(), "EVENT_KIND_"))
	}
	return strings.Join(kinds, " ")
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

// born is the birthday of somebody who is that old today.
func born(years int) string { return standard.Today().AddDate(-years, 0, -1).Format(time.DateOnly) }

func ids(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, n[strings.LastIndexByte(n, '/')+1:])
	}
	return strings.Join(out, " ")
}

func parse(t testing.TB, child string) uuid.UUID {
	t.Helper()
	id, err := rpc.ParseChildName(child)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// cutName takes agencies/{agency}/{collection}/{id} apart.
func cutName(name string) (agency, collection, id string) {
	parts := strings.Split(name, "/")
	return parts[1], parts[2], parts[3]
}
