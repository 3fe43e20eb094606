package leads_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

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
	"irthub/internal/involvement"
	"irthub/internal/leads"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

// hub is one process's services on a database.
type hub struct {
	t            testing.TB
	pool         *pgxpool.Pool
	children     *children.Service
	consents     *consent.Service
	involvements *involvement.Service
	*leads.Service
}

// kinds of the agencies in the harness. The clinic is a sensitive service.
var kinds = map[string]irtv1.AgencyKind{
	"school": irtv1.AgencyKind_AGENCY_KIND_SCHOOL, "gp": irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE,
	"social": irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE, "charity": irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY,
	"clinic": irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST,
}

func newHub(t testing.TB) *hub {
	t.Helper()
	pool := pgtest.New(t)
	var list []*irtv1.Agency
	for id, kind := range kinds {
		list = append(list, &irtv1.Agency{Name: "agencies/" + id, DisplayName: "The " + id, Kind: kind, Sensitive: id == "clinic"})
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, list); err != nil {
		t.Fatal(err)
	}
	var people []*irtv1.Practitioner
	for id := range kinds {
		for _, person := range []string{"ann", "bob"} {
			people = append(people, &irtv1.Practitioner{Name: "agencies/" + id + "/practitioners/" + person, DisplayName: person})
		}
	}
	if _, _, _, err := agencies.UpsertPractitioners(t.Context(), pool, people); err != nil {
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
	agreed := consent.New(pool, directory, tokens, access)
	c, i := children.New(pool, directory, tokens, access), involvement.New(pool, directory, tokens, access)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, err := range []error{agreed.Close(ctx), c.Close(ctx), i.Close(ctx), access.Close(ctx)} {
			if err != nil {
				t.Error(err)
			}
		}
		directory.Close()
	})
	return &hub{t, pool, c, agreed, i, leads.New(pool, directory, tokens, i)}
}

// as is the context of a call by an agency's system.
func as(t testing.TB, agency string) context.Context {
	t.Helper()
	return call(t, identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
}

func call(t testing.TB, c identity.Caller) context.Context {
	t.Helper()
	c.Kind, c.Sensitive = kinds[c.Agency], c.Agency == "clinic"
	if c.Purpose == 0 {
		c.Purpose = irtv1.Purpose_PURPOSE_SAFEGUARDING
	}
	ctx := identity.NewContext(t.Context(), c)
	return audit.NewContext(ctx, audit.New(ctx, "test"))
}

// submit has an agency submit a record of a child, and gives the child's name.
func (h *hub) submit(agency, localID, given, born string) string {
	h.t.Helper()
	return h.identify(agency, localID, "", given, born)
}

// identify does so with an NHS number, by which records are found to be of one child.
func (h *hub) identify(agency, localID, nhsNumber, given, born string) string {
	h.t.Helper()
	resp, err := h.children.SubmitChildRecord(as(h.t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: &irtv1.ChildRecord{
		Name: "agencies/" + agency + "/childRecords/" + localID, GivenName: given, FamilyName: "Achterberg", DateOfBirth: born, NhsNumber: nhsNumber,
		AddressLines: []string{"4 Quay Side"}, Postcode: "NR23 1AH", Sex: "F",
	}})
	if err != nil {
		h.t.Fatalf("submitting: %v", status.Convert(err).Details())
	}
	return resp.GetChild()
}

// involve has an agency's ann work with a child, and gives the involvement's name.
func (h *hub) involve(agency, child string) string {
	h.t.Helper()
	return h.submitInvolvement(&irtv1.Involvement{
		Name: "agencies/" + agency + "/involvements/i1", Child: child, Role: "OTHER", StartDate: "2024-01-01",
		Practitioner: "agencies/" + agency + "/practitioners/ann",
	})
}

func (h *hub) submitInvolvement(i *irtv1.Involvement) string {
	h.t.Helper()
	agency, _, _ := strings.Cut(strings.TrimPrefix(i.GetName(), "agencies/"), "/")
	if agency == "clinic" {
		i.SensitiveBasis = "CONSENT"
	}
	if _, err := h.involvements.SubmitInvolvement(as(h.t, agency), &irtv1.SubmitInvolvementRequest{Involvement: i}); err != nil {
		h.t.Fatalf("submitting %s: %v %v", i.GetName(), err, status.Convert(err).Details())
	}
	return i.GetName()
}

func (h *hub) try(ctx context.Context, child, involvement, start string) (*irtv1.LeadNomination, error) {
	return h.NominateLeadProfessional(ctx, &irtv1.NominateLeadProfessionalRequest{Child: child, Involvement: involvement, StartDate: start})
}

func (h *hub) nominate(agency, child, involvement string) *irtv1.LeadNomination {
	h.t.Helper()
	m, err := h.try(as(h.t, agency), child, involvement, "")
	if err != nil {
		h.t.Fatalf("nominating: %v %v", err, status.Convert(err).Details())
	}
	return m
}

// lead is the involvement of the child's last lead professional, "" where there is none.
func (h *hub) lead(child string) (name string) {
	h.t.Helper()
	id, err := rpc.ParseChildName(child)
	if err != nil {
		h.t.Fatal(err)
	}
	err = h.pool.QueryRow(h.t.Context(), `SELECT coalesce(max('agencies/' || i.agency_id || '/involvements/' || i.local_id), '')
		FROM lead_professionals l JOIN involvements i USING (involvement_id) WHERE l.child_id = $1 AND l.end_date IS NULL`, id).Scan(&name)
	if err != nil {
		h.t.Fatal(err)
	}
	return name
}

func (h *hub) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hub) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// wantError checks an error's code, and returns the state and moves that it names and
// the rule of its first fault.
func wantError(t testing.TB, err error, code codes.Code) (state, moves, rule string) {
	t.Helper()
	st := status.Convert(rpc.Edge(err))
	if st.Code() != code {
		t.Fatalf("got %v (%s), want %v", st.Code(), st.Message(), code)
	}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			state, moves = d.GetMetadata()["state"], d.GetMetadata()["moves"]
		case *errdetails.BadRequest:
			rule = d.GetFieldViolations()[0].GetReason()
		}
	}
	return state, moves, rule
}
