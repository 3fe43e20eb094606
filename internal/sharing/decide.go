package sharing

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go"

	irtv1 "irthub/gen/irt/v1"
)

// Decision is the answer to one question, for every category of information at
// once. It is shared and never changed.
type Decision struct {
	shown    Categories
	rules    [categoryMost]*Rule
	withheld [categoryMost]*irtv1.Withheld
}

// categoryMost is more than any category's number. The first place, which is no
// category's, holds the answer to an action that is decided as a whole.
const categoryMost = 32

const whole = irtv1.Category_CATEGORY_UNSPECIFIED

// Allowed tells whether an action that is decided as a whole is allowed.
func (d *Decision) Allowed() bool { return d.shown.Has(whole) }

// Shows tells whether information of a category is shown.
func (d *Decision) Shows(c irtv1.Category) bool { return c != whole && d.shown.Has(c) }

// ShowsChild tells whether the child is shown at all. To whom it is not, it is as
// if there were no such child.
func (d *Decision) ShowsChild() bool { return d.Shows(irtv1.Category_CATEGORY_BASIC) }

// Rule is the rule that allowed or denied a category; of a denial by default, the
// rule that would have to fit.
func (d *Decision) Rule(c irtv1.Category) *Rule { return d.rules[c] }

// Reason is the rule that allowed or denied an action that is decided as a whole.
func (d *Decision) Reason() *Rule { return d.rules[whole] }

// Withheld is what an answer says of a category that is not shown. It must not be
// changed.
func (d *Decision) Withheld(c irtv1.Category) *irtv1.Withheld { return d.withheld[c] }

// question is what is decided once.
type question struct {
	action Action
	facts  Facts
}

// memoMost bounds the decisions kept. A hub of many agencies meets a few hundred;
// only somebody who tries combinations meets more, and then they are made anew.
const memoMost = 4096

// memo keeps the decisions that were made. Reading takes no lock: every decision
// goes into a new map, and there are few.
type memo struct {
	made   atomic.Pointer[map[question]*Decision]
	adding sync.Mutex
}

func (m *memo) get(q question) *Decision {
	if made := m.made.Load(); made != nil {
		return (*made)[q]
	}
	return nil
}

func (m *memo) put(q question, d *Decision) {
	m.adding.Lock()
	defer m.adding.Unlock()
	next := map[question]*Decision{}
	if made := m.made.Load(); made != nil && len(*made) < memoMost {
		next = maps.Clone(*made)
	}
	next[q] = d
	m.made.Store(&next)
}

// Decide answers a question.
func (p *Policy) Decide(a Action, f Facts) *Decision {
	q := question{a, f}
	if d := p.made.get(q); d != nil {
		return d
	}
	d := &Decision{}
	if a == See || a == Find {
		for _, c := range categories {
			p.decide(d, q, c, categoryUID(c))
		}
	} else {
		p.decide(d, q, whole, resourceUIDs[a])
	}
	p.made.put(q, d)
	return d
}

// decide puts the answer for one category, or for the whole, into d.
func (p *Policy) decide(d *Decision, q question, c irtv1.Category, resource cedar.EntityUID) {
	entities, req := request(q, c, resource)
	allowed, diagnostic := cedar.Authorize(p.all, entities, req)
	rule := p.first(diagnostic.Reasons)
	switch {
	case len(diagnostic.Errors) > 0 || actionUIDs[q.action].Type == "":
		allowed, rule = cedar.Deny, failed
	case allowed == cedar.Deny && (rule == nil || rule.Discreet):
		if otherwise, _ := cedar.Authorize(p.permits, entities, req); rule == nil || otherwise == cedar.Deny {
			rule = p.lacking(q.action, c)
		}
	}
	d.rules[c] = rule
	if allowed == cedar.Allow {
		d.shown |= SetOf(c)
		return
	}
	d.withheld[c] = &irtv1.Withheld{Category: c, RuleId: rule.ID, HowToAsk: rule.Ask}
}

// first is the first of the rules that fitted, in the order of the set.
func (p *Policy) first(reasons []cedar.DiagnosticReason) *Rule {
	if len(reasons) == 0 {
		return nil
	}
	least := slices.MinFunc(reasons, func(a, b cedar.DiagnosticReason) int {
		return cmp.Compare(p.byID[a.PolicyID].order, p.byID[b.PolicyID].order)
	})
	return p.byID[least.PolicyID]
}

// lacking is the rule that would have to fit: the first that could allow it and
// says how to come within it.
func (p *Policy) lacking(a Action, c irtv1.Category) *Rule {
	for _, r := range p.rules {
		if r.Ask != "" && r.couldAllow(a, c) {
			return r
		}
	}
	return nothing
}

// request puts a question into Cedar's terms.
func request(q question, c irtv1.Category, resource cedar.EntityUID) (cedar.EntityMap, cedar.Request) {
	f := &q.facts
	caller := cedar.NewEntityUID("Caller", "caller")
	entities := cedar.EntityMap{caller: {UID: caller, Attributes: cedar.NewRecord(cedar.RecordMap{
		"identified":   cedar.Boolean(f.Identified),
		"role":         enumUID("Role", f.Role.String(), "ROLE_"),
		"kind":         enumUID("Kind", f.Kind.String(), "AGENCY_KIND_"),
		"purpose":      enumUID("Purpose", f.Purpose.String(), "PURPOSE_"),
		"reason_given": cedar.Boolean(f.Reason),
	})}}
	return entities, cedar.Request{Principal: caller, Action: actionUIDs[q.action], Resource: resource, Context: cedar.NewRecord(cedar.RecordMap{
		"own":               cedar.Boolean(f.Own),
		"involved":          cedar.Boolean(f.Involved),
		"holds_record":      cedar.Boolean(f.HoldsRecord),
		"leads":             cedar.Boolean(f.Leads),
		"consented":         cedar.Boolean(c != whole && f.Consented.Has(c)),
		"searching":         cedar.Boolean(f.Searching),
		"shielded":          cedar.Boolean(f.Shielded),
		"archived":          cedar.Boolean(f.Archived),
		"deceased":          cedar.Boolean(f.Deceased),
		"reasonable_cause":  cedar.Boolean(f.Cause),
		"sensitive_service": cedar.Boolean(f.Sensitive),
	})}
}

// enumUID names a value of an enumeration of the schema in Cedar. A number that
// the schema does not have becomes the name of nothing.
func enumUID(entityType cedar.EntityType, value, prefix string) cedar.EntityUID {
	return cedar.NewEntityUID(entityType, cedar.String(strings.TrimPrefix(value, prefix)))
}

func categoryUID(c irtv1.Category) cedar.EntityUID {
	return enumUID("Category", c.String(), "CATEGORY_")
}

var actionUIDs = func() [256]cedar.EntityUID {
	var uids [256]cedar.EntityUID
	for a, name := range actionNames {
		uids[a] = cedar.NewEntityUID("Action", cedar.String(name))
	}
	return uids
}()

var actionNames = map[Action]string{
	See: "see", Find: "find", BeTold: "be_told", ReadRecord: "read_record", WriteRecord: "write_record",
	ReadPractitioner: "read_practitioner", WritePractitioner: "write_practitioner", SeeAccesses: "see_accesses",
	AskContact: "ask_contact", TakePart: "take_part", Nominate: "nominate",
	WritePlan: "write_plan", ReadSilently: "read_silently",
}

// resourceUIDs stand for what an action that is decided as a whole is done to.
var resourceUIDs = map[Action]cedar.EntityUID{
	BeTold:           cedar.NewEntityUID("Child", "child"),
	ReadRecord:       cedar.NewEntityUID("Record", "record"),
	WriteRecord:      cedar.NewEntityUID("Record", "record"),
	ReadPractitioner: cedar.NewEntityUID("Practitioner", "practitioner"), WritePractitioner: cedar.NewEntityUID("Practitioner", "practitioner"),
	SeeAccesses: cedar.NewEntityUID("Log", "log"),
	AskContact:  cedar.NewEntityUID("Child", "child"),
	TakePart:    cedar.NewEntityUID("Request", "request"),
	Nominate:    cedar.NewEntityUID("Child", "child"),
	WritePlan:   cedar.NewEntityUID("Record", "record"), ReadSilently: cedar.NewEntityUID("Child", "child"),
}
