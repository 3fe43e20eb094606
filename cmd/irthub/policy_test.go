package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Scripts rely on the exit status of policy test, and on the failing cases it prints.
func TestPolicyTest(t *testing.T) {
	t.Parallel()
	const table = "../../internal/sharing/testdata/cases.csv"
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.csv")
	changed := strings.Replace(string(text), "see,location,practitioner,school,education,involved shielded,deny,SHIELDED",
		"see,location,practitioner,school,education,involved shielded,allow,INVOLVED", 1)
	if err := os.WriteFile(wrong, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "own.cedar")
	if err := os.WriteFile(broken, []byte("\n\npermit (principal, action, resource) when { context.sheilded };\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"policy", "test", table}, exitOK, " cases, 0 failed"},
		{[]string{"policy", "test", wrong}, exitNotWhole, "expected allow by INVOLVED, got deny by SHIELDED"},
		{[]string{"policy", "test", table, "--policies", filepath.Dir(broken)}, exitFailed, broken + ":3: "},
		{[]string{"policy", "explain"}, exitOK, "### SHIELDED (denies)"},
		{[]string{"serve", "--data", t.TempDir(), "--policies", filepath.Dir(broken)}, exitFailed, broken + ":3: "},
	} {
		var out strings.Builder
		if exit := run(t.Context(), c.args, streams{&out, &out}); exit != c.exit || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: exit status %d, want %d\n%s", c.args, exit, c.exit, out.String())
		}
	}
}
