package main

import (
	"errors"
	"fmt"
	"os"

	"irthub/internal/sharing"
)

type policyCommand struct {
	Explain policyExplainCommand `cmd:"" help:"Print the sharing policy as a document."`
	Test    policyTestCommand    `cmd:"" help:"Run a table of cases against the sharing policy."`
}

// policiesFlag names a directory of policies.
type policiesFlag struct {
	Policies string `placeholder:"DIR" env:"IRTHUB_POLICIES" type:"path" help:"Directory of sharing policies (*.cedar) to decide by, instead of the hub's own."`
}

// load reads and checks the set of policies.
func (f policiesFlag) load() (*sharing.Policy, error) {
	if f.Policies == "" {
		return sharing.Embedded()
	}
	return sharing.LoadDir(f.Policies)
}

type policyExplainCommand struct {
	policiesFlag
}

// Help is shown by irthub policy explain --help.
func (policyExplainCommand) Help() string {
	return `Prints who may see what of a child, as this binary decides it or as the policies of a directory do: every rule with its sentence, legal basis and text, in Markdown. It needs no hub.

Examples:

  irthub policy explain > SHARING.md
  irthub policy explain --policies /etc/irthub/policies`
}

// Run prints the document.
func (c *policyExplainCommand) Run(s streams) error {
	p, err := c.load()
	if err != nil {
		return err
	}
	return p.Explain(s.out)
}

type policyTestCommand struct {
	policiesFlag

	File string `arg:"" type:"existingfile" help:"Table of cases, CSV."`
}

// Help is shown by irthub policy test --help.
func (policyTestCommand) Help() string {
	return `Decides every case of a table and compares it with what the table says. The table is CSV with the columns action,category,role,kind,purpose,facts,decision,rule; internal/sharing/testdata/cases.csv is the one of the hub's own policies.

Exit status: 0 every case is decided as the table says, 4 some are not, and each is printed with what was expected and what came, 1 the policies or the table cannot be read.

Examples:

  irthub policy test cases.csv
  irthub policy test cases.csv --policies /etc/irthub/policies`
}

// Run tests.
func (c *policyTestCommand) Run(s streams) error {
	p, err := c.load()
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	cases, err := sharing.ReadCases(f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if len(cases) == 0 {
		return fmt.Errorf("%s: there are no cases in it", c.File)
	}
	failures := p.Test(cases)
	for _, failure := range failures {
		fmt.Fprintln(s.out, failure)
	}
	fmt.Fprintf(s.out, "%d cases, %d failed\n", len(cases), len(failures))
	if len(failures) > 0 {
		return status{errors.New("the policies decide otherwise than the table says"), exitNotWhole}
	}
	return nil
}
