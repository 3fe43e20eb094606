package csvfile_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"irthub/internal/exchange/csvfile"
	"irthub/internal/exchange/textfile"
)

// read is a file as it is understood: "line: a|b" for a row, "line: RULE_ID" for
// one that cannot be read.
func read(t *testing.T, file io.Reader) (rows []string, encoding string, err error) {
	t.Helper()
	r := csvfile.NewReader(file)
	for {
		row, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return rows, r.Encoding(), nil
		case err != nil:
			return rows, r.Encoding(), err
		case row.Fault != nil:
			rows = append(rows, number(row.Line)+row.Fault.RuleID)
		default:
			rows = append(rows, number(row.Line)+strings.Join(row.Cells, "|"))
		}
	}
}

func number(n int32) string { return string('0'+n) + ": " }

func TestRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", csvfile.MaxRow)
	wide := strings.Repeat(",", csvfile.MaxColumns)
	tests := map[string]struct {
		file     string
		want     []string
		encoding string
	}{
		"plain":                        {"a,b\n1,2\n", []string{"1: a|b", "2: 1|2"}, "UTF-8"},
		"no line break at the end":     {"a,b\n1,2", []string{"1: a|b", "2: 1|2"}, "UTF-8"},
		"line breaks of Windows":       {"a,b\r\n1,2\r\n", []string{"1: a|b", "2: 1|2"}, "UTF-8"},
		"blank rows":                   {"a,b\n\n , \n,,,\n\r\n1,2\n\n", []string{"1: a|b", "6: 1|2"}, "UTF-8"},
		"ragged rows are given":        {"a,b\n1\n1,2,3\n", []string{"1: a|b", "2: 1", "3: 1|2|3"}, "UTF-8"},
		"byte order mark":              {"\xEF\xBB\xBFa,b\n", []string{"1: a|b"}, "UTF-8"},
		"byte order mark, quoted":      {"\xEF\xBB\xBF\"a\",b\n", []string{"1: a|b"}, "UTF-8"},
		"UTF-8":                        {"Zoë,Łucja\n", []string{"1: Zoë|Łucja"}, "UTF-8"},
		"ISO-8859-1":                   {"Zo\xEB,P\xE9rez\n", []string{"1: Zoë|Pérez"}, "ISO-8859-1"},
		"Windows-1252":                 {"O\x92Neill,Zo\xEB\n", []string{"1: O’Neill|Zoë"}, "Windows-1252"},
		"UTF-8 with a damaged letter":  {"Zoë,Łucja\nP\xE9rez,Zoë\n", []string{"1: Zoë|Łucja", "2: P\xE9rez|Zoë"}, "UTF-8"},
		"quoted":                       {"\"a\",\"b,c\",\"say \"\"hi\"\"\"\n", []string{`1: a|b,c|say "hi"`}, "UTF-8"},
		"space before a mark":          {"a, \"b,c\"\n", []string{"1: a|b,c"}, "UTF-8"},
		"line break in a cell":         {"a,\"b\nc\"\n1,2\n", []string{"1: a|b\nc", "3: 1|2"}, "UTF-8"},
		"mark within a cell":           {"a,b\nx \"y\" z,2\n3,4\n", []string{"1: a|b", "2: IMPORT_ROW_QUOTES", "3: 3|4"}, "UTF-8"},
		"text after a mark":            {"a,b\n\"x\"y,2\n3,4\n", []string{"1: a|b", "2: IMPORT_ROW_QUOTES", "3: 3|4"}, "UTF-8"},
		"cell never closed":            {"a,b\n\"x,2\n3,4\n5,6\n", []string{"1: a|b", "2: IMPORT_ROW_QUOTES", "3: 3|4", "4: 5|6"}, "UTF-8"},
		"never closed, then others":    {"a,b\n\"x,2\n3,\"4\"\n5,6\n", []string{"1: a|b", "2: IMPORT_ROW_QUOTES", "3: 3|4", "4: 5|6"}, "UTF-8"},
		"never closed in the last row": {"a,b\n1,\"x", []string{"1: a|b", "2: IMPORT_ROW_QUOTES"}, "UTF-8"},
		"row too long":                 {"a,b\n" + long + ",2\n3,4\n", []string{"1: a|b", "2: IMPORT_ROW_TOO_LONG", "3: 3|4"}, "UTF-8"},
		"row much too long":            {"a,b\n" + strings.Repeat(long, 9) + "\n3,4\n", []string{"1: a|b", "2: IMPORT_ROW_TOO_LONG", "3: 3|4"}, "UTF-8"},
		"quoted row too long":          {"a,b\n\"" + strings.Repeat("x\n", 40_000) + "\"\n", nil, "UTF-8"},
		"row too wide":                 {"a,b\n" + wide + "x\n3,4\n", []string{"1: a|b", "2: IMPORT_ROW_TOO_WIDE", "3: 3|4"}, "UTF-8"},
		"letters after 64 KiB":         {"a,b\n" + strings.Repeat("1,2\n", 20_000) + "Zo\xEB,1\n", nil, "ISO-8859-1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, encoding, err := read(t, strings.NewReader(tt.file))
			if err != nil || encoding != tt.encoding || tt.want != nil && !slices.Equal(got, tt.want) {
				t.Errorf("read %q as %s, error %v; want %q as %s", got, encoding, err, tt.want, tt.encoding)
			}
			slowly, _, err := read(t, iotest.OneByteReader(strings.NewReader(tt.file)))
			if err != nil || !slices.Equal(slowly, got) {
				t.Errorf("byte by byte: %q, error %v; want %q", slowly, err, got)
			}
		})
	}
}

func TestQuotedRowThatIsTooLongLosesItsFirstLineOnly(t *testing.T) {
	t.Parallel()
	got, _, err := read(t, strings.NewReader("a,b\n\"x,2\n"+strings.Repeat("3,4\n", 20_000)))
	if err != nil || len(got) != 20_002 || got[1] != "2: IMPORT_ROW_QUOTES" || got[2] != "3: 3|4" {
		t.Errorf("%d rows, beginning %q, error %v", len(got), got[:min(4, len(got))], err)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, rule string }{
		"null character":           {"a,b\n1,2\x00\n3,4\n", "IMPORT_NOT_CSV"},
		"line breaks of Macintosh": {"a,b\r1,2\r3,4\r", "IMPORT_LINE_BREAKS"},
	} {
		_, _, err := read(t, strings.NewReader(tt.file))
		if f := (*textfile.FormatError)(nil); !errors.As(err, &f) || f.RuleID != tt.rule || f.Action == "" {
			t.Errorf("%s: error %v, want %s", name, err, tt.rule)
		}
	}
}

func TestBrokenUploadIsNotTakenForTheEnd(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken off")
	rows, _, err := read(t, io.MultiReader(strings.NewReader("a,b\n"+strings.Repeat("1,2\n", 50_000)+"3,"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("error %v after %d rows", err, len(rows))
	}
	if last := rows[len(rows)-1]; !strings.HasSuffix(last, "1|2") {
		t.Errorf("the last row is %q", last)
	}
}

// FuzzRead holds the reader to what every caller relies on, and what it makes of
// files without damage to what encoding/csv does.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"", "a,b\n1,2\n", "\xEF\xBB\xBFa\r\n\"b\r\nc\",d", "this;csv\nis,,,\n\"malformed\n", "a, \"b\"\n\"\"\n", "Zo\xEB,\x92\n",
		"\"a\"\"b\",\"\nc\"d\n", ",,\n \n\x00", "\xFF\xFEa\x00", "a\rb\rc", " \u00a0\"x\"\n", "\"\r\r\n\",\"\"\r\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r := csvfile.NewReader(bytes.NewReader(file))
		var cells [][]string
		damaged, last := false, int32(0)
		for {
			row, err := r.Read()
			if err != nil {
				if f := (*textfile.FormatError)(nil); !errors.Is(err, io.EOF) && !errors.As(err, &f) {
					t.Fatalf("error %v", err)
				}
				damaged = damaged || !errors.Is(err, io.EOF)
				break
			}
			if row.Line <= last || row.Line > int32(bytes.Count(file, []byte{'\n'}))+1 {
				t.Fatalf("a row at line %d after one at line %d", row.Line, last)
			}
			if last = row.Line; row.Fault != nil {
				damaged = true
				continue
			}
			if len(row.Cells) > csvfile.MaxColumns || len(strings.Join(row.Cells, "")) > 3*csvfile.MaxRow {
				t.Fatalf("a row of %d cells", len(row.Cells))
			}
			cells = append(cells, slices.Clone(row.Cells))
		}
		if want, ok := standardCSV(file); ok && !damaged && r.Encoding() == "UTF-8" && !slices.EqualFunc(cells, want, slices.Equal) {
			t.Errorf("read %q, encoding/csv %q", cells, want)
		}
	})
}

func standardCSV(file []byte) (rows [][]string, ok bool) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\xEF\xBB\xBF"))))
	r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
	all, err := r.ReadAll()
	if err != nil {
		return nil, false
	}
	for _, cells := range all {
		if strings.TrimSpace(strings.Join(cells, "")) != "" {
			rows = append(rows, cells)
		}
	}
	return rows, true
}

func BenchmarkRead(b *testing.B) {
	file := []byte("CHILD_FIRST_NAME,CHILD_LAST_NAME\n" + strings.Repeat("Jennifer,Clarke,2010-01-01,10 Mill Lane,Norwich,NR1 3JU,9990000018\n", 10_000))
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		r := csvfile.NewReader(bytes.NewReader(file))
		for {
			if _, err := r.Read(); err != nil {
				break
			}
		}
	}
}

// A mark that opens a cell by mistake costs its own line, also where another further
// down closes the cell; a row that is short or long is given as it is, and so is a cell
// of several lines.
func TestRowsThatAMarkWouldTakeInAreNotLost(t *testing.T) {
	t.Parallel()
	const file = "a,b,c,d\n1,\"5 High St,x,y\n2,y,z,\n3,y,z,Ann\"\n4\n5,v,w,x,y\n6,\"two\nlines\",z,\"2, Mill Lane,\nWells\"\n7,\"Rec,x,y\n8,Lea\",x,y\n"
	for _, slow := range []bool{false, true} {
		var in io.Reader = strings.NewReader(file)
		if slow {
			in = iotest.OneByteReader(in)
		}
		r := csvfile.NewReader(in)
		r.Expect(4)
		var got []string
		for {
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(row.Cells, "|")
			if row.Fault != nil {
				text = row.Fault.RuleID + " " + string(r.Raw())
			}
			got = append(got, number(row.Line)+text)
		}
		want := []string{
			"1: a|b|c|d", "2: IMPORT_ROW_QUOTES 1,\"5 High St,x,y\n", "3: 2|y|z|", "4: IMPORT_ROW_QUOTES 3,y,z,Ann\"\n",
			"5: 4", "6: 5|v|w|x|y", "7: 6|two\nlines|z|2, Mill Lane,\nWells",
			":: IMPORT_ROW_QUOTES 7,\"Rec,x,y\n", ";: IMPORT_ROW_QUOTES 8,Lea\",x,y\n",
		}
		if !slices.Equal(got, want) || r.Offset() != int64(len(file)) {
			t.Errorf("read %q to %d", got, r.Offset())
		}
	}
}
