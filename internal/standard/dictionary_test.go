package standard_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"

	"google.golang.org/protobuf/proto"
)

// projectRoot is the folder of go.mod.
func projectRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// docs/STANDARD.md is what the schema says; -update writes it.
func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(projectRoot(t), "docs", "STANDARD.md")
	var want bytes.Buffer
	if err := standard.Markdown(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/STANDARD.md is not what the schema says: run make generate, or this test with -update")
	}
}

func TestDocumentLinksLead(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := standard.Markdown(&text); err != nil {
		t.Fatal(err)
	}
	headings := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text.String(), -1) {
		anchor := strings.ToLower(strings.ReplaceAll(m[1], " ", "-"))
		if headings[anchor] {
			t.Errorf("two headings %q", m[1])
		}
		headings[anchor] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text.String(), -1)
	if len(links) < 100 {
		t.Errorf("only %d links", len(links))
	}
	for _, m := range links {
		if !headings[m[1]] {
			t.Errorf("nothing is headed %q", m[1])
		}
	}
}

// A table's row with a stray bar would lose its last columns.
func TestDocumentTablesAreWhole(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := standard.Markdown(&text); err != nil {
		t.Fatal(err)
	}
	columns := 0
	for line := range strings.Lines(strings.ReplaceAll(text.String(), `\|`, "")) {
		bars := strings.Count(line, "|")
		switch {
		case bars == 0:
			columns = 0
		case columns == 0:
			columns = bars
		case bars != columns:
			t.Errorf("%d bars instead of %d: %s", bars, columns, line)
		}
	}
}

func TestDictionary(t *testing.T) {
	t.Parallel()
	s := standard.Dictionary()
	terms := make(map[string]*irtv1.StandardTerm)
	for _, term := range s.GetTerms() {
		if terms[term.GetTerm()] != nil {
			t.Errorf("two definitions of %s", term.GetTerm())
		}
		terms[term.GetTerm()] = term
	}
	for _, name := range []string{
		"Agency", "Practitioner", "ChildRecord", "Carer", "Child", "Involvement", "LeadProfessional", "MatchReview", "Import", "Query",
	} {
		if terms[name].GetDefinition() == "" {
			t.Errorf("%s is not defined", name)
		}
	}
	for _, name := range []string{"GetChildRequest", "SearchChildrenResponse", "FieldStandard"} {
		if terms[name] != nil {
			t.Errorf("%s is a term", name)
		}
	}
	record := terms["ChildRecord"]
	i := slices.IndexFunc(record.GetFields(), func(f *irtv1.StandardField) bool { return f.GetName() == "date_of_birth" })
	got := record.GetFields()[i]
	want := &irtv1.StandardField{
		Name: "date_of_birth", JsonName: "dateOfBirth", Type: "string",
		Definition: "Date of birth, YYYY-MM-DD. Either this or expected_date_of_birth, never both.",
		Category:   irtv1.Category_CATEGORY_BASIC, Source: "DfE CIN census: date of birth",
		Bounds: []string{"a date as YYYY-MM-DD"},
		Rules:  []string{"DATE_INVALID", "DATE_OF_BIRTH_FUTURE", "AGE_OUT_OF_RANGE", "AGE_OVER_19", "BIRTH_DATE_ONE_OF"},
	}
	if !proto.Equal(got, want) {
		t.Errorf("date_of_birth is described as\n%v, want\n%v", got, want)
	}
	if len(s.GetRules()) != len(standard.Rules()) || len(s.GetCodeLists()) != len(standard.CodeLists()) || s.GetVersion() == "" {
		t.Errorf("%d rules, %d code lists, version %q", len(s.GetRules()), len(s.GetCodeLists()), s.GetVersion())
	}
	if codes := s.GetCodeLists()[0].GetCodes(); len(codes) > 0 {
		t.Errorf("the dictionary has %d codes; they are in the code lists", len(codes))
	}
}

// What cannot be written is said, so that a full disk leaves no half document.
func TestMarkdownTellsOfItsWriter(t *testing.T) {
	t.Parallel()
	if standard.Markdown(brokenWriter{}) == nil {
		t.Error("no error of a writer that fails")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }
