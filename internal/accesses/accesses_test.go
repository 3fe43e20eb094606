package accesses_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesses"
	"irthub/internal/accesslog"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// hub is the service over a log in which three agencies looked at a child, the
// clinic being a sensitive service; only the school works with the child.
type hub struct {
	pool   *pgxpool.Pool
	writer *audit.Writer
	keys   *accesslog.Keys
	*accesses.Service
	child, former, other uuid.UUID
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{pool: pgtest.New(t), child: standard.NewChildID(), former: standard.NewChildID(), other: standard.NewChildID()}
	if err := accesslog.EnsurePartitions(t.Context(), h.pool, time.Now()); err != nil { // as a hub does at its start
		t.Fatal(err)
	}
	list := []*irtv1.Agency{
		{Name: "agencies/school", DisplayName: "Oak School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/gp", DisplayName: "Elm Surgery", Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE},
		{Name: "agencies/clinic", DisplayName: "Willow Clinic", Kind: irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, Sensitive: true},
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), h.pool, list); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	directory, err := agencies.NewDirectory(t.Context(), h.pool, log)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := rpc.LoadPageTokens(t.Context(), h.pool)
	if err != nil {
		t.Fatal(err)
	}
	if h.keys, err = accesslog.LoadOrCreateKeys(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	h.Service, h.writer = accesses.New(h.pool, directory, tokens, h.keys), audit.NewWriter(h.pool)
	sequencer := accesslog.StartSequencer(t.Context(), h.pool, h.keys, log)
	t.Cleanup(func() {
		_ = h.writer.Close(context.Background())
		_ = sequencer.Close(context.Background())
		directory.Close()
	})
	const insert = `INSERT INTO children (child_id, state, merged_into, create_time, known_from, revision)
		VALUES ($1, CASE WHEN $2::uuid IS NULL THEN 1 ELSE 3 END, $2, now(), now(), 1)`
	h.exec(t, insert, h.child, nil)
	h.exec(t, insert, h.former, h.child)
	h.exec(t, insert, h.other, nil)
	h.exec(t, `INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, role, start_date, create_time, known_from, revision)
		VALUES ($1, $2, 'school', 'i', 'CLASS_TEACHER', '2020-01-01', now(), now(), 1)`, h.child, uuid.New())
	return h
}

func (h *hub) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	for i, a := range args {
		if id, ok := a.(uuid.UUID); ok {
			args[i] = [16]byte(id)
		}
	}
	if _, err := h.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// look records an access by an agency's practitioner to children.
func (h *hub) look(t *testing.T, agency, method string, children ...uuid.UUID) *audit.Entry {
	t.Helper()
	ctx := identity.NewContext(t.Context(), identity.Caller{
		Agency: agency, Practitioner: "p1", Role: irtv1.Role_ROLE_PRACTITIONER, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING,
		Reason: "the reason", Address: "192.0.2.7",
	})
	e := audit.New(ctx, "/irt.v1.ChildService/"+method)
	e.SetQuery(&irtv1.SearchChildrenRequest{FamilyName: "Achterberg"})
	e.AddChild(children...)
	e.AddReturned("agencies/clinic/childRecords/17")
	e.AddWithheld("SENSITIVE_BROKERED")
	if err := h.writer.Write(ctx, e); err != nil {
		t.Fatal(err)
	}
	return e
}

// sequenced waits, with a deadline, until an entry has its leaf.
func (h *hub) sequenced(t *testing.T, e *audit.Entry) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if _, index, err := accesslog.GetEntry(t.Context(), h.pool, e.ID()); err == nil && index >= 0 {
			return
		}
	}
	t.Fatal("an entry waits for its leaf for more than a minute")
}

func as(t *testing.T, c identity.Caller) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), c)
}

var (
	auditor      = identity.Caller{Agency: "la", Role: irtv1.Role_ROLE_AUDITOR, Purpose: irtv1.Purpose_PURPOSE_AUDIT}
	dataManager  = identity.Caller{Agency: "la", Role: irtv1.Role_ROLE_DATA_MANAGER, Purpose: irtv1.Purpose_PURPOSE_AUDIT}
	forFamily    = identity.Caller{Agency: "la", Role: irtv1.Role_ROLE_DATA_MANAGER, Purpose: irtv1.Purpose_PURPOSE_SUBJECT_ACCESS}
	schoolSystem = identity.Caller{Agency: "school", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	teacher      = identity.Caller{Agency: "school", Practitioner: "p1", Role: irtv1.Role_ROLE_PRACTITIONER, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	gpSystem     = identity.Caller{Agency: "gp", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
	clinicSystem = identity.Caller{Agency: "clinic", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING}
)

func childName(id uuid.UUID) string { return "children/" + standard.FormatChildID(id) }

func TestWhoMayList(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.look(t, "school", "GetChild", h.child)
	h.look(t, "gp", "GetChild", h.former)
	h.look(t, "clinic", "SearchChildren", h.child, h.other)
	h.sequenced(t, h.look(t, "gp", "GetChild", h.other))
	child, unknown := childName(h.child), childName(standard.NewChildID())
	for _, tt := range []struct {
		name   string
		caller identity.Caller
		parent string
		code   codes.Code
		n      int
	}{
		{"auditor, child", auditor, child, codes.OK, 3},
		{"auditor, child by a name it had", auditor, childName(h.former), codes.OK, 3},
		{"data manager, child", dataManager, child, codes.OK, 3},
		{"for the family", forFamily, child, codes.OK, 3},
		{"agency that works with the child", schoolSystem, child, codes.OK, 3},
		{"its practitioner", teacher, child, codes.OK, 3},
		{"agency that does not", gpSystem, child, codes.PermissionDenied, 0},
		{"agency that does not, no such child", gpSystem, unknown, codes.PermissionDenied, 0},
		{"agency, not a child's name", gpSystem, "children/x", codes.PermissionDenied, 0},
		{"agency that works with another child", schoolSystem, childName(h.other), codes.PermissionDenied, 0},
		{"auditor, no such child", auditor, unknown, codes.NotFound, 0},
		{"auditor, agency", auditor, "agencies/gp", codes.OK, 2},
		{"auditor, practitioner", auditor, "agencies/gp/practitioners/p1", codes.OK, 2},
		{"auditor, another practitioner", auditor, "agencies/gp/practitioners/p2", codes.OK, 0},
		{"auditor, no agency", auditor, "agencies/", codes.NotFound, 0},
		{"own agency", gpSystem, "agencies/gp", codes.OK, 2},
		{"own agency's practitioner", gpSystem, "agencies/gp/practitioners/p1", codes.OK, 2},
		{"another agency", gpSystem, "agencies/school", codes.PermissionDenied, 0},
		{"oneself", teacher, "agencies/school/practitioners/p1", codes.OK, 1},
		{"a colleague", teacher, "agencies/school/practitioners/p2", codes.PermissionDenied, 0},
		{"one's agency", teacher, "agencies/school", codes.PermissionDenied, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := h.ListAccesses(as(t, tt.caller), &irtv1.ListAccessesRequest{Parent: tt.parent})
			if status.Code(err) != tt.code || len(out.GetAccesses()) != tt.n {
				t.Errorf("%v, %d accesses: %v", err, len(out.GetAccesses()), out)
			}
		})
	}
	_, one := h.ListAccesses(as(t, gpSystem), &irtv1.ListAccessesRequest{Parent: child})
	_, two := h.ListAccesses(as(t, gpSystem), &irtv1.ListAccessesRequest{Parent: unknown})
	if one.Error() != two.Error() {
		t.Errorf("the denials differ: %v, %v", one, two)
	}
}

// What each sees of an access by a sensitive service that was also about another
// child: whatever may not be shown is nowhere in the answer.
func TestWhatIsShown(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.look(t, "clinic", "SearchChildren", h.child, h.other)
	for _, tt := range []struct {
		name   string
		caller identity.Caller
		parent string
		shown  []string
		hidden []string
	}{
		{
			"auditor", auditor, childName(h.child),
			[]string{"agencies/clinic/practitioners/p1", "Willow Clinic", "the reason", "Achterberg", "192.0.2.7", childName(h.other), "childRecords/17"},
			nil,
		},
		{
			"family", forFamily, childName(h.child),
			[]string{"a sensitive service", "searched the index and found the child", "to keep the child safe"},
			[]string{"clinic", "Willow", "p1", "the reason", "Achterberg", "192.0.2.7", childName(h.other), "SENSITIVE_BROKERED"},
		},
		{
			"agency that works with the child", schoolSystem, childName(h.child),
			[]string{"a sensitive service", "SearchChildren", "SAFEGUARDING"},
			[]string{"clinic", "Willow", "p1", "the reason", "Achterberg", "192.0.2.7", childName(h.other)},
		},
		{
			"the service itself", clinicSystem, "agencies/clinic",
			[]string{"Willow Clinic", "agencies/clinic/practitioners/p1", "childRecords/17"},
			[]string{"the reason", "Achterberg", "192.0.2.7", childName(h.other)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := h.ListAccesses(as(t, tt.caller), &irtv1.ListAccessesRequest{Parent: tt.parent})
			if err != nil || len(out.GetAccesses()) != 1 {
				t.Fatalf("%v, %v", out, err)
			}
			answer := protojson.Format(out)
			for _, text := range tt.shown {
				if !strings.Contains(answer, text) {
					t.Errorf("%q is missing from %s", text, answer)
				}
			}
			for _, text := range tt.hidden {
				if strings.Contains(answer, text) {
					t.Errorf("%q is shown in %s", text, answer)
				}
			}
		})
	}
}

// A family reads sentences, for every method there is.
func TestDescription(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.look(t, "school", "GetChild", h.child)
	out, err := h.ListAccesses(as(t, forFamily), &irtv1.ListAccessesRequest{Parent: childName(h.child)})
	if err != nil || len(out.GetAccesses()) != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	a := out.GetAccesses()[0]
	want := "On " + a.GetAccessTime().AsTime().Format("2 January 2006 at 15:04") + " (Greenwich Mean Time), a practitioner of Oak School " +
		"looked at the child's entry in the index, to keep the child safe and well (safeguarding). " +
		"Shown: the child's entry, which holds basic details and which agencies have a record. Some information was held back."
	if a.GetDescription() != want {
		t.Errorf("%s\nwant\n%s", a.GetDescription(), want)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var last *audit.Entry
	for range 60 {
		last = h.look(t, "gp", "GetChild", h.child)
	}
	parent := childName(h.child)
	// The newest is there before it has its leaf, and once it has.
	for range 2 {
		seen := map[string]bool{}
		req := &irtv1.ListAccessesRequest{Parent: parent, PageSize: 25}
		newest := ""
		for page := range 3 {
			out, err := h.ListAccesses(as(t, auditor), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range out.GetAccesses() {
				if newest == "" {
					newest = a.GetName()
				}
				seen[a.GetName()] = true
			}
			if (out.GetNextPageToken() == "") != (page == 2) {
				t.Errorf("page %d has the token %q", page, out.GetNextPageToken())
			}
			req.PageToken = out.GetNextPageToken()
		}
		if len(seen) != 60 || newest != "accesses/"+last.ID().String() {
			t.Errorf("%d accesses, the newest %s; want 60, %s", len(seen), newest, last.ID())
		}
		h.sequenced(t, last)
	}
	out, err := h.ListAccesses(as(t, schoolSystem), &irtv1.ListAccessesRequest{Parent: parent, PageSize: 1000})
	if err != nil || len(out.GetAccesses()) != 25 || out.GetNextPageToken() != "" {
		t.Errorf("an agency that works with the child sees %d, %q, %v; want the 25 most recent", len(out.GetAccesses()), out.GetNextPageToken(), err)
	}
	for _, tt := range []struct {
		since, until time.Time
		n            int
	}{
		{time.Now().Add(-time.Hour), time.Now().Add(time.Hour), 25},
		{time.Now().Add(time.Hour), time.Now().Add(2 * time.Hour), 0},
		{time.Now().Add(-2 * time.Hour), time.Now().Add(-time.Hour), 0},
	} {
		out, err := h.ListAccesses(as(t, auditor), &irtv1.ListAccessesRequest{
			Parent: "agencies/gp", Since: timestamppb.New(tt.since), Until: timestamppb.New(tt.until),
		})
		if err != nil || len(out.GetAccesses()) != tt.n {
			t.Errorf("%d accesses in the period, want %d: %v", len(out.GetAccesses()), tt.n, err)
		}
	}
}

// Whoever holds a proof can check it with nothing but the verifier key, and open the
// personal parts with what auditors are given.
func TestProveEntry(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	if _, err := h.GetCheckpoint(t.Context(), &irtv1.GetCheckpointRequest{}); status.Code(err) != codes.NotFound {
		t.Errorf("a checkpoint of nothing: %v", err)
	}
	first := h.look(t, "school", "GetChild", h.child)
	h.sequenced(t, first)
	early, err := h.GetCheckpoint(t.Context(), &irtv1.GetCheckpointRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		h.look(t, "gp", "GetChild", h.other)
	}
	last := h.look(t, "gp", "GetChild", h.other)
	h.sequenced(t, last)
	name := "accesses/" + first.ID().String()
	for _, size := range []int64{0, early.GetTreeSize()} {
		p, err := h.ProveEntry(as(t, auditor), &irtv1.ProveEntryRequest{Name: name, TreeSize: size})
		if err != nil {
			t.Fatal(err)
		}
		checkProof(t, p, h.keys.VerifierKey())
		if text := string(p.GetPersonal()); !strings.Contains(text, "practitioner p1\n") || !strings.Contains(text, "child "+h.child.String()+"\n") {
			t.Errorf("personal parts: %s", text)
		}
		sum := sha256.Sum256(append(p.GetSalt(), p.GetPersonal()...))
		if !strings.Contains(string(p.GetLeaf()), "\npersonal "+hex.EncodeToString(sum[:])+"\n") {
			t.Errorf("the leaf is not of these personal parts: %s", p.GetLeaf())
		}
		if strings.Contains(string(p.GetLeaf()), "p1") || strings.Contains(string(p.GetLeaf()), "reason") {
			t.Errorf("the leaf says who: %s", p.GetLeaf())
		}
	}
	for _, tt := range []struct {
		name   string
		caller identity.Caller
		req    *irtv1.ProveEntryRequest
		code   codes.Code
	}{
		{"own", schoolSystem, &irtv1.ProveEntryRequest{Name: name}, codes.OK},
		{"oneself", teacher, &irtv1.ProveEntryRequest{Name: name}, codes.OK},
		{"another agency's", gpSystem, &irtv1.ProveEntryRequest{Name: name}, codes.PermissionDenied},
		{"another agency, no such entry", gpSystem, &irtv1.ProveEntryRequest{Name: "accesses/" + uuid.NewString()}, codes.PermissionDenied},
		{"no such entry", auditor, &irtv1.ProveEntryRequest{Name: "accesses/" + uuid.NewString()}, codes.NotFound},
		{"not a name", auditor, &irtv1.ProveEntryRequest{Name: "accesses/1"}, codes.NotFound},
		{"a size of no checkpoint", auditor, &irtv1.ProveEntryRequest{Name: name, TreeSize: 1 << 40}, codes.InvalidArgument},
		{"a checkpoint before the entry", auditor, &irtv1.ProveEntryRequest{
			Name: "accesses/" + last.ID().String(), TreeSize: early.GetTreeSize(),
		}, codes.InvalidArgument},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := h.ProveEntry(as(t, tt.caller), tt.req)
			if status.Code(err) != tt.code {
				t.Fatalf("%v, want %v", err, tt.code)
			}
			if tt.caller.Role != irtv1.Role_ROLE_AUDITOR && (p.GetSalt() != nil || p.GetPersonal() != nil) {
				t.Errorf("%s was given the personal parts", tt.name)
			}
		})
	}
}

// checkProof checks a proof as somebody outside would.
func checkProof(t *testing.T, p *irtv1.EntryProof, verifierKey string) {
	t.Helper()
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(p.GetCheckpoint().GetNote()), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	var origin, root string
	var size int64
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &origin, &size, &root); err != nil {
		t.Fatal(err)
	}
	hash, err := tlog.ParseHash(root)
	if err != nil {
		t.Fatal(err)
	}
	var proof tlog.RecordProof
	for _, h := range p.GetHashes() {
		proof = append(proof, tlog.Hash(h))
	}
	if err := tlog.CheckRecord(proof, size, hash, p.GetLeafIndex(), tlog.RecordHash(p.GetLeaf())); err != nil {
		t.Error(err)
	}
}
