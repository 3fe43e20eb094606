package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"irthub/internal/match"
	"irthub/internal/match/dataset"
)

// matchCommand holds the commands about deciding which records are one child's.
// All but rematch, and explain where it is given names, work on files and need no hub.
type matchCommand struct {
	Evaluate  matchEvaluateCommand  `cmd:"" help:"Measure the matching on a file whose truth is known."`
	Train     matchTrainCommand     `cmd:"" help:"Learn a model from a file, without labels."`
	Explain   matchExplainCommand   `cmd:"" help:"Show why two records, of a file or a hub, are or are not one child."`
	Histogram matchHistogramCommand `cmd:"" help:"Show how the pairs of a file score, and the bands."`
	Rematch   matchRematchCommand   `cmd:"" help:"Match every record of a hub again, after the model has changed."`
}

// Help is shown by irthub match --help.
func (matchCommand) Help() string {
	return `These commands run the hub's own matching on any CSV file; rematch alone works on a hub's database, and explain asks a running hub where it is given names. --map says which columns hold what, as FIELD=COLUMN, with + between columns to be joined:

  --map givenName=first_name,familyName=surname,dateOfBirth=dob,address=number+street

Fields: givenName preferredGivenName middleName familyName formerFamilyName dateOfBirth sex postcode address telephone email nhsNumber upn, identifier (any other number of the person's own) and other (any other text worth comparing). Without familyName, givenName is read as the whole name, the family name last. address, telephone, email, formerFamilyName and other may be given several times, and so may --map. Files are CSV in UTF-8, UTF-16 or Windows-1252, separated by commas, semicolons, tabs or bars; NULL, NA, N/A, NaN, None, nil and - stand for nothing, but are left as they are in a column of names where they are written like the names there (Null, Na) and in one row of a hundred at most; matching then counts them neither for nor against. Dates may be written in any usual form; whether the day or the month comes first is read off the file.`
}

// matchFile is what all of them read.
type matchFile struct {
	File  string   `arg:"" type:"existingfile" help:"A CSV file with a header; - is standard input."`
	Map   []string `sep:"none" required:"" placeholder:"FIELD=COLUMN,…" help:"Which columns hold what; see irthub match --help."`
	Model string   `type:"existingfile" placeholder:"FILE" help:"Use this model, made by irthub match train, in place of one learnt from the file."`
}

// read reads the file; truth and pattern may be empty.
func (f *matchFile) read(truth, pattern string) (*dataset.Data, error) {
	mapping, err := dataset.ParseMapping(strings.Join(f.Map, ","))
	if err != nil {
		return nil, usage(err)
	}
	how := dataset.Reading{Map: mapping, Truth: truth}
	if pattern != "" {
		if how.TruthPattern, err = regexp.Compile(pattern); err != nil {
			return nil, usage(fmt.Errorf("--truth-pattern: %w", err))
		}
		if how.TruthPattern.NumSubexp() != 1 {
			return nil, usage(fmt.Errorf("--truth-pattern: want one group in parentheses, got %d", how.TruthPattern.NumSubexp()))
		}
	}
	file := os.Stdin
	if f.File != "-" {
		if file, err = os.Open(f.File); err != nil {
			return nil, err
		}
	}
	defer func() { _ = file.Close() }() // only read
	data, err := dataset.Read(file, how)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.File, err)
	}
	return data, nil
}

// model is the one given, or one learnt from the records themselves.
func (f *matchFile) model(records []match.Features) (*match.Model, error) {
	if f.Model == "" {
		return learn("learnt from the file", records)
	}
	return readModel("--model", f.Model)
}

// readModel reads the file that a flag names.
func readModel(flag, name string) (*match.Model, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	defer func() { _ = file.Close() }() // only read
	m, err := match.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, name, err)
	}
	return m, nil
}

// learn needs two records at least; of fewer there is nothing to learn.
func learn(version string, records []match.Features) (*match.Model, error) {
	if len(records) < 2 {
		return match.Default(), nil
	}
	p, err := match.Train(version, match.Default().Parameters(), records)
	if err != nil {
		return nil, err
	}
	return match.New(p)
}

// writeFile makes a file and reports what goes wrong up to its closing.
func writeFile(name string, write func(*os.File) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		_ = file.Close() // the first error says more
		return err
	}
	return file.Close()
}
