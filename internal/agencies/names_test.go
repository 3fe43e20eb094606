package agencies_test

import (
	"strings"
	"testing"

	"irthub/internal/agencies"
)

// What is accepted as a name is that name and no other, with ids of the schema.
func FuzzNames(f *testing.F) {
	for _, s := range []string{
		"agencies/oak", "agencies/A.b_c-1", "agencies/", "agencies/-a", "agencies/a/practitioners/b",
		"agencies/a/practitioners/", "agencies//practitioners/b", "agencies/a/practitioners/b/c", "agencies/" + strings.Repeat("a", 64),
		"agencies/a/involvements/x:y@z", "oak", "", "agencies/\x00", "agencies/é",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := agencies.ParseName(s); ok && (agencies.Name(id) != s || len(id) > 63 || strings.ContainsAny(id, "/ \x00")) {
			t.Errorf("%q is taken for agency %q", s, id)
		}
		if agency, id, ok := agencies.ParsePractitionerName(s); ok {
			_, known := agencies.ParseName(agencies.Name(agency))
			if agencies.PractitionerName(agency, id) != s || !known || len(id) > 63 || strings.ContainsAny(id, "/ \x00") {
				t.Errorf("%q is taken for practitioner %q of %q", s, id, agency)
			}
		}
		if agency, id, ok := agencies.ParseChildName(s, "involvements"); ok && "agencies/"+agency+"/involvements/"+id != s {
			t.Errorf("%q is taken for %q of %q", s, id, agency)
		}
	})
}
