package sharing

import (
	"fmt"
	"io"
	"strings"

	irtv1 "irthub/gen/irt/v1"
)

// Explain prints the set as a document for people: every rule with what it says,
// on what basis, and its text; and who sees what, as it is decided.
func (p *Policy) Explain(w io.Writer) error {
	d := &document{w: w}
	d.say("# Who sees what of a child\n")
	d.say("<!-- Printed by `irthub policy explain`. DO NOT EDIT: change internal/sharing/policies and run make generate. -->\n")
	d.say("This is the sharing policy that the hub decides by: not a description of it, but its text, printed by `irthub policy explain`. " +
		"It is written in [Cedar](https://www.cedarpolicy.com). What no rule allows is denied, and a rule that denies wins over every rule that allows.\n")
	d.say("Every field of the standard belongs to a category of information (docs/STANDARD.md). For each call the hub decides, category by category, " +
		"from who asks (role, kind of agency, purpose, whether a reason was given), what the agency is to the child (involved today, has a record, is the lead professional, has consent) " +
		"and what is so of the child (shielded, archived, deceased). Fields of a category that is not shown are left out of the answer, and `withheld` says so: " +
		"the category, the rule, and how to ask. A caller who may see nothing of a child is answered as if there were no such child.\n")
	d.glance(p)
	d.say("## The rules\n")
	d.say("%d rules, in the order in which they stand. Where several fit, the first is named.\n", len(p.rules))
	for _, r := range p.rules {
		d.rule(r)
	}
	d.say("## What is always so\n")
	d.say("* **%s**: %s\n* **%s**: %s\n", nothing.ID, nothing.Sentence, failed.ID, failed.Sentence)
	d.say("## Changing it\n")
	d.say("`irthub serve --policies DIR` decides by the files `*.cedar` of a directory instead. They are checked first: a rule that names what the hub does not know, " +
		"or lacks its `@id`, `@sentence` or `@basis`, or denies without an `@ask`, is named with its file and line, and the hub does not start. " +
		"`irthub policy test FILE` runs a table of cases against a set, `irthub policy explain --policies DIR` prints this document for it. " +
		"The cases of the set above are in internal/sharing/testdata/cases.csv.\n")
	d.say("What rules may speak of:\n")
	d.vocabulary()
	return d.err
}

// document is written piece by piece; the first error stays.
type document struct {
	w   io.Writer
	err error
}

func (d *document) say(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format+"\n", args...)
	}
}

func (d *document) rule(r *Rule) {
	effect := "denies"
	if r.Allows {
		effect = "allows"
	}
	d.say("### %s (%s)\n", r.ID, effect)
	d.say("%s\n", r.Sentence)
	d.say("* Basis: %s", r.Basis)
	if r.Ask != "" {
		d.say("* How to ask: %s", r.Ask)
	}
	if r.Discreet {
		d.say("* It is named only to those who would otherwise see it.")
	}
	d.say("\n```cedar\n%s\n```\n", r.body())
}

// body is the rule's text without its annotations, which are printed above it.
func (r *Rule) body() string {
	var lines []string
	for line := range strings.Lines(r.Source) {
		if !strings.HasPrefix(line, "@") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(lines, "\n")
}

// sight is who asks about a child, for the table.
type sight struct {
	who   string
	facts Facts
}

// glance is a table of who sees what, made by deciding.
func (d *document) glance(p *Policy) {
	practitioner := func(kind irtv1.AgencyKind, purpose irtv1.Purpose) Facts {
		return Facts{Identified: true, Role: irtv1.Role_ROLE_PRACTITIONER, Kind: kind, Purpose: purpose}
	}
	school := practitioner(irtv1.AgencyKind_AGENCY_KIND_SCHOOL, irtv1.Purpose_PURPOSE_EDUCATION)
	with := func(f Facts, change func(*Facts)) Facts { change(&f); return f }
	police := practitioner(irtv1.AgencyKind_AGENCY_KIND_POLICE, irtv1.Purpose_PURPOSE_SAFEGUARDING)
	sights := []sight{
		{"A school that does not work with the child", school},
		{"A school that works with the child", with(school, func(f *Facts) { f.Involved = true })},
		{"The same, of a shielded child", with(school, func(f *Facts) { f.Involved, f.Shielded = true, true })},
		{"The same, of an archived child", with(school, func(f *Facts) { f.Involved, f.Archived = true, true })},
		{"Police, not involved, for safeguarding with a reason", with(police, func(f *Facts) { f.Reason = true })},
		{"Police, not involved, in an emergency", with(police, func(f *Facts) { f.Reason, f.Purpose = true, irtv1.Purpose_PURPOSE_EMERGENCY })},
		{"A school, not involved, in an emergency", with(school, func(f *Facts) { f.Reason, f.Purpose = true, irtv1.Purpose_PURPOSE_EMERGENCY })},
		{"A hospital, not involved, for unscheduled care", practitioner(irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, irtv1.Purpose_PURPOSE_UNSCHEDULED_CARE)},
		{"A data manager", Facts{Identified: true, Role: irtv1.Role_ROLE_DATA_MANAGER, Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY}},
		{"An auditor or operator", Facts{Identified: true, Role: irtv1.Role_ROLE_AUDITOR, Purpose: irtv1.Purpose_PURPOSE_AUDIT}},
		{"Any agency, of what it said itself", with(school, func(f *Facts) { f.Own = true })},
	}
	columns := []irtv1.Category{
		irtv1.Category_CATEGORY_BASIC, irtv1.Category_CATEGORY_IDENTIFIER, irtv1.Category_CATEGORY_CARER, irtv1.Category_CATEGORY_LOCATION,
		irtv1.Category_CATEGORY_CONTACT, irtv1.Category_CATEGORY_CHARACTERISTIC, irtv1.Category_CATEGORY_INVOLVEMENT, irtv1.Category_CATEGORY_SENSITIVE,
		irtv1.Category_CATEGORY_CONCERN, irtv1.Category_CATEGORY_PLAN,
	}
	head, line := "| |", "|---|"
	for _, c := range columns {
		head += " " + strings.ToLower(strings.TrimPrefix(c.String(), "CATEGORY_")) + " |"
		line += "---|"
	}
	d.say("## At a glance\n")
	d.say("%s\n%s", head, line)
	for _, s := range sights {
		row := "| " + s.who + " |"
		decision := p.Decide(See, s.facts)
		for _, c := range columns {
			row += map[bool]string{true: " yes |", false: " |"}[decision.Shows(c)]
		}
		d.say("%s", row)
	}
	d.say("\nDecided by the rules below, without consent.\n")
}

// vocabulary prints the schema of policies.
func (d *document) vocabulary() {
	text, err := embedded.ReadFile(schemaFile)
	if err != nil && d.err == nil {
		d.err = err
	}
	d.say("```cedarschema\n%s```", text)
}
