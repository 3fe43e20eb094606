package children_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

// hub is a database with a directory of agencies, and one or more processes'
// services on it.
type hub struct {
	t    *testing.T
	pool *pgxpool.Pool
	*children.Service
}

func newHub(t *testing.T) *hub {
	t.Helper()
	pool := pgtest.New(t)
	register(t, pool)
	return &hub{t, pool, newService(t, pool)}
}

// register makes the agencies of the tests: one of each kind, and a sensitive one.
func register(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	all := []*irtv1.Agency{
		{Name: "agencies/camhs", DisplayName: "CAMHS", Kind: irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, Sensitive: true},
	}
	for id, kind := range map[string]irtv1.AgencyKind{
		"school": irtv1.AgencyKind_AGENCY_KIND_SCHOOL, "gp": irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE,
		"social": irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE, "police": irtv1.AgencyKind_AGENCY_KIND_POLICE,
	} {
		a := &irtv1.Agency{Name: "agencies/" + id, DisplayName: "The " + id, Kind: kind, Telephone: "01632 960001"}
		if id == "school" {
			a.Urn = "123456"
		}
		if id == "gp" {
			a.OdsCode = "A81001"
		}
		all = append(all, a)
	}
	for i := range 16 {
		all = append(all, &irtv1.Agency{
			Name: fmt.Sprintf("agencies/charity-%d", i), DisplayName: "A charity",
			Kind: irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY,
		})
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, all); err != nil {
		t.Fatal(err)
	}
}

func newService(t *testing.T, pool *pgxpool.Pool) *children.Service {
	t.Helper()
	directory, err := agencies.NewDirectory(t.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := rpc.NewPageTokens(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	writer := audit.NewWriter(pool)
	s := children.New(pool, directory, tokens, writer)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := s.Close(ctx); err != nil {
			t.Errorf("closing the service: %v", err)
		}
		if err := writer.Close(ctx); err != nil {
			t.Errorf("closing the access log: %v", err)
		}
		directory.Close()
	})
	return s
}

// as is a call's context, as the interceptors make it.
func as(t *testing.T, agency string, role irtv1.Role) context.Context {
	t.Helper()
	ctx := identity.NewContext(t.Context(), identity.Caller{
		Agency: agency, Role: role, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING,
	})
	return audit.NewContext(ctx, audit.New(ctx, "/irt.v1.ChildService/Test"))
}

func system(t *testing.T, agency string) context.Context {
	t.Helper()
	return as(t, agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
}

func manager(t *testing.T) context.Context {
	t.Helper()
	return as(t, "social", irtv1.Role_ROLE_DATA_MANAGER)
}

// jennifer is a child as her school has her.
func jennifer() *irtv1.ChildRecord {
	return &irtv1.ChildRecord{
		GivenName: "Jennifer", FamilyName: "Clarke", DateOfBirth: "2014-03-09", Sex: "F",
		NhsNumber: "9990000018", AddressLines: []string{"10 Mill Lane", "Norwich"}, Postcode: "NR1 3JU",
		SchoolUrn: "123456", GpPracticeCode: "A81001",
		Carers: []*irtv1.Carer{{DisplayName: "Susan Clarke", Relationship: "MTH", Telephone: "07700 900123"}},
	}
}

// with changes a copy.
func with(r *irtv1.ChildRecord, change func(*irtv1.ChildRecord)) *irtv1.ChildRecord {
	r = proto.CloneOf(r)
	change(r)
	return r
}

// send submits a record of an agency, as that agency.
func (h *hub) send(agency, localID string, r *irtv1.ChildRecord) *irtv1.SubmitChildRecordResponse {
	h.t.Helper()
	resp, err := h.trySend(agency, localID, r)
	if err != nil {
		h.t.Fatalf("submitting %s's record %s: %v", agency, localID, err)
	}
	return resp
}

func (h *hub) trySend(agency, localID string, r *irtv1.ChildRecord) (*irtv1.SubmitChildRecordResponse, error) {
	r = proto.CloneOf(r)
	r.Name = "agencies/" + agency + "/childRecords/" + localID
	return h.SubmitChildRecord(system(h.t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: r})
}

func (h *hub) child(name string) *irtv1.Child {
	h.t.Helper()
	c, err := h.GetChild(system(h.t, "school"), &irtv1.GetChildRequest{Name: name})
	if err != nil {
		h.t.Fatalf("getting %s: %v", name, err)
	}
	return c
}

func (h *hub) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *hub) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

func contains(text, part string) bool { return strings.Contains(text, part) }
