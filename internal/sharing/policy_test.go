package sharing_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/sharing"
)

const good = `
@id("BASICS")
@sentence("Everybody sees the basics.")
@basis("None")
permit (principal, action == Action::"see", resource == Category::"BASIC");
`

func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A directory of policies replaces the hub's own: what it does not allow is denied.
func TestDirectoryReplacesTheSet(t *testing.T) {
	t.Parallel()
	p, err := sharing.LoadDir(directory(t, map[string]string{"a.cedar": good, "notes.txt": "not a policy"}))
	if err != nil {
		t.Fatal(err)
	}
	d := p.Decide(sharing.See, sharing.Facts{Identified: true, Role: irtv1.Role_ROLE_DATA_MANAGER, Own: true})
	if !d.ShowsChild() || d.Shows(irtv1.Category_CATEGORY_LOCATION) || d.Shows(irtv1.Category_CATEGORY_SENSITIVE) {
		t.Errorf("decided otherwise than the directory says: %v", d)
	}
	if w := d.Withheld(irtv1.Category_CATEGORY_LOCATION); w.GetRuleId() != "DEFAULT_DENY" || w.GetHowToAsk() == "" {
		t.Errorf("withheld: %v", w)
	}
}

// A broken set is refused, and what is wrong is named with file and line.
func TestBrokenSetsAreRefused(t *testing.T) {
	t.Parallel()
	line7 := strings.Repeat("\n", 5) // good begins with an empty line: its policy is in line 7 then
	for what, c := range map[string]struct{ text, want string }{
		"a category that there is not": {line7 + strings.Replace(good, `"BASIC"`, `"BASICS"`, 1), "b.cedar:7: BASICS:"},
		"an attribute that there is not": {
			line7 + strings.Replace(good, `;`, ` when { context.sheilded };`, 1), "b.cedar:7: BASICS:",
		},
		"a role that there is not": {
			line7 + strings.Replace(good, `;`, ` when { principal.role == Role::"TEACHER" };`, 1), "b.cedar:7: BASICS:",
		},
		"an action that there is not": {line7 + strings.Replace(good, `"see"`, `"look"`, 1), "b.cedar:7: BASICS:"},
		"a comparison of two things that are never alike": {
			line7 + strings.Replace(good, `;`, ` when { principal.role == "PRACTITIONER" };`, 1), "b.cedar:7: BASICS:",
		},
		"an annotation that there is not": {line7 + strings.Replace(good, "@basis", "@bases", 1), "b.cedar:7: @bases"},
		"no basis":                        {line7 + strings.Replace(good, `@basis("None")`, "", 1), "b.cedar:7: BASICS needs"},
		"no id":                           {line7 + strings.Replace(good, `@id("BASICS")`+"\n", "", 1), "b.cedar:7: the policy needs an @id"},
		"the same id twice":               {good + good, "b.cedar:7: BASICS is the @id of another policy too, at"},
		"the hub's own id":                {line7 + strings.Replace(good, "BASICS", "DEFAULT_DENY", 1), "b.cedar:7: DEFAULT_DENY is the hub's own"},
		"a denial that does not say how to ask": {
			line7 + strings.Replace(good, "permit", "forbid", 1), "b.cedar:7: BASICS denies",
		},
		"broken text": {line7 + strings.Replace(good, "principal,", "principal", 1), "b.cedar:10:"},
		"no text":     {"permit", "b.cedar:"},
	} {
		dir := directory(t, map[string]string{"a.txt": "", "b.cedar": c.text})
		_, err := sharing.LoadDir(dir)
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "")+"/"+c.want) {
			t.Errorf("%s: %v; want %s", what, err, c.want)
		}
	}
	for what, dir := range map[string]string{"no policies": t.TempDir(), "no directory": "/nowhere/at/all"} {
		if _, err := sharing.LoadDir(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The document shows every rule with its basis, and is the one that is kept.
func TestTheDocumentIsTheSet(t *testing.T) {
	t.Parallel()
	p := embedded(t)
	var b strings.Builder
	if err := p.Explain(&b); err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Rules() {
		for _, part := range []string{"### " + r.ID, r.Sentence, r.Basis, r.Ask} {
			if !strings.Contains(b.String(), part) {
				t.Errorf("%s: the document lacks %q", r.ID, part)
			}
		}
	}
	kept, err := os.ReadFile("../../docs/SHARING.md")
	if err != nil || string(kept) != b.String() {
		t.Errorf("docs/SHARING.md is not what is printed: run make generate (error %v)", err)
	}
}

func TestBrokenTablesAreNamedByLine(t *testing.T) {
	t.Parallel()
	const head = "action,category,role,kind,purpose,facts,decision,rule\n"
	for _, c := range []struct{ table, want string }{
		{"", "begins with the line"},
		{head + "see,basic,practitioner,school,safeguarding,involvd,allow,X\n", `line 2: "involvd" is not a fact`},
		{head + "\nlook,basic,practitioner,school,,,allow,X\n", `line 3: "look" is not an action`},
		{head + "see,basics,practitioner,school,,,allow,X\n", `line 2: "basics" is not a value of category`},
		{head + "see,,practitioner,school,,,allow,X\n", "line 2: see and find are of a category"},
		{head + "see,basic,practitioner,school,,,maybe,X\n", `line 2: "maybe" is neither`},
		{head + "see,basic\n", "line 2"},
	} {
		if _, err := sharing.ReadCases(strings.NewReader(c.table)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v; want %s", c.table, err, c.want)
		}
	}
}

func FuzzReadCases(f *testing.F) {
	f.Add("action,category,role,kind,purpose,facts,decision,rule\nsee,basic,practitioner,school,safeguarding,involved,allow,X\n")
	p := embedded(f)
	f.Fuzz(func(t *testing.T, table string) {
		cases, err := sharing.ReadCases(strings.NewReader(table))
		if err != nil {
			return
		}
		for _, failure := range p.Test(cases) {
			if failure.By == nil || failure.String() == "" {
				t.Errorf("a failure without a rule: %+v", failure)
			}
		}
	})
}

// Deciding again is a look-up; deciding anew costs a second of nobody's time.
func BenchmarkDecide(b *testing.B) {
	p := embedded(b)
	f := sharing.Facts{Identified: true, Role: irtv1.Role_ROLE_PRACTITIONER, Purpose: irtv1.Purpose_PURPOSE_EDUCATION, Involved: true}
	for b.Loop() {
		p.Decide(sharing.See, f)
	}
}
