package standard

import (
	"slices"
	"strings"
	"unicode"

	irtv1 "irthub/gen/irt/v1"
)

// codeList is the values that a field may have. The lists themselves are data in
// the codelists_*.go files, one file for each publisher.
type codeList struct {
	id      string // as the code_list option of fields names it
	title   string
	version string
	source  string
	codes   []code
	forms   map[string]string // folded code, display text or alias → code

	howToChoose string // the action of a fault: the codes, or where they are
}

type code struct {
	code    string
	display string
	aliases []string
	maps    []mapping
}

// mapping is the same meaning, or the nearest wider one, in another system.
type mapping struct{ system, code string }

// newCodeList indexes the forms in which a code is accepted. Where two codes
// could be meant by one form, the first has it; a test shows that there are none.
func newCodeList(l codeList) *codeList {
	l.forms = make(map[string]string, 3*len(l.codes))
	for _, c := range l.codes {
		for _, form := range append([]string{c.code, c.display}, c.aliases...) {
			if _, taken := l.forms[foldForm(form)]; !taken {
				l.forms[foldForm(form)] = c.code
			}
		}
	}
	l.howToChoose = howToChoose(l)
	return &l
}

// howToChoose names the codes of a short list, and where to find those of a long one.
func howToChoose(l codeList) string {
	const short = 5
	if len(l.codes) > short {
		return "Send one of the codes of " + codeListName(l.id) + ", such as " + l.codes[0].code + "."
	}
	names := make([]string, len(l.codes))
	for i, c := range l.codes {
		names[i] = c.code
	}
	last := len(names) - 1
	return "Send " + strings.Join(names[:last], ", ") + " or " + names[last] + "."
}

// has reports whether s is a code of the list, as the publisher writes it.
func (l *codeList) has(s string) bool {
	for i := range l.codes {
		if l.codes[i].code == s {
			return true
		}
	}
	return false
}

// normaliseCode gives the code that s is a form of, or s itself, cleaned, for the
// check to report.
func normaliseCode(l *codeList, s string) string {
	if s == "" || l.has(s) {
		return s
	}
	if c, known := l.forms[foldForm(s)]; known {
		return c
	}
	return CleanText(s)
}

// foldForm leaves out capitals, spaces and punctuation: "Step-mother" and "step
// mother" are one form. Other signs stay, since they are no way of writing a word.
func foldForm(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("-‐‑–_/&.,:;'’()", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// textLists are the lists of texts; those of enums are enumLists.
var textLists = []*codeList{
	sexes, ethnicities, disabilities, upnUnknownReasons, omissionReasons, verificationStatuses,
	carerRelationships, involvementRoles, sensitiveBases, consentGivers, refusalReasons, referralReasons, serviceKinds, referralBases, referralDeclineReasons, referralOutcomes, leadDeclineReasons,
	referralSources, needs, closureReasons,
	concernCategories, concernLevels, concernOutcomes,
}

// textListByID is nil where there is none of that id.
func textListByID(id string) *codeList {
	for _, l := range textLists {
		if l.id == id {
			return l
		}
	}
	return nil
}

// allLists are in the order in which the standard prints them.
func allLists() []*codeList { return slices.Concat(textLists, enumLists()) }

// codeListName is the resource name of a code list, standard/codeLists/{id}.
func codeListName(id string) string { return "standard/codeLists/" + id }

// CodeLists gives every code list with its codes, in a settled order. The
// messages are the caller's own.
func CodeLists() []*irtv1.CodeList {
	all := allLists()
	lists := make([]*irtv1.CodeList, len(all))
	for i, l := range all {
		lists[i] = l.message()
	}
	return lists
}

// Code gives the code of a list, such as "carer-relationship", that is written as
// form: as itself, as its meaning or as one of its other forms. It knows the lists
// of texts, not those of enums.
func Code(listID, form string) (code string, known bool) {
	l := textListByID(listID)
	if l == nil {
		return "", false
	}
	code = normaliseCode(l, form)
	return code, l.has(code)
}

func (l *codeList) message() *irtv1.CodeList {
	m := &irtv1.CodeList{Name: codeListName(l.id), Title: l.title, Version: l.version, Source: l.source}
	for _, c := range l.codes {
		entry := &irtv1.Code{Code: c.code, Display: c.display, Aliases: append([]string(nil), c.aliases...)}
		for _, to := range c.maps {
			entry.Mappings = append(entry.Mappings, &irtv1.CodeMapping{System: to.system, Code: to.code})
		}
		m.Codes = append(m.Codes, entry)
	}
	return m
}
