package gateway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A command of the documents that sends JSON says so: curl calls it a form, which
// is refused. Commands with … are cut short.
func TestDocumentedCommandsSayWhatTheySend(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
			command := (strings.HasPrefix(line, "curl ") || strings.Contains(line, " curl ") || strings.Contains(line, "$(curl ")) && strings.Contains(line, " -d ")
			if !command || strings.Contains(line, "…") {
				continue
			}
			found++
			if !strings.Contains(line, "Content-Type: application/json") {
				t.Errorf("%s: %s", filepath.Base(file), line)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d commands with a body were found", found)
	}
}
