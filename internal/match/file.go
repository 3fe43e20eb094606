package match

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// modelSchema is the form of a model's file. It rises whenever a field, a level or what
// a probability is of becomes another, so that no model is taken for what it is not.
const modelSchema = 1

// maxModelBytes bounds a model's file: the largest hold some thousands of names.
const maxModelBytes = 16 << 20

// modelFile is a model as it is written.
type modelFile struct {
	Schema int `json:"schema"`
	Parameters
}

// Write writes the model as JSON, the same text for the same model.
func (m *Model) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(modelFile{modelSchema, m.parameters})
}

// Read reads a model that Write wrote, and is whole. Its errors say what is wrong and
// what to do.
func Read(r io.Reader) (*Model, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxModelBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxModelBytes {
		return nil, fmt.Errorf("it is larger than %d MB, which no model is: %s", maxModelBytes>>20, giveModel)
	}
	var form struct{ Schema *int }
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, fmt.Errorf("it is no JSON object (%w): %s", err, giveModel)
	}
	switch {
	case form.Schema == nil:
		return nil, errors.New("it is no model, or one of an earlier release (it has no schema): " + giveModel)
	case *form.Schema != modelSchema:
		return nil, fmt.Errorf("it is a model of another release (schema %d, this one reads %d): train it again with this release", *form.Schema, modelSchema)
	}
	var f modelFile
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %s", err, giveModel)
	}
	m, err := New(f.Parameters)
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: train it again, and leave the file as irthub match train writes it", err)
	}
	return m, nil
}

const giveModel = "give the file that irthub match train wrote"

var versionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$`)

// builtInPrefix begins the versions of built-in models.
const builtInPrefix = "hand-"

// CheckVersion refuses what a trained model must not be called: what could be taken for
// a built-in one, or for a model with the names of an index.
func CheckVersion(version string) error {
	switch {
	case !versionPattern.MatchString(version):
		return errors.New("the version is not 1 to 60 letters, digits, spaces, dots, hyphens and underscores")
	case strings.HasPrefix(version, builtInPrefix):
		return fmt.Errorf("a version that begins with %s is that of a built-in model", builtInPrefix)
	}
	return nil
}

// sumTolerance is how far from one the probabilities of a set may add up to: those set
// by hand are rounded.
const sumTolerance = 0.1

// check refuses parameters of which something is missing, or that are no probabilities
// of all there can be. New has seen to each by itself.
func (p *Parameters) check() error {
	if err := CheckVersion(p.Version); err != nil {
		return err
	}
	if sum := p.Prior[SameChild] + p.Prior[Twin] + p.Prior[Sibling] + p.Prior[Stranger]; math.Abs(sum-1) > sumTolerance {
		return fmt.Errorf("the priors add up to %.3g, not 1", sum)
	}
	if p.Records < 2 {
		return errors.New("it does not say of how many records it was learnt")
	}
	if !(p.Margin >= 0 && p.Margin <= 100) {
		return fmt.Errorf("the margin is %g bits", p.Margin)
	}
	for _, field := range slices.Sorted(maps.Keys(defaultLevels())) {
		if err := p.checkField(field); err != nil {
			return err
		}
	}
	return p.Frequencies.check()
}

// checkField refuses a field whose levels are not all there, or do not add up.
func (p *Parameters) checkField(field string) error {
	f, _ := fieldNamed(field)
	var sums [2][classes]float64
	for _, level := range slices.Sorted(maps.Keys(defaultLevels()[field])) {
		shares, ok := p.Levels[field][level]
		if !ok {
			return fmt.Errorf("field %q: level %q is missing", field, level)
		}
		l, _ := levelNamed(f, level)
		if f == FieldDateOfBirth && l == bornPartial {
			continue // in place of the others
		}
		for c, share := range shares {
			sums[context(f, l)][c] += share
		}
	}
	for _, set := range sums {
		for c, sum := range set {
			if set != [classes]float64{} && math.Abs(sum-1) > sumTolerance {
				return fmt.Errorf("field %q: the probabilities for %s add up to %.3g, not 1", field, Class(c), sum)
			}
		}
	}
	return nil
}

// check refuses shares that are none.
func (t *Frequencies) check() error {
	tables := []map[string]float64{t.GivenNames, t.FamilyNames, t.Texts, {"of other given names": t.OtherGiven, "of other family names": t.OtherFamily}}
	for _, together := range t.FullNames {
		tables = append(tables, together)
	}
	for _, table := range tables {
		for _, share := range table {
			if !(share > 0 && share <= 1) {
				return errors.New("the frequencies hold a share that is not within (0, 1]")
			}
		}
	}
	for _, share := range t.Dates {
		if !(share > 0 && share <= 1) {
			return errors.New("the frequencies hold a share of a date that is not within (0, 1]")
		}
	}
	if !(t.OtherText >= 0 && t.OtherText <= 1) {
		return errors.New("the share of other texts is not within [0, 1]")
	}
	return nil
}

// leastLink is the least probability from which an index may link by itself. Two
// children made one is the worst that can happen.
const leastLink = 0.9

// leastRecords is of how many records a model must be learnt to say something of others.
const leastRecords = 1000

// CheckForIndex refuses a model that an index of children must not go by. It is for those
// that were read: to measure, any will do.
func (m *Model) CheckForIndex() error {
	p := &m.parameters
	if p.Records < leastRecords {
		return fmt.Errorf("it was learnt from %d records, which say too little: train it on %d or more", p.Records, leastRecords)
	}
	if p.Link < leastLink {
		return fmt.Errorf("it links from a probability of %g: a hub links from %g or more", p.Link, leastLink)
	}
	if m.prior[Twin] <= m.prior[SameChild]-twinsUnknown {
		return errors.New("it knows no twins and would make one child of two: train it on more records, of children, with their addresses and postcodes")
	}
	for _, f := range []Field{FieldGivenName, FieldFamilyName, FieldDateOfBirth} {
		same := p.Levels[f.String()]["same"]
		if same[SameChild] <= same[Stranger] || f == FieldGivenName && same[SameChild] <= max(same[Twin], same[Sibling]) {
			return fmt.Errorf("field %q: to it what is the same speaks against one child: train it on more records", f)
		}
	}
	return nil
}
