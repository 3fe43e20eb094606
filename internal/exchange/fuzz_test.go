package exchange

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"irthub/internal/exchange/csvfile"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/exchange/textfile"
	"irthub/internal/standard"
)

var localIDForm = regexp.MustCompile(`^cohort-[a-z2-7]{26}$`)

// FuzzCohort holds the way from a file to records and rejects to what the rest
// relies on: records that are normalised, local ids that may stand in names, and
// rejects that name columns of the file and never repeat a value.
func FuzzCohort(f *testing.F) {
	const header = "CHILD_FIRST_NAME,CHILD_LAST_NAME,CHILD_DATE_OF_BIRTH,CHILD_ADDRESS_LINE_1,CHILD_TOWN,CHILD_NHS_NUMBER," +
		"PARENT_1_NAME,PARENT_1_RELATIONSHIP,PARENT_2_PHONE,LOCAL_ID,Notes\n"
	for _, rows := range []string{
		"Jennifer,Clarke,2010-01-01,10 Mill Lane,Norwich,999 000 0018,Sam,Dad,07700 900123,,x\n",
		"\"Required: text\",Optional,,,,,,,,,\nZo\xEB,\u0130pek,31/2/10,,,,,,,a/b,\n",
		"???,,1.1.2010,\x00,\xff,9990000018,,Childminder,,,\n,,,,,,,,,,\n",
	} {
		f.Add([]byte(header + rows))
	}
	ids := newLocalIDs([]byte("key"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := csvfile.NewReader(bytes.NewReader(file))
		first, err := r.Read()
		if err != nil {
			return
		}
		s, err := readHeader(first)
		if fault := (*textfile.FormatError)(nil); err != nil && !errors.As(err, &fault) {
			t.Fatal(err)
		}
		for err == nil {
			var row csvfile.Row
			if row, err = r.Read(); err == nil && row.Fault == nil && len(row.Cells) == s.width {
				checkRow(t, s, ids, row)
			}
		}
		if !errors.Is(err, io.EOF) && s != nil {
			t.Fatal(err)
		}
	})
}

func checkRow(t *testing.T, s *sheet, ids *localIDs, row csvfile.Row) {
	t.Helper()
	c := s.read(row.Cells)
	id := ids.of("school", c.record)
	if !localIDForm.MatchString(id) {
		t.Fatalf("local id %q", id)
	}
	before := c.record.String()
	if standard.Normalise(c.record); c.record.String() != before {
		t.Fatalf("normalised twice: %v, once %s", c.record, before)
	}
	if again := ids.of("school", c.record); again != id {
		t.Fatalf("local ids %q and %q", id, again)
	}
	faults, _ := standard.Check(c.record, standard.Options{NameOptional: true})
	for i, reject := range c.rejects(s, row.Line, faults) {
		if reject.GetColumn() == "" {
			t.Errorf("no column for a fault at %s", faults[i].Field)
		}
		if reject.GetDescription() == "" || reject.GetAction() == "" {
			t.Errorf("a reject without words: %v", reject)
		}
	}
}

// FuzzDate holds dates of files to the calendar.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"2010-01-01", "01/02/2010", "1.2.10", "31 Feb 2010", "20100101", "2010-01-01T00:00:00Z", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		iso := recordfile.ISODate(s)
		if iso == strings.TrimSpace(s) {
			return // as it was: a date already, or none
		}
		if _, err := standard.ParseDate(iso); err != nil {
			t.Errorf("%q was made %q, which is no date", s, iso)
		}
	})
}

func TestLocalIDsStandForWhoTheChildIs(t *testing.T) {
	t.Parallel()
	ids := newLocalIDs([]byte("key"))
	s, err := readHeader(csvfile.Row{Cells: []string{"CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_DATE_OF_BIRTH", "CHILD_NHS_NUMBER", "CHILD_POSTCODE"}})
	if err != nil {
		t.Fatal(err)
	}
	id := func(cells ...string) string { return ids.of("school", s.read(cells).record) }
	numbered, named := id("Zoë", "O'Neill", "2010-02-01", "9990000018", "NR1 3JU"), id("Zoë", "O'Neill", "2010-02-01", "", "NR1 3JU")
	for what, same := range map[string]bool{
		"spelling":         id("ZOE", "O’neill", "1/2/2010", "999 000 0018", "") == numbered && id("zoe", "ONeill", "1/2/2010", "", "") == named,
		"surname, number":  id("Zoë", "Clarke", "2010-02-01", "9990000018", "") == numbered,
		"another given":    id("Chloë", "O'Neill", "2010-02-01", "9990000018", "") != numbered,
		"another birthday": id("Zoë", "O'Neill", "2010-01-02", "9990000018", "") != numbered,
		"another surname":  id("Zoë", "Clarke", "2010-02-01", "", "") != named,
		"number or none":   numbered != named,
		"parts of names":   id("Zo", "eONeill", "2010-02-01", "", "") != named,
		"no letters":       id("??", "O'Neill", "2010-02-01", "", "") != id("!!", "O'Neill", "2010-02-01", "", ""),
		"another agency":   ids.of("other", s.read([]string{"Zoë", "O'Neill", "2010-02-01", "", ""}).record) != named,
		"another key":      newLocalIDs([]byte("other")).of("school", s.read([]string{"Zoë", "O'Neill", "2010-02-01", "", ""}).record) != named,
	} {
		if !same {
			t.Errorf("%s: the local id is not as it should be", what)
		}
	}
	// Records are kept under these ids: what goes into them must never change.
	if numbered != "cohort-635jwrn2pmnc673g62mknn6z3i" || named != "cohort-wl2xqs22wlhq5tdzcarhzzc4km" {
		t.Errorf("local ids %q and %q are not those of the versions before", numbered, named)
	}
}
