package exchange

import (
	"fmt"
	"slices"
	"strings"

	"irthub/internal/exchange/csvfile"
	"irthub/internal/exchange/textfile"
	"irthub/internal/standard"
)

// field is what a column of a school cohort holds.
type field int

const (
	localID field = iota
	givenName
	familyName
	preferredGivenName
	dateOfBirth
	sex
	nhsNumber
	upn
	addressLine1
	addressLine2
	town
	postcode
	schoolURN
	parent1 // name, relationship, e-mail, telephone
	parent2 = parent1 + parentFields
	fields  = parent2 + parentFields
)

// The columns of one parent, counted from parent1 or parent2.
const (
	parentName field = iota
	parentRelationship
	parentEmail
	parentTelephone
	parentFields
)

// columnNames are the headers of school cohorts and class lists, as the systems
// that schools use write them (NHS England, manage vaccinations in schools), and
// LOCAL_ID for an agency's own id of the child.
var columnNames = map[string]field{
	"LOCAL_ID":                   localID,
	"CHILD_LOCAL_ID":             localID,
	"CHILD_FIRST_NAME":           givenName,
	"CHILD_GIVEN_NAME":           givenName,
	"CHILD_LAST_NAME":            familyName,
	"CHILD_FAMILY_NAME":          familyName,
	"CHILD_PREFERRED_GIVEN_NAME": preferredGivenName,
	"CHILD_PREFERRED_FIRST_NAME": preferredGivenName,
	"CHILD_DATE_OF_BIRTH":        dateOfBirth,
	"CHILD_GENDER":               sex,
	"CHILD_SEX":                  sex,
	"CHILD_NHS_NUMBER":           nhsNumber,
	"CHILD_UPN":                  upn,
	"CHILD_ADDRESS_LINE_1":       addressLine1,
	"CHILD_ADDRESS_LINE_2":       addressLine2,
	"CHILD_TOWN":                 town,
	"CHILD_POSTCODE":             postcode,
	"CHILD_SCHOOL_URN":           schoolURN,
	"PARENT_1_NAME":              parent1 + parentName,
	"PARENT_1_RELATIONSHIP":      parent1 + parentRelationship,
	"PARENT_1_EMAIL":             parent1 + parentEmail,
	"PARENT_1_PHONE":             parent1 + parentTelephone,
	"PARENT_2_NAME":              parent2 + parentName,
	"PARENT_2_RELATIONSHIP":      parent2 + parentRelationship,
	"PARENT_2_EMAIL":             parent2 + parentEmail,
	"PARENT_2_PHONE":             parent2 + parentTelephone,
}

// required are the columns without which no row can be taken, by the name under
// which they are asked for.
var required = []struct {
	field field
	name  string
}{
	{givenName, "CHILD_FIRST_NAME"},
	{familyName, "CHILD_LAST_NAME"},
	{dateOfBirth, "CHILD_DATE_OF_BIRTH"},
}

const absent = -1

// sheet is where in a row everything stands.
type sheet struct {
	width   int
	column  [fields]int    // its place in a row, or absent
	name    [fields]string // as the file spells it
	ignored []string
}

// readHeader makes a sheet of the first row of a file.
func readHeader(header csvfile.Row) (*sheet, error) {
	if header.Fault != nil {
		return nil, header.Fault
	}
	s := &sheet{width: len(header.Cells)}
	for f := range s.column {
		s.column[f] = absent
	}
	var repeated []string
	seen := map[string]bool{}
	for i, cell := range header.Cells {
		name := standard.CleanText(cell)
		f, known := columnNames[strings.ToUpper(name)]
		switch {
		case name == "": // has values at most by mistake
		case seen[strings.ToUpper(name)] || known && s.column[f] != absent:
			repeated = append(repeated, name)
		case known:
			s.column[f], s.name[f] = i, name
		default:
			s.ignored = append(s.ignored, shortened(name))
		}
		seen[strings.ToUpper(name)] = true
	}
	if fault := s.missing(header.Cells); fault != nil {
		return nil, fault
	}
	if len(repeated) > 0 {
		return nil, &textfile.FormatError{
			RuleID:      "IMPORT_COLUMNS_REPEATED",
			Description: fmt.Sprintf("The header names a column twice, or two columns for the same thing: %s.", strings.Join(repeated, ", ")),
			Action:      "Leave one of the two out.",
		}
	}
	return s, nil
}

// missing says which required columns there are not. It repeats nothing of the
// header, which may be a row of children in a file that has none.
func (s *sheet) missing(header []string) *textfile.FormatError {
	var names []string
	for _, r := range required {
		if s.column[r.field] == absent {
			names = append(names, r.name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	action := "Name the columns in the first row of the file."
	if len(header) == 1 && strings.ContainsAny(header[0], ";\t|") {
		action = "The cells seem to be separated by another sign than the comma: " +
			`save the file as "CSV UTF-8 (comma delimited)".`
	}
	return &textfile.FormatError{
		RuleID:      "IMPORT_COLUMNS_MISSING",
		Description: fmt.Sprintf("The first row does not name the required columns %s.", strings.Join(names, ", ")),
		Action:      action,
	}
}

// shortened keeps a header that is a sentence from filling the import.
func shortened(name string) string {
	const most = 60
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return name
}

// cell is a value of a row, "" where the file lacks the column.
func (s *sheet) cell(cells []string, f field) string {
	if s.column[f] == absent {
		return ""
	}
	return cells[s.column[f]]
}

// instructionRows is how far down a row may tell what to write in the columns.
const instructionRows = 10

// isInstruction tells such a row: most of its cells begin with "Required" or
// "Optional".
func isInstruction(cells []string) bool {
	filled, instructions := 0, 0
	for _, c := range cells {
		c = strings.TrimSpace(c)
		if c == "" {
			continue
		}
		filled++
		if slices.ContainsFunc([]string{"required", "optional"}, func(word string) bool { return beginsWith(c, word) }) {
			instructions++
		}
	}
	return instructions*2 > filled
}

// beginsWith tells whether s begins with a whole word, in any case.
func beginsWith(s, word string) bool {
	if len(s) < len(word) || !strings.EqualFold(s[:len(word)], word) {
		return false
	}
	rest := s[len(word):]
	return rest == "" || !('a' <= rest[0]|0x20 && rest[0]|0x20 <= 'z')
}
