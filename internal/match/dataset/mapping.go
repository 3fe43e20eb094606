package dataset

import (
	"fmt"
	"slices"
	"strings"

	"irthub/internal/match"
)

// Mapping says which columns hold what, in the order given.
type Mapping []rule

// rule fills one field from columns, whose values are joined by spaces.
type rule struct {
	field   string
	columns []string
}

// Fields are the names that may stand on the left of a mapping.
func Fields() []string {
	return []string{
		"givenName", "preferredGivenName", "middleName", "familyName", "formerFamilyName", "dateOfBirth", "sex",
		"postcode", "address", "telephone", "email", "nhsNumber", "upn", "identifier", "other",
	}
}

// repeatable are the fields that may be given several times.
var repeatable = []string{"formerFamilyName", "address", "telephone", "email", "other"}

// ParseMapping reads field=column,field=column+column,… . Fields are those of
// Fields; telephone, email, address, former family name and other may be given
// several times.
func ParseMapping(s string) (Mapping, error) {
	var m Mapping
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		r, err := parseRule(part)
		if err != nil {
			return nil, err
		}
		if m.has(r.field) && !slices.Contains(repeatable, r.field) {
			return nil, fmt.Errorf("mapping: %s is given twice", r.field)
		}
		m = append(m, r)
	}
	if len(m) == 0 {
		return nil, fmt.Errorf("mapping: want field=column,…; fields are %s", strings.Join(Fields(), ", "))
	}
	return m, nil
}

func parseRule(s string) (rule, error) {
	field, columns, ok := strings.Cut(s, "=")
	r := rule{field: strings.TrimSpace(field)}
	if !slices.Contains(Fields(), r.field) {
		return r, fmt.Errorf("mapping: no field %q; fields are %s", r.field, strings.Join(Fields(), ", "))
	}
	for c := range strings.SplitSeq(columns, "+") {
		if c = strings.TrimSpace(c); c != "" {
			r.columns = append(r.columns, c)
		}
	}
	if !ok || len(r.columns) == 0 {
		return r, fmt.Errorf("mapping: %s has no column; write %s=COLUMN", r.field, r.field)
	}
	return r, nil
}

func (m Mapping) has(field string) bool {
	return slices.ContainsFunc(m, func(r rule) bool { return r.field == field })
}

// nameColumns are the columns that hold names of people.
func (m Mapping) nameColumns() []string {
	var list []string
	for _, r := range m {
		if slices.Contains(nameFields, r.field) {
			list = append(list, r.columns...)
		}
	}
	return list
}

func (m Mapping) columns() []string {
	var list []string
	for _, r := range m {
		list = append(list, r.columns...)
	}
	return list
}

// set puts a value where it belongs; an empty one changes nothing.
func (r *rule) set(p *match.Person, v string, order dateOrder) {
	if v == "" {
		return
	}
	switch r.field {
	case "givenName":
		p.GivenName = v
	case "preferredGivenName":
		p.PreferredGivenName = v
	case "middleName":
		p.MiddleNames = v
	case "familyName":
		p.FamilyName = v
	case "formerFamilyName":
		p.FormerFamilyNames = append(p.FormerFamilyNames, v)
	case "dateOfBirth":
		p.DateOfBirth = order.date(v)
	case "sex":
		p.Sex = v
	case "postcode":
		p.Postcode = v
	default:
		r.setContact(p, v)
	}
}

// setContact is set for ways to reach a person, and numbers.
func (r *rule) setContact(p *match.Person, v string) {
	switch r.field {
	case "address":
		p.AddressLines = append(p.AddressLines, v)
	case "telephone":
		p.Telephones = append(p.Telephones, v)
	case "email":
		p.Emails = append(p.Emails, v)
	case "nhsNumber":
		p.NHSNumber = v
	case "upn":
		p.UPN = v
	case "identifier":
		p.Identifier = v
	case "other":
		p.Other = strings.TrimSpace(p.Other + " " + v)
	}
}
