package exchange_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestFilesOfSchools imports every file that schools were seen to send into a hub
// of its own, three times: a rehearsal, for real, and again.
func TestFilesOfSchools(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob(filepath.Join(sharedData(t), "mavis", "*", "*.csv"))
	if len(files) == 0 {
		t.Skip("there is no ../shared/data/mavis beside the project")
	}
	for _, path := range files {
		kind := filepath.Base(filepath.Dir(path))
		name := kind + "-" + strings.TrimSuffix(filepath.Base(path), ".csv")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, filepath.Join("testdata", name+".golden"), imported(t, shared(t, filepath.Join("mavis", kind, filepath.Base(path)))))
		})
	}
}

// imported tells what became of a file.
func imported(t *testing.T, file []byte) string {
	t.Helper()
	h := newHub(t)
	rehearsal := h.header(cohort)
	rehearsal.ValidateOnly = true
	var b strings.Builder
	done, err := h.upload(rehearsal, file)
	if err != nil {
		fmt.Fprintf(&b, "refused: %s\n%v\n", strings.Join(brokenRules(err), " "), err)
		return b.String()
	}
	if n := h.count(`SELECT count(*) FROM child_records`); n != 0 {
		t.Errorf("the rehearsal wrote %d records", n)
	}
	rehearsed := told(h, done)
	first := h.send(cohort, file)
	if got := told(h, first); got != rehearsed {
		t.Errorf("the rehearsal said\n%s\nand the import\n%s", rehearsed, got)
	}
	b.WriteString(rehearsed)
	fmt.Fprintf(&b, "children %d\n", h.count(`SELECT count(*) FROM children`))
	again := h.send(cohort, file)
	if again.GetAccepted() != 0 || again.GetUnchanged() != first.GetAccepted()+first.GetUnchanged() || again.GetRejected() != first.GetRejected() {
		t.Errorf("sent again: %v after %v", again, first)
	}
	return b.String()
}

func told(h *hub, done *irtv1.Import) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rows %d, accepted %d, unchanged %d, rejected %d, queries %d\nencoding %s\nignored %s\n",
		done.GetRows(), done.GetAccepted(), done.GetUnchanged(), done.GetRejected(), done.GetQueries(),
		done.GetEncoding(), strings.Join(done.GetIgnoredColumns(), " "))
	for _, r := range h.rejects(done.GetName()) {
		fmt.Fprintf(&b, "%d %s %s: %s %s\n", r.GetRow(), r.GetColumn(), r.GetRuleId(), r.GetDescription(), r.GetAction())
	}
	return b.String()
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v: run the test with -update and look at what it writes", err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
