// Package sharing decides who may see and do what: facts in, a decision and the
// rules that made it out. It knows no SQL and no transport, and denies what no
// policy allows.
//
// The policies are Cedar text in policies/, each with an id, a sentence that an
// officer of information governance can read, and its legal basis; docs/SHARING.md
// is printed from them. What they may speak of is said in
// policies/schema.cedarschema. Messages are redacted by the categories of their
// fields (redact.go).
package sharing

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	irtv1 "irthub/gen/irt/v1"
)

//go:embed policies
var embedded embed.FS

// schemaFile says what policies may speak of. It is the hub's own: a directory of
// policies cannot replace it.
const schemaFile = "policies/schema.cedarschema"

// Rule is one policy, as it is told to people.
type Rule struct {
	ID       string
	Sentence string // what it says, in plain English
	Basis    string // its legal basis
	Ask      string // what to do to get what it withholds, or to come within it
	Allows   bool
	// Discreet: that it denied is told only to those who would otherwise be allowed.
	Discreet bool
	Place    string // file and line
	Source   string // as Cedar

	order  int
	policy *ast.Policy
}

// nothing is the rule where no policy fits.
var nothing = &Rule{
	ID: "DEFAULT_DENY", Sentence: "What no rule allows is denied.", Basis: "UK GDPR art. 25(2) (by default)",
	Ask: "No rule allows it. Ask the data manager of the hub.",
}

// failed is the rule where a policy could not be evaluated, which checking makes
// impossible: then nothing is allowed.
var failed = &Rule{
	ID: "POLICY_FAILED", Sentence: "Where a policy cannot be evaluated nothing is allowed.", Basis: "UK GDPR art. 32",
	Ask: "Tell the operator of the hub.",
}

// Policy is a checked set of policies. It may be used by many goroutines.
type Policy struct {
	rules   []*Rule // in the order of files and lines
	byID    map[cedar.PolicyID]*Rule
	all     *cedar.PolicySet
	permits *cedar.PolicySet
	made    memo
}

// Embedded is the set of policies of this binary.
func Embedded() (*Policy, error) {
	sub, err := fs.Sub(embedded, "policies")
	if err != nil {
		return nil, fmt.Errorf("sharing: %w", err)
	}
	return load(sub, "policies")
}

// LoadDir reads and checks the policies of a directory: its files *.cedar. What is
// wrong is named with file and line.
func LoadDir(dir string) (*Policy, error) { return load(os.DirFS(dir), dir) }

// load reads files; dir is what their names begin with for people.
func load(files fs.FS, dir string) (*Policy, error) {
	names, err := fs.Glob(files, "*.cedar")
	if err != nil {
		return nil, fmt.Errorf("sharing: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("sharing: there are no policies (*.cedar) in %s", dir)
	}
	slices.Sort(names)
	var rules []*Rule
	var faults []error
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("sharing: reading policies: %w", err)
		}
		found, err := parse(path.Join(dir, name), text)
		rules, faults = append(rules, found...), append(faults, err)
	}
	if err := errors.Join(append(faults, check(rules))...); err != nil {
		return nil, fmt.Errorf("sharing: the policies are refused:\n%w", err)
	}
	return compile(rules), nil
}

// compile makes a set of rules that have been checked.
func compile(rules []*Rule) *Policy {
	p := &Policy{
		rules: rules, byID: make(map[cedar.PolicyID]*Rule, len(rules)),
		all: cedar.NewPolicySet(), permits: cedar.NewPolicySet(),
	}
	for i, r := range rules {
		r.order = i
		id := cedar.PolicyID(r.ID)
		compiled := cedar.NewPolicyFromAST((*cedarast.Policy)(r.policy))
		p.byID[id] = r
		p.all.Add(id, compiled)
		if r.Allows {
			p.permits.Add(id, compiled)
		}
	}
	return p
}

// Rules are the rules, in the order of files and lines.
func (p *Policy) Rules() []*Rule { return p.rules }

// Without is the set less one rule: to find out whether any case needs it.
func (p *Policy) Without(id string) *Policy {
	var rest []*Rule
	for _, r := range p.rules {
		if r.ID != id {
			one := *r
			rest = append(rest, &one)
		}
	}
	return compile(rest)
}

// annotations are those that policies may have; all but the last three are needed.
var annotations = []string{"id", "sentence", "basis", "ask", "discreet"}

// parse reads the policies of one file.
func parse(name string, text []byte) ([]*Rule, error) {
	list, err := cedar.NewPolicyListFromBytes(name, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, strings.ReplaceAll(err.Error(), "<input>", name))
	}
	rules := make([]*Rule, len(list))
	var faults []error
	for i, one := range list {
		at := one.Position()
		r := &Rule{
			Allows: one.Effect() == cedar.Permit, Place: fmt.Sprintf("%s:%d", name, at.Line),
			Source: source(text, at.Offset), policy: (*ast.Policy)(one.AST()),
		}
		for _, a := range r.policy.Annotations {
			if !slices.Contains(annotations, string(a.Key)) {
				faults = append(faults, fmt.Errorf("%s: @%s is not an annotation; there are: @%s", r.Place, a.Key, strings.Join(annotations, ", @")))
			}
		}
		said := one.Annotations()
		r.ID, r.Sentence, r.Basis, r.Ask = string(said["id"]), string(said["sentence"]), string(said["basis"]), string(said["ask"])
		_, r.Discreet = said["discreet"]
		rules[i] = r
	}
	return rules, errors.Join(faults...)
}

// source is the text of the policy that begins at an offset, up to its semicolon
// at the end of a line.
func source(text []byte, offset int) string {
	s := string(text[offset:])
	if end := strings.Index(s, ";\n"); end >= 0 {
		s = s[:end+1]
	}
	return strings.TrimSpace(s)
}

// check holds rules to the schema and to what is asked of every rule.
func check(rules []*Rule) error {
	vocabulary, err := readVocabulary()
	if err != nil {
		return err
	}
	validator := validate.New(vocabulary)
	var faults []error
	seen := map[string]*Rule{}
	for _, r := range rules {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("%s: "+format, append([]any{r.Place}, args...)...))
		}
		switch before := seen[r.ID]; {
		case r.ID == "" || strings.Trim(r.ID, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "":
			fault("the policy needs an @id of capitals, digits and _")
		case r.ID == nothing.ID || r.ID == failed.ID:
			fault("%s is the hub's own rule: choose another @id", r.ID)
		case before != nil:
			fault("%s is the @id of another policy too, at %s", r.ID, before.Place)
		}
		seen[r.ID] = r
		if r.Sentence == "" || r.Basis == "" {
			fault("%s needs a @sentence that says what it does, and its legal @basis", r.ID)
		}
		if !r.Allows && r.Ask == "" {
			fault("%s denies, so it needs an @ask that says what to do", r.ID)
		}
		if err := validator.Policy("", r.policy); err != nil {
			fault("%s: %w", r.ID, err)
		}
		for _, uid := range r.unknown(vocabulary) {
			fault("%s: there is no %s", r.ID, uid)
		}
	}
	return errors.Join(faults...)
}

func readVocabulary() (*resolved.Schema, error) {
	text, err := embedded.ReadFile(schemaFile)
	if err != nil {
		return nil, fmt.Errorf("sharing: %w", err)
	}
	var s schema.Schema
	s.SetFilename(schemaFile)
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, fmt.Errorf("sharing: the schema of policies: %w", err)
	}
	vocabulary, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("sharing: the schema of policies: %w", err)
	}
	return vocabulary, nil
}

// unknown are the values of enumerations that a rule names and the schema does not
// have, which the validator lets pass.
func (r *Rule) unknown(vocabulary *resolved.Schema) []cedar.EntityUID {
	var all []cedar.EntityUID
	for _, enum := range vocabulary.Enums {
		for uid := range r.named(enum.Name) {
			if !slices.Contains(enum.Values, uid) {
				all = append(all, uid)
			}
		}
	}
	return all
}

// couldAllow tells whether a rule allows an action, for some facts, and with it a
// category: one it names, or any where it names none.
func (r *Rule) couldAllow(a Action, category irtv1.Category) bool {
	if !r.Allows || !r.covers(actionUIDs[a]) {
		return false
	}
	named := r.named("Category")
	return len(named) == 0 || named[categoryUID(category)]
}

func (r *Rule) covers(action cedar.EntityUID) bool {
	switch scope := r.policy.Action.(type) {
	case ast.ScopeTypeEq:
		return scope.Entity == action
	case ast.ScopeTypeInSet:
		return slices.Contains(scope.Entities, action)
	}
	return true
}

// named are the entities of a type that a rule names.
func (r *Rule) named(entityType cedar.EntityType) map[cedar.EntityUID]bool {
	found := map[cedar.EntityUID]bool{}
	note := func(v any) {
		if uid, ok := v.(cedar.EntityUID); ok && uid.Type == entityType {
			found[uid] = true
		}
	}
	if scope, ok := r.policy.Resource.(ast.ScopeTypeEq); ok {
		note(scope.Entity)
	}
	for _, c := range r.policy.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			if v, ok := n.(ast.NodeValue); ok {
				note(v.Value)
			}
			return true
		})
	}
	return found
}
