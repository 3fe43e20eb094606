package main

import (
	"errors"
	"fmt"
	"os"

	"irthub/internal/match"
)

type matchTrainCommand struct {
	File    string   `arg:"" type:"existingfile" help:"A CSV file with a header; - is standard input."`
	Map     []string `sep:"none" required:"" placeholder:"FIELD=COLUMN,…" help:"Which columns hold what; see irthub match --help."`
	Out     string   `required:"" type:"path" placeholder:"FILE" help:"Write the model here (JSON)."`
	Version string   `name:"model-version" default:"trained" help:"What the model is called, by a name that no other has; it is stored with every decision (default: trained)."`
}

// Help is shown by irthub match train --help.
func (matchTrainCommand) Help() string {
	return `Learns how often the records of one child, of twins, of siblings and of strangers agree in each field, and how common each name is, without being told which records are whose (expectation maximisation from the built-in model). The same records in another order give the same model.

A hub goes by the model when it is given the file: irthub serve --match-model model.json. Train it for that on records as the hub has them, of several agencies and with addresses and postcodes, by which twins and siblings are seen; docs/MATCHING.md says more.

Example:

  irthub match train children.csv --out model.json --model-version area-2026 --map givenName=given,familyName=surname,dateOfBirth=dob,address=address,telephone=phone`
}

// Run learns and writes.
func (c *matchTrainCommand) Run(s streams) error {
	if err := match.CheckVersion(c.Version); err != nil {
		return usage(fmt.Errorf("--model-version: %w", err))
	}
	f := matchFile{File: c.File, Map: c.Map}
	data, err := f.read("", "")
	if err != nil {
		return err
	}
	if len(data.People) < 2 {
		return errors.New("the file holds fewer than two records: there is no pair to learn from")
	}
	m, err := learn(c.Version, data.Features())
	if err != nil {
		return err
	}
	p := m.Parameters()
	s.say("learnt from %d records: of all pairs %.2g are one child, %.2g twins, %.2g siblings",
		len(data.People), p.Prior[match.SameChild], p.Prior[match.Twin], p.Prior[match.Sibling])
	return writeFile(c.Out, func(f *os.File) error { return m.Write(f) })
}
