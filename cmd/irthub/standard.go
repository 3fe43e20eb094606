package main

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"

	"irthub/internal/standard"
)

type standardCommand struct {
	JSON bool `name:"json" help:"As JSON, like /v1/standard, instead of Markdown."`
}

// Help is shown by irthub standard --help.
func (standardCommand) Help() string {
	return `Prints what may be exchanged with a hub and how it is checked, as this binary holds to it. It needs no hub.

Examples:

  irthub standard > STANDARD.md
  irthub standard --json | jq '.rules[].ruleId'`
}

// Run prints the standard.
func (c *standardCommand) Run(s streams) error {
	if !c.JSON {
		return standard.Markdown(s.out)
	}
	b, err := protojson.Marshal(standard.Dictionary())
	if err != nil {
		return err
	}
	enc := json.NewEncoder(s.out) // protojson's own spacing varies
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(json.RawMessage(b))
}
