package standard

import (
	"strings"
	"testing"
)

// A form that could mean two codes would be a guess.
func TestFormsAreUnambiguous(t *testing.T) {
	t.Parallel()
	ids := make(map[string]bool)
	for _, l := range allLists() {
		if ids[l.id] {
			t.Errorf("two lists %s", l.id)
		}
		ids[l.id] = true
		meaning := make(map[string]string)
		for _, c := range l.codes {
			for _, form := range append([]string{c.code, c.display}, c.aliases...) {
				folded := foldForm(form)
				if folded == "" {
					t.Errorf("%s: %q has no letters or digits", l.id, form)
				}
				if other := meaning[folded]; other != "" && other != c.code {
					t.Errorf("%s: %q means both %s and %s", l.id, form, other, c.code)
				}
				meaning[folded] = c.code
			}
		}
	}
}

func TestEveryFormBecomesItsCode(t *testing.T) {
	t.Parallel()
	for _, l := range allLists() {
		if l.title == "" || l.version == "" || l.source == "" || len(l.codes) < 2 {
			t.Errorf("%s lacks its title, version, source or codes", l.id)
		}
		for _, c := range l.codes {
			if c.display == "" {
				t.Errorf("%s: %s has no meaning", l.id, c.code)
			}
			for _, form := range append([]string{c.code, c.display}, c.aliases...) {
				for _, given := range []string{form, strings.ToUpper(form), " " + strings.ToLower(form) + " "} {
					if got := normaliseCode(l, given); got != c.code {
						t.Errorf("%s: %q becomes %q, not %s", l.id, given, got, c.code)
					}
				}
			}
		}
		if got := normaliseCode(l, " no  such thing "); got != "no such thing" {
			t.Errorf("%s: an unknown form becomes %q", l.id, got)
		}
	}
}

// What schools write of parents, and older and FHIR feeds of sex.
func TestCodesAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list        *codeList
		given, want string
	}{
		{sexes, "female", "F"},
		{sexes, "2", "F"},
		{sexes, "Male", "M"},
		{sexes, "1", "M"},
		{sexes, "other", "U"},
		{sexes, "unknown", "U"},
		{sexes, "f", "F"},
		{sexes, "Not known", "U"},
		{carerRelationships, "Father", "FTH"},
		{carerRelationships, "Dad", "FTH"},
		{carerRelationships, "Mum", "MTH"},
		{carerRelationships, "Step-mother", "STPMTH"},
		{carerRelationships, "Step Father", "STPFTH"},
		{carerRelationships, "Grandparent", "GRPRN"},
		{carerRelationships, "Foster Carer", "PRNFOST"},
		{carerRelationships, "Guardian", "GUARD"},
		{carerRelationships, "Carer", "CARER"},
		{carerRelationships, "Other", "O"},
		{carerRelationships, "Parent", "PRN"},
		{carerRelationships, "mth", "MTH"},
		{ethnicities, "White - British", "WBRI"},
		{ethnicities, "Gypsy / Roma", "WROM"},
		{verificationStatuses, "1", "01"},
		{involvementRoles, "Health visitor", "HEALTH_VISITOR"},
		{involvementRoles, "social-worker", "SOCIAL_WORKER"},
		{sensitiveBases, "consent", "CONSENT"},
	} {
		if got := normaliseCode(c.list, c.given); got != c.want {
			t.Errorf("%s: %q becomes %q, not %s", c.list.id, c.given, got, c.want)
		}
	}
}

// The lists that publishers settle: nothing lost, nothing invented.
func TestPublishedCodes(t *testing.T) {
	t.Parallel()
	for l, want := range map[*codeList]string{
		sexes:                "F M U",
		ethnicities:          "WBRI WIRI WOTH WIRT WROM MWBC MWBA MWAS MOTH AIND APKN ABAN CHNE AOTH BCRB BAFR BOTH OOTH REFU NOBT",
		disabilities:         "NONE MOB HAND PC INC COMM LD HEAR VIS BEH CON AUT DDA",
		upnUnknownReasons:    "UN1 UN2 UN3 UN4 UN5 UN7",
		referralSources:      "1A 1B 1C 1D 2A 2B 3A 3B 3C 3D 3E 3F 4 5A 5B 5C 5D 6 7 8 9 10",
		needs:                "N1 N2 N3 N4 N5 N6 N7 N8 N9 N0",
		closureReasons:       "RC1 RC2 RC3 RC4 RC5 RC6 RC7 RC8 RC9",
		verificationStatuses: "01 02 03 04 05 06 07 08",
	} {
		var codes []string
		for _, c := range l.codes {
			codes = append(codes, c.code)
		}
		if got := strings.Join(codes, " "); got != want {
			t.Errorf("%s has %s", l.id, got)
		}
	}
	ukCore := "ABCDEFGHJKLMNPRSZ99"
	for _, c := range ethnicities.codes {
		if len(c.maps) != 1 || !strings.Contains(ukCore, c.maps[0].code) {
			t.Errorf("ethnicity %s has no UK Core category", c.code)
		}
	}
}

func TestCodeListsAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	lists := CodeLists()
	if lists[0].GetName() != "standard/codeLists/sex" || lists[0].GetCodes()[0].GetCode() != "F" {
		t.Fatalf("the first list is %v", lists[0])
	}
	lists[0].Codes[0].Code = "spoilt"
	lists[0].Codes[0].Aliases[0] = "spoilt"
	if again := CodeLists()[0].GetCodes()[0]; again.GetCode() != "F" || again.GetAliases()[0] == "spoilt" || !sexes.has("F") {
		t.Error("a caller can change the standard")
	}
}

func TestCode(t *testing.T) {
	t.Parallel()
	if code, known := Code("carer-relationship", "Step-Mother"); code != "STPMTH" || !known {
		t.Errorf("a step-mother is %q, %v", code, known)
	}
	for _, c := range [][2]string{{"carer-relationship", "Mum's partner"}, {"carer-relationship", ""}, {"no-such-list", "F"}} {
		if code, known := Code(c[0], c[1]); known {
			t.Errorf("%q is a code of %s: %s", c[1], c[0], code)
		}
	}
}
