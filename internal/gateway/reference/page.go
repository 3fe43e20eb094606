package reference

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

//go:embed page.html page.css page.js
var pageFiles embed.FS

// The addresses of the page's own files.
const (
	StylePath  = "/docs/page.css"
	ScriptPath = "/docs/page.js"
)

// Asset is a file the page refers to.
type Asset struct {
	Path, Type string
	Content    []byte
}

// Page renders the document for people: one page of HTML that needs no script to
// be read, and the files it refers to. All of it is served by the hub itself.
func (d *Document) Page() ([]byte, []Asset, error) {
	t, err := template.New("page.html").Funcs(template.FuncMap{
		"curl": curl, "name": schemaName, "paragraphs": paragraphs, "spaced": spaced,
		"bounds": bounds, "lower": lower, "own": d.ownParameters, "common": d.commonHeaders,
	}).ParseFS(pageFiles, "page.html")
	if err != nil {
		return nil, nil, fmt.Errorf("reference: the page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, d); err != nil {
		return nil, nil, fmt.Errorf("reference: rendering the page: %w", err)
	}
	css, err := pageFiles.ReadFile("page.css")
	if err != nil {
		return nil, nil, err
	}
	js, err := pageFiles.ReadFile("page.js")
	if err != nil {
		return nil, nil, err
	}
	return b.Bytes(), []Asset{
		{StylePath, "text/css; charset=utf-8", css},
		{ScriptPath, "text/javascript; charset=utf-8", js},
	}, nil
}

// everywhere are the headers that every operation takes but the public ones. The
// page states them once.
var everywhere = []string{"Irt-Purpose", "Irt-Purpose-Optional", "Irt-Reason", "Irt-On-Behalf-Of"}

func (d *Document) commonHeaders() []*Parameter {
	all := d.Components.Parameters
	return []*Parameter{all["Irt-Purpose"], all["Irt-Reason"], all["Irt-On-Behalf-Of"]}
}

// ownParameters are an operation's parameters but for those headers.
func (d *Document) ownParameters(op *Operation) []*Parameter {
	var own []*Parameter
	for _, p := range op.Parameters {
		name, isRef := strings.CutPrefix(p.Ref, "#/components/parameters/")
		switch {
		case !isRef:
			own = append(own, p)
		case !slices.Contains(everywhere, name):
			own = append(own, d.Components.Parameters[name])
		}
	}
	return own
}

// schemaName is the name of the message or enum that a schema refers to.
func schemaName(s *Schema) string {
	if s == nil {
		return ""
	}
	return strings.TrimPrefix(s.Ref, schemaPrefix)
}

func paragraphs(text string) []string { return strings.Split(text, "\n\n") }

// spaced writes ChildService as Child service.
func spaced(name string) string {
	return strings.TrimSuffix(name, "Service") + " service"
}

// bounds puts the bounds of a value into words.
func bounds(s *Schema) string {
	var all []string
	add := func(format string, n uint64) {
		if n > 0 {
			all = append(all, fmt.Sprintf(format, n))
		}
	}
	if s.MinLength > 1 {
		add("at least %d characters", s.MinLength)
	}
	add("at most %d characters", s.MaxLength)
	add("at most %d items", s.MaxItems)
	return strings.Join(all, ", ")
}

// curl is a command that makes the call, as it can be pasted into a shell where
// HUB and IRTHUB_TOKEN are set.
func curl(op *Operation) string {
	var b strings.Builder
	b.WriteString("curl -sS")
	if op.Verb != http.MethodGet {
		b.WriteString(" -X " + op.Verb)
	}
	b.WriteString(` "$HUB` + op.Path + requiredQuery(op) + `"`)
	header := func(h string) { b.WriteString(" \\\n  -H " + h) }
	if !op.Public {
		header(`"Authorization: Bearer $IRTHUB_TOKEN"`)
	}
	if op.Purpose {
		header("'Irt-Purpose: DIRECT_CARE'")
	}
	if op.Body == nil {
		return b.String()
	}
	form, send := objectType, "-d"
	if _, isForm := op.Body.Content[formType]; isForm {
		b.WriteString(" \\\n  -F file=@cohort.csv")
		return b.String()
	}
	if _, isLines := op.Body.Content[LinesType]; isLines {
		form, send = LinesType, "--data-binary"
	}
	media := op.Body.Content[form]
	header("'Content-Type: " + form + "'")
	b.WriteString(" \\\n  " + send + " '" + strings.ReplaceAll(compact(media.Example), "'", `'\''`) + "'")
	return b.String()
}

func compact(example json.RawMessage) string {
	if len(example) == 0 {
		return "{}"
	}
	return string(example)
}

// requiredQuery is the question mark and what must follow it.
func requiredQuery(op *Operation) string {
	var pairs []string
	for _, p := range op.Parameters {
		if p.In != "query" || !p.Required {
			continue
		}
		value := "ID"
		if len(p.Schema.Enum) > 0 {
			value = p.Schema.Enum[0]
		}
		pairs = append(pairs, p.Name+"="+value)
	}
	if len(pairs) == 0 {
		return ""
	}
	return "?" + strings.Join(pairs, "&")
}
