package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/match"
	"irthub/internal/match/dataset"
	"irthub/internal/match/picture"
)

type matchExplainCommand struct {
	clientFlags

	Of      []string `arg:"" name:"what" help:"One or two names, children/… or agencies/…/childRecords/…, of a running hub; or a CSV file and the lines of two records, as an editor counts: the header is line 1."`
	Map     []string `sep:"none" placeholder:"FIELD=COLUMN,…" help:"For a file: which columns hold what; see irthub match --help."`
	Model   string   `type:"existingfile" placeholder:"FILE" help:"For a file: use this model, made by irthub match train, in place of one learnt from the file."`
	Purpose string   `placeholder:"CODE" default:"DATA_QUALITY" help:"For a hub: why, a code of the purpose list (default: DATA_QUALITY)."`
	SVG     string   `name:"svg" type:"path" placeholder:"FILE" help:"Draw the waterfall to this file too."`
	JSON    bool     `name:"json" help:"As JSON: the decision as the hub stores it, or the hub's answer."`
}

// Help is shown by irthub match explain --help.
func (matchExplainCommand) Help() string {
	return `Shows what each field adds to or takes from the odds that two records are one child, in bits (each bit doubles or halves them), and what the hub would decide about the second record if the first were all it knew. Values of the records are not shown.

Of two children of a hub every record of the one is compared with every record of the other; the likeliest pair is drawn. Of one record it is shown how it came to its child, as it was decided then. It takes the token of a data manager, or for one record that of its agency.

Examples:

  irthub match explain children/… children/… --svg why.svg
  irthub match explain agencies/st-marys/childRecords/17 agencies/nhs-trust/childRecords/4711
  irthub match explain agencies/st-marys/childRecords/17
  irthub match explain children.csv 2 17 --svg why.svg --map givenName=given,familyName=surname,dateOfBirth=dob`
}

// Run explains one pair.
func (c *matchExplainCommand) Run(ctx context.Context, s streams) error {
	switch named := isName(c.Of[0]); {
	case named && len(c.Of) <= 2:
		return c.explainNames(ctx, s)
	case !named && len(c.Of) == 3:
		return c.explainLines(s)
	}
	return usage(errors.New("name one or two children or records of a hub, or a file and two of its lines"))
}

// isName tells a name from a file.
func isName(text string) bool {
	return strings.HasPrefix(text, "children/") || strings.HasPrefix(text, "agencies/")
}

// explainLines compares two records of a file.
func (c *matchExplainCommand) explainLines(s streams) error {
	if len(c.Map) == 0 {
		return usage(errors.New("--map says which columns of the file hold what; see irthub match --help"))
	}
	f := matchFile{File: c.Of[0], Map: c.Map, Model: c.Model}
	data, err := f.read("", "")
	if err != nil {
		return err
	}
	a, err := recordAt(data, c.Of[1])
	if err != nil {
		return err
	}
	b, err := recordAt(data, c.Of[2])
	if err != nil {
		return err
	}
	m, err := f.model(data.Features())
	if err != nil {
		return err
	}
	d := m.Decide(b, []match.Candidate{{Child: match.ChildKey{15: 1}, Features: a}})
	if err := c.draw(&d.Result); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(d)
	}
	if err := picture.WriteWaterfall(s.out, &d.Result); err != nil {
		return err
	}
	return verdict(s.out, d.Result.Class.String(), d.Result.Probability, d.Band.String(), d.Rule)
}

// draw draws to the file asked for, if one is.
func (c *matchExplainCommand) draw(r *match.Result) error {
	if c.SVG == "" {
		return nil
	}
	return writeFile(c.SVG, func(f *os.File) error { return picture.WriteWaterfallSVG(f, r) })
}

func verdict(w io.Writer, class string, probability float64, band, rule string) error {
	likeliest := "Same child"
	if class != "" {
		likeliest = "Likeliest " + class + ", same child"
	}
	if rule != "" {
		rule = ", by the rule " + rule
	}
	_, err := fmt.Fprintf(w, "%s with probability %.4f: %s%s\n", likeliest, probability, band, rule)
	return err
}

func recordAt(data *dataset.Data, text string) (*match.Features, error) {
	line, err := strconv.Atoi(text)
	if err != nil {
		return nil, usage(fmt.Errorf("%q is not the number of a line", text))
	}
	i, ok := slices.BinarySearch(data.Lines, line)
	if !ok {
		return nil, usage(fmt.Errorf("no record starts at line %d", line))
	}
	f := match.Prepare(data.People[i])
	return &f, nil
}

// explainNames asks a hub.
func (c *matchExplainCommand) explainNames(ctx context.Context, s streams) error {
	req, err := explainRequest(c.Of)
	if err != nil {
		return err
	}
	conn, err := c.dial(c.Purpose)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is left to send
	got, err := irtv1.NewMatchServiceClient(conn).ExplainMatch(ctx, req)
	if err != nil {
		return failure("explaining", err)
	}
	if len(c.Of) == 2 && len(got.GetPairs()) == 0 {
		return errors.New("there are no two records in force to compare: the names may be of one record or of one child")
	}
	best := got.GetMatch()
	if len(got.GetPairs()) > 0 {
		best = got.GetPairs()[0].GetMatch() // the hub names the best first
	}
	drawn := resultOf(best)
	if drawn != nil {
		err = c.draw(drawn)
	} else if c.SVG != "" {
		err = errors.New("there is no evidence to draw: it was withheld, or nothing was compared")
	}
	if err != nil {
		return err
	}
	if c.JSON {
		b, err := protojson.Marshal(got)
		if err != nil {
			return err
		}
		_, err = s.out.Write(append(b, '\n'))
		return err
	}
	if len(c.Of) == 1 {
		return printDecided(s.out, c.Of[0], got, drawn)
	}
	return printPairs(s.out, got.GetPairs(), drawn)
}

// explainRequest names what is to be explained.
func explainRequest(names []string) (*irtv1.ExplainMatchRequest, error) {
	isRecord := func(name string) bool { return strings.HasPrefix(name, "agencies/") }
	req := &irtv1.ExplainMatchRequest{}
	if len(names) == 1 {
		if !isRecord(names[0]) {
			return nil, usage(errors.New("name a second child to compare it with; one name alone is that of a record"))
		}
		req.ChildRecord = names[0]
		return req, nil
	}
	a, b := names[0], names[1]
	if !isName(b) {
		return nil, usage(fmt.Errorf("%q is not a name: it begins with children/ or agencies/", b))
	}
	if !isRecord(a) { // a record is named first
		a, b = b, a
	}
	if isRecord(a) {
		req.ChildRecord = a
	} else {
		req.Child = a
	}
	if isRecord(b) {
		req.OtherChildRecord = b
	} else {
		req.OtherChild = b
	}
	return req, nil
}

// resultOf is a hub's explanation as it is drawn; nil where it holds no evidence.
func resultOf(m *irtv1.MatchExplanation) *match.Result {
	fields := m.GetFieldWeights()
	if len(fields) == 0 {
		return nil
	}
	r := &match.Result{Weight: m.GetWeight(), Probability: m.GetProbability(), PriorWeight: fields[0].GetWeight()}
	for _, f := range fields[1:] {
		r.Fields = append(r.Fields, match.FieldWeight{Field: f.GetField(), Level: f.GetLevel(), Weight: f.GetWeight()})
	}
	return r
}

// printDecided shows how a record came to its child.
func printDecided(w io.Writer, name string, got *irtv1.ExplainMatchResponse, drawn *match.Result) error {
	m := got.GetMatch()
	fmt.Fprintf(w, "%s, of %s\n", name, got.GetChild())
	if m.GetComparedWith() != "" {
		fmt.Fprintf(w, "compared with %s\n", m.GetComparedWith())
	}
	return printMatch(w, m, "", drawn)
}

// printPairs draws the first pair and tells of the others.
func printPairs(w io.Writer, pairs []*irtv1.MatchPair, drawn *match.Result) error {
	first := pairs[0]
	fmt.Fprintf(w, "%s and %s\n", first.GetChildRecord(), first.GetOtherChildRecord())
	likeliest, most := "", -1.0
	for _, c := range first.GetClasses() {
		if c.GetProbability() > most {
			likeliest, most = c.GetMatchClass(), c.GetProbability()
		}
	}
	if err := printMatch(w, first.GetMatch(), likeliest, drawn); err != nil {
		return err
	}
	switch first.GetConstraint() {
	case irtv1.MatchConstraintKind_MATCH_CONSTRAINT_KIND_SAME:
		fmt.Fprintln(w, "A person found them to be of one child, and that holds.")
	case irtv1.MatchConstraintKind_MATCH_CONSTRAINT_KIND_NOT_SAME:
		fmt.Fprintln(w, "A person found them to be of two children, and that holds.")
	}
	for _, p := range pairs[1:] {
		fmt.Fprintf(w, "%+8.1f bits  %.4f  %-6s  %s and %s\n", p.GetMatch().GetWeight(), p.GetMatch().GetProbability(),
			decisionWord(p.GetMatch()), p.GetChildRecord(), p.GetOtherChildRecord())
	}
	return nil
}

func printMatch(w io.Writer, m *irtv1.MatchExplanation, likeliest string, drawn *match.Result) error {
	if drawn != nil {
		if err := picture.WriteWaterfall(w, drawn); err != nil {
			return err
		}
	}
	if err := verdict(w, likeliest, m.GetProbability(), decisionWord(m), strings.ToLower(m.GetRuleId())); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "By the model %s\n", m.GetModelVersion())
	return err
}

func decisionWord(m *irtv1.MatchExplanation) string {
	return strings.TrimPrefix(m.GetDecision().String(), "MATCH_DECISION_")
}
