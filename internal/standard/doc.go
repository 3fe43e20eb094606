// Package standard holds data to the standard of proto/irt/v1: it normalises
// records, checks them against the bounds, code lists and rules that the schema
// names, and describes the standard itself as a data dictionary.
//
// Every fact stands once. Bounds and patterns are buf.validate options, and
// category, source, code list and rule ids are irt.v1.standard options, of the
// fields of the schema; the rules themselves are one table in rules.go.
//
// The package does no I/O and keeps no state between calls. It never guesses: a
// value is rewritten only where both forms mean the same thing, and no fault
// ever repeats a value.
package standard
