package main

import (
	"os"

	"irthub/internal/match/picture"
)

type matchHistogramCommand struct {
	matchFile

	SVG string `name:"svg" type:"path" placeholder:"FILE" help:"Draw it to this file too."`
}

// Help is shown by irthub match histogram --help.
func (matchHistogramCommand) Help() string {
	return `Counts the pairs of records that share a blocking key by their weight in bits, and shows which band (NEW, REVIEW, LINK) each weight falls in. Two hills with a valley between say that the model tells children apart; a full valley, that people will have to.

Example:

  irthub match histogram children.csv --svg scores.svg --map givenName=given,familyName=surname,dateOfBirth=dob`
}

// Run counts and draws.
func (c *matchHistogramCommand) Run(s streams) error {
	data, err := c.read("", "")
	if err != nil {
		return err
	}
	features := data.Features()
	m, err := c.model(features)
	if err != nil {
		return err
	}
	h := picture.NewHistogram(m.Weights(features), m.Parameters())
	if c.SVG != "" {
		if err := writeFile(c.SVG, func(f *os.File) error { return h.WriteSVG(f) }); err != nil {
			return err
		}
	}
	return h.Write(s.out)
}
