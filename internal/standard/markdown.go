package standard

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	irtv1 "irthub/gen/irt/v1"
)

// Markdown writes the standard as a document for data officers: a glossary, then
// every term, rule and code list. It is docs/STANDARD.md.
func Markdown(w io.Writer) error {
	p := &page{w: bufio.NewWriter(w)}
	s := Dictionary()
	p.introduction(s)
	p.glossary(s.GetTerms())
	p.terms(s.GetTerms())
	p.rules(s.GetRules())
	p.codeLists(CodeLists())
	return p.w.Flush()
}

// page writes Markdown; an error of its writer comes out of Flush.
type page struct{ w *bufio.Writer }

func (p *page) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *page) introduction(s *irtv1.Standard) {
	p.line("# The standard, version %s\n", s.GetVersion())
	p.line("<!-- Made from proto/irt/v1 by `irthub standard`; do not edit. -->\n")
	p.line("What agencies exchange through IRT Hub, and what it is held to. The schema in `proto/irt/v1` is the")
	p.line("standard; this document is made from it. A hub serves the same at `/v1/standard`, and checks a record")
	p.line("without keeping it at `/v1/standard:validate`.\n")
	p.line("- [Glossary](#glossary): each term once")
	p.line("- [Terms](#terms): every term, field by field")
	p.line("- [Rules](#rules): what is checked, and what to do about it")
	p.line("- [Code lists](#code-lists): the values that fields may have\n")
	p.line("A rule is graded as in the censuses of the Department for Education. An **error** rejects the record. A")
	p.line("**query** accepts it, is kept with it, and is reported until the record is mended. Some queries are errors")
	p.line("in strict mode. Every broken rule is named in one answer, and no answer repeats a value.\n")
	p.line("Dates are YYYY-MM-DD. Before checking, the hub writes values in one form: spaces trimmed, Unicode NFC,")
	p.line("identifiers without spaces and in capitals, a postcode with one space, a code for any of its other forms.\n")
}

func (p *page) glossary(terms []*irtv1.StandardTerm) {
	p.line("## Glossary\n")
	p.line("| Term | Definition |\n|---|---|")
	for _, t := range slices.SortedFunc(slices.Values(terms), func(a, b *irtv1.StandardTerm) int {
		return strings.Compare(a.GetTerm(), b.GetTerm())
	}) {
		p.line("| %s | %s |", anchor(t.GetTerm()), cell(t.GetDefinition()))
	}
	p.line("")
}

func (p *page) terms(terms []*irtv1.StandardTerm) {
	p.line("## Terms\n")
	p.line("*Required* fields must be sent. Fields *set by the hub* are never taken from what is sent. Where the name")
	p.line("in JSON differs, it stands below the field's. The category decides with whom a field is shared.\n")
	for _, t := range terms {
		p.line("### %s\n\n%s\n", t.GetTerm(), t.GetDefinition())
		p.line("| Field | Type | Definition | Held to | Category | Source |\n|---|---|---|---|---|---|")
		for _, f := range t.GetFields() {
			p.line("| %s | %s | %s | %s | %s | %s |", fieldNames(f), fieldType(f, terms),
				cell(f.GetDefinition()), heldTo(f, t), category(f), cell(f.GetSource()))
		}
		p.line("")
	}
}

func fieldNames(f *irtv1.StandardField) string {
	if f.GetName() == f.GetJsonName() {
		return "`" + f.GetName() + "`"
	}
	return "`" + f.GetName() + "`<br>`" + f.GetJsonName() + "`"
}

// fieldType leads to the term that a field is of, and says whether it must be sent.
func fieldType(f *irtv1.StandardField, terms []*irtv1.StandardTerm) string {
	repeated, name := "", f.GetType()
	if of, isList := strings.CutPrefix(name, "repeated "); isList {
		repeated, name = "list of ", of
	}
	if slices.ContainsFunc(terms, func(t *irtv1.StandardTerm) bool { return t.GetTerm() == name }) {
		name = anchor(name)
	}
	switch {
	case f.GetRequired():
		return repeated + name + ", *required*"
	case f.GetOutputOnly():
		return repeated + name + ", *set by the hub*"
	default:
		return repeated + name
	}
}

func category(f *irtv1.StandardField) string { return words("CATEGORY_", f.GetCategory().String()) }

// words are those of an enum's value.
func words(prefix, value string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value, prefix)), "_", " ")
}

// heldTo puts together everything that a value is held to.
func heldTo(f *irtv1.StandardField, t *irtv1.StandardTerm) string {
	held := slices.Clone(f.GetBounds())
	if f.GetCodeList() != "" {
		held = append(held, "code list "+anchor(f.GetCodeList()))
	}
	for _, id := range f.GetRules() {
		held = append(held, anchor(id))
	}
	if len(f.GetTrustedSources()) > 0 {
		kinds := make([]string, len(f.GetTrustedSources()))
		for i, kind := range f.GetTrustedSources() {
			kinds[i] = words("AGENCY_KIND_", kind.String())
		}
		held = append(held, "trusted first: "+strings.Join(kinds, ", "))
	}
	if f.GetGroup() != "" {
		held = append(held, "from the same record as "+strings.Join(sameGroup(f, t), ", "))
	}
	return cell(strings.Join(held, "; "))
}

func sameGroup(f *irtv1.StandardField, t *irtv1.StandardTerm) []string {
	var others []string
	for _, other := range t.GetFields() {
		if other.GetGroup() == f.GetGroup() && other.GetName() != f.GetName() {
			others = append(others, "`"+other.GetName()+"`")
		}
	}
	return others
}

func (p *page) rules(rules []*irtv1.StandardRule) {
	p.line("## Rules\n")
	p.line("The last of them are the kinds of bounds that fields state; an answer names the bound itself.\n")
	for _, r := range rules {
		p.line("### %s\n\n%s %s\n", r.GetRuleId(), grades(r), r.GetDescription())
		p.line("- What to do: %s", r.GetAction())
		p.line("- Source: %s\n", r.GetSource())
	}
}

func grades(r *irtv1.StandardRule) string {
	grade := map[irtv1.RuleGrade]string{ruleError: "error", ruleQuery: "query"}
	if r.GetGrade() == r.GetStrictGrade() {
		return "**" + capital(grade[r.GetGrade()]) + ".**"
	}
	return "**" + capital(grade[r.GetGrade()]) + "; in strict mode " + grade[r.GetStrictGrade()] + ".**"
}

func (p *page) codeLists(lists []*irtv1.CodeList) {
	p.line("## Code lists\n")
	p.line("Other forms are accepted in any mixture of capitals, spaces and hyphens, as is the meaning itself, and")
	p.line("written as the code. The lists at the end are the schema's enums; in JSON their values are written in")
	p.line("full, as in the last column.\n")
	for _, l := range lists {
		p.line("### %s\n", strings.TrimPrefix(l.GetName(), codeListName("")))
		p.line("%s. Version %s. Source: %s.\n", l.GetTitle(), l.GetVersion(), l.GetSource())
		system := onlySystem(l)
		p.line("| Code | Meaning | Other forms | %s |\n|---|---|---|---|", system.heading())
		for _, c := range l.GetCodes() {
			p.line("| `%s` | %s | %s | %s |", c.GetCode(), cell(c.GetDisplay()),
				cell(strings.Join(c.GetAliases(), ", ")), system.cell(c))
		}
		p.line("")
	}
}

// mappedSystem is the one other system that a list's codes are mapped to; empty
// where there are several, or none.
type mappedSystem string

func onlySystem(l *irtv1.CodeList) mappedSystem {
	var only string
	for _, c := range l.GetCodes() {
		for _, m := range c.GetMappings() {
			if only != "" && only != m.GetSystem() {
				return ""
			}
			only = m.GetSystem()
		}
	}
	return mappedSystem(only)
}

func (s mappedSystem) heading() string {
	if s == "" {
		return "In other systems"
	}
	return "In " + string(s)
}

func (s mappedSystem) cell(c *irtv1.Code) string {
	var codes []string
	for _, m := range c.GetMappings() {
		if s == "" {
			codes = append(codes, m.GetSystem()+" `"+m.GetCode()+"`")
		} else {
			codes = append(codes, "`"+m.GetCode()+"`")
		}
	}
	return cell(strings.Join(codes, ", "))
}

// anchor links to the heading of a term, rule or code list.
func anchor(heading string) string { return "[" + heading + "](#" + strings.ToLower(heading) + ")" }

// cell keeps text from ending a table's cell or becoming markup.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", `\<`, "{", `\{`, "*", `\*`).Replace(s)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
