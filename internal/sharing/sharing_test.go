package sharing_test

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/sharing"
)

var actions = map[string]sharing.Action{
	"read record": sharing.ReadRecord, "write record": sharing.WriteRecord, "see involvement": sharing.SeeInvolvement,
	"read practitioner": sharing.ReadPractitioner, "write practitioner": sharing.WritePractitioner,
	"nothing there is a rule for": 99,
}

// The table is what officers of information governance agree to: a change of a
// decision is a change of the table.
func TestDecisions(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/decisions.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cases, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases[1:] {
		action, known := actions[c[0]]
		role, _ := identity.ParseRole(c[1])
		if !known || c[1] != identity.RoleText(role) {
			t.Fatalf("%q: no such action or role", c)
		}
		got := sharing.Decide(sharing.Question{
			Caller: identity.Caller{Agency: c[2], Role: role}, Action: action, Owner: c[3], Sensitive: c[4] == "yes",
		})
		if got.Allowed != (c[5] == "allow") || got.RuleID != c[6] {
			t.Errorf("%s: %+v", strings.Join(c, ","), got)
		}
		if got.Words == "" {
			t.Errorf("%s: no words", strings.Join(c, ","))
		}
	}
}

// What must hold whatever the rules become.
func TestWhatNoRuleMayAllow(t *testing.T) {
	t.Parallel()
	agencies := []string{"", "a", "b"}
	for action := sharing.Action(0); action < 10; action++ {
		for role := range irtv1.Role_name {
			for _, caller := range agencies {
				for _, owner := range agencies {
					for _, sensitive := range []bool{false, true} {
						q := sharing.Question{
							Action: action, Owner: owner, Sensitive: sensitive,
							Caller: identity.Caller{Agency: caller, Role: irtv1.Role(role)},
						}
						if sharing.Decide(q).Allowed && forbidden(q) {
							t.Errorf("%+v is allowed", q)
						}
					}
				}
			}
		}
	}
}

func forbidden(q sharing.Question) bool {
	other := q.Caller.Agency != q.Owner
	record := q.Action == sharing.ReadRecord || q.Action == sharing.WriteRecord
	manager := q.Caller.Role == irtv1.Role_ROLE_DATA_MANAGER
	switch {
	case q.Caller.Agency == "" || q.Owner == "":
		return true
	case q.Action < sharing.ReadRecord || q.Action > sharing.WritePractitioner:
		return true
	case q.Action == sharing.SeeInvolvement && q.Sensitive && other:
		return true
	case record && other && !manager:
		return true
	case record && (q.Caller.Role == irtv1.Role_ROLE_AUDITOR || q.Caller.Role == irtv1.Role_ROLE_HUB_OPERATOR ||
		q.Caller.Role == irtv1.Role_ROLE_MEDIATOR):
		return true
	}
	return false
}

// What is withheld is told by the rule that withholds it, and says nothing of what it is.
func TestWithheldNamesItsRule(t *testing.T) {
	t.Parallel()
	w := sharing.Withheld()
	d := sharing.Decide(sharing.Question{Caller: identity.Caller{Agency: "a"}, Owner: "b", Action: sharing.SeeInvolvement, Sensitive: true})
	if w.GetCategory() != irtv1.Category_CATEGORY_SENSITIVE || w.GetRuleId() != d.RuleID || w.GetHowToAsk() != d.Words ||
		!strings.Contains(w.GetHowToAsk(), "Ask") {
		t.Errorf("%v; the decision is %+v", w, d)
	}
}
