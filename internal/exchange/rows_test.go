package exchange_test

import (
	"fmt"
	"strings"
	"testing"
)

// What is wrong with a row is said of that row, by its number and in words that tell
// what to look for; the rows around it go in.
func TestWhatIsSaidOfBrokenRows(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const sound = "%s,Clarke,2010-01-0%d,NR1 3JU,"
	for i, tt := range []struct {
		name, row   string
		rule, words string
	}{
		{"short", "Jennifer,Clarke,2010-01-01", "IMPORT_ROW_LENGTH", "3 cells and the header 5"},
		{"long", "Jennifer,Clarke,2010-01-01,4 Quay Side,Wells,NR1 3JU,", "IMPORT_ROW_LENGTH", "7 cells and the header 5"},
		{"a mark within a cell", `Jennifer "Jen",Clarke,2010-01-01,,`, "IMPORT_ROW_QUOTES", "within a cell"},
		{"something after a mark", `"Jen" Jennifer,Clarke,2010-01-01,,`, "IMPORT_ROW_QUOTES", "after the one that closes it"},
		{"never closed", `"Jennifer,Clarke,2010-01-01,,`, "IMPORT_ROW_QUOTES", "nothing closes it"},
		{"a null", "Jenni\x00fer,Clarke,2010-01-01,,", "STRING_PATTERN", ""},
		{"10 MB", strings.Repeat("Jennifer", 10<<17) + ",Clarke,2010-01-01,,", "IMPORT_ROW_TOO_LONG", "64 KiB"},
		{"10 MB between marks", `"` + strings.Repeat("Jennifer", 10<<17) + `",Clarke,2010-01-01,,`, "IMPORT_ROW_TOO_LONG", "64 KiB"},
		{"300 cells", strings.Repeat("a,", 300), "IMPORT_ROW_TOO_WIDE", "200 cells"},
		// A mark further down that would close the cell does not take in the rows between.
		{"closed further down", "Jennifer,\"Clarke,2010-01-01,,\nBen,Quill,2011-01-01,,\nAda,Quill\",2012-01-01,,", "IMPORT_ROW_QUOTES", "nothing closes it"},
	} {
		given := fmt.Sprintf("N%c", 'a'+i)
		lines := []string{header, fmt.Sprintf(sound, given, 1)}
		for len(tt.row) > 0 && strings.Contains(tt.row, "\x00") && len(lines) < 3000 { // beyond where a file is told from its beginning
			lines = append(lines, fmt.Sprintf(sound, given, 1))
		}
		lines = append(lines, tt.row, fmt.Sprintf(sound, given, 2))
		done := h.send(cohort, file(lines...))
		rejects := h.rejects(done.GetName())
		if len(rejects) == 0 {
			t.Errorf("%s: nothing is rejected", tt.name)
			continue
		}
		first := rejects[0]
		if int(first.GetRow()) != len(lines)-1 || first.GetRuleId() != tt.rule || !strings.Contains(first.GetDescription(), tt.words) || first.GetAction() == "" {
			t.Errorf("%s: %v", tt.name, first)
		}
		if n := h.count(fmt.Sprintf(`SELECT count(*) FROM child_records WHERE given_name = '%s'`, given)); n != 2 {
			t.Errorf("%s: %d of the rows around it are in", tt.name, n)
		}
	}
	if n := h.count(`SELECT count(*) FROM child_records WHERE given_name = 'Ben'`); n != 1 {
		t.Errorf("%d of the rows that a mark would have taken in", n)
	}
}
