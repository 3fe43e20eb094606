package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"irthub/internal/match"
	"irthub/internal/match/dataset"
)

type matchEvaluateCommand struct {
	matchFile

	Truth        string `required:"" placeholder:"COLUMN" help:"The column that says which records are one child's. Only scoring looks at it."`
	TruthPattern string `placeholder:"REGEXP" help:"Take the one group of this regular expression out of that column."`
	Mode         string `enum:"online,batch" default:"online" help:"online: records arrive one by one in random order, as in a hub. batch: all are compared, then put together from the surest pair on."`
	Seed         uint64 `default:"1" help:"Draws the order of arrival (default: 1)."`
	AutoLinkOnly bool   `help:"Count automatic links only: what goes to review stays apart."`
	JSON         bool   `name:"json" help:"Print nothing but the JSON object, on one line."`
	Errors       string `type:"path" placeholder:"FILE" help:"Write the pairs wrongly linked and wrongly left apart to this file (CSV), by line number."`
}

// Help is shown by irthub match evaluate --help.
func (matchEvaluateCommand) Help() string {
	return `Learns a model from the records of the file without looking at the truth (expectation maximisation from the built-in model, or --model), puts the records together with the code that the hub runs (normalising, blocking keys and their caps, scoring, deciding) and compares the outcome with the truth. All true pairs count, also those that no blocking key brought together. It needs no hub and no database.

What counts as a link: by default what is linked automatically, and what the hub would hold for a person who would find it at least as likely as not (probability 0.5 or more) to be one child; two different valid NHS numbers never link. The person comes to the queue once all records are there, as they stand by then, and to the likeliest first (how many children were put together so, merged says). A child of a single record is the likelier to be another's the more records the model expects of each child among as many; children of several must fit each other as they are. The 0.5 is not fitted to anything. With --auto-link-only what is held for review counts as left apart. review_share is the share of records about which the hub would ask a person, either way, and reviews how many entries its queue holds while nobody works through it, each of one record and one child that it may be of: two where a record may be either of two children. Both modes count so: online what came up as records arrived, batch what is in doubt once all are there and what is sure is linked. In batch mode best_over_thresholds adds the best F1 over all thresholds, of scored pairs before they are put together; that threshold alone is chosen by the labels.

The last line of the output is one JSON object: pairwise, b3 (each precision, recall, f1), review_share, reviews, false_links_by_class (of family_pairs_by_class), records_per_second, records, clusters, children, true_pairs, thresholds, links_counted, mode, seed and more.

Examples:

  irthub match evaluate febrl3.csv --truth rec_id --truth-pattern 'rec-(\d+)-' --json --map givenName=given_name,familyName=surname,dateOfBirth=date_of_birth,postcode=postcode,address=street_number+address_1+suburb,identifier=soc_sec_id
  irthub match evaluate children.csv --truth child --auto-link-only --errors errors.csv --map givenName=given,familyName=surname,dateOfBirth=dob,nhsNumber=nhs`
}

// evaluation is the JSON object of the last line.
type evaluation struct {
	match.Accuracy

	RecordsPerSecond float64 `json:"records_per_second"` // of putting together, not of learning
	LearningSeconds  float64 `json:"learning_seconds"`
	Seconds          float64 `json:"seconds"`
	Model            string  `json:"model"`
}

// Run measures and prints.
func (c *matchEvaluateCommand) Run(s streams) error {
	data, err := c.read(c.Truth, c.TruthPattern)
	if err != nil {
		return err
	}
	records := data.Labelled()
	s.say("%d records; learning", len(records))
	started := time.Now()
	m, err := c.model(data.Features())
	if err != nil {
		return err
	}
	learnt := time.Now()
	s.say("putting together")
	a := m.Evaluate(records, match.Trial{Mode: match.Mode(c.Mode), Seed: c.Seed, AutoLinkOnly: c.AutoLinkOnly})
	e := evaluation{Accuracy: a, Model: m.Version, LearningSeconds: learnt.Sub(started).Seconds(), Seconds: time.Since(started).Seconds()}
	e.RecordsPerSecond = float64(len(records)) / max(time.Since(learnt).Seconds(), 1e-9)
	if c.Errors != "" {
		if err := writeFile(c.Errors, func(f *os.File) error { return writeErrors(f, m, data, records, &a) }); err != nil {
			return err
		}
	}
	if !c.JSON {
		e.print(s)
	}
	return json.NewEncoder(s.out).Encode(e)
}

// print says the same for a reader.
func (e *evaluation) print(s streams) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }
	line("%d records of %d children (%d true pairs), %s, seed %d", e.Records, e.Children, e.TruePairs, e.Mode, e.Seed)
	line("links counted     %s", e.LinksCounted)
	line("pairs             precision %.5f  recall %.5f  F1 %.5f", e.Pairwise.Precision, e.Pairwise.Recall, e.Pairwise.F1)
	line("B-cubed           precision %.5f  recall %.5f  F1 %.5f", e.B3.Precision, e.B3.Recall, e.B3.F1)
	if b := e.BestPairs; b != nil {
		line("best F1 of pairs  %.5f, at probability %.4f (chosen by the labels)", b.F1, b.Threshold)
	}
	line("clusters          %d", e.Clusters)
	line("for a person      %.4f of the records, %d reviews", e.ReviewShare, e.Reviews)
	for _, class := range []match.Class{match.Twin, match.Sibling, match.Stranger} {
		line("wrongly linked    %-8s %d", class, e.FalseLinks[class])
	}
	line("records/second    %.0f", e.RecordsPerSecond)
}

// writeErrors lists wrong pairs by line. Nothing of the records themselves is
// written: they are in the file for whoever may see it.
func writeErrors(f *os.File, m *match.Model, data *dataset.Data, records []match.Labelled, a *match.Accuracy) error {
	w := csv.NewWriter(f)
	if err := w.Write([]string{"error", "line_a", "line_b", "probability", "weight", "looks_like"}); err != nil {
		return err
	}
	for _, list := range []struct {
		what  string
		pairs [][2]int
	}{{"wrongly_linked", a.Errors}, {"left_apart", a.Missed}} {
		for _, p := range list.pairs {
			r := m.Score(&records[p[0]].Features, &records[p[1]].Features)
			row := []string{
				list.what, strconv.Itoa(data.Lines[p[0]]), strconv.Itoa(data.Lines[p[1]]),
				strconv.FormatFloat(r.Probability, 'f', 6, 64), strconv.FormatFloat(r.Weight, 'f', 2, 64), r.Class.String(),
			}
			if err := w.Write(row); err != nil {
				return err
			}
		}
	}
	w.Flush()
	return w.Error()
}
