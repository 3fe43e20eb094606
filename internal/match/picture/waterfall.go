// Package picture draws what a match decision rests on, for a terminal and as
// SVG: one decision as a waterfall of weights, and many as a histogram.
package picture

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"irthub/internal/match"
	"irthub/internal/svg"
)

// Step is one bar of a waterfall: from where the weight stood to where it stands.
type Step struct {
	Label    string
	From, To float64 // log2 of the odds
}

// Steps are those of an explained result: where it starts, each field, the sum.
// No value of the records is in them, only fields and levels.
func Steps(r *match.Result) []Step {
	steps := []Step{{"before comparing", 0, r.PriorWeight}}
	at := r.PriorWeight
	for _, f := range r.Fields {
		label := strings.ReplaceAll(f.Field+": "+f.Level, "_", " ")
		steps = append(steps, Step{label, at, at + f.Weight})
		at += f.Weight
	}
	return append(steps, Step{fmt.Sprintf("together: %.4f", r.Probability), 0, at})
}

// bounds are the least and the greatest weight, zero within.
func bounds(steps []Step) (low, high float64) {
	for _, s := range steps {
		low, high = min(low, s.From, s.To), max(high, s.From, s.To)
	}
	if high == low {
		high = low + 1
	}
	return low, high
}

// terminalWidth is how many columns the bars have.
const terminalWidth = 48

// WriteWaterfall draws for a terminal: + for evidence that both are one child,
// - against it.
func WriteWaterfall(w io.Writer, r *match.Result) error {
	steps := Steps(r)
	low, high := bounds(steps)
	column := func(v float64) int { return int(math.Round((v - low) / (high - low) * terminalWidth)) }
	wide := 0
	for _, s := range steps {
		wide = max(wide, utf8.RuneCountInString(s.Label))
	}
	for _, s := range steps {
		from, to, sign := column(s.From), column(s.To), "+"
		if from > to {
			from, to, sign = to, from, "-"
		}
		bar := strings.Repeat(" ", from) + strings.Repeat(sign, max(to-from, 1))
		if _, err := fmt.Fprintf(w, "%-*s %+7.2f  %s\n", wide, s.Label, s.To-s.From, bar); err != nil {
			return err
		}
	}
	return nil
}

// Sizes of the drawings, in pixels.
const (
	rowHeight  = 22
	labelWidth = 260
	barsWidth  = 420
	margin     = 16
)

// WriteWaterfallSVG draws the same as SVG.
func WriteWaterfallSVG(w io.Writer, r *match.Result) error {
	steps := Steps(r)
	low, high := bounds(steps)
	x := func(v float64) float64 { return labelWidth + (v-low)/(high-low)*barsWidth }
	s := svg.New(labelWidth+barsWidth+80, len(steps)*rowHeight+2*margin, "Waterfall of one match decision, in bits")
	for i, step := range steps {
		y := margin + i*rowHeight
		colour := "#2b7a4b"
		if step.To < step.From {
			colour = "#b3372f"
		}
		if i == 0 || i == len(steps)-1 {
			colour = "#4a5a6a"
		}
		left, right := min(x(step.From), x(step.To)), max(x(step.From), x(step.To))
		s.Text(margin, y+15, step.Label)
		s.Bar(left, y+3, max(right-left, 1), rowHeight-6, colour)
		s.Text(right+6, y+15, fmt.Sprintf("%+.1f", step.To-step.From))
	}
	s.Line(x(0), margin, x(0), margin+len(steps)*rowHeight)
	return s.End(w)
}
