package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"irthub/internal/match"
	"irthub/internal/match/dataset"
	"irthub/internal/match/picture"
)

type matchExplainCommand struct {
	matchFile

	A    int    `arg:"" help:"The line of one record, as an editor counts: the header is line 1."`
	B    int    `arg:"" help:"The line of the other record."`
	SVG  string `name:"svg" type:"path" placeholder:"FILE" help:"Draw the waterfall to this file too."`
	JSON bool   `name:"json" help:"As JSON: the decision as the hub stores it."`
}

// Help is shown by irthub match explain --help.
func (matchExplainCommand) Help() string {
	return `Shows what each field adds to or takes from the odds that two records are one child, in bits (each bit doubles or halves them), and what the hub would decide about the second record if the first were all it knew. Values of the records are not shown.

Example:

  irthub match explain children.csv 2 17 --svg why.svg --map givenName=given,familyName=surname,dateOfBirth=dob`
}

// Run explains one pair.
func (c *matchExplainCommand) Run(s streams) error {
	data, err := c.read("", "")
	if err != nil {
		return err
	}
	a, err := recordAt(data, c.A)
	if err != nil {
		return err
	}
	b, err := recordAt(data, c.B)
	if err != nil {
		return err
	}
	m, err := c.model(data.Features())
	if err != nil {
		return err
	}
	d := m.Decide(b, []match.Candidate{{Child: match.ChildKey{15: 1}, Features: a}})
	if c.SVG != "" {
		if err := writeFile(c.SVG, func(f *os.File) error { return picture.WriteWaterfallSVG(f, &d.Result) }); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(d)
	}
	if err := picture.WriteWaterfall(s.out, &d.Result); err != nil {
		return err
	}
	rule := ""
	if d.Rule != "" {
		rule = ", by the rule " + d.Rule
	}
	_, err = fmt.Fprintf(s.out, "Likeliest %s, same child with probability %.4f: %s%s\n", d.Result.Class, d.Result.Probability, d.Band, rule)
	return err
}

func recordAt(data *dataset.Data, line int) (*match.Features, error) {
	i, ok := slices.BinarySearch(data.Lines, line)
	if !ok {
		return nil, usage(fmt.Errorf("no record starts at line %d", line))
	}
	f := match.Prepare(data.People[i])
	return &f, nil
}
