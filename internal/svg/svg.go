// Package svg writes small pictures: text, bars and lines, measured in pixels.
package svg

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Picture is a drawing in the making. What text it is given is escaped.
type Picture struct{ b strings.Builder }

// New begins a picture on white.
func New(width, height int, title string) *Picture {
	p := &Picture{}
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&p.b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", Escaped(title))
	return p
}

// Text writes a line of text; y is that of its foot.
func (p *Picture) Text(x float64, y int, text string) {
	fmt.Fprintf(&p.b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x, y, Escaped(text))
}

// Label is Text with its middle at x.
func (p *Picture) Label(x float64, y int, text string) {
	fmt.Fprintf(&p.b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x, y, Escaped(text))
}

// Bar draws a filled rectangle from its upper left corner; colour is #rrggbb.
func (p *Picture) Bar(x float64, y int, width float64, height int, colour string) {
	fmt.Fprintf(&p.b, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", x, y, width, height, colour)
}

// Line draws a thin grey line.
func (p *Picture) Line(x1 float64, y1 int, x2 float64, y2 int) {
	fmt.Fprintf(&p.b, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#808080\"/>\n", x1, y1, x2, y2)
}

// End writes the picture.
func (p *Picture) End(w io.Writer) error {
	p.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, p.b.String())
	return err
}

// Escaped is text as it may stand in a picture.
func Escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}
