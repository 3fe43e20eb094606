package sharing_test

import (
	"os"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/sharing"
)

func embedded(t testing.TB) *sharing.Policy {
	t.Helper()
	p, err := sharing.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func cases(t *testing.T) []sharing.Case {
	t.Helper()
	f, err := os.Open("testdata/cases.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := sharing.ReadCases(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The table is what officers of information governance agree to: a change of a
// decision is a change of the table.
func TestCases(t *testing.T) {
	t.Parallel()
	all := cases(t)
	if len(all) < 120 {
		t.Errorf("only %d cases", len(all))
	}
	for _, f := range embedded(t).Test(all) {
		t.Error(f)
	}
}

// Every rule is tried both ways: by a case that it decides, and by one of its own
// action and category that goes the other way.
func TestEveryRuleIsTriedBothWays(t *testing.T) {
	t.Parallel()
	p, all := embedded(t), cases(t)
	for _, r := range p.Rules() {
		decides, goesElsewhere := false, false
		for _, c := range all {
			decides = decides || c.Rule == r.ID && c.Allow == r.Allows
		}
		for _, c := range all {
			for _, like := range all {
				if like.Rule == r.ID && like.Allow == r.Allows && like.Action == c.Action && like.Category == c.Category && c.Allow != r.Allows {
					goesElsewhere = true
				}
			}
		}
		if !decides || !goesElsewhere {
			t.Errorf("%s: decides a case: %v; a like case goes the other way: %v", r.ID, decides, goesElsewhere)
		}
	}
}

// No rule may be dropped without a case that fails.
func TestNoRuleIsIdle(t *testing.T) {
	t.Parallel()
	p, all := embedded(t), cases(t)
	for _, r := range p.Rules() {
		verdicts := 0
		for _, f := range p.Without(r.ID).Test(all) {
			if f.Allowed != f.Allow {
				verdicts++
			}
		}
		if verdicts == 0 {
			t.Errorf("without %s every case is decided the same", r.ID)
		}
	}
}

// What must hold whatever the rules become.
func TestWhatNoRuleMayAllow(t *testing.T) {
	t.Parallel()
	p := embedded(t)
	bools := []bool{false, true}
	for action := sharing.Action(0); action < 14; action++ {
		for role := range irtv1.Role_name {
			for _, purpose := range []irtv1.Purpose{0, irtv1.Purpose_PURPOSE_SAFEGUARDING, irtv1.Purpose_PURPOSE_EMERGENCY} {
				for _, kind := range []irtv1.AgencyKind{0, irtv1.AgencyKind_AGENCY_KIND_SCHOOL, irtv1.AgencyKind_AGENCY_KIND_POLICE} {
					for _, identified := range bools {
						for _, own := range bools {
							for _, involved := range bools {
								for _, shielded := range bools {
									check(t, p, action, sharing.Facts{
										Identified: identified, Role: irtv1.Role(role), Purpose: purpose, Kind: kind, Reason: involved,
										Own: own, Involved: involved, HoldsRecord: involved, Shielded: shielded,
									})
								}
							}
						}
					}
				}
			}
		}
	}
}

func check(t *testing.T, p *sharing.Policy, a sharing.Action, f sharing.Facts) {
	t.Helper()
	d := p.Decide(a, f)
	if d.Allowed() && forbidden(a, f) {
		t.Errorf("%v with %+v is allowed by %s", a, f, d.Reason().ID)
	}
	for n := range irtv1.Category_name {
		if c := irtv1.Category(n); d.Shows(c) && (forbidden(a, f) || hidden(a, f, c)) {
			t.Errorf("%v %v with %+v is allowed by %s", a, c, f, d.Rule(c).ID)
		}
	}
}

func forbidden(a sharing.Action, f sharing.Facts) bool {
	record := a == sharing.ReadRecord || a == sharing.WriteRecord
	noChild := f.Role == irtv1.Role_ROLE_AUDITOR || f.Role == irtv1.Role_ROLE_HUB_OPERATOR
	switch {
	case !f.Identified:
		return true
	case a < sharing.See || a > sharing.ReadSilently:
		return true
	case record && !f.Own && f.Role != irtv1.Role_ROLE_DATA_MANAGER:
		return true
	case record && (noChild || f.Role == irtv1.Role_ROLE_MEDIATOR):
		return true
	case a == sharing.TakePart && (!f.Own || noChild || f.Role == irtv1.Role_ROLE_DATA_MANAGER):
		return true
	case a == sharing.AskContact && (!f.Reason || noChild || f.Role == irtv1.Role_ROLE_DATA_MANAGER):
		return true
	case a == sharing.Nominate && f.Role != irtv1.Role_ROLE_DATA_MANAGER && (!f.Involved || noChild || f.Role == irtv1.Role_ROLE_MEDIATOR):
		return true
	case a == sharing.WritePlan && (!f.Own || f.Kind != irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE || noChild):
		return true
	case noChild && (a == sharing.See || a == sharing.Find || a == sharing.BeTold):
		return true
	}
	return false
}

// hidden is what is not shown of others, but in an emergency.
func hidden(a sharing.Action, f sharing.Facts, c irtv1.Category) bool {
	if a != sharing.See || f.Own || f.Purpose == irtv1.Purpose_PURPOSE_EMERGENCY {
		return a == sharing.Find && f.Shielded && c == irtv1.Category_CATEGORY_LOCATION
	}
	switch c {
	case irtv1.Category_CATEGORY_UNSPECIFIED, irtv1.Category_CATEGORY_SENSITIVE:
		return true
	case irtv1.Category_CATEGORY_LOCATION, irtv1.Category_CATEGORY_CONTACT, irtv1.Category_CATEGORY_INVOLVEMENT:
		return f.Shielded || !f.Involved && f.Role != irtv1.Role_ROLE_DATA_MANAGER
	}
	return false
}

// What is withheld is told by the rule that withholds it, and says nothing of what it is.
func TestWithheldNamesItsRule(t *testing.T) {
	t.Parallel()
	w := sharing.Withheld()
	if w.GetCategory() != irtv1.Category_CATEGORY_SENSITIVE || w.GetRuleId() != "SENSITIVE_BROKERED" ||
		!strings.Contains(w.GetHowToAsk(), "brokered contact") {
		t.Errorf("%v", w)
	}
	d := embedded(t).Decide(sharing.See, sharing.Facts{
		Identified: true, Role: irtv1.Role_ROLE_PRACTITIONER, Purpose: irtv1.Purpose_PURPOSE_EDUCATION,
	})
	for _, c := range []irtv1.Category{irtv1.Category_CATEGORY_LOCATION, irtv1.Category_CATEGORY_CHARACTERISTIC} {
		if w := d.Withheld(c); w.GetCategory() != c || w.GetRuleId() != d.Rule(c).ID || w.GetHowToAsk() == "" {
			t.Errorf("%v: %v", c, w)
		}
	}
}

// The vocabulary of policies is that of the schema.
func TestVocabularyIsTheSchemas(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("policies/schema.cedarschema")
	if err != nil {
		t.Fatal(err)
	}
	for prefix, names := range map[string]map[int32]string{
		"ROLE_": irtv1.Role_name, "AGENCY_KIND_": irtv1.AgencyKind_name, "PURPOSE_": irtv1.Purpose_name, "CATEGORY_": irtv1.Category_name,
	} {
		for n, name := range names {
			if word := strings.TrimPrefix(name, prefix); !strings.Contains(string(text), `"`+word+`"`) && (n != 0 || prefix != "CATEGORY_") {
				t.Errorf("policies cannot name %s", name)
			}
		}
	}
}

// Records are written by their agency and by data managers, as the helpers say.
func TestHelpersAskThePolicy(t *testing.T) {
	t.Parallel()
	school := identity.Caller{Agency: "school", Role: irtv1.Role_ROLE_AGENCY_SYSTEM}
	manager := identity.Caller{Agency: "council", Role: irtv1.Role_ROLE_DATA_MANAGER}
	for _, c := range []struct {
		what      string
		got, want bool
	}{
		{"own write", sharing.MayWrite(school, "school"), true},
		{"foreign write", sharing.MayWrite(school, "gp"), false},
		{"write of nobody's", sharing.MayWrite(school, ""), false},
		{"manager's write", sharing.MayWrite(manager, "gp"), true},
		{"own sensitive", sharing.SensitiveVisible(school, "school"), true},
		{"foreign sensitive", sharing.SensitiveVisible(manager, "clinic"), false},
		{"practitioner of a sensitive service", sharing.MayReadPractitioner(school, "clinic", true), false},
		{"practitioner", sharing.MayReadPractitioner(school, "gp", false), true},
		{"own practitioner", sharing.MayWritePractitioner(school, "school"), true},
		{"unknown caller", sharing.MayReadRecord(identity.Caller{}, ""), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.what, c.got)
		}
	}
}
