package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/pg/pgtest"
)

// hubWithAgencies runs a hub that knows some agencies, and returns the
// environment of a client of it.
func hubWithAgencies(t *testing.T, agency, role string) (env []string) {
	t.Helper()
	url := pgtest.URL(t)
	_, _, _, err := agencies.UpsertAgencies(t.Context(), pgtest.Open(t, url), []*irtv1.Agency{
		{Name: "agencies/school-1", DisplayName: "A school", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/hub", DisplayName: "The hub", Kind: irtv1.AgencyKind_AGENCY_KIND_HUB_OPERATOR},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := []string{"IRTHUB_DATABASE_URL=" + url, "IRTHUB_DATA=" + t.TempDir()}
	hub := serve(t, server)
	token, errs, status := output(t, server, "token", "--agency", agency, "--role", role)
	if status != 0 {
		t.Fatalf("irthub token: %s", errs)
	}
	return []string{"IRTHUB_ADDR=" + hub.GRPC, "IRTHUB_TOKEN=" + strings.TrimSpace(token)}
}

func write(t *testing.T, name string, lines ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return rows
}

// lastLine is what a script takes of --json.
func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

func TestImportSchoolCohort(t *testing.T) {
	t.Parallel()
	env := hubWithAgencies(t, "school-1", "agency-system")
	const header = "CHILD_FIRST_NAME,CHILD_LAST_NAME,CHILD_DATE_OF_BIRTH,CHILD_POSTCODE"
	path := write(t, "cohort.csv", header, "Amy,Reed,2012-05-06,NR1 3JU", "Ben,,31/02/2012,NR1 3JU", `"Cy,Reed,2012-05-06,`, "Dee,Reed,2012-05-06,")
	rejects := strings.TrimSuffix(path, ".csv") + ".rejects.csv"
	cohort := func(args ...string) (out, errs string, status int) {
		return output(t, env, append([]string{"import", "school-cohort"}, args...)...)
	}

	out, errs, status := cohort(path, "--agency", "school-1", "--dry-run", "--json")
	if want := `{"rows":4,"accepted":2,"unchanged":0,"rejected":2,"queries":3}`; status != 3 || lastLine(out) != want {
		t.Errorf("rehearsal: status %d, %s%s, want %s", status, out, errs, want)
	}
	out, errs, status = cohort(path, "--agency", "school-1", "--json")
	if want := `{"rows":4,"accepted":2,"unchanged":0,"rejected":2,"queries":3}`; status != 3 || lastLine(out) != want {
		t.Errorf("import: status %d, %s%s, want %s", status, out, errs, want)
	}
	got := readCSV(t, rejects)
	for i := range got {
		got[i] = append(got[i][:3:3], got[i][5:]...) // without the words
	}
	want := [][]string{
		{"row", "column", "rule", "original", "CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_DATE_OF_BIRTH", "CHILD_POSTCODE"},
		{"3", "CHILD_LAST_NAME", "STRING_MIN_LEN", "", "Ben", "", "31/02/2012", "NR1 3JU"},
		{"3", "CHILD_DATE_OF_BIRTH", "DATE_INVALID", "", "Ben", "", "31/02/2012", "NR1 3JU"},
		{"4", "", "IMPORT_ROW_QUOTES", `"Cy,Reed,2012-05-06,`, "", "", "", ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("rejects %q, want %q", got, want)
	}
	if info, err := os.Stat(rejects); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the rejects, which hold children, may be read by others: %v, %v", info.Mode(), err)
	}

	// The rejects, corrected, are sent as they are.
	b, err := os.ReadFile(rejects)
	if err != nil {
		t.Fatal(err)
	}
	corrected := strings.ReplaceAll(string(b), "Ben,,31/02/2012", "Ben,Reed,28/02/2012")
	corrected = strings.ReplaceAll(corrected, ",,,\n", "Cy,Reed,2012-05-06,\n")
	out, errs, status = cohort(write(t, "again.csv", strings.TrimSpace(corrected)), "--json")
	if want := `{"rows":3,"accepted":2,"unchanged":1,"rejected":0,"queries":3}`; status != 0 || lastLine(out) != want {
		t.Errorf("corrected rejects: status %d, %s%s, want %s", status, out, errs, want)
	}

	sound := write(t, "sound.csv", header, "Amy,Reed,2012-05-06,NR1 3JU")
	out, errs, status = cohort(sound)
	if status != 0 || errs != "" || !strings.Contains(strings.Join(strings.Fields(out), " "), "unchanged 1 ") {
		t.Errorf("again, for people: status %d, %s%s", status, out, errs)
	}
	if _, err := os.Stat(strings.TrimSuffix(sound, ".csv") + ".rejects.csv"); !os.IsNotExist(err) {
		t.Errorf("a rejects file without rejects: %v", err)
	}
}

func TestImportFromStandardInput(t *testing.T) {
	t.Parallel()
	env := hubWithAgencies(t, "hub", "hub-operator")
	rejects := filepath.Join(t.TempDir(), "rejects.csv")
	cmd := irthub(t, env, "import", "gp-practices", "-", "--rejects", rejects, "--json")
	cmd.Stdin = strings.NewReader("A81001,THE DENSHAM SURGERY,,,1 HIGH ST,,TOWN,,,TS1 1AA\nX,NONE,,,,,,,,\n")
	out, _ := cmd.Output()
	if want := `{"rows":2,"accepted":1,"unchanged":0,"rejected":1,"queries":0}`; cmd.ProcessState.ExitCode() != 3 || lastLine(string(out)) != want {
		t.Errorf("status %d, %s, want %s", cmd.ProcessState.ExitCode(), out, want)
	}
	if got := readCSV(t, rejects); len(got) != 2 || got[1][0] != "2" || got[1][2] != "STRING_PATTERN" {
		t.Errorf("rejects %q", got)
	}
	// From a file the rows come back the same way, though it has no header.
	path := write(t, "epraccur.csv", "A81001,THE DENSHAM SURGERY,,,1 HIGH ST,,TOWN,,,TS1 1AA", "X,NONE,,,,,,,,")
	if out, errs, status := output(t, env, "import", "gp-practices", path, "--rejects", rejects); status != 3 {
		t.Errorf("from a file: status %d, %s%s", status, out, errs)
	}
	if got := readCSV(t, rejects); len(got) != 2 || got[1][5] != "X,NONE,,,,,,,," {
		t.Errorf("rejects %q", got)
	}
}

// What comes through a pipe cannot be read again, and has no place beside it: the hub
// gives the rows that it refused.
func TestImportFromAPipe(t *testing.T) {
	t.Parallel()
	env := hubWithAgencies(t, "school-1", "agency-system")
	const header = "name,givenName,familyName,dateOfBirth\n"
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := irthub(t, env, "import", "child-records", "/dev/fd/3")
	cmd.ExtraFiles = []*os.File{r}
	_, _ = w.WriteString(header + "p-1,Ada,Fenwright,2016-02-14\np-2,,Fenwright,2016-02-14\n")
	_ = w.Close()
	out, _ := cmd.Output()
	_ = r.Close()
	_, name, _ := strings.Cut(string(out), "irthub import rejects ")
	name, _, _ = strings.Cut(name, " ")
	if cmd.ProcessState.ExitCode() != 3 || name == "" {
		t.Fatalf("status %d, %s", cmd.ProcessState.ExitCode(), out)
	}
	rejects, errs, status := output(t, env, "import", "rejects", name)
	if status != 0 || !strings.HasPrefix(rejects, "row,column,rule,description,action,original,"+header) ||
		!strings.HasPrefix(strings.Split(rejects, "\n")[1], "3,givenName,STRING_MIN_LEN,") || !strings.Contains(rejects, ",p-2,,Fenwright,2016-02-14\n") {
		t.Errorf("status %d %s%s", status, rejects, errs)
	}
}

func TestImportThatFails(t *testing.T) {
	t.Parallel()
	env := hubWithAgencies(t, "school-1", "agency-system")
	sound := write(t, "sound.csv", "CHILD_FIRST_NAME,CHILD_LAST_NAME,CHILD_DATE_OF_BIRTH", "Amy,Reed,2012-05-06")
	for name, tt := range map[string]struct {
		args   []string
		env    []string
		status int
		says   string
	}{
		"header not known":    {[]string{write(t, "x.csv", "a;b", "1;2")}, env, 1, "CHILD_FIRST_NAME, CHILD_LAST_NAME, CHILD_DATE_OF_BIRTH"},
		"no such file":        {[]string{"/nowhere.csv"}, env, 1, "no such file"},
		"a directory":         {[]string{t.TempDir()}, env, 1, "is a directory"},
		"another's agency":    {[]string{sound, "--agency", "hub"}, env, 1, "may not"},
		"rejects over itself": {[]string{sound, "--rejects", sound}, env, 2, "--rejects"},
		"no token":            {[]string{sound}, env[:1], 2, "IRTHUB_TOKEN"},
		"a forged token":      {[]string{sound}, []string{env[0], env[1] + "x"}, 1, "irthub token"},
		"no hub":              {[]string{sound}, []string{"IRTHUB_ADDR=127.0.0.1:1", env[1]}, 1, "--addr"},
		"no file":             {nil, env, 2, "<file>"},
	} {
		out, errs, status := output(t, tt.env, append([]string{"import", "school-cohort"}, tt.args...)...)
		if status != tt.status || !strings.Contains(errs, tt.says) || strings.Contains(out, "{") {
			t.Errorf("%s: status %d, %q, standard output %q; want %d and %q", name, status, errs, out, tt.status, tt.says)
		}
	}
}
