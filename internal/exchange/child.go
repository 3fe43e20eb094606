package exchange

import (
	"strconv"
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/exchange/textfile"
	"irthub/internal/standard"
)

// child is a row of a school cohort as a record, and where in the row the parts
// of the record that are lists came from.
type child struct {
	record  *irtv1.ChildRecord
	address []field // of each address line
	carers  []field // of each carer: parent1 or parent2
}

// read makes the record of a row: normalised, and without a name.
func (s *sheet) read(cells []string) child {
	c := child{record: &irtv1.ChildRecord{
		GivenName:          s.cell(cells, givenName),
		FamilyName:         s.cell(cells, familyName),
		PreferredGivenName: s.cell(cells, preferredGivenName),
		DateOfBirth:        recordfile.ISODate(s.cell(cells, dateOfBirth)),
		Sex:                s.cell(cells, sex),
		NhsNumber:          s.cell(cells, nhsNumber),
		Upn:                s.cell(cells, upn),
		Postcode:           s.cell(cells, postcode),
		SchoolUrn:          s.cell(cells, schoolURN),
	}}
	for _, f := range []field{addressLine1, addressLine2, town} {
		if line := standard.CleanText(s.cell(cells, f)); line != "" {
			c.record.AddressLines = append(c.record.AddressLines, line)
			c.address = append(c.address, f)
		}
	}
	for _, parent := range []field{parent1, parent2} {
		if carer := s.carer(cells, parent); carer != nil {
			c.record.Carers = append(c.record.Carers, carer)
			c.carers = append(c.carers, parent)
		}
	}
	standard.Normalise(c.record)
	// Schools write what they like for the relationship ("Childminder", "Mum's
	// partner"): what is no code is left out rather than costing the school its row.
	for _, carer := range c.record.GetCarers() {
		if _, known := standard.Code("carer-relationship", carer.GetRelationship()); !known {
			carer.Relationship = ""
		}
	}
	return c
}

// carer is a parent of whom there is a name or a way to reach them. A
// relationship alone says nothing that helps anybody.
func (s *sheet) carer(cells []string, parent field) *irtv1.Carer {
	carer := &irtv1.Carer{
		DisplayName:  strings.TrimSpace(s.cell(cells, parent+parentName)),
		Relationship: s.cell(cells, parent+parentRelationship),
		Telephone:    strings.TrimSpace(s.cell(cells, parent+parentTelephone)),
		Email:        strings.TrimSpace(s.cell(cells, parent+parentEmail)),
	}
	if carer.GetDisplayName() == "" && carer.GetTelephone() == "" && carer.GetEmail() == "" {
		return nil
	}
	return carer
}

// column is the file's name of the column that a field of the record came from,
// or "" where it came from none.
func (c *child) column(s *sheet, path string) string {
	name, rest, _ := strings.Cut(path, "[")
	index, rest, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(index)
	switch {
	case name == "address_lines" && err == nil && i < len(c.address):
		return s.name[c.address[i]]
	case name == "carers" && err == nil && i < len(c.carers):
		if f, ok := carerFields[strings.TrimPrefix(rest, ".")]; ok {
			return s.name[c.carers[i]+f]
		}
	default:
		if f, ok := recordFields[name]; ok {
			return s.name[f]
		}
	}
	return ""
}

var recordFields = map[string]field{
	"name": localID, "given_name": givenName, "family_name": familyName,
	"preferred_given_name": preferredGivenName, "date_of_birth": dateOfBirth, "sex": sex,
	"nhs_number": nhsNumber, "upn": upn, "postcode": postcode, "school_urn": schoolURN,
}

var carerFields = map[string]field{
	"display_name": parentName, "relationship": parentRelationship,
	"telephone": parentTelephone, "email": parentEmail,
}

// rejects tells the faults of a record in the words of its file.
func (c *child) rejects(s *sheet, row int32, faults []standard.Fault) []*irtv1.ImportReject {
	list := make([]*irtv1.ImportReject, len(faults))
	for i, f := range faults {
		if f.Field == "date_of_birth" {
			f = dateFault(f)
		}
		list[i] = &irtv1.ImportReject{
			Row: row, Column: c.column(s, f.Field), RuleId: f.RuleID, Description: f.Description, Action: f.Action,
		}
	}
	return list
}

// dateFault replaces words that are about the fields of a record, where the file
// has one date that is written in more than one way.
func dateFault(f standard.Fault) standard.Fault {
	switch f.RuleID {
	case "BIRTH_DATE_ONE_OF":
		f.Description, f.Action = "The date of birth is missing.", "Write it as DD/MM/YYYY or YYYY-MM-DD."
	case "STRING_PATTERN", "DATE_INVALID":
		f = standard.FaultOf("DATE_INVALID", f.Field)
		f.Action = "Write a day that exists, as DD/MM/YYYY or YYYY-MM-DD."
	}
	return f
}

// rejectOf tells a fault of a row as a whole.
func rejectOf(row int32, f *textfile.FormatError) *irtv1.ImportReject {
	return &irtv1.ImportReject{Row: row, RuleId: f.RuleID, Description: f.Description, Action: f.Action}
}
