package reference

import (
	_ "embed" // for examples.json
	"encoding/json"
	"errors"
)

var errBadExample = errors.New("the example is not JSON")

// examples are bodies that work, by operation. A test holds each to the schema
// and the standard.
var examples = readExamples()

//go:embed examples.json
var examplesJSON []byte

func readExamples() map[string]json.RawMessage {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(examplesJSON, &all) // a test reads them all
	return all
}
