package standard

// FaultOf is the fault of breaking a rule at a field, for what is checked
// outside Check. An id that names no rule gives a fault of that id alone.
func FaultOf(ruleID, field string) Fault {
	rule, _ := RuleByID(ruleID)
	return Fault{Field: field, RuleID: ruleID, Description: rule.Description, Action: rule.Action}
}
