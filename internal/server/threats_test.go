package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/THREATS.md and docs/OPERATIONS.md name is in the package it
// says, so that no claim outlives its test.
func TestThreatsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	for doc, least := range map[string]int{"THREATS.md": 20, "OPERATIONS.md": 10} {
		text, err := os.ReadFile("../../docs/" + doc)
		if err != nil {
			t.Fatal(err)
		}
		if n := checkNamed(t, string(text)); n < least {
			t.Errorf("only %d tests are named in %s", n, doc)
		}
	}
}

// checkNamed looks for the tests that a document names, and says how many it does.
func checkNamed(t *testing.T, doc string) (checked int) {
	t.Helper()
	named := regexp.MustCompile("`([^`]+)`")
	test := regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w+$`)
	for line := range strings.Lines(doc) {
		source := ""
		for _, m := range named.FindAllStringSubmatch(line, -1) {
			switch {
			case strings.HasPrefix(m[1], "internal/") && !strings.Contains(m[1], "."), strings.HasPrefix(m[1], "cmd/"):
				source = testsOf(t, m[1])
			case test.MatchString(m[1]):
				checked++
				if !strings.Contains(source, "\nfunc "+m[1]+"(") {
					t.Errorf("there is no %s where this says so: %s", m[1], line)
				}
			}
		}
	}
	return checked
}

// testsOf is the text of a package's tests.
func testsOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
