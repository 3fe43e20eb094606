package dataset

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"irthub/internal/match"
)

func TestDates(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2015-04-03": "2015-04-03", "20150403": "2015-04-03", "3/4/2015": "2015-04-03", "03.04.2015": "2015-04-03",
		"3-4-15": "2015-04-03", "1/2/98": "1998-02-01", "2015/4/3": "2015-04-03", "3 April 2015": "2015-04-03", "03-Apr-2015": "2015-04-03",
		"2015-04-03T00:00:00Z": "2015-04-03", "03/04/2015 00:00": "2015-04-03", "2015-04": "2015-04", "2015": "2015",
		"": "", "unknown": "", "12": "", "1/2/3/4": "",
	} {
		if got := dayFirst.date(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := monthFirst.date("3/4/2015"); got != "2015-03-04" {
		t.Errorf("month first: %q", got)
	}
	if orderOf([]string{"3/4/2015", "3/25/2015", "2015-04-03"}) != monthFirst || orderOf([]string{"3/4/2015", "25/3/2015"}) != dayFirst {
		t.Error("the order of day and month was read wrongly")
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	mapping, err := ParseMapping("givenName=first, familyName=last,dateOfBirth=born,address=no+street,telephone=home,telephone=mobile,other=town")
	if err != nil {
		t.Fatal(err)
	}
	text := "\ufeffid; first ;last;born;no;street;home;mobile;town\r\n" +
		"rec-7-a; Zoë;Thornley;3/4/2015;12;Mill Lane;;07700900123;Dereham\r\n" +
		";;;;;;;;\r\n" +
		"rec-7-b;Zoe\r\n"
	data, err := Read(strings.NewReader(text), Reading{Map: mapping, Truth: "id", TruthPattern: regexp.MustCompile(`rec-(\d+)`)})
	if err != nil {
		t.Fatal(err)
	}
	want := &Data{
		People: []match.Person{
			{
				GivenName: "Zoë", FamilyName: "Thornley", DateOfBirth: "2015-04-03", AddressLines: []string{"12 Mill Lane"},
				Telephones: []string{"07700900123"}, Other: "Dereham",
			},
			{GivenName: "Zoe"},
		},
		Truth: []string{"7", "7"}, Lines: []int{2, 4},
	}
	if !reflect.DeepEqual(data, want) {
		t.Errorf("got  %+v\nwant %+v", data, want)
	}
}

// A file whose only column of names holds whole ones has family names all the same.
func TestWholeNames(t *testing.T) {
	t.Parallel()
	for mapping, want := range map[string][]match.Person{
		"givenName=name":                {{GivenName: "Zoë", MiddleNames: "Anne Marie", FamilyName: "Thornley"}, {GivenName: "Ann"}, {}},
		"givenName=name,familyName=own": {{GivenName: "Zoë Anne  Marie Thornley", FamilyName: "Hill"}, {GivenName: "Ann"}, {}},
	} {
		m, err := ParseMapping(mapping)
		if err != nil {
			t.Fatal(err)
		}
		data, err := Read(strings.NewReader("id,name,own\n1,Zoë Anne  Marie Thornley,Hill\n2,Ann,\n3,,\n"), Reading{Map: m})
		if err != nil || !reflect.DeepEqual(data.People, want) {
			t.Errorf("%s: %+v, %v", mapping, data, err)
		}
	}
}

func TestReadOtherEncodings(t *testing.T) {
	t.Parallel()
	mapping, _ := ParseMapping("givenName=first")
	data, err := Read(strings.NewReader("id,first\n1,Zo\xeb\n,Ann\n,Ann\n"), Reading{Map: mapping, Truth: "id"})
	if err != nil || data.People[0].GivenName != "Zoë" {
		t.Errorf("Windows-1252: %+v, %v", data, err)
	}
	if data.Truth[1] == data.Truth[2] {
		t.Error("two records of unknown truth count as one child")
	}
}

// The same rows in the forms in which programs write them are the same records.
func TestReadForms(t *testing.T) {
	t.Parallel()
	mapping, err := ParseMapping("givenName=first,familyName=last,address=home,identifier=number,postcode=code")
	if err != nil {
		t.Fatal(err)
	}
	how := Reading{Map: mapping, Truth: "id"}
	plain := "id,first,last,home,number,code\n1,Zoe,Fox,,77,NR1\n,Ann,Hill,4 Sea View,,NR2\n"
	want, err := Read(strings.NewReader(plain), how)
	if err != nil {
		t.Fatal(err)
	}
	utf16 := []byte{0xff, 0xfe}
	for _, c := range plain {
		utf16 = append(utf16, byte(c), 0)
	}
	for name, text := range map[string]string{
		"tabs":             strings.ReplaceAll(plain, ",", "\t"),
		"bars":             strings.ReplaceAll(plain, ",", "|"),
		"CRLF":             strings.ReplaceAll(plain, "\n", "\r\n"),
		"CR":               strings.ReplaceAll(plain, "\n", "\r"),
		"UTF-16":           string(utf16),
		"words for nobody": strings.ReplaceAll(strings.ReplaceAll(plain, ",,", ",NULL,"), "\n,", "\nN/A,"),
		"other columns":    "home2,home2," + strings.NewReplacer("\n1,", "\nx,y,1,", "\n,", "\nx,y,,").Replace(plain),
	} {
		if got, err := Read(strings.NewReader(text), how); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v, error %v", name, got, want, err)
		}
	}
	if tabs, err := Read(strings.NewReader("sep=\t\r\n"+strings.ReplaceAll(plain, ",", "\t")), how); err != nil || len(tabs.People) == 0 {
		t.Errorf("sep= and a tab: %+v, error %v", tabs, err)
	}
	got, err := Read(strings.NewReader("sep=;\n"+strings.ReplaceAll(plain, ",", ";")), how)
	if err != nil || !reflect.DeepEqual(got.People, want.People) || !reflect.DeepEqual(got.Lines, []int{3, 4}) {
		t.Errorf("sep=: %+v, error %v", got, err)
	}
}

// In a column of names a word for nothing is a name where it is written like the names
// there and seldom stands there; otherwise, and in all other columns, it is nothing.
func TestWordsForNothingThatAreNames(t *testing.T) {
	t.Parallel()
	const family, given = "familyName=last", "givenName=last"
	for name, c := range map[string]struct {
		mapping, word, other string // other is what else stands in the column
		times                int    // of 400 rows
		kept                 bool
	}{
		"a surname":                {family, "Null", "Thornley", 2, true},
		"a given name":             {given, "Na", "Grace", 4, true},
		"a grandmother's":          {"middleName=last", "Nan", "Ann", 1, true},
		"a former name":            {"formerFamilyName=last", "None", "Hill", 1, true},
		"in capitals, as all":      {family, "NULL", "THORNLEY", 2, true},
		"in small letters, as all": {family, "null", "thornley", 2, true},
		"written by a program":     {family, "NULL", "Thornley", 2, false},
		"by another":               {given, "NaN", "Grace", 1, false},
		"by one that has small":    {given, "null", "Grace", 1, false},
		"too often":                {family, "None", "Thornley", 5, false},
		"too often, as all":        {family, "NULL", "THORNLEY", 300, false},
		"no name of anybody's":     {family, "N/A", "THORNLEY", 1, false},
		"a dash":                   {family, "-", "Thornley", 1, false},
		"in a column of no names":  {"other=last", "None", "Norwich", 1, false},
		"in a column of addresses": {"address=last", "Null", "12 Mill Lane", 1, false},
		"in one of names as well":  {"other=last,familyName=last", "Null", "Thornley", 1, true},
	} {
		mapping, err := ParseMapping("upn=id," + c.mapping)
		if err != nil {
			t.Fatal(err)
		}
		text := "id,last\n" + strings.Repeat("x,"+c.other+"\n", 400-c.times) + strings.Repeat("x,"+c.word+"\n", c.times)
		data, err := Read(strings.NewReader(text), Reading{Map: mapping})
		if err != nil || len(data.People) != 400 {
			t.Fatalf("%s: %d records, error %v", name, len(data.People), err)
		}
		want := match.Person{UPN: "x"}
		if c.kept {
			for _, r := range mapping {
				r.set(&want, c.word, dayFirst)
			}
			want.UPN = "x"
		}
		if got := data.People[399]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	// Of a name in two columns nothing is lost, and a record that says nothing else is one.
	mapping, _ := ParseMapping("givenName=first+last")
	data, err := Read(strings.NewReader("first,last\nNa,Li\nGrace,NULL\n,Null\nNULL,NULL\nAnn,Hill\nZoe,Fox\n"), Reading{Map: mapping})
	want := []match.Person{{GivenName: "Na", FamilyName: "Li"}, {GivenName: "Grace"}, {GivenName: "Null"}, {GivenName: "Ann", FamilyName: "Hill"}, {GivenName: "Zoe", FamilyName: "Fox"}}
	if err != nil || !reflect.DeepEqual(data.People, want) || !reflect.DeepEqual(data.Lines, []int{2, 3, 4, 6, 7}) {
		t.Errorf("%+v of lines %v, error %v", data.People, data.Lines, err)
	}
}

func TestReadQuotationMarks(t *testing.T) {
	t.Parallel()
	mapping, _ := ParseMapping("givenName=first,address=home")
	data, err := Read(strings.NewReader("first,home\n\"Ann\",\"4 Sea View\nNorwich\"\n Zoe, \"1 Hill\"\n"), Reading{Map: mapping})
	if err != nil || len(data.People) != 2 || data.People[0].AddressLines[0] != "4 Sea View\nNorwich" || data.People[1].AddressLines[0] != "1 Hill" {
		t.Errorf("%+v, %v", data, err)
	}
	data, err = Read(strings.NewReader("first,home\nAnn,The \"Old\" Mill\nZoe,1 Hill\n"), Reading{Map: mapping})
	if err != nil || len(data.People) != 2 || data.People[0].AddressLines[0] != `The "Old" Mill` {
		t.Errorf("inside a value: %+v, %v", data, err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	mapping, _ := ParseMapping("givenName=first")
	for name, c := range map[string]struct {
		text string
		how  Reading
		says string
	}{
		"empty":         {"", Reading{Map: mapping}, "empty"},
		"no column":     {"name\nAnn\n", Reading{Map: mapping}, `no column "first"; it has name`},
		"no truth":      {"first\nAnn\n", Reading{Map: mapping, Truth: "id"}, `no column "id"`},
		"odd truth":     {"first,id\nAnn,secret\n", Reading{Map: mapping, Truth: "id", TruthPattern: regexp.MustCompile(`(\d)`)}, "line 2"},
		"quotes astray": {"first\n\"Ann", Reading{Map: mapping}, ""},
		"never closed":  {"first,id\n\"secret,1\nZoe,2\nAnn,3\n", Reading{Map: mapping}, "line 2: quotation marks"},
		"behind a mark": {"first,id\n\"secret\" ,\"1\"\n", Reading{Map: mapping}, "line 2: quotation marks"},
		"header alone":  {"first,id\n", Reading{Map: mapping}, "no records"},
		"two columns":   {"first,id,first\nAnn,1,secret\n", Reading{Map: mapping}, `2 columns "first"`},
		"two of truth":  {"first,id,id\nAnn,1,2\n", Reading{Map: mapping, Truth: "id"}, `2 columns "id"`},
	} {
		_, err := Read(strings.NewReader(c.text), c.how)
		if c.says == "" {
			continue // read or not, without a panic
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want it to say %q", name, err, c.says)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds a value: %v", name, err)
		}
	}
}

func TestParseMappingRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "givenName", "givenName=", "shoeSize=x", "upn=a,upn=b", ",", "=x"} {
		if m, err := ParseMapping(s); err == nil {
			t.Errorf("%q was read as %+v", s, m)
		}
	}
	for _, f := range Fields() {
		m, err := ParseMapping(f + "=x")
		if err != nil {
			t.Fatal(err)
		}
		var p match.Person
		if m[0].set(&p, "2015", dayFirst); reflect.DeepEqual(p, match.Person{}) {
			t.Errorf("%s goes nowhere", f)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("id,first,born\n1,Ann,3/4/2015\n", "givenName=first,dateOfBirth=born")
	f.Add("\ufeff\"id\";first\n\x00;\xff\n", "givenName=first")
	f.Fuzz(func(t *testing.T, text, mapping string) {
		m, err := ParseMapping(mapping)
		if err != nil {
			return
		}
		data, err := Read(strings.NewReader(text), Reading{Map: m})
		if err == nil && (len(data.People) != len(data.Lines) || len(data.Features()) != len(data.People)) {
			t.Error("records and lines differ in number")
		}
	})
}

func FuzzDate(f *testing.F) {
	f.Add("3/4/2015")
	f.Add("2 Jan 06")
	f.Fuzz(func(t *testing.T, s string) {
		for _, o := range []dateOrder{dayFirst, monthFirst} {
			if d := o.date(s); len(d) > 0 && (d[0] < '0' || d[0] > '9') {
				t.Errorf("%q became %q", s, d)
			}
		}
	})
}
