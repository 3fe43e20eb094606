package picture

import (
	"fmt"
	"io"
	"math"
	"strings"

	"irthub/internal/match"
	"irthub/internal/svg"
)

// Histogram counts pairs by weight, with the bands they fall in.
type Histogram struct {
	From  int   // bits, of the first bar; each bar is one step wide
	Count []int // pairs in each
	// Review and Link are the weights where those bands start.
	Review, Link float64
}

// histogramStep is the width of a bar, in bits.
const histogramStep = 2

// histogramEnds bound the weights shown; what lies beyond counts at the end.
const histogramEnds = 40

// NewHistogram counts weights, with the bands of the model.
func NewHistogram(weights []float64, p match.Parameters) Histogram {
	bits := func(probability float64) float64 { return math.Log2(probability / (1 - probability)) }
	h := Histogram{From: -histogramEnds, Count: make([]int, 2*histogramEnds/histogramStep), Review: bits(p.Review), Link: bits(p.Link)}
	for _, w := range weights {
		i := int(math.Floor((w + histogramEnds) / histogramStep))
		h.Count[min(max(i, 0), len(h.Count)-1)]++
	}
	return h
}

// band is the band of a bar, by its middle.
func (h *Histogram) band(i int) match.Band {
	switch middle := float64(h.From) + (float64(i)+0.5)*histogramStep; {
	case middle >= h.Link:
		return match.BandLink
	case middle >= h.Review:
		return match.BandReview
	}
	return match.BandNew
}

// height is the length of a bar. It grows with the logarithm: far more pairs are
// strangers than are one child.
func (h *Histogram) height(i int, full float64) float64 {
	most := 1
	for _, n := range h.Count {
		most = max(most, n)
	}
	return math.Log1p(float64(h.Count[i])) / math.Log1p(float64(most)) * full
}

// Write draws for a terminal.
func (h *Histogram) Write(w io.Writer) error {
	for i, n := range h.Count {
		bar := strings.Repeat("#", int(math.Round(h.height(i, terminalWidth))))
		if _, err := fmt.Fprintf(w, "%+4d bits %-6s %9d  %s\n", h.From+i*histogramStep, h.band(i), n, bar); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, "Lengths grow with the logarithm of the number of pairs.")
	return err
}

var bandColours = map[match.Band]string{match.BandNew: "#8a8f98", match.BandReview: "#d58f1f", match.BandLink: "#2b7a4b"}

// WriteSVG draws the same as SVG.
func (h *Histogram) WriteSVG(w io.Writer) error {
	const wide, high, top = 16, 240, 3 * margin // top: room for what the two lines are
	const title = "Pairs of records by their weight in bits"
	right, floor := margin+len(h.Count)*wide, top+high
	s := svg.New(right+margin, floor+3*margin, title)
	s.Text(margin, margin+2, title+"; heights grow with the logarithm of their number")
	at := func(bits float64) float64 {
		return margin + min(max(bits-float64(h.From), 0)*wide/histogramStep, float64(right-margin))
	}
	for i, n := range h.Count {
		tall := h.height(i, high)
		x := float64(margin + i*wide)
		if n > 0 {
			s.Bar(x+1, floor-max(int(tall), 1), wide-2, max(int(tall), 1), bandColours[h.band(i)])
		}
		if bits := h.From + i*histogramStep; bits%10 == 0 {
			s.Line(x, floor, x, floor+4)
			s.Label(x, floor+margin, fmt.Sprintf("%+d", bits))
		}
	}
	s.Line(margin, floor, float64(right), floor)
	for _, from := range []float64{h.Review, h.Link} {
		s.Line(at(from), top-4, at(from), floor)
	}
	s.Label((at(h.Review)+at(h.Link))/2, top-8, match.BandReview.String())
	s.Text(at(h.Link)+margin, top-8, match.BandLink.String())
	for i, b := range []match.Band{match.BandNew, match.BandReview, match.BandLink} {
		x := float64(margin + i*100)
		s.Bar(x, floor+margin+10, 12, 12, bandColours[b])
		s.Text(x+18, floor+2*margin+4, b.String())
	}
	return s.End(w)
}
