package referrals_test

import (
	"context"
	"log/slog"
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
	"irthub/internal/pg/pgtest"
	"irthub/internal/referrals"
	"irthub/internal/rpc"
)

// hub is one process's services on a database.
type hub struct {
	t            testing.TB
	pool         *pgxpool.Pool
	children     *children.Service
	consents     *consent.Service
	involvements *involvement.Service
	*referrals.Service
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
	people := []*irtv1.Practitioner{{Name: "agencies/gp/practitioners/ann", DisplayName: "Ann"}}
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
	r := referrals.New(pool, directory, tokens, access, i.Involve)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, err := range []error{agreed.Close(ctx), c.Close(ctx), r.Close(ctx), i.Close(ctx), access.Close(ctx)} {
			if err != nil {
				t.Error(err)
			}
		}
		directory.Close()
	})
	return &hub{t, pool, c, agreed, i, r}
}

// as is the context of a call by an agency's system.
func as(t testing.TB, agency string) context.Context {
	t.Helper()
	return call(t, identity.Caller{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
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

// refer has the school refer its record p1 to an agency, for safeguarding.
func (h *hub) refer(id, to string) *irtv1.Referral {
	h.t.Helper()
	m, err := h.SendReferral(as(h.t, "school"), &irtv1.SendReferralRequest{Referral: referral(id, to)})
	if err != nil {
		h.t.Fatalf("sending: %v %v", err, status.Convert(err).Details())
	}
	return m
}

func referral(id, to string) *irtv1.Referral {
	return &irtv1.Referral{
		Name: "agencies/school/referrals/" + id, ChildRecord: "agencies/school/childRecords/p1", Recipient: "agencies/" + to,
		Reason: "SAFEGUARDING", Urgency: irtv1.ReferralUrgency_REFERRAL_URGENCY_URGENT,
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
