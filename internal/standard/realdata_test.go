package standard_test

import (
	"encoding/csv"
	"encoding/xml"
	"os"
	"path/filepath"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// sharedData opens a file of the public data beside the project.
func sharedData(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(projectRoot(t), "..", "shared", "data", path))
	if err != nil {
		t.Skipf("public data is not on this machine: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func readCSV(t *testing.T, path string) (rows []map[string]string) {
	t.Helper()
	r := csv.NewReader(sharedData(t, path))
	records, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records[1:] {
		row := make(map[string]string, len(record))
		for i, column := range records[0] {
			row[column] = record[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// Every postcode of Norfolk is accepted, and none is even queried.
func TestNorfolkPostcodes(t *testing.T) {
	t.Parallel()
	rows := readCSV(t, "onspd/norfolk_nov2025.csv")
	if len(rows) != 35878 {
		t.Errorf("%d postcodes", len(rows))
	}
	for _, row := range rows {
		r := &irtv1.ChildRecord{GivenName: "A", FamilyName: "B", DateOfBirth: "2015-01-01", Postcode: row["pcd7"], NhsNumberOmissionReason: "DETRIMENTAL"}
		standard.Normalise(r)
		errs, queries := standard.Check(r, standard.Options{Today: day, NameOptional: true})
		if len(errs)+len(queries) > 0 {
			t.Errorf("%s: %v %v", row["pcd7"], errs, queries)
		}
	}
}

// The numbers of these synthetic records were made by another program.
func TestIdentifiersOfTheMatchingSet(t *testing.T) {
	t.Parallel()
	numbers, wrong, upns, wrongUPNs := 0, 0, 0, 0
	for _, row := range readCSV(t, "matching/ukkids_dev.csv") {
		if row["nhs"] != "" {
			numbers++
			if !standard.ValidNHSNumber(row["nhs"]) {
				wrong++
			}
		}
		if row["upn"] != "" {
			upns++
			if !standard.ValidUPN(row["upn"]) {
				wrongUPNs++
			}
		}
	}
	t.Logf("%d NHS numbers, %d fail; %d UPNs, %d fail", numbers, wrong, upns, wrongUPNs)
	// Typing errors were put into some numbers, and the UPNs have random letters:
	// one in 23 is right by chance.
	if numbers < 20000 || wrong == 0 || wrong*100 > numbers {
		t.Errorf("%d of %d NHS numbers fail", wrong, numbers)
	}
	if right := upns - wrongUPNs; upns < 20000 || right*18 > upns || right*30 < upns {
		t.Errorf("%d of %d UPNs are right", right, upns)
	}
}

// The sector's own test file, as the hub finds it: nearly every UPN fails its check.
func TestChildrenInNeedCensus(t *testing.T) {
	t.Parallel()
	type child struct {
		LAChildID  string   `xml:"ChildIdentifiers>LAchildID"`
		UPN        string   `xml:"ChildIdentifiers>UPN"`
		FormerUPN  string   `xml:"ChildIdentifiers>FormerUPN"`
		UPNUnknown string   `xml:"ChildIdentifiers>UPNunknown"`
		Born       string   `xml:"ChildIdentifiers>PersonBirthDate"`
		Expected   string   `xml:"ChildIdentifiers>ExpectedPersonBirthDate"`
		Died       string   `xml:"ChildIdentifiers>PersonDeathDate"`
		Gender     string   `xml:"ChildIdentifiers>GenderCurrent"`
		Sex        string   `xml:"ChildIdentifiers>Sex"`
		Ethnicity  string   `xml:"ChildCharacteristics>Ethnicity"`
		Disability []string `xml:"ChildCharacteristics>Disabilities>Disability"`
	}
	var census struct {
		Children []child `xml:"Children>Child"`
	}
	if err := xml.NewDecoder(sharedData(t, "cin/fake_CIN_data.xml")).Decode(&census); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, c := range census.Children {
		r := &irtv1.ChildRecord{
			GivenName: "A", FamilyName: "B", LaChildId: c.LAChildID, Upn: c.UPN, FormerUpn: c.FormerUPN, UpnUnknownReason: c.UPNUnknown,
			DateOfBirth: c.Born, ExpectedDateOfBirth: c.Expected, DateOfDeath: c.Died, Sex: c.Sex + c.Gender,
			Ethnicity: c.Ethnicity, Disabilities: c.Disability, NoKnownAddress: true, NhsNumberOmissionReason: "UNKNOWN_UNDUE_DELAY",
		}
		standard.Normalise(r)
		errs, queries := standard.Check(r, standard.Options{Today: day, NameOptional: true})
		for _, f := range append(errs, queries...) {
			found[f.Field+" "+f.RuleID]++
		}
	}
	t.Logf("%d children: %v", len(census.Children), found)
	if len(census.Children) != 332 {
		t.Errorf("%d children", len(census.Children))
	}
	if found["upn UPN_CHECK_LETTER"] == 0 || found["ethnicity CODE_UNKNOWN"] > 0 || found["disabilities[0] CODE_UNKNOWN"] > 0 || found["sex CODE_UNKNOWN"] > 0 {
		t.Errorf("found %v", found)
	}
}
