package reference

import "strings"

// variable is a part of an address that stands for an id.
type variable struct{ name, meaning string }

// variableOf names the id that follows a collection in an address.
var variableOf = map[string]variable{
	"agencies":      {"agency", "The agency's id, such as school-123456."},
	"children":      {"child", "The child's id in the index: 26 characters and a check character."},
	"childRecords":  {"localId", "The agency's own id of the child: 1 to 64 letters, digits and the signs - . _ : @ ~. Not an NHS number or UPN."},
	"codeLists":     {"codeList", "The code list's id, such as ethnicity."},
	"imports":       {"import", "The import's id."},
	"involvements":  {"localId", "The agency's own id of the involvement."},
	"practitioners": {"practitioner", "The agency's own id of the practitioner."},
	"subscriptions": {"subscription", "The subscription's id."},
}

// path is the route's address with the ids named:
// /v1/agencies/{agency}/childRecords/{localId}.
func (r Route) path() string {
	segments := r.segments()
	vars := r.variables()
	for i, s := range segments {
		if rest, ok := strings.CutPrefix(s, "*"); ok {
			segments[i] = "{" + vars[0].name + "}" + rest
			vars = vars[1:]
		}
	}
	return "/" + strings.Join(segments, "/")
}

// variables are the ids in the route's address, first to last.
func (r Route) variables() []variable {
	var vars []variable
	segments := r.segments()
	for i, s := range segments {
		if !strings.HasPrefix(s, "*") {
			continue
		}
		v, ok := variableOf[segments[i-1]]
		if !ok {
			v = variable{strings.TrimSuffix(segments[i-1], "s"), "The id."}
		}
		vars = append(vars, v)
	}
	return vars
}
