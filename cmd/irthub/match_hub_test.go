package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
)

// tokens runs a hub of a school, a practice and a council, and makes tokens for it.
type tokens struct {
	*process

	key *identity.SigningKey
	env []string // names its database and its data directory
}

func hubWithTokens(t *testing.T, args ...string) *tokens {
	t.Helper()
	pool := pgtest.New(t)
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, []*irtv1.Agency{
		{Name: "agencies/school", DisplayName: "School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/gp", DisplayName: "Practice", Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE},
		{Name: "agencies/council", DisplayName: "Council", Kind: irtv1.AgencyKind_AGENCY_KIND_LOCAL_AUTHORITY},
	}); err != nil {
		t.Fatal(err)
	}
	data := pgtest.DataDir(t)
	env := []string{databaseURLVariable + "=" + pool.Config().ConnString(), "IRTHUB_DATA=" + data}
	hub := serve(t, env, args...)
	key, err := identity.LoadOrCreateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return &tokens{hub, key, env}
}

func (h *tokens) token(t *testing.T, agency string, role irtv1.Role) string {
	t.Helper()
	issued, err := h.key.Issue(identity.Claims{Agency: agency, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// as is the environment of a client with a token.
func (h *tokens) as(t *testing.T, agency string, role irtv1.Role) []string {
	t.Helper()
	return []string{"IRTHUB_ADDR=" + h.GRPC, "IRTHUB_TOKEN=" + h.token(t, agency, role)}
}

// send submits a record and returns its child.
func (h *tokens) send(t *testing.T, agency, local, body string) (child string) {
	t.Helper()
	status, answer := h.call(t, http.MethodPut, "/v1/agencies/"+agency+"/childRecords/"+local, h.token(t, agency, irtv1.Role_ROLE_AGENCY_SYSTEM), body)
	var got irtv1.SubmitChildRecordResponse
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(answer), &got); status != http.StatusOK || err != nil {
		t.Fatalf("%s's record %s: %d %s, %v", agency, local, status, answer, err)
	}
	return got.GetChild()
}

// Why two names of a hub are one child or two is drawn as it is for a file, and shows
// no value of a record.
func TestMatchExplainNames(t *testing.T) {
	t.Parallel()
	h := hubWithTokens(t)
	const thornley = `"familyName":"Thornley","dateOfBirth":"2014-03-09","postcode":"NR1 3JU","addressLines":["12 Mill Lane"]`
	jack := h.send(t, "school", "1", `{"givenName":"Jack",`+thornley+`}`)
	if h.send(t, "gp", "1", `{"givenName":"Jack",`+thornley+`}`) != jack {
		t.Fatal("Jack is two children")
	}
	grace := h.send(t, "school", "2", `{"givenName":"Grace",`+thornley+`}`)
	const one, other, twin = "agencies/school/childRecords/1", "agencies/gp/childRecords/1", "agencies/school/childRecords/2"
	manager := h.as(t, "council", irtv1.Role_ROLE_DATA_MANAGER)
	svg := filepath.Join(t.TempDir(), "why.svg")

	for name, c := range map[string]struct {
		args   []string
		env    []string
		status int
		says   []string // on standard output, or where it fails on the other
	}{
		"two records":         {[]string{one, other, "--svg", svg}, manager, 0, []string{one + " and " + other, "given name: same", "before comparing", "Likeliest SAME_CHILD", ": LINK", "By the model hand-1"}},
		"two children":        {[]string{jack, grace}, manager, 0, []string{twin, "given name: different", "Likeliest TWIN", ": NEW", " bits  0.1"}},
		"a child, a record":   {[]string{grace, other}, manager, 0, []string{other + " and " + twin}},
		"one record":          {[]string{other}, h.as(t, "gp", irtv1.Role_ROLE_AGENCY_SYSTEM), 0, []string{other + ", of " + jack, "given name: same", ": LINK"}},
		"as JSON":             {[]string{one, other, "--json"}, manager, 0, []string{`"pairs":[`}},
		"another's record":    {[]string{one, other}, h.as(t, "school", irtv1.Role_ROLE_AGENCY_SYSTEM), 1, []string{"explaining: "}},
		"nothing to draw":     {[]string{"agencies/school/childRecords/1", "--svg", svg + "2"}, manager, 1, []string{"no evidence to draw"}},
		"one child":           {[]string{jack}, manager, 2, []string{"a second child"}},
		"a child with itself": {[]string{twin, grace}, manager, 1, []string{"no two records"}},
		"unknown":             {[]string{one, "agencies/gp/childRecords/none"}, manager, 1, []string{"explaining: "}},
		"a name and a file":   {[]string{one, "children.csv"}, manager, 2, []string{"not a name"}},
		"three names":         {[]string{one, other, twin}, manager, 2, []string{"one or two"}},
		"a file without map":  {[]string{family(t), "2", "3"}, nil, 2, []string{"--map"}},
		"no line":             {[]string{family(t), "2", "x", "--map", familyMap}, nil, 2, []string{"not the number of a line"}},
	} {
		out, errs, status := output(t, c.env, append([]string{"match", "explain"}, c.args...)...)
		said := out
		if c.status != 0 {
			said = errs
		}
		for _, want := range c.says {
			if status != c.status || !strings.Contains(strings.ReplaceAll(said, `": `, `":`), want) {
				t.Errorf("%s: status %d, no %q in\n%s%s", name, status, want, out, errs)
			}
		}
		if strings.Contains(out, "Jack") || strings.Contains(out, "Thornley") || strings.Contains(out, "Mill") {
			t.Errorf("%s: a value of a record is shown:\n%s", name, out)
		}
	}
	drawn, err := os.ReadFile(svg)
	if err != nil || !strings.HasPrefix(string(drawn), "<svg") || !strings.Contains(string(drawn), "given name: same") {
		t.Errorf("%v: %s", err, drawn)
	}
}
