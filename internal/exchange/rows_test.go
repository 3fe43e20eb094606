package exchange_test

import (
	"encoding/csv"
	"fmt"
	"slices"
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
		{"a cell of 70 KB", "Jennifer,Clarke,2010-01-01,," + strings.Repeat("9", 70<<10), "IMPORT_ROW_TOO_LONG", "64 KiB"},
		{"300 cells", strings.Repeat("a,", 300), "IMPORT_ROW_TOO_WIDE", "200 cells"},
		// A mark further down that would close the cell does not take in the rows between.
		{"closed further down", "Jennifer,\"Clarke,2010-01-01,,\nBen,Quill,2011-01-01,,\nAda,Quill\",2012-01-01,,", "IMPORT_ROW_QUOTES", "nothing closes it"},
	} {
		given := fmt.Sprintf("N%c", 'a'+i)
		lines := []string{header, fmt.Sprintf(sound, given, 1)}
		for len(tt.row) > 0 && strings.Contains(tt.row, "\x00") && len(lines) < 3000 { // beyond where a file is told from its beginning
			lines = append(lines, fmt.Sprintf(sound, given, 1))
		}
		first, _, _ := strings.Cut(tt.row, "\n")
		lines = append(lines, tt.row, fmt.Sprintf(sound, given, 2))
		done := h.send(cohort, file(lines...))
		rejects := h.rejects(done.GetName())
		if len(rejects) == 0 {
			t.Errorf("%s: nothing is rejected", tt.name)
			continue
		}
		reject := rejects[0]
		if int(reject.GetRow()) != len(lines)-1 || reject.GetRuleId() != tt.rule || !strings.Contains(reject.GetDescription(), tt.words) || reject.GetAction() == "" {
			t.Errorf("%s: %v", tt.name, reject)
		}
		if len(first) > 64<<10 {
			first = first[:1<<10] + "…"
		}
		back := h.downloaded(done.GetName())
		if original := back[1][5]; len(back[1]) != 11 || strings.HasPrefix(tt.rule, "IMPORT_ROW") != (original == first) {
			t.Errorf("%s comes back as %.99q", tt.name, back[1])
		}
		if n := h.count(fmt.Sprintf(`SELECT count(*) FROM child_records WHERE given_name = '%s'`, given)); n != 2 {
			t.Errorf("%s: %d of the rows around it are in", tt.name, n)
		}
	}
	if n := h.count(`SELECT count(*) FROM child_records WHERE given_name = 'Ben'`); n != 1 {
		t.Errorf("%d of the rows that a mark would have taken in", n)
	}
}

// downloaded are the rejects of an import as a file, its header first.
func (h *hub) downloaded(name string) [][]string {
	h.t.Helper()
	text, err := h.download(name)
	if err != nil {
		h.t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll() // which has as many cells in every row
	if err != nil {
		h.t.Fatalf("%v: %s", err, text)
	}
	return rows
}

// Rows that cannot be taken apart come back as they were sent, in the encoding of the
// file, and so do those of a file of rejects that was sent without correcting all of it.
// The columns that such a file has added are passed over.
func TestRejectsOfRejects(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.send(jsonRecords, file(rosalind))
	done := h.send(ownConsents, file(consentHeader, "a-1,p-1,SHARING,CONTACT,,,Zo\xEB \"Jo\",,CHILD,2026-01-05,", "a-2,p-1,SHARING", "a-3,p-1,NONE,,,,,,CHILD,2026-01-05,"))
	columns := strings.Split("row,column,rule,description,action,original,"+consentHeader, ",")
	for round := range 3 {
		back := h.downloaded(done.GetName())
		if !slices.Equal(back[0], columns) {
			t.Fatalf("round %d: %q", round, back[0])
		}
		first, last := back[1], back[len(back)-1]
		if round == 0 && (first[5] != "a-1,p-1,SHARING,CONTACT,,,Zoë \"Jo\",,CHILD,2026-01-05," || strings.Join(first[6:], "") != "" || back[2][5] != "a-2,p-1,SHARING") {
			t.Errorf("as they were sent: %q", back)
		}
		if round > 0 && (first[5] != "" || first[6] != "a-1") || last[5] != "" || last[6] != "a-3" || last[8] != "NONE" {
			t.Errorf("round %d: %q and %q", round, first, last)
		}
		first[6], back[2][6] = "a-1", "a-2" // and what else is missing is not put in
		var again strings.Builder
		if err := csv.NewWriter(&again).WriteAll([][]string{back[0], first, back[2], last}); err != nil {
			t.Fatal(err)
		}
		if done = h.send(ownConsents, []byte(again.String())); done.GetRejected() == 0 || done.GetAccepted() != 0 || len(done.GetIgnoredColumns()) != 0 {
			t.Fatalf("round %d: %v", round, done)
		}
	}
}
