// Package picture draws what a match decision rests on, for a terminal and as
// SVG: one decision as a waterfall of weights, and many as a histogram.
package picture

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"irthub/internal/match"
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
	s := newSVG(labelWidth+barsWidth+80, len(steps)*rowHeight+2*margin, "Waterfall of one match decision, in bits")
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
		s.text(margin, y+15, step.Label)
		s.bar(left, y+3, max(right-left, 1), rowHeight-6, colour)
		s.text(right+6, y+15, fmt.Sprintf("%+.1f", step.To-step.From))
	}
	s.line(x(0), margin, x(0), margin+len(steps)*rowHeight)
	return s.end(w)
}

// svg is a drawing in the making.
type svg struct{ b strings.Builder }

func newSVG(width, height int, title string) *svg {
	s := &svg{}
	fmt.Fprintf(&s.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&s.b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", escaped(title))
	return s
}

func (s *svg) text(x float64, y int, text string) {
	fmt.Fprintf(&s.b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x, y, escaped(text))
}

func (s *svg) bar(x float64, y int, width float64, height int, colour string) {
	fmt.Fprintf(&s.b, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", x, y, width, height, colour)
}

func (s *svg) line(x1 float64, y1 int, x2 float64, y2 int) {
	fmt.Fprintf(&s.b, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#808080\"/>\n", x1, y1, x2, y2)
}

func (s *svg) end(w io.Writer) error {
	s.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, s.b.String())
	return err
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}
