package agencies

import (
	"strings"
)

// maxID is the length of the longest id of an agency or practitioner.
const maxID = 63

// Name is the resource name of the agency with an id: agencies/{agency}.
func Name(id string) string { return "agencies/" + id }

// ParseName takes the id out of agencies/{agency}; ok is false for anything else.
func ParseName(name string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, "agencies/")
	return id, ok && validID(id)
}

// PractitionerName is the resource name of a practitioner:
// agencies/{agency}/practitioners/{practitioner}.
func PractitionerName(agency, id string) string {
	return "agencies/" + agency + "/practitioners/" + id
}

// ParsePractitionerName takes the two ids out of
// agencies/{agency}/practitioners/{practitioner}; ok is false for anything else.
func ParsePractitionerName(name string) (agency, id string, ok bool) {
	agency, id, ok = ParseChildName(name, "practitioners")
	return agency, id, ok && validID(id)
}

// ParseChildName takes the ids out of agencies/{agency}/{collection}/{id}. The
// last is only known not to be empty and to hold no slash.
func ParseChildName(name, collection string) (agency, id string, ok bool) {
	rest, ok := strings.CutPrefix(name, "agencies/")
	if !ok {
		return "", "", false
	}
	agency, rest, _ = strings.Cut(rest, "/")
	id, ok = strings.CutPrefix(rest, collection+"/")
	ok = ok && validID(agency) && id != "" && !strings.Contains(id, "/")
	return agency, id, ok
}

// validID holds an id to the pattern of the schema: 1 to 63 letters, digits and
// the signs - . _ of which the first is a letter or digit.
func validID(id string) bool {
	if id == "" || len(id) > maxID || strings.IndexByte("._-", id[0]) >= 0 {
		return false
	}
	for i := range len(id) {
		if !idCharacter(id[i]) {
			return false
		}
	}
	return true
}

func idCharacter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '.' || c == '_' || c == '-'
}
