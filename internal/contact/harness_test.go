package contact_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/contact"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// hub is one process's services on a database.
type hub struct {
	t        testing.TB
	pool     *pgxpool.Pool
	children *children.Service
	*contact.Service

	directory *agencies.Directory
	tokens    *rpc.PageTokens
}

// kinds of the agencies in the harness. The clinic is a sensitive service.
var kinds = map[string]irtv1.AgencyKind{
	"school": irtv1.AgencyKind_AGENCY_KIND_SCHOOL, "gp": irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE,
	"clinic": irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, "charity": irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY,
}

func newHub(t testing.TB) *hub {
	t.Helper()
	pool := pgtest.New(t)
	var list []*irtv1.Agency
	for id, kind := range kinds {
		list = append(list, &irtv1.Agency{
			Name: "agencies/" + id, DisplayName: "The " + id, Kind: kind, Sensitive: id == "clinic", Telephone: "01632 960000",
		})
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, list); err != nil {
		t.Fatal(err)
	}
	var people []*irtv1.Practitioner
	for id := range kinds {
		people = append(people, &irtv1.Practitioner{Name: "agencies/" + id + "/practitioners/ann", DisplayName: "Ann of " + id, Telephone: "01632 960001"})
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
	c := children.New(pool, directory, tokens, access)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := access.Close(ctx); err != nil {
			t.Error(err)
		}
		directory.Close()
	})
	return &hub{t, pool, c, contact.New(pool, directory, tokens), directory, tokens}
}

// by is the context of a call by a person: "clinic/ann" is a practitioner of the
// clinic, "clinic" its system.
func by(t testing.TB, person string) context.Context {
	t.Helper()
	agency, id, _ := strings.Cut(person, "/")
	c := identity.Caller{
		Agency: agency, Practitioner: id, Role: irtv1.Role_ROLE_PRACTITIONER, Kind: kinds[agency], Sensitive: agency == "clinic",
		Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING, Reason: "attendance",
	}
	if id == "" {
		c.Role = irtv1.Role_ROLE_AGENCY_SYSTEM
	}
	ctx := identity.NewContext(t.Context(), c)
	return audit.NewContext(ctx, audit.New(ctx, "test"))
}

// submit has an agency submit a record of a child, and gives the child's name.
func (h *hub) submit(agency, nhsNumber, given, born string) string {
	h.t.Helper()
	resp, err := h.children.SubmitChildRecord(by(h.t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: &irtv1.ChildRecord{
		Name: "agencies/" + agency + "/childRecords/1", GivenName: given, FamilyName: "Achterberg", DateOfBirth: born,
		NhsNumber: nhsNumber, AddressLines: []string{"4 Quay Side"}, Postcode: "NR23 1AH", Sex: "F",
	}})
	if err != nil {
		h.t.Fatalf("submitting: %v", status.Convert(err).Details())
	}
	return resp.GetChild()
}

// involve stores that an agency works with a child, through its record if it has
// one.
func (h *hub) involve(agency, child string) {
	h.t.Helper()
	id, err := rpc.ParseChildName(child)
	if err != nil {
		h.t.Fatal(err)
	}
	h.exec(`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, record_id, role, practitioner_id, start_date,
			sensitive, create_time, known_from, revision)
		VALUES (@child, gen_random_uuid(), @agency, 'i', (SELECT record_id FROM child_records WHERE child_id = @child AND agency_id = @agency),
			'OTHER', 'ann', @today::date - 30, @sensitive, now(), now(), 1)`,
		pgx.NamedArgs{"child": [16]byte(id), "agency": agency, "today": standard.Today(), "sensitive": agency == "clinic"})
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

// ask asks for everybody who works with a child.
func (h *hub) ask(person, child string) *irtv1.ContactRequest {
	h.t.Helper()
	q, err := h.RequestContact(by(h.t, person), &irtv1.RequestContactRequest{
		Child: child, Text: "May we talk?",
		To: &irtv1.RequestContactRequest_Audience{Audience: irtv1.ContactAudience_CONTACT_AUDIENCE_EVERYBODY},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return q
}

// askFor asks for one involvement.
func (h *hub) askFor(person, child, involvement string) (*irtv1.ContactRequest, error) {
	h.t.Helper()
	return h.RequestContact(by(h.t, person), &irtv1.RequestContactRequest{
		Child: child, Text: "May we talk?", To: &irtv1.RequestContactRequest_Involvement{Involvement: involvement},
	})
}

// read is a request as a person reads it, or the code of the refusal.
func (h *hub) read(person, name string) (*irtv1.ContactRequest, codes.Code) {
	h.t.Helper()
	q, err := h.GetContactRequest(by(h.t, person), &irtv1.GetContactRequestRequest{Name: name})
	return q, status.Code(rpc.Edge(err))
}

// refusal is the code of an error and the state and moves that it names.
func refusal(err error) (code codes.Code, state, moves string) {
	st := status.Convert(rpc.Edge(err))
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			state, moves = info.GetMetadata()["state"], info.GetMetadata()["moves"]
		}
	}
	return st.Code(), state, moves
}
