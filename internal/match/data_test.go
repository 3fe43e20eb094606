package match

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dataFile finds a file of the public linkage data beside the project, or
// skips.
func dataFile(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir = filepath.Dir(dir); dir == "/" {
			tb.Fatal("no go.mod above the test")
		}
	}
	path := filepath.Join(dir, "..", "shared", "data", "matching", name)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("needs the public data set %s", path)
	}
	return path
}

// readRows reads a CSV file as rows by column name.
func readRows(tb testing.TB, name string) []map[string]string {
	tb.Helper()
	file, err := os.Open(dataFile(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	r := csv.NewReader(file)
	r.TrimLeadingSpace = true
	all, err := r.ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	rows := make([]map[string]string, 0, len(all)-1)
	for _, line := range all[1:] {
		row := make(map[string]string, len(line))
		for i, v := range line {
			row[strings.TrimSpace(all[0][i])] = strings.TrimSpace(v)
		}
		rows = append(rows, row)
	}
	return rows
}

func list(values ...string) []string {
	var out []string
	for _, v := range values {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

var febrlNumber = regexp.MustCompile(`rec-(\d+)-`)

func isoDate(s string) string {
	if len(s) != 8 {
		return ""
	}
	return s[:4] + "-" + s[4:6] + "-" + s[6:]
}

func febrl(row map[string]string) (Person, string) {
	return Person{
		GivenName: row["given_name"], FamilyName: row["surname"], DateOfBirth: isoDate(row["date_of_birth"]),
		Postcode: row["postcode"], AddressLines: list(row["street_number"]+" "+row["address_1"], row["suburb"]),
		Identifier: row["soc_sec_id"],
	}, febrlNumber.FindStringSubmatch(row["rec_id"])[1]
}

func febrlWithoutNumber(row map[string]string) (Person, string) {
	p, truth := febrl(row)
	p.Identifier = ""
	return p, truth
}

func febrlNames(row map[string]string) (Person, string) {
	_, truth := febrl(row)
	return Person{GivenName: row["given_name"], FamilyName: row["surname"], DateOfBirth: isoDate(row["date_of_birth"])}, truth
}

func fake1000(row map[string]string) (Person, string) {
	return Person{
		GivenName: row["first_name"], FamilyName: row["surname"], DateOfBirth: row["dob"],
		Emails: list(row["email"]), Other: row["city"],
	}, row["cluster"]
}

// historicalWith reads the columns given as other text.
func historicalWith(columns ...string) func(map[string]string) (Person, string) {
	return func(row map[string]string) (Person, string) {
		var other []string
		for _, c := range columns {
			other = append(other, list(row[c])...)
		}
		return Person{
			GivenName: row["first_name"], FamilyName: row["surname"], DateOfBirth: row["dob"],
			Postcode: row["postcode_fake"], Sex: row["gender"], Other: strings.Join(other, " "),
		}, row["cluster"]
	}
}

func ukkids(row map[string]string) (Person, string) {
	return Person{
		GivenName: row["given"], MiddleNames: row["middle"], FamilyName: row["surname"],
		DateOfBirth: row["dob"], Sex: row["sex"], AddressLines: list(row["address"]), Postcode: row["postcode"],
		Telephones: list(row["phone"]), NHSNumber: row["nhs"], UPN: row["upn"],
	}, row["cluster"]
}

func ukkidsWithoutNumbers(row map[string]string) (Person, string) {
	p, truth := ukkids(row)
	p.NHSNumber, p.UPN = "", ""
	return p, truth
}

func load(tb testing.TB, name string, read func(map[string]string) (Person, string)) []Labelled {
	tb.Helper()
	rows := readRows(tb, name)
	records := make([]Labelled, len(rows))
	for i, row := range rows {
		p, truth := read(row)
		records[i] = Labelled{Prepare(p), truth}
	}
	return records
}
