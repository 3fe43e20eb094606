package sharing

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	irtv1 "irthub/gen/irt/v1"
)

// A table of cases says in which circumstances policy must allow or deny: what an
// officer of information governance agrees to. It is CSV with the columns
//
//	action,category,role,kind,purpose,facts,decision,rule
//
// in the words of policies/schema.cedarschema, but in small letters with hyphens;
// facts are words separated by spaces, those that are so. Lines that begin with #
// are notes.

// Case is one line of a table.
type Case struct {
	Line     int
	Text     string
	Action   Action
	Category irtv1.Category
	Facts    Facts
	Allow    bool
	Rule     string
}

// Failure is a case that is decided otherwise than the table says.
type Failure struct {
	Case
	Allowed bool
	By      *Rule
}

// String says what was expected and what came.
func (f Failure) String() string {
	return fmt.Sprintf("line %d: %s\n  expected %s by %s, got %s by %s", f.Line, f.Text,
		verdict(f.Allow), f.Rule, verdict(f.Allowed), f.By.ID)
}

func verdict(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}

// ReadCases reads a table. What is wrong with it is named by line.
func ReadCases(r io.Reader) ([]Case, error) {
	in := csv.NewReader(r)
	in.Comment = '#'
	in.FieldsPerRecord = len(caseColumns)
	in.TrimLeadingSpace = true
	head, err := in.Read()
	if err != nil || strings.Join(head, ",") != strings.Join(caseColumns, ",") {
		return nil, fmt.Errorf("sharing: the table of cases begins with the line %s", strings.Join(caseColumns, ","))
	}
	var all []Case
	var faults []error
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("sharing: reading the table of cases: %w", err)
		}
		line, _ := in.FieldPos(0)
		c, err := parseCase(fields)
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", line, err))
		}
		c.Line, c.Text = line, strings.Join(fields, ",")
		all = append(all, c)
	}
	return all, errors.Join(faults...)
}

var caseColumns = []string{"action", "category", "role", "kind", "purpose", "facts", "decision", "rule"}

func parseCase(fields []string) (c Case, err error) {
	c.Rule, c.Facts.Identified = fields[7], true
	for a, name := range actionNames {
		if strings.ReplaceAll(name, "_", "-") == fields[0] {
			c.Action = a
		}
	}
	if c.Action == 0 {
		return c, fmt.Errorf("%q is not an action", fields[0])
	}
	category, err := enumValue(fields[1], "CATEGORY_", irtv1.Category_value)
	if err == nil && (category != 0) != (c.Action == See || c.Action == Find) {
		err = errors.New("see and find are of a category, the other actions are not")
	}
	c.Category = irtv1.Category(category)
	role, roleErr := enumValue(fields[2], "ROLE_", irtv1.Role_value)
	kind, kindErr := enumValue(fields[3], "AGENCY_KIND_", irtv1.AgencyKind_value)
	purpose, purposeErr := enumValue(fields[4], "PURPOSE_", irtv1.Purpose_value)
	c.Facts.Role, c.Facts.Kind, c.Facts.Purpose = irtv1.Role(role), irtv1.AgencyKind(kind), irtv1.Purpose(purpose)
	err = errors.Join(err, roleErr, kindErr, purposeErr)
	for word := range strings.FieldsSeq(fields[5]) {
		if !c.state(word) {
			err = errors.Join(err, fmt.Errorf("%q is not a fact", word))
		}
	}
	switch fields[6] {
	case "allow":
		c.Allow = true
	case "deny":
	default:
		err = errors.Join(err, fmt.Errorf("%q is neither allow nor deny", fields[6]))
	}
	return c, err
}

// enumValue reads a value in small letters with hyphens; "" is the unspecified one.
func enumValue(text, prefix string, values map[string]int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	n, ok := values[prefix+strings.ToUpper(strings.ReplaceAll(text, "-", "_"))]
	if !ok || n == 0 {
		return 0, fmt.Errorf("%q is not a value of %s", text, strings.ToLower(strings.Trim(prefix, "_")))
	}
	return n, nil
}

// state sets the fact that a word stands for.
func (c *Case) state(word string) bool {
	f := &c.Facts
	switch word {
	case "unidentified":
		f.Identified = false
	case "consented":
		f.Consented = SetOf(c.Category)
	default:
		fact, ok := map[string]*bool{
			"own": &f.Own, "involved": &f.Involved, "holds-record": &f.HoldsRecord, "leads": &f.Leads,
			"searching": &f.Searching, "shielded": &f.Shielded, "archived": &f.Archived, "deceased": &f.Deceased,
			"reasonable-cause": &f.Cause, "sensitive-service": &f.Sensitive, "reason-given": &f.Reason,
		}[word]
		if !ok {
			return false
		}
		*fact = true
	}
	return true
}

// Test decides every case and returns those decided otherwise than the table says.
func (p *Policy) Test(cases []Case) []Failure {
	var failures []Failure
	for _, c := range cases {
		d := p.Decide(c.Action, c.Facts)
		allowed, by := d.shown.Has(c.Category), d.Rule(c.Category)
		if allowed != c.Allow || by.ID != c.Rule {
			failures = append(failures, Failure{c, allowed, by})
		}
	}
	return failures
}
